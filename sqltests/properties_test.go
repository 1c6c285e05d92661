package sqltests

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"arbor/engine/event"
	"arbor/sqltests/stack"
)

// values are what properties are set to: of every type, and at the edges of what
// programs can write. They are compact JSON, as it comes back.
var values = []string{
	`null`, `true`, `false`, `0`, `-1`, `9007199254740993`, `-9223372036854775808`, `18446744073709551615`, `123456789012345678901234567890`,
	`0.1`, `1.10`, `-2.5e-300`, `1E400`, `4.50`, `""`, `"x"`, `"12"`, `"ü😀\u0000\"\\"`, `"2026-01-02 03:04:05"`,
	`[]`, `{}`, `[1,1.0,"1",null,[true,{"a":[]}]]`, `{"b":1,"a":{"c":[1.50,-0.0]}}`, `[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]`,
}

// propertyEvents makes events that together have many properties, each of them of
// another type from event to event.
func propertyEvents(names, count, each int) (lines []string, want map[string]string) {
	random := rand.New(rand.NewPCG(7, 7))
	want = make(map[string]string)
	for i := range count {
		members := map[string]json.RawMessage{}
		for range each {
			members[fmt.Sprintf("p %d", random.IntN(names))] = json.RawMessage(values[random.IntN(len(values))])
		}
		for j := range each / 2 { // so that none is left out
			n := (i*each/2 + j) % names
			members[fmt.Sprintf("p %d", n)] = json.RawMessage(values[(i+n)%len(values)])
		}
		id := fmt.Sprint("i", i)
		want[id] = propertyText(members)
		lines = append(lines, fmt.Sprintf(`{"event":"E","properties":{"time":%d,"distinct_id":"u%d","$insert_id":%q,%s`,
			stack.Start.Add(-time.Duration(i)*time.Minute).Unix(), i%7, id, want[id][1:])+"}")
	}
	return lines, want
}

// propertyText is an object with its members in order and their texts as they are.
func propertyText(members map[string]json.RawMessage) string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = fmt.Sprintf("%q:%s", name, members[name])
	}
	return "{" + strings.Join(names, ",") + "}"
}

// plainJSON is a JSON text with its escapes as Go writes them and its numbers as
// they are.
func plainJSON(t *testing.T, text string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for name, raw := range members {
		var s string
		if json.Unmarshal(raw, &s) == nil && raw[0] == '"' {
			members[name], _ = json.Marshal(s)
		}
	}
	return propertyText(members)
}

// What was sent comes back exactly: two thousand properties, with values that
// change their types, over HTTP and in SQL, from the log, from files and after a
// restart.
func TestPropertiesComeBackExactly(t *testing.T) {
	const names, count, each = 2000, 100, 60
	s := stack.New(t)
	token := s.Project(t, "shop")
	lines, want := propertyEvents(names, count, each)
	for id := range want {
		want[id] = plainJSON(t, want[id])
	}
	check := func(when string) {
		t.Helper()
		rows := s.Rows(t, "SELECT insert_id, properties FROM shop.events")
		if len(rows) != len(want) {
			t.Fatalf("%s: %d events, want %d", when, len(rows), len(want))
		}
		for _, row := range rows {
			id, text, _ := strings.Cut(row, "\t")
			if got := plainJSON(t, text); got != want[id] {
				t.Fatalf("%s: %s has\n%s\nwant\n%s", when, id, got, want[id])
			}
		}
	}
	everywhere := func(when string) {
		t.Helper()
		check(when + ", in the log")
		s.Advance(3 * time.Hour)
		s.Tick(t)
		check(when + ", indexed")
		s.Reopen(t)
		check(when + ", opened again")
	}
	s.Import(t, token, strings.Join(lines, "\n"))
	everywhere("over HTTP")
	if got := s.One(t, "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'events' AND column_name LIKE 'p %'"); got != fmt.Sprint(names) {
		t.Errorf("%s columns, want %d", got, names)
	}
	var text strings.Builder
	text.WriteString("INSERT INTO shop.events (event, time, distinct_id, insert_id, properties) VALUES ")
	for i := range lines {
		id := fmt.Sprint("i", i)
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, "('E', '2026-01-14 10:00:00', 'u', 's%d', '%s')", i, strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(want[id]))
		want[fmt.Sprint("s", i)] = want[id]
	}
	s.Rows(t, text.String())
	everywhere("by INSERT")
	// As columns they are what they are inside of properties.
	for _, n := range []int{0, 999, names - 1} {
		name := fmt.Sprintf("p %d", n)
		for _, row := range s.Rows(t, fmt.Sprintf("SELECT insert_id, JSON_EXTRACT(properties, '$.\"%s\"') IS NULL, JSON_CONTAINS_PATH(properties, 'one', '$.\"%s\"') FROM shop.events", name, name)) {
			parts := strings.Split(row, "\t")
			if has := strings.Contains(want[parts[0]], fmt.Sprintf("%q:", name)); has != (parts[2] == "1") {
				t.Errorf("%s of %s: %s, want it there: %v", name, parts[0], row, has)
			}
		}
	}
}

// What is over a limit is refused by name, over HTTP as in SQL, and harms no other
// event of its request.
func TestPropertyLimits(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	nested := func(n int) string { return strings.Repeat(`{"a":`, n-1) + "[]" + strings.Repeat("}", n-1) }
	many := func(n int) string {
		var members []string
		for i := range n {
			members = append(members, fmt.Sprintf(`"m%03d":%d`, i, i))
		}
		return strings.Join(members, ",")
	}
	long := func(n int) string { return `"text":"` + strings.Repeat("x", n) + `"` }
	const beside = 200 // more than the rest of the event takes
	for i, c := range []struct {
		name, members, field string
	}{
		{"as deep as may be", `"deep":` + nested(event.MaxDepth), ""},
		{"a level deeper", `"deep":` + nested(event.MaxDepth+1), "deep"},
		{"20 levels", `"deep":` + nested(20), "deep"},
		{"as many as may be", many(event.MaxProperties), ""},
		{"one more", many(event.MaxProperties + 1), "properties"},
		{"a long string", long(event.MaxEventBytes - beside), ""},
		{"a string of 1 MiB", long(event.MaxEventBytes), "text"},
		{"a long name", `"` + strings.Repeat("n", event.MaxPropertyName) + `":1`, ""},
		{"a longer name", `"` + strings.Repeat("n", event.MaxPropertyName+1) + `":1`, "nnn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			event := func(id, members string) string {
				return fmt.Sprintf(`{"event":"E","properties":{"time":%d,"distinct_id":"u","$insert_id":%q,%s}}`, stack.Start.Unix(), id, members)
			}
			http1, sql1 := fmt.Sprint("h", i), fmt.Sprint("s", i)
			w := s.Do(http.MethodPost, "/import?strict=1", token, "["+event(http1, c.members)+","+event(http1+"good", `"a":1`)+"]")
			var reply struct {
				Failed []struct{ Field, Message string } `json:"failed_records"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil {
				t.Fatal(err)
			}
			switch {
			case c.field == "" && w.Code != http.StatusOK:
				t.Errorf("over HTTP: %d %.300s", w.Code, w.Body)
			case c.field != "" && (w.Code != http.StatusBadRequest || len(reply.Failed) != 1 || !strings.Contains(reply.Failed[0].Field, c.field)):
				t.Errorf("over HTTP: %d %.300s, want field %s", w.Code, w.Body, c.field)
			}
			_, err := s.Query(fmt.Sprintf("INSERT INTO shop.events (event, time, distinct_id, insert_id, properties) VALUES ('E', '2026-01-15', 'u', '%s', '{%s}')", sql1, c.members))
			switch {
			case len(c.members) > 1<<20-1000: // a statement of /query is not that long
			case c.field == "" && err != nil:
				t.Errorf("in SQL: %.300s", err)
			case c.field != "" && (err == nil || !strings.Contains(err.Error(), c.field)):
				t.Errorf("in SQL: %.300v, want %s", err, c.field)
			}
			stored := "0"
			if c.field == "" {
				stored = "1"
			}
			if got := s.One(t, fmt.Sprintf("SELECT COUNT(*) FROM shop.events WHERE insert_id = '%s'", http1)); got != stored {
				t.Errorf("%s events are stored, want %s", got, stored)
			}
			if got := s.One(t, fmt.Sprintf("SELECT COUNT(*) FROM shop.events WHERE insert_id = '%sgood'", http1)); got != "1" {
				t.Errorf("its neighbour: %s events", got)
			}
		})
	}
	s.Advance(3 * time.Hour)
	s.Tick(t)
	if got := s.One(t, "SELECT DISTINCT LENGTH(JSON_UNQUOTE(properties->'$.text')) FROM shop.events WHERE text IS NOT NULL"); got != fmt.Sprint(event.MaxEventBytes-beside) {
		t.Errorf("the long string has %s bytes", got)
	}
}
