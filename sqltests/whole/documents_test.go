package whole

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"arbor/sqltests/server"
)

// documents are those whose examples are executed, each on a server of its own.
var documents = []string{"README.md", "docs/sql.md", "docs/http.md", "docs/operations.md"}

// TestDocumentsAreTrue runs every sh block of the documents that is followed by
// a text block, in order and in one shell session a document, and compares what
// it prints with the text. A line of three dots stands for any lines, and … for
// anything within a line. Addresses and ports are those of the test's server.
func TestDocumentsAreTrue(t *testing.T) {
	root, err := server.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range documents {
		t.Run(document, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, document))
			if err != nil {
				t.Fatal(err)
			}
			examples := parseExamples(string(text))
			if len(examples) == 0 {
				t.Fatalf("%s has no examples that could be executed", document)
			}
			s := server.Start(t)
			session := &shell{dir: t.TempDir(), server: s, binary: server.Binary(t)}
			for _, e := range examples {
				got := session.run(t, e.commands)
				if !matches(e.output, got) {
					t.Errorf("%s line %d:\n%s\nprints:\n%s\nthe document says:\n%s", document, e.line, e.commands, got, e.output)
				}
			}
		})
	}
}

type example struct {
	line             int
	commands, output string
}

// parseExamples finds sh blocks that a text block follows at once.
func parseExamples(text string) []example {
	var found []example
	var kind string
	var body []string
	var last example
	for n, line := range strings.Split(text, "\n") {
		switch {
		case kind == "" && strings.HasPrefix(line, "```"):
			kind, body = "x"+strings.TrimPrefix(line, "```"), nil
			if kind == "xsh" {
				last = example{line: n + 1}
			}
		case kind != "" && strings.HasPrefix(line, "```"):
			block := strings.Join(body, "\n")
			switch {
			case kind == "xsh":
				last.commands = block
			case kind == "xtext" && last.commands != "":
				last.output = block
				found = append(found, last)
				last = example{}
			}
			kind = ""
		case kind != "":
			body = append(body, line)
		case strings.TrimSpace(line) != "":
			last = example{}
		}
	}
	return found
}

// shell runs blocks one after another, carrying variables over.
type shell struct {
	dir    string
	server *server.Server
	binary string
}

func (s *shell) run(t *testing.T, commands string) string {
	t.Helper()
	commands = strings.NewReplacer(
		"127.0.0.1:8080", s.server.HTTP,
		"mariadb -h 127.0.0.1", "mariadb --no-defaults -h 127.0.0.1 -P "+server.Port(s.server.MySQL),
		"127.0.0.1:3306", s.server.MySQL,
		"arbor-data", s.server.Data,
	).Replace(commands)
	script := "set -a; [ -e variables ] && . ./variables; set +a\n" + commands + "\ncompgen -A variable | grep -E '^[A-Z]+$' | grep -Ev '^(BASH|EUID|UID|PPID|SHELLOPTS|BASHOPTS|PATH|PWD|IFS)' | while read v; do declare -p \"$v\" 2>/dev/null | sed 's/^declare -[a-zA-Z-]* //'; done > variables.new 2>/dev/null; mv variables.new variables\n"
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + filepath.Dir(s.binary) + ":" + os.Getenv("PATH"), "HOME=" + s.dir, "LANG=C.UTF-8", "ARBOR_SERVER=http://" + s.server.HTTP}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v\n%s", commands, err, out.String())
	}
	return out.String()
}

// matches compares line by line, with … and lines of three dots as wild cards.
func matches(want, got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range strings.Split(strings.TrimRight(want, "\n"), "\n") {
		if strings.TrimSpace(line) == "..." {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(line, " ")), "…", `.*`) + ` *\n`)
	}
	pattern.WriteString(`\z`)
	return regexp.MustCompile(pattern.String()).MatchString(strings.TrimRight(got, "\n") + "\n")
}
