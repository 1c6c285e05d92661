package whole

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"arbor/sqltests/server"
)

// TestDocumentsGrowAClusterAsTheySay takes the commands by which the documents make a
// cluster, and makes one by them: only addresses, directories and the token are others.
func TestDocumentsGrowAClusterAsTheySay(t *testing.T) {
	root, err := server.Root()
	if err != nil {
		t.Fatal(err)
	}
	for document, heading := range map[string]string{"README.md": "## Grow a cluster", "docs/operations.md": "## A cluster"} {
		t.Run(document, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, document))
			if err != nil {
				t.Fatal(err)
			}
			first, second := growing(t, string(text), heading)
			peers := strings.NewReplacer("10.0.0.1:4306", server.FreeAddress(t), "10.0.0.2:4306", server.FreeAddress(t))
			flags := func(command string) []string {
				words := strings.Fields(peers.Replace(command))
				if strings.Contains(command, "10.0.0.3") || len(words) < 3 || words[0] != "arbor" || words[1] != "serve" {
					t.Fatalf("the document has another command: %s", command)
				}
				return words[2:]
			}
			a := server.Start(t, flags(first)...)
			a.Exec(t, "CREATE DATABASE shop", "INSERT INTO shop.events (event, time, distinct_id) VALUES ('e', '2026-05-01 00:00:00', 'u')")
			token := strings.TrimSpace(arbor(t, "token", "--mysql", a.MySQL))
			joining := flags(second)
			for i, flag := range joining[:len(joining)-1] {
				switch flag {
				case "--token":
					joining[i+1] = token
				case "--token-file":
					joining[i+1] = filepath.Join(t.TempDir(), joining[i+1])
					if err := os.WriteFile(joining[i+1], []byte(token+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			b := server.Start(t, joining...)
			eventually(t, a, "SELECT COUNT(*) FROM arbor.members WHERE alive AND buckets = 1024", "2")
			eventually(t, b, "SELECT COUNT(*) FROM shop.events", "1")
		})
	}
}

// growing are the commands of a section that start the first member and the second.
func growing(t *testing.T, text, heading string) (first, second string) {
	t.Helper()
	_, section, ok := strings.Cut(text, "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, line := range strings.FieldsFunc(section, func(r rune) bool { return r == '\n' || r == '`' }) {
		switch {
		case !strings.HasPrefix(line, "arbor serve --peer"):
		case strings.Contains(line, "--join"):
			second = line
		case first == "":
			first = line
		}
	}
	if !ok || first == "" || second == "" {
		t.Fatalf("the section %q starts %q and %q", heading, first, second)
	}
	return first, second
}
