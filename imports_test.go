package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms says what each room may import of ours; docs/architecture.md says why.
// "" is this package. A room that is not listed here may not exist.
var rooms = map[string][]string{
	"":                       {"backup", "catalog", "cluster", "cluster/consensus", "cluster/member", "cluster/peer", "cluster/protocol", "cluster/tables", "engine", "engine/appendlog", "engine/dot", "engine/event", "engine/exec", "engine/filesum", "engine/indexfile", "engine/vfs", "export", "gateway", "gateway/audit", "gateway/siphon", "pace"},
	"backup":                 {"engine/filesum", "engine/vfs", "pace"},
	"catalog":                {},
	"cluster":                {"catalog", "cluster/peer", "cluster/protocol", "cluster/replication", "cluster/tables", "engine/appendlog", "engine/dot", "engine/event", "engine/exec", "engine/vfs"},
	"cluster/consensus":      {"catalog", "cluster/protocol", "cluster/raftlog", "cluster/tables", "engine/vfs"},
	"cluster/gossip":         {"cluster/protocol"},
	"cluster/member":         {"catalog", "cluster", "cluster/consensus", "cluster/gossip", "cluster/peer", "cluster/protocol", "cluster/tables", "engine/vfs"},
	"cluster/peer":           {"cluster/protocol"},
	"cluster/protocol":       {"catalog", "engine/dot"},
	"cluster/replication":    {"cluster/protocol", "engine/dot", "pace"},
	"cluster/raftlog":        {"engine/appendlog", "engine/vfs"},
	"cluster/tables":         {},
	"engine":                 {"catalog", "engine/appendlog", "engine/dot", "engine/event", "engine/exec", "engine/filesum", "engine/indexfile", "engine/vfs"},
	"engine/appendlog":       {"engine/vfs"},
	"engine/dot":             {},
	"engine/event":           {"catalog", "engine/wide"},
	"engine/exec":            {"catalog"},
	"engine/filesum":         {},
	"engine/indexfile":       {"catalog", "engine/vfs", "engine/wide"},
	"engine/vfs":             {},
	"engine/wide":            {},
	"export":                 {"catalog", "engine/vfs"},
	"gateway":                {"catalog", "cluster", "cluster/tables", "engine/event", "engine/exec", "gateway/audit", "gateway/track", buildTag},
	"gateway/audit":          {"catalog", "engine/exec", "engine/vfs"},
	"gateway/track":          {"catalog", "engine/event"},
	"gateway/siphon":         {"engine/vfs"},
	buildTag:                 {},
	"pace":                   {},
	"sqltests":               {"*"},
	"sqltests/attacks":       {"*"},
	"sqltests/bench":         {"*"},
	"sqltests/clients":       {"*"},
	"sqltests/erase":         {"*"},
	"sqltests/faults":        {"*"},
	"sqltests/members":       {"*"},
	"sqltests/server":        {},
	"sqltests/stack":         {"*"},
	"sqltests/oracle":        {"catalog", "engine/event", "engine/exec"},
	"sqltests/load":          {"*"},
	"sqltests/torture":       {"*"},
	"sqltests/whole":         {"*"},
	"sqltests/bench/dataset": {"catalog", "engine/event"},
}

const buildTag = "gateway/build_with_make_or_add__tags_gms_pure_go"

// testsMayAlso are what the tests of a room may import besides.
var testsMayAlso = map[string][]string{
	"":                 {"sqltests/stack", "sqltests/bench/dataset"},
	"sqltests/oracle":  {"cluster"},
	"engine":           {"sqltests/oracle", "sqltests/bench/dataset"},
	"engine/indexfile": {"sqltests/bench/dataset"},
	"engine/exec":      {},
	"gateway":          {"sqltests/oracle", "sqltests/bench/dataset", "engine/vfs"},
	"gateway/track":    {"sqltests/bench/dataset"},
	"engine/event":     {"sqltests/bench/dataset"},
}

// onlyGateway are the modules that only the gateway, and tests over the whole
// stack, may know.
var onlyGateway = []string{"github.com/dolthub/"}

// TestWalls holds every import of ours against the table above.
func TestWalls(t *testing.T) {
	for room, imports := range importsByRoom(t) {
		allowed, known := rooms[room]
		if !known {
			t.Errorf("%s is not a room: add it to docs/architecture.md and to this test, with what it may import", room)
			continue
		}
		for _, im := range imports {
			if ours, ok := strings.CutPrefix(im.path, "arbor/"); ok {
				if slices.Contains(allowed, "*") || slices.Contains(allowed, ours) || ours == room || im.test && slices.Contains(testsMayAlso[room], ours) {
					continue
				}
				t.Errorf("%s imports %s: that wall stands for a reason, see docs/architecture.md", im.file, im.path)
			}
			inGateway := room == "gateway" || strings.HasPrefix(room, "gateway/")
			for _, module := range onlyGateway {
				if strings.HasPrefix(im.path, module) && !inGateway && !strings.HasPrefix(room, "sqltests") {
					t.Errorf("%s imports %s, which only the gateway may", im.file, im.path)
				}
			}
			if room == "catalog" && !im.test && strings.Contains(strings.Split(im.path, "/")[0], ".") {
				t.Errorf("%s imports %s: the catalog imports nothing but the standard library", im.file, im.path)
			}
		}
	}
}

// TestNoLeakyRooms refuses packages that are named after nothing.
func TestNoLeakyRooms(t *testing.T) {
	for room := range importsByRoom(t) {
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "types", "errors", "config", "misc", "base", "shared"}, path.Base(room)) {
			t.Errorf("package %s is named after nothing: name the thing that it holds", room)
		}
	}
}

type importLine struct {
	file, path string
	test       bool
}

func importsByRoom(t *testing.T) map[string][]importLine {
	t.Helper()
	found := map[string][]importLine{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && file != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		room := strings.TrimPrefix(path.Dir(filepath.ToSlash(file)), ".")
		if _, ok := found[room]; !ok {
			found[room] = nil
		}
		for _, spec := range parsed.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[room] = append(found[room], importLine{file: file, path: p, test: strings.HasSuffix(file, "_test.go")})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
