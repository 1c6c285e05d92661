package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// unraced are concurrent, and left out of make race all the same.
var unraced = []string{
	"export", // has one lock, around one map; building Parquet for the race detector takes longer than most tests
}

// TestRaced: what make race leaves out starts no goroutines and has no locks and no
// atomics, so that two goroutines can only meet in it through those that share its
// values, which are tested. This package and sqltests are the wiring of what is tested.
func TestRaced(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(makefile), "\nRACED := ")
	if !ok {
		t.Fatal("the Makefile has no RACED")
	}
	list, _, _ = strings.Cut(strings.ReplaceAll(list, "\\\n", " "), "\n")
	raced := strings.Fields(list)
	for room := range importsByRoom(t) {
		if room == "" || strings.HasPrefix(room, "sqltests") || slices.Contains(raced, "./"+room) || slices.Contains(unraced, room) {
			continue
		}
		if where := concurrent(t, room); where != "" {
			t.Errorf("%s is concurrent at %s: add ./%s to RACED in the Makefile", room, where, room)
		}
	}
	for _, room := range raced {
		if _, ok := importsByRoom(t)[strings.TrimPrefix(room, "./")]; !ok {
			t.Errorf("RACED in the Makefile has %s, which is no package", room)
		}
	}
}

// concurrent is where a package starts a goroutine or keeps goroutines apart, or "". A
// sync.Pool does neither for what is taken out of it.
func concurrent(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var where string
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path.Join(dir, entry.Name()), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				where = files.Position(n.Pos()).String()
			case *ast.ImportSpec:
				if n.Path.Value == `"sync/atomic"` || strings.HasSuffix(n.Path.Value, `/errgroup"`) {
					where = files.Position(n.Pos()).String()
				}
			case *ast.SelectorExpr:
				if of, ok := n.X.(*ast.Ident); ok && of.Name == "sync" && n.Sel.Name != "Pool" {
					where = files.Position(n.Pos()).String()
				}
			}
			return true
		})
	}
	return where
}
