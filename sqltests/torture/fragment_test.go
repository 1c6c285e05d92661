package torture

import (
	"math/rand/v2"
	"strings"

	"arbor/catalog"
	"arbor/engine/exec"
)

// allSources are the columns that every row has.
var allSources = []exec.Source{
	exec.SourceEvent, exec.SourceTime, exec.SourceDistinctID, exec.SourceInsertID, exec.SourceProperties,
	exec.SourceIngestID, exec.SourceIngestedAt, exec.SourceTimeRaw, exec.SourceDuplicate, exec.SourceDupOf,
	exec.SourceDupKind, exec.SourceFile, exec.SourceShard,
}

// everything asks for all columns, each property as some type.
func everything(rng *rand.Rand, project catalog.ProjectID, copies bool) *exec.Fragment {
	f := &exec.Fragment{Project: project, Copies: copies}
	for _, s := range allSources {
		f.Columns = append(f.Columns, exec.Column{Source: s})
	}
	for _, name := range propertyNames {
		f.Columns = append(f.Columns, propertyColumn(rng, name))
	}
	return f
}

// allStored asks for what is stored, deleted or not, by the hashes of records.
func allStored(project catalog.ProjectID) *exec.Fragment {
	return &exec.Fragment{Project: project, Copies: true, Columns: []exec.Column{{Source: exec.SourceIngestID}, {Source: exec.SourceShard}, {Source: exec.SourceRecord}}}
}

func propertyColumn(rng *rand.Rand, name string) exec.Column {
	c := exec.Column{Source: exec.SourceProperty, Property: name, Type: propertyTypes[rng.IntN(len(propertyTypes))]}
	if c.Type == catalog.TypeDecimal {
		c.Precision, c.Scale = 20, uint8(rng.IntN(4))
	}
	return c
}

// someFragment draws a query of the kind that the gateway makes.
func someFragment(rng *rand.Rand, project catalog.ProjectID, asOf catalog.IngestID) *exec.Fragment {
	f := &exec.Fragment{Project: project, Copies: rng.IntN(3) == 0}
	if rng.IntN(2) == 0 {
		f.AsOf = asOf
	}
	if rng.IntN(2) == 0 {
		p := somePolicy(rng)
		f.Policy = &p
	}
	for range 1 + rng.IntN(6) {
		c := exec.Column{Source: allSources[rng.IntN(len(allSources))]}
		if rng.IntN(2) == 0 {
			c = propertyColumn(rng, append(propertyNames, "never sent")[rng.IntN(len(propertyNames)+1)])
		}
		c.Hidden = rng.IntN(4) == 0
		f.Columns = append(f.Columns, c)
	}
	f.Columns = append(f.Columns, exec.Column{Source: exec.SourceIngestID})
	if rng.IntN(4) > 0 {
		f.Filter = someFilter(rng, f, 2)
	}
	return f
}

// someFilter draws a filter over the fragment's columns, to which it may add.
func someFilter(rng *rand.Rand, f *exec.Fragment, depth int) *exec.Expr {
	if depth > 0 && rng.IntN(2) == 0 {
		x := &exec.Expr{Op: []exec.Op{exec.OpAnd, exec.OpOr, exec.OpNot}[rng.IntN(3)]}
		for range 1 + rng.IntN(3) {
			x.Args = append(x.Args, someFilter(rng, f, depth-1))
		}
		if x.Op == exec.OpNot {
			x.Args = x.Args[:1]
		}
		return x
	}
	column := rng.IntN(len(f.Columns))
	if rng.IntN(2) == 0 {
		// What scans prune by.
		column = len(f.Columns)
		source := []exec.Source{exec.SourceDistinctID, exec.SourceTime, exec.SourceEvent, exec.SourceIngestID, exec.SourceInsertID, exec.SourceTimeRaw}[rng.IntN(6)]
		f.Columns = append(f.Columns, exec.Column{Source: source, Hidden: true})
	}
	constants := constantsFor(rng, f.Columns[column])
	if len(constants) == 0 || rng.IntN(10) == 0 {
		return &exec.Expr{Op: exec.OpIsNull, Column: column}
	}
	x := &exec.Expr{Op: exec.OpEqual + exec.Op(rng.IntN(6)), Column: column, Values: constants[:1]}
	switch {
	case rng.IntN(4) == 0:
		x.Op = exec.OpEqual
	case x.Op == exec.OpIn:
		x.Values = constants
	}
	if constants[0].Kind == catalog.KindString && rng.IntN(6) == 0 {
		text := constants[0].Text
		x.Op, x.Values = exec.OpPrefix, []catalog.Value{catalog.String(text[:runeBoundary(text, rng.IntN(len(text)+1))])}
		if rng.IntN(2) == 0 {
			x.Op, x.Values = exec.OpLike, []catalog.Value{catalog.String(patternOf(rng, text))}
		}
	}
	return x
}

// patternOf is a pattern that some text like the given one matches.
func patternOf(rng *rand.Rand, text string) string {
	var b strings.Builder
	for _, r := range text {
		switch rng.IntN(8) {
		case 0:
			b.WriteByte('_')
		case 1, 2:
			b.WriteByte('%')
		case 3: // the character is left out
		default:
			if r == '%' || r == '_' || r == '\\' || rng.IntN(8) == 0 {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// constantsFor draws up to three constants that a column may be compared with;
// none where comparisons are not asked of the engine.
func constantsFor(rng *rand.Rand, c exec.Column) []catalog.Value {
	var constants []catalog.Value
	for range 3 {
		var v catalog.Value
		switch c.Source {
		case exec.SourceProperty:
			if c.Type == catalog.TypeJSON {
				return nil
			}
			var ok bool
			if v, ok = catalog.Convert(values[rng.IntN(len(values))], c.Type, c.Precision, c.Scale); !ok {
				continue
			}
		case exec.SourceEvent:
			v = catalog.String(some(rng, names))
		case exec.SourceDistinctID:
			v = catalog.String(some(rng, users))
		case exec.SourceInsertID:
			v = catalog.String(some(rng, insertIDs))
		case exec.SourceTime, exec.SourceTimeRaw:
			v = catalog.Int(some(rng, days).Start() + some(rng, moments) + rng.Int64N(3) - 1)
		case exec.SourceIngestedAt:
			v = catalog.Int(int64(someID(rng).Time / 1000))
		case exec.SourceIngestID, exec.SourceDupOf:
			v = catalog.String(someID(rng).String())
		case exec.SourceDuplicate:
			v = catalog.Bool(rng.IntN(2) == 0)
		case exec.SourceDupKind:
			v = catalog.String([]string{"retry", "conflict", "other"}[rng.IntN(3)])
		case exec.SourceShard:
			v = catalog.String(catalog.ShardKey{Project: 1, Day: some(rng, days)}.String())
		default:
			return nil
		}
		constants = append(constants, v)
	}
	return constants
}

// runeBoundary moves a cut back to where a character starts.
func runeBoundary(s string, at int) int {
	for at > 0 && at < len(s) && s[at]&0xC0 == 0x80 {
		at--
	}
	return at
}
