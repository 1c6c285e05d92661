package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
	fileName   = regexp.MustCompile(`^[A-Za-z0-9_.{},/*-]+\.(go|md|sh|test|json|js|mjs)$`)
	goName     = regexp.MustCompile(`^([a-z][a-z0-9]*)\.([A-Z][A-Za-z0-9]*)(?:\.([A-Z][A-Za-z0-9]*))?$`)
	markdown   = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// TestDocsNameWhatExists holds the documents against the tree: every file that
// they name in code marks or links must be there, and so must every identifier
// written as package.Name.
func TestDocsNameWhatExists(t *testing.T) {
	names := goNames(t)
	documents, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	decisions, _ := filepath.Glob("docs/decisions/*.md")
	documents = append(append(documents, decisions...), "README.md")
	if len(documents) < 8 {
		t.Fatalf("found %d documents, which cannot be all", len(documents))
	}
	checked := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		text = withoutFences(text)
		for _, m := range inlineCode.FindAllSubmatch(text, -1) {
			word := string(m[1])
			switch {
			case fileName.MatchString(word):
				checked++
				if !fileExists(word, filepath.Dir(document)) {
					t.Errorf("%s names the file %s, which is not there", document, word)
				}
			case goName.MatchString(word):
				parts := goName.FindStringSubmatch(word)
				if known, ours := names[parts[1]]; ours {
					checked++
					if !known[parts[2]] {
						t.Errorf("%s names %s, which is not in package %s", document, word, parts[1])
					}
				}
			}
		}
		for _, m := range markdown.FindAllSubmatch(text, -1) {
			checked++
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), string(m[1]))); err != nil {
				t.Errorf("%s links to %s, which is not there", document, m[1])
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d names were checked: the documents or this test changed shape", checked)
	}
}

// withoutFences drops fenced blocks, which hold examples.
func withoutFences(text []byte) []byte {
	var kept [][]byte
	inside := false
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(bytes.TrimSpace(line), []byte("```")) {
			inside = !inside
			continue
		}
		if !inside {
			kept = append(kept, line)
		}
	}
	return bytes.Join(kept, nil)
}

// fileExists looks for a file by its path from the root or from the document,
// by pattern, or, where only a name is given, anywhere.
func fileExists(name, beside string) bool {
	for _, p := range []string{name, filepath.Join(beside, name)} {
		if found, _ := filepath.Glob(p); len(found) > 0 {
			return true
		}
	}
	if strings.Contains(name, "/") {
		return false
	}
	found := false
	filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if ok, _ := filepath.Match(name, filepath.Base(p)); ok {
			found = true
			return fs.SkipAll
		}
		return err
	})
	return found
}

// goNames are the exported top-level names of our packages, by package name.
func goNames(t *testing.T) map[string]map[string]bool {
	t.Helper()
	names := map[string]map[string]bool{}
	for room := range rooms {
		files, _ := filepath.Glob(filepath.Join(room, "*.go"))
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			pkg := parsed.Name.Name
			if strings.HasSuffix(pkg, "_test") || pkg == "main" {
				continue
			}
			if names[pkg] == nil {
				names[pkg] = map[string]bool{}
			}
			for _, d := range parsed.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					names[pkg][d.Name.Name] = true
				case *ast.GenDecl:
					for _, s := range d.Specs {
						switch s := s.(type) {
						case *ast.TypeSpec:
							names[pkg][s.Name.Name] = true
						case *ast.ValueSpec:
							for _, n := range s.Names {
								names[pkg][n.Name] = true
							}
						}
					}
				}
			}
		}
	}
	return names
}
