package torture

import (
	"math/rand/v2"
	"slices"
	"strings"

	"arbor/catalog"
	"arbor/engine/event"
)

// The world is small, so that its events meet: few users, names, insert ids,
// moments and values, each with a neighbour that a sloppy comparison would take
// for the same.
var (
	users = []string{"ann", "bob", "Ann", "ann ", "", "ann\x00", "ünïcødé-🌱", strings.Repeat("u", event.MaxDistinctID)}
	names = []string{"click", "view", "Click", "click ", "$mp_web_page_view"}
	// insertIDs have the shapes that formats treat apart: UUIDs in either case,
	// words, hexadecimal, the longest.
	insertIDs = []string{
		"", "i1", "i2", "I1", "i1 ", "\x00i1", "0",
		"6f1e2c3a-0b4d-4e5f-8a9b-0c1d2e3f4a5b", "6F1E2C3A-0B4D-4E5F-8A9B-0C1D2E3F4A5B",
		"6f1e2c3a0b4d4e5f8a9b0c1d2e3f4a5b", strings.Repeat("i", event.MaxInsertID),
	}
	days = []catalog.Day{20_000, 20_001, 20_002, 19_600, -1, 0}
	// moments are offsets inside a day in microseconds.
	moments = []int64{0, 1, 999, 1000, 43_200_000_000, 43_200_000_001, 43_200_001_000, catalog.DayMicros - 1, catalog.DayMicros - 1000}

	propertyNames = []string{"", "plan", "n", "$os", "Plan", "mp_country_code", "list", "when", "é 🌱", "p q.r"}
	values        = []catalog.Value{
		catalog.Null, catalog.Bool(true), catalog.Bool(false),
		catalog.Int(0), catalog.Int(1), catalog.Int(-1), catalog.Int(1 << 53), catalog.Int(-1 << 63), catalog.Int(1<<63 - 1),
		catalog.Double(0.5), catalog.Double(-1.5), catalog.Double(1e300), catalog.Double(1e-9),
		catalog.Number("1.0"), catalog.Number("-0"), catalog.Number("18446744073709551616"), catalog.Number("0.10"), catalog.Number("1E5"),
		catalog.String(""), catalog.String("free"), catalog.String("Free"), catalog.String("free "), catalog.String("1"), catalog.String("1.0"),
		catalog.String("true"), catalog.String("null"), catalog.String("2026-01-02 03:04:05"), catalog.String("line\nquote\"back\\slash\x00"), catalog.String("ünï 🌱"),
		catalog.String(strings.Repeat("long ", 30)),
		catalog.JSON(`[]`), catalog.JSON(`{}`), catalog.JSON(`[1,"a",null]`), catalog.JSON(`{"a":{"b":[1.0]}}`),
	}
)

// ones are values that a careless comparison takes for one.
var ones = []catalog.Value{catalog.Int(1), catalog.Number("1.0"), catalog.String("1"), catalog.String("1.0"), catalog.Bool(true), catalog.Double(1.5)}

// propertyTypes are the types that a property is asked for as.
var propertyTypes = []catalog.Type{
	catalog.TypeBool, catalog.TypeInt, catalog.TypeDouble, catalog.TypeString, catalog.TypeJSON, catalog.TypeDatetime, catalog.TypeDecimal,
}

// some draws one of a list; the first ones come more often, so that there are
// duplicates of most kinds in a short history.
func some[T any](rng *rand.Rand, list []T) T {
	if rng.IntN(2) == 0 {
		return list[rng.IntN(min(2, len(list)))]
	}
	return list[rng.IntN(len(list))]
}

// world is where a history takes place.
type world struct {
	days     []catalog.Day
	projects int
}

// everywhere is the world of most histories; oneDay has so few shards that a
// test can stop at each operation on their files.
var (
	everywhere  = world{days: days, projects: 2}
	oneDay      = world{days: []catalog.Day{20_000}, projects: 1}
	twoProjects = world{days: []catalog.Day{20_000}, projects: 2}
)

// fresh draws an event without an ingest id.
func (w world) fresh(rng *rand.Rand) event.Event {
	e := event.Event{
		Name:       some(rng, names),
		Time:       some(rng, w.days).Start() + some(rng, moments),
		ServerTime: rng.IntN(8) == 0,
		DistinctID: some(rng, users),
		InsertID:   some(rng, insertIDs[1:]),
		Properties: someProperties(rng),
	}
	if rng.IntN(6) == 0 {
		e.InsertID = ""
	}
	return e
}

func someProperties(rng *rand.Rand) []event.Property {
	var properties []event.Property
	for _, name := range propertyNames {
		switch {
		case rng.IntN(3) == 0:
			properties = append(properties, event.Property{Name: name, Value: values[rng.IntN(len(values))]})
		case name == "n" && rng.IntN(2) == 0:
			properties = append(properties, event.Property{Name: name, Value: ones[rng.IntN(len(ones))]})
		case name == "plan" && rng.IntN(2) == 0:
			properties = append(properties, event.Property{Name: name, Value: catalog.String("free")})
		}
	}
	slices.SortFunc(properties, byName)
	return properties
}

func byName(a, b event.Property) int { return strings.Compare(a.Name, b.Name) }

// copyOf is the event sent again, as it is or, now and then, with a change of
// one thing: the kind of copy that a bug in a client makes.
func (w world) copyOf(rng *rand.Rand, e event.Event) event.Event {
	e.ID = catalog.IngestID{}
	switch rng.IntN(16) {
	case 0:
		e.Properties = someProperties(rng)
	case 1:
		e.Time = catalog.DayOf(e.Time).Start() + some(rng, moments)
	case 2:
		e.Name = some(rng, names)
	case 3:
		e.ServerTime = !e.ServerTime
	case 4:
		e.DistinctID = some(rng, users)
	case 5:
		e.InsertID = some(rng, insertIDs)
	case 6:
		e.Time = some(rng, w.days).Start() + some(rng, moments)
	case 7:
		if len(e.Properties) > 0 {
			e.Properties = slices.Clone(e.Properties)
			e.Properties[rng.IntN(len(e.Properties))].Value = values[rng.IntN(len(values))]
		}
	case 8: // a null too many
		have := func(p event.Property) bool { return p.Name == "zero" }
		if !slices.ContainsFunc(e.Properties, have) {
			e.Properties = append(slices.Clone(e.Properties), event.Property{Name: "zero"})
			slices.SortFunc(e.Properties, byName)
		}
	case 9: // almost the same number
		e.Properties = slices.Clone(e.Properties)
		for i, p := range e.Properties {
			if slices.Contains(ones, p.Value) {
				e.Properties[i].Value = ones[rng.IntN(len(ones))]
			}
		}
	}
	if e.ServerTime && rng.IntN(2) == 0 {
		e.Time = catalog.DayOf(e.Time).Start() + some(rng, moments)
	}
	return e
}

// somePolicy draws a policy; the default comes often.
func somePolicy(rng *rand.Rand) catalog.Policy {
	if rng.IntN(4) == 0 {
		return catalog.DefaultPolicy
	}
	return catalog.Policy{
		Disabled: rng.IntN(8) == 0,
		Key:      catalog.Key(rng.IntN(3)),
		Survivor: catalog.Survivor(rng.IntN(2)),
		Conflict: catalog.Conflict(rng.IntN(2)),
		Missing:  catalog.Missing(rng.IntN(2)),
	}
}
