package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/vfs"
	"arbor/export"
	"arbor/gateway"
	"arbor/sqltests/stack"
)

// exportingStack is a member that exports into a directory.
func exportingStack(t *testing.T) (s *stack.Stack, dir string) {
	t.Helper()
	dir = t.TempDir()
	d, err := export.Open(vfs.OS(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	s = stack.New(t)
	m := &member{}
	s.Exports = exporter{d, m}
	s.Reopen(t)
	m.engine = s.Engine
	return s, dir
}

// readColumns reads files of either format, as texts by column.
func readColumns(t *testing.T, paths ...string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	add := func(r arrow.Record) {
		for i, c := range r.Columns() {
			for row := range c.Len() {
				text := `\N`
				if !c.IsNull(row) && c.DataType().ID() != arrow.NULL {
					text = c.ValueStr(row)
				}
				all[r.ColumnName(i)] = append(all[r.ColumnName(i)], text)
			}
		}
	}
	for _, p := range paths {
		if strings.HasSuffix(p, ".arrow") {
			in, err := os.Open(p)
			if err != nil {
				t.Fatal(err)
			}
			r, err := ipc.NewFileReader(in)
			if err != nil {
				t.Fatal(err)
			}
			for i := range r.NumRecords() {
				record, err := r.Record(i)
				if err != nil {
					t.Fatal(err)
				}
				add(record)
			}
			in.Close()
			continue
		}
		f, err := file.OpenParquetFile(p, false)
		if err != nil {
			t.Fatal(err)
		}
		r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: 100}, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		if f.NumRows() > 0 {
			records, err := r.GetRecordReader(context.Background(), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			for records.Next() {
				add(records.Record())
			}
		}
		f.Close()
	}
	return all
}

// eventFiles are the paths of an export's files of events.
func eventFiles(t *testing.T, dir, name string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, name, "events-*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("export %s has the files %q, %v", name, paths, err)
	}
	return paths
}

// Exports that follow each other are together what is visible, whatever comes in between:
// events of several edges in no order, copies that come first by their ids, deletes and
// their undoing, policies, erasures, indexing, days that nothing happened to.
func TestExportsAddUp(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { exportsAddUp(t, seed) })
	}
}

func exportsAddUp(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 40))
	s, dir := exportingStack(t)
	s.Project(t, "shop")
	p, _ := s.Cluster.Catalog().Project("shop")
	s.Rows(t, "ALTER TABLE shop.events ADD COLUMN price DECIMAL(10,2)")
	add := func() {
		day := catalog.Day(20454 + random.IntN(4))
		var batch event.Batch
		batch.Shard = p.Shard(day.Start(), "u", "")
		for range 1 + random.IntN(4) {
			batch.Events = append(batch.Events, event.Event{
				ID:   catalog.IngestID{Time: uint64(stack.Start.UnixNano()) - random.Uint64N(1e12), Edge: uint32(random.IntN(3)), Index: random.Uint32N(1e6)},
				Name: "e" + strconv.Itoa(random.IntN(2)), Time: day.Start() + random.Int64N(catalog.DayMicros), DistinctID: "u" + strconv.Itoa(random.IntN(4)),
				InsertID: strconv.Itoa(random.IntN(12)), Properties: []event.Property{{Name: "price", Value: catalog.Int(random.Int64N(100))}},
			})
		}
		record, err := event.AppendBatch(nil, &batch)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Cluster.Append(context.Background(), [][]byte{record}); err != nil {
			t.Fatal(err)
		}
	}
	loaded, since := map[string]string{}, ""
	for step := range 10 {
		for range random.IntN(8) {
			switch random.IntN(9) {
			default:
				add()
			case 1:
				s.Rows(t, fmt.Sprintf("DELETE FROM shop.events WHERE insert_id = '%d' AND time < '2026-01-0%d'", random.IntN(12), 2+random.IntN(5)))
			case 2:
				if ids := s.Rows(t, "SELECT DISTINCT id FROM arbor.deletes WHERE NOT undone"); len(ids) > 0 {
					s.Rows(t, "CALL arbor.undo_delete('"+ids[random.IntN(len(ids))]+"')")
				}
			case 3:
				s.Rows(t, "CALL arbor.set_policy('shop', '"+[]string{"ENABLED=off", "SURVIVOR=LAST", "KEY=ID", "CONFLICT=KEEP"}[random.IntN(4)]+"', '2026-01-02', NULL)")
			case 4:
				s.Rows(t, "CALL arbor.reset_policies('shop')")
			case 5:
				s.Rows(t, "CALL arbor.index_project('shop')")
			case 6:
				if random.IntN(4) == 0 {
					s.Rows(t, fmt.Sprintf("CALL arbor.erase_user('shop', 'u%d')", random.IntN(4)))
				}
			}
		}
		s.Advance(time.Second)
		name := fmt.Sprint("x", step)
		options := []string{"", "FORMAT=arrow "}[random.IntN(2)]
		if since != "" {
			options += "SINCE=" + since
		}
		answer := strings.Split(s.One(t, "CALL arbor.export('shop', '"+name+"', '"+options+"')"), "\t")
		got := readColumns(t, eventFiles(t, dir, name)...)
		for i, id := range got["_ingest_id"] {
			if _, ok := loaded[id]; ok {
				t.Fatalf("seed %d step %d: %s is in two exports", seed, step, id)
			}
			loaded[id] = strings.Join([]string{got["event"][i], got["distinct_id"][i], got["insert_id"][i], got["price"][i], got["properties"][i]}, "\t")
		}
		if want := strconv.Itoa(len(got["_ingest_id"])); answer[2] != want {
			t.Fatalf("seed %d step %d: the answer says %s events, the files have %s", seed, step, answer[2], want)
		}
		if since != "" {
			removed := readColumns(t, filepath.Join(dir, name, "_ids", "removed.parquet"))["_ingest_id"]
			for _, id := range removed {
				if _, ok := loaded[id]; !ok {
					t.Fatalf("seed %d step %d: %s was removed and never there", seed, step, id)
				}
				delete(loaded, id)
			}
			if answer[3] != strconv.Itoa(len(removed)) {
				t.Fatalf("seed %d step %d: the answer says %s removed, the file has %d", seed, step, answer[3], len(removed))
			}
		}
		want := map[string]string{}
		for _, row := range s.Rows(t, "SELECT _ingest_id, event, distinct_id, insert_id, CAST(price AS DOUBLE), properties FROM shop.events") {
			id, rest, _ := strings.Cut(row, "\t")
			want[id] = rest
		}
		if !maps.Equal(loaded, want) {
			t.Fatalf("seed %d step %d: exports give %d events, %d are visible:\n%q\n%q", seed, step, len(loaded), len(want), loaded, want)
		}
		if answer[4] != strconv.Itoa(len(want)) {
			t.Fatalf("seed %d step %d: the answer says %s visible, %d are", seed, step, answer[4], len(want))
		}
		since = name
	}
}

// An export has each event once; days that are as they were
// are not read again; days out of its range stay as they were held.
func TestExport(t *testing.T) {
	s, dir := exportingStack(t)
	token := s.Project(t, "shop")
	var lines []string
	for i := range 300 {
		lines = append(lines, fmt.Sprintf(`{"event":"Buy","properties":{"time":%d,"distinct_id":"u%d","$insert_id":"i%d","price":%d.5,"name":"ü%d"}}`,
			stack.Start.Add(-time.Duration(i%3)*24*time.Hour).Unix()-int64(i), i%7, i%200, i, i))
	}
	s.Import(t, token, strings.Join(lines, "\n"))
	count := s.One(t, "SELECT COUNT(*) FROM shop.events")
	for _, format := range []string{"parquet", "arrow"} {
		s.Rows(t, "CALL arbor.export('shop', '"+format+"', 'FORMAT="+format+"')")
		got := readColumns(t, eventFiles(t, dir, format)...)
		var rows []string
		for i := range got["event"] {
			rows = append(rows, strings.Join([]string{got["distinct_id"][i], got["insert_id"][i], got["name"][i], strings.TrimSuffix(got["price"][i], "e+00")}, "\t"))
		}
		want := s.Rows(t, "SELECT distinct_id, insert_id, name, price FROM shop.events")
		slices.Sort(rows)
		slices.Sort(want)
		if !slices.Equal(rows, want) || strconv.Itoa(len(rows)) != count {
			t.Errorf("%s: %d rows, want %d:\n%q\n%q", format, len(rows), len(want), rows[:3], want[:3])
		}
	}
	manifest := func(name string) (m export.Manifest) {
		text, err := os.ReadFile(filepath.Join(dir, name, "_manifest.json"))
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if a, b := manifest("parquet"), manifest("arrow"); a.Digest != b.Digest || a.Digest == "" || strconv.FormatInt(a.Events, 10) != count {
		t.Errorf("the same events have the digests %s and %s", a.Digest, b.Digest)
	}
	s.Import(t, token, `{"event":"Late","properties":{"time":1768305600,"distinct_id":"u1","$insert_id":"late"}}`)
	if got := s.One(t, "CALL arbor.export('shop', 'none', 'SINCE=parquet TO=2026-01-12')"); !strings.HasPrefix(got, filepath.Join(dir, "none")+"\t1\t0\t0\t"+count) {
		t.Errorf("a range without news gives %s", got)
	}
	if got := s.One(t, "CALL arbor.export('shop', 'late', 'SINCE=none')"); !strings.HasPrefix(got, filepath.Join(dir, "late")+"\t1\t1\t0\t") {
		t.Errorf("the late event gives %s", got)
	}
	if jobs := s.One(t, "SELECT COUNT(*) FROM arbor.jobs WHERE kind = 'export' AND state = 'done' AND progress = 1"); jobs != "4" {
		t.Errorf("%s exports are jobs", jobs)
	}
	for sql, want := range map[string]string{
		"CALL arbor.export('shop', 'late')":                       "name is taken",
		"CALL arbor.export('shop', '../late')":                    "name cannot be used",
		"CALL arbor.export('shop', 'y', 'FORMAT=csv')":            "parquet and arrow",
		"CALL arbor.export('shop', 'y', 'SINCE=never')":           "cannot be used",
		"CALL arbor.export('shop', 'y', 'COLOUR=red')":            "COLOUR",
		"CALL arbor.export('shop', 'y', 'FROM=2026-02-30')":       "day",
		"CALL arbor.export('shop', 'y', 'FORMAT=arrow FORMAT=x')": "once",
		"CALL arbor.export('nowhere', 'y')":                       "nowhere",
	} {
		if _, err := s.Query(sql); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", sql, err, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".incomplete*")); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}

// Who may not write files, or may not read the events, exports nothing.
func TestExportPrivileges(t *testing.T) {
	s, dir := exportingStack(t)
	s.Project(t, "shop")
	s.Project(t, "other")
	for _, sql := range []string{"CREATE USER reader", "GRANT SELECT ON shop.* TO reader", "GRANT EXECUTE ON arbor.* TO reader",
		"CREATE USER writer", "GRANT FILE ON *.* TO writer", "GRANT SELECT ON shop.* TO writer", "GRANT EXECUTE ON arbor.* TO writer"} {
		s.Rows(t, sql)
	}
	ask := func(user, sql string) (int, string) {
		w := s.Do("POST", "/query?format=csv", user, sql)
		return w.Code, w.Body.String()
	}
	for _, c := range []struct {
		user, sql string
		ok        bool
	}{
		{"reader", "CALL arbor.export('shop', 'a')", false}, {"reader", "SELECT 1 INTO OUTFILE 'a.parquet'", false},
		{"writer", "CALL arbor.export('shop', 'b')", true}, {"writer", "CALL arbor.export('other', 'c')", false},
		{"writer", "SELECT * FROM shop.events INTO OUTFILE 'b.parquet'", true}, {"writer", "SELECT * FROM other.events INTO OUTFILE 'c.parquet'", false},
	} {
		if code, body := ask(c.user, c.sql); (code == 200) != c.ok {
			t.Errorf("%s: %s: %d %s", c.user, c.sql, code, body)
		}
	}
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{".lock", "b", "b.parquet"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("there are %q, %v; want %q", names, err, want)
	}
}

// INTO OUTFILE writes what the statement would answer, by batches and by rows.
func TestOutfile(t *testing.T) {
	s, dir := exportingStack(t)
	token := s.Project(t, "shop")
	s.Import(t, token, `[{"event":"Buy","properties":{"time":1767225600,"distinct_id":"ann","$insert_id":"1","price":25}},
		{"event":"Buy","properties":{"time":1767225600,"distinct_id":"ann","$insert_id":"1","price":25}},
		{"event":"See","properties":{"time":1767225700,"distinct_id":"bob","$insert_id":"2","price":17.5}}]`)
	for i, query := range []string{
		"SELECT event, distinct_id, price FROM shop.events WHERE price > 1",
		"SELECT event, COUNT(*) AS n, SUM(price) AS paid FROM shop.events GROUP BY event",
		"SELECT a.distinct_id, b.event FROM shop.events a JOIN shop.events b ON a.price < b.price",
		"SELECT 1 AS one, NULL AS none, CAST(2.50 AS DECIMAL(5,2)) AS half, DATE '2026-01-02' AS day",
	} {
		for _, format := range []string{"parquet", "arrow"} {
			name := fmt.Sprintf("q%d.%s", i, format)
			target := name
			if i%2 == 1 {
				target = filepath.Join(dir, name) // as secure_file_priv has programs write it
			}
			s.Rows(t, query+" INTO OUTFILE '"+target+"'")
			columns := readColumns(t, filepath.Join(dir, name))
			want := s.Rows(t, query)
			n := 0
			for _, values := range columns {
				n = len(values)
			}
			if n != len(want) || len(columns) != len(strings.Split(want[0], "\t")) {
				t.Errorf("%s: %d rows of %d columns, want %q", name, n, len(columns), want)
			}
		}
	}
	if got := readColumns(t, filepath.Join(dir, "q0.parquet")); fmt.Sprint(got["distinct_id"], got["price"]) != "[ann bob] [25 17.5]" {
		t.Errorf("q0 has %q", got)
	}
	if got := readColumns(t, filepath.Join(dir, "q3.arrow")); fmt.Sprint(got["one"], got["none"], got["half"]) != `[1] [\N] [2.5]` {
		t.Errorf("q3 has %q", got)
	}
	for sql, want := range map[string]string{
		"SELECT 1 INTO OUTFILE 'q0.parquet'":                        "taken",
		"SELECT 1 INTO OUTFILE '/tmp/x.parquet'":                    "name cannot be used",
		"SELECT 1 INTO OUTFILE '../x.parquet'":                      "name cannot be used",
		"SELECT 1 INTO OUTFILE 'x.csv'":                             ".parquet or .arrow",
		"SELECT 1 INTO DUMPFILE 'x.parquet'":                        "DUMPFILE",
		"SELECT CAST('x' AS TIME) + nothing INTO OUTFILE 'x.arrow'": "nothing",
	} {
		if _, err := s.Query(sql); want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s gives %v, want %q", sql, err, want)
		}
	}
	if _, err := s.Query("SELECT 1 INTO @x"); err != nil {
		t.Error(err)
	}
}

// The command does what the statement does.
func TestExportCommand(t *testing.T) {
	s, dir := exportingStack(t)
	token := s.Project(t, "shop")
	s.Import(t, token, `{"event":"Buy","properties":{"time":1767225600,"distinct_id":"ann","$insert_id":"1"}}`)
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	var out strings.Builder
	o := exportOptions{server: server.URL, project: "shop", user: "root", format: "arrow"}
	if err := exportEvents(t.Context(), o, "a", &out); err != nil {
		t.Fatal(err)
	}
	o.since, o.from = "a", "2026-01-01"
	if err := exportEvents(t.Context(), o, "b", &out); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"a: 1 events in 1 files, 0 removed, 1 visible", "b: 0 events in 1 files, 0 removed, 1 visible"} {
		if line := strings.Split(out.String(), "\n")[i]; !strings.HasPrefix(line, filepath.Join(dir, want[:1])+want[1:]) {
			t.Errorf("line %d is %q", i, line)
		}
	}
	if err := exportEvents(t.Context(), o, "it's", &out); err == nil || !strings.Contains(err.Error(), "name cannot be used") {
		t.Errorf("a name that cannot be gives %v", err)
	}
}

// Any member of a cluster exports what all of them hold, in parts of days.
func TestExportInCluster(t *testing.T) {
	dir := t.TempDir()
	d, err := export.Open(vfs.OS(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	m := &member{}
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 2, Slots: 48, Far: true,
		Gateway: func(o *gateway.Options) { o.Exports, o.ExportPart = exporter{d, m}, 20 }})
	s := g.Members[1]
	m.engine = s.Engine
	token := g.Members[0].Project(t, "shop")
	send := func(from, to int) {
		var lines []string
		for i := from; i < to; i++ {
			lines = append(lines, fmt.Sprintf(`{"event":"Buy","properties":{"time":%d,"distinct_id":"u%d","$insert_id":"i%d","n":%d}}`,
				stack.Start.Add(-time.Duration(i%2)*24*time.Hour).Unix(), i%97, i, i))
		}
		g.Members[i3(from)].Import(t, token, strings.Join(lines, "\n"))
	}
	send(0, 300)
	send(100, 400) // some of them again
	loaded := map[string]bool{}
	take := func(name, since string) {
		t.Helper()
		s.Rows(t, "CALL arbor.export('shop', '"+name+"', '"+since+"')")
		for _, id := range readColumns(t, eventFiles(t, dir, name)...)["_ingest_id"] {
			if loaded[id] {
				t.Fatalf("%s: %s is there twice", name, id)
			}
			loaded[id] = true
		}
		if since != "" {
			for _, id := range readColumns(t, filepath.Join(dir, name, "_ids", "removed.parquet"))["_ingest_id"] {
				delete(loaded, id)
			}
		}
		want := map[string]bool{}
		for _, id := range s.Rows(t, "SELECT _ingest_id FROM shop.events") {
			want[id] = true
		}
		if !maps.Equal(loaded, want) {
			t.Fatalf("%s: exports give %d events, %d are visible", name, len(loaded), len(want))
		}
	}
	take("a", "")
	if len(loaded) != 400 {
		t.Fatalf("%d events, want 400", len(loaded))
	}
	send(350, 500)
	s.Rows(t, "DELETE FROM shop.events WHERE n < 50")
	take("b", "SINCE=a")
	take("c", "SINCE=b")
}

// i3 is one of three members.
func i3(n int) int { return n / 100 % 3 }
