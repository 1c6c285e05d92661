package event

import (
	"errors"
	"math"
	"strings"
	"testing"

	"arbor/catalog"
)

func good() *Event {
	return &Event{ID: catalog.IngestID{Time: 1}, Name: "e", Time: start, DistinctID: "u", InsertID: "i",
		Properties: []Property{{Name: "a", Value: catalog.Int(1)}, {Name: "b", Value: catalog.JSON("[]")}}}
}

// TestCheckLimits tries each limit at it and one past it.
func TestCheckLimits(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	nested := func(n int) catalog.Value {
		return catalog.JSON(strings.Repeat("[", n) + strings.Repeat("]", n))
	}
	for name, test := range map[string]struct {
		limit int
		field string
		set   func(e *Event, n int)
	}{
		"MaxEventName":    {MaxEventName, "event", func(e *Event, n int) { e.Name = x(n) }},
		"MaxDistinctID":   {MaxDistinctID, "distinct_id", func(e *Event, n int) { e.DistinctID = x(n) }},
		"MaxInsertID":     {MaxInsertID, "insert_id", func(e *Event, n int) { e.InsertID = x(n) }},
		"MaxPropertyName": {MaxPropertyName, x(80) + "…", func(e *Event, n int) { e.Properties = []Property{{Name: x(n)}} }},
		"MaxDepth":        {MaxDepth, "b", func(e *Event, n int) { e.Properties[1].Value = nested(n) }},
		"MaxProperties": {MaxProperties, "properties", func(e *Event, n int) {
			e.Properties = nil
			for i := range n {
				e.Properties = append(e.Properties, Property{Name: string([]byte{'a' + byte(i>>4), 'a' + byte(i&15)})})
			}
		}},
		"MaxEventBytes": {MaxEventBytes, "text", func(e *Event, n int) {
			e.Properties = []Property{{Name: "text", Value: catalog.String("")}}
			e.Properties[0].Value.Text = x(n - CanonicalSize(e))
		}},
		"MaxEventBytes in two": {MaxEventBytes, "properties", func(e *Event, n int) {
			e.Properties = []Property{{Name: "a", Value: catalog.String(x(MaxEventBytes / 2))}, {Name: "b", Value: catalog.String("")}}
			e.Properties[1].Value.Text = x(n - CanonicalSize(e))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := good()
			test.set(e, test.limit)
			if err := Check(e); err != nil {
				t.Fatalf("at the limit: %v", err)
			}
			b := &Batch{Shard: catalog.ShardKey{Day: catalog.DayOf(start)}, Events: []Event{*e}}
			if err := DecodeBatch(mustEncode(t, b), &Batch{}); err != nil {
				t.Fatalf("at the limit, encoded and decoded: %v", err)
			}
			test.set(e, test.limit+1)
			var check *CheckError
			if err := Check(e); !errors.As(err, &check) || !errors.Is(err, ErrLimit) || check.Field != test.field || check.Advice == "" {
				t.Fatalf("one past: %v", err)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	value := func(v catalog.Value) func(e *Event) {
		return func(e *Event) { e.Properties[0].Value = v }
	}
	for name, test := range map[string]struct {
		field string
		spoil func(e *Event)
	}{
		"no name":                {"event", func(e *Event) { e.Name = "" }},
		"name not UTF-8":         {"event", func(e *Event) { e.Name = "\xff" }},
		"distinct id not UTF-8":  {"distinct_id", func(e *Event) { e.DistinctID = "a\xc3" }},
		"insert id not UTF-8":    {"insert_id", func(e *Event) { e.InsertID = "\xed\xa0\x80" }},
		"property not UTF-8":     {`"\xff"`, func(e *Event) { e.Properties[1].Name = "\xff" }},
		"value not UTF-8":        {"a", value(catalog.String("\xff"))},
		"JSON not UTF-8":         {"a", value(catalog.JSON("[\"\xff\"]"))},
		"properties unsorted":    {"a", func(e *Event) { e.Properties[0].Name = "c"; e.Properties[1].Name = "a" }},
		"property twice":         {"a", func(e *Event) { e.Properties[1].Name = "a" }},
		"year 0":                 {"time", func(e *Event) { e.Time = catalog.MinDatetime - 1 }},
		"year 10000":             {"time", func(e *Event) { e.Time = catalog.MaxDatetime + 1 }},
		"NaN":                    {"a", value(catalog.Double(math.NaN()))},
		"infinite":               {"a", value(catalog.Double(math.Inf(-1)))},
		"bool of 2":              {"a", value(catalog.Value{Kind: catalog.KindBool, Bits: 2})},
		"unknown kind":           {"a", value(catalog.Value{Kind: 7})},
		"number with a plus":     {"a", value(catalog.Value{Kind: catalog.KindNumber, Text: "+1"})},
		"number with a space":    {"a", value(catalog.Value{Kind: catalog.KindNumber, Text: "1 "})},
		"empty number":           {"a", value(catalog.Value{Kind: catalog.KindNumber})},
		"number true":            {"a", value(catalog.Value{Kind: catalog.KindNumber, Text: "true"})},
		"number with zeros":      {"a", value(catalog.Value{Kind: catalog.KindNumber, Text: "007"})},
		"two numbers":            {"a", value(catalog.Value{Kind: catalog.KindNumber, Text: "1,2"})},
		"JSON scalar":            {"a", value(catalog.JSON("1"))},
		"empty JSON":             {"a", value(catalog.JSON(""))},
		"JSON cut short":         {"a", value(catalog.JSON(`{"a":[1]`))},
		"JSON with white space":  {"a", value(catalog.JSON(`{"a": 1}`))},
		"two JSON values":        {"a", value(catalog.JSON(`[][]`))},
		"brackets that mismatch": {"a", value(catalog.JSON(`[}`))},
		"JSON with an escape":    {"a", value(catalog.JSON(`["\"]`))},
	} {
		e := good()
		test.spoil(e)
		var check *CheckError
		if err := Check(e); !errors.As(err, &check) || !errors.Is(err, ErrInvalid) || check.Field != test.field || check.Advice == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckAllows(t *testing.T) {
	for name, change := range map[string]func(e *Event){
		"no user":               func(e *Event) { e.DistinctID = "" },
		"no insert id":          func(e *Event) { e.InsertID = "" },
		"no properties":         func(e *Event) { e.Properties = nil },
		"NUL in text":           func(e *Event) { e.Properties[0].Value = catalog.String("a\x00b") },
		"nameless property":     func(e *Event) { e.Properties[0].Name = "" },
		"year 1":                func(e *Event) { e.Time = catalog.MinDatetime },
		"year 9999":             func(e *Event) { e.Time = catalog.MaxDatetime },
		"white space in text":   func(e *Event) { e.Properties[1].Value = catalog.JSON(`{"a b":" [[[[[[[[[[[[[[[[[[ \" "}`) },
		"many levels, not deep": func(e *Event) { e.Properties[1].Value = catalog.JSON("[" + strings.Repeat("[],", 50) + "[]]") },
		"a very great number":   func(e *Event) { e.Properties[0].Value = catalog.Number("-1.50e+400") },
	} {
		e := good()
		change(e)
		if err := Check(e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
