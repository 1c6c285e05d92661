package gateway

import (
	"context"
	"slices"
	"strings"
	"testing"

	"arbor/cluster"
	"arbor/engine/exec"
	"arbor/sqltests/oracle"
)

// namedPropertyScans tells of the properties that fragments ask for.
type namedPropertyScans struct {
	*oracle.Model
	see func(name string)
}

func (s namedPropertyScans) Execute(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	for _, c := range f.Columns {
		if c.Source == exec.SourceProperties {
			s.see(c.Property)
		}
	}
	return s.Model.Execute(ctx, f, yield)
}

func (s namedPropertyScans) Scan(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	for _, c := range f.Columns {
		if c.Source == exec.SourceProperties {
			s.see(c.Property)
		}
	}
	return s.Model.Scan(ctx, f, yield)
}

// TestNamedProperties asks for properties by their paths, in groups, orders and
// windows, pushed and not. The scans are asked for objects of one property, where a
// statement looks at one by a plain path.
func TestNamedProperties(t *testing.T) {
	var names []string
	w := newSQLWorldOver(t, func(m *oracle.Model) cluster.Local {
		return namedPropertyScans{m, func(name string) { names = append(names, name) }}
	})
	w.must("CREATE DATABASE shop", "USE shop", `INSERT INTO events (event, time, distinct_id, properties) VALUES
		('a', '2026-01-10 00:00:01', 'ann', '{"plan": "free", "price": 1.5, "list": [1, {"x": 2}], "in": {"x": "deep", "a b": [7]}, "$os": "Mac"}'),
		('a', '2026-01-10 00:00:02', 'bob', '{"plan": null, "price": 9007199254740993, "in": null, "$os": "Linux"}'),
		('b', '2026-01-10 00:00:03', 'ann', '{"plan": "", "price": "text", "in": "no object", "a b": true}'),
		('b', '2026-01-10 00:00:04', 'cid', '{"Plan": "Free", "in": [1]}'),
		('c', '2026-01-11 00:00:05', 'cid', '{"plan": "free", "list": []}'), ('c', '2026-01-11 00:00:06', 'cid', '{}')`)
	stock := w.stockGroups()
	stock.must("USE shop")
	client := w.serve(t)
	for _, c := range []struct {
		expr string
		name string // of the property that the scan is asked for, "" for all
	}{
		{"JSON_EXTRACT(properties, '$.plan')", "plan"},
		{"properties->'$.plan'", "plan"},
		{"properties->>'$.plan'", "plan"},
		{"JSON_UNQUOTE(JSON_EXTRACT(properties, '$.plan'))", "plan"},
		{"JSON_VALUE(properties, '$.price')", "price"},
		{"JSON_EXTRACT(properties, '$.plan') IS NULL", "plan"},
		{"IFNULL(JSON_EXTRACT(properties, '$.plan'), 'none')", "plan"},
		{"CONCAT(JSON_EXTRACT(properties, '$.in.x'), JSON_EXTRACT(properties, '$.in.\"a b\"[0]'))", "in"},
		{"JSON_EXTRACT(properties, '$.list[1].x')", "list"},
		{"JSON_EXTRACT(properties, '$.\"$os\"')", "$os"},
		{"JSON_EXTRACT(properties, '$.\"a b\"')", "a b"},
		{"JSON_EXTRACT(properties, '$.missing')", "missing"},
		{"JSON_TYPE(JSON_EXTRACT(properties, '$.plan'))", "plan"},
		{"JSON_EXTRACT(p, '$.plan')", "plan"},
		{"JSON_EXTRACT(properties, '$')", ""},
		{"JSON_EXTRACT(properties, '$.*')", ""},
		{"JSON_EXTRACT(properties, '$**.x')", ""},
		{"JSON_EXTRACT(properties, '$.in.*')", ""},
		{"CONCAT(JSON_EXTRACT(properties, '$.plan'), JSON_EXTRACT(properties, '$.price'))", ""},
		{"CONCAT(JSON_EXTRACT(properties, '$.plan'), JSON_LENGTH(properties))", ""},
		{"JSON_LENGTH(properties)", ""},
		{"JSON_KEYS(properties)", ""},
	} {
		from := "(SELECT event, time, distinct_id, properties, properties AS p, _ingest_id FROM events) AS e"
		for _, q := range []string{
			"SELECT " + c.expr + " AS x, COUNT(*) FROM " + from + " GROUP BY x",
			"SELECT event, COUNT(DISTINCT " + c.expr + ") FROM " + from + " GROUP BY event",
			"SELECT COUNT(*) FROM " + from + " WHERE " + c.expr + " = 'free' OR " + c.expr + " IS NULL",
			"SELECT event, " + c.expr + " AS x FROM " + from + " ORDER BY time DESC LIMIT 4",
			"SELECT event, " + c.expr + " AS x FROM " + from + " ORDER BY x, time LIMIT 5",
		} {
			want, wantErr := stock.answer(q)
			got, err := w.answer(q)
			if (err == nil) != (wantErr == nil) {
				t.Errorf("%s\npushed: %v\nstock: %v", q, err, wantErr)
				continue
			}
			if g, s := lines(sortedAnswer(got)), lines(sortedAnswer(want)); g != s {
				t.Errorf("%s\npushed:\n%s\nstock:\n%s", q, g, s)
			}
		}
		names = nil
		if _, err := w.answer("SELECT COUNT(" + c.expr + ") FROM " + from); err != nil && !strings.Contains(err.Error(), "path") {
			t.Errorf("%s: %v", c.expr, err)
		}
		if !slices.Equal(slices.Compact(names), []string{c.name}) { // it may begin again row by row
			t.Errorf("%s: the properties %q are asked for, want %q", c.expr, names, c.name)
		}
		for _, q := range []string{"SELECT event, " + c.expr + " AS x FROM " + from, "SELECT event FROM " + from + " WHERE (" + c.expr + ") = 'free'"} {
			names = nil
			client.command(append([]byte{3}, q...))
			client.packets()
			if !slices.Equal(names, []string{c.name}) {
				t.Errorf("%s: the properties %q are asked for, want %q", q, names, c.name)
			}
			w.bothWays(client, q)
		}
	}
	for _, q := range []string{
		"SELECT properties->>'$.plan', event, properties->'$.price', JSON_VALUE(properties, '$.plan') FROM events WHERE properties->>'$.plan' <> 'x'",
		"SELECT properties, properties->'$.plan' FROM events WHERE JSON_LENGTH(properties) > 1",
	} {
		w.bothWays(client, q)
	}
	names = nil
	client.command(append([]byte{3}, "SELECT properties->'$.plan', properties->>'$.in.x', properties FROM events"...))
	if client.packets(); !slices.Equal(names, []string{"", "plan", "in"}) {
		t.Errorf("%q were asked for", names)
	}
}
