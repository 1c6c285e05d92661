package exec

import (
	"encoding/binary"
	"fmt"

	"arbor/catalog"
)

// DecodeFragment reads what AppendFragment wrote and validates it. The fragment
// shares no memory with b.
func DecodeFragment(b []byte) (*Fragment, error) {
	if len(b) > 0 && b[0] > measuredFragment {
		return nil, fmt.Errorf("%w: version %d, this arbor knows %d", ErrVersion, b[0], measuredFragment)
	}
	d := decoder{rest: b}
	f := d.fragment()
	if d.bad || len(d.rest) != 0 {
		return nil, fmt.Errorf("%w: encoding of %d bytes is damaged", ErrFragment, len(b))
	}
	if err := f.Validate(); err != nil {
		return nil, err
	}
	return f, nil
}

// decoder takes values from the front of rest; after a mistake bad is set and
// all that it gives is zero.
type decoder struct {
	rest  []byte
	nodes int
	bad   bool
}

func (d *decoder) fragment() *Fragment {
	f := &Fragment{}
	version := d.byte()
	f.Project = catalog.ProjectID(d.below(1 << 32))
	flags := d.byte()
	if version == 0 || version == 1 && flags > flagsOfVersion1 {
		d.bad = true
	}
	f.Copies, f.Runs = flags&flagCopies != 0, flags&flagRuns != 0
	if flags&flagAsOf != 0 {
		f.AsOf = catalog.IngestIDFromBytes(d.bytes(catalog.IngestIDSize))
	}
	if flags&flagPolicy != 0 {
		f.Policy = d.policy()
	}
	f.Limit = int64(d.below(1 << 62))
	f.Columns = d.columns()
	if flags&flagFilter != 0 {
		f.Filter = d.expr(1)
	}
	if flags&flagComputed != 0 {
		f.Computed = d.computed()
	}
	if flags&flagGroup != 0 {
		f.Group = d.group()
	}
	if flags&flagOrder != 0 {
		for range d.below(MaxColumns + 1) {
			f.Order = append(f.Order, Order{Column: int(d.below(MaxColumns + MaxComputed + 1)), Descending: d.bool()})
			if d.bad {
				break
			}
		}
	}
	more := byte(0)
	switch version {
	case bucketsVersion:
		more = moreBuckets
	case measuredFragment:
		if more = d.byte(); more|moreBuckets != moreMeasured|moreBuckets {
			d.bad = true
		}
	}
	f.Measured = more&moreMeasured != 0
	if more&moreBuckets != 0 {
		f.Buckets = d.buckets()
	}
	return f
}

func (d *decoder) buckets() []uint16 {
	buckets := []uint16{}
	next := uint64(0)
	for range d.below(catalog.MaxBuckets + 1) {
		b := next + d.below(catalog.MaxBuckets)
		if b >= catalog.MaxBuckets {
			d.bad = true
		}
		if d.bad {
			break
		}
		buckets, next = append(buckets, uint16(b)), b+1
	}
	return buckets
}

func (d *decoder) computed() []Computed {
	var computed []Computed
	for range d.below(MaxComputed + 1) {
		c := Computed{Function: d.text(), Args: d.numbers(MaxAggregateArgs), Type: catalog.Type(d.byte()),
			Precision: d.byte(), Scale: d.byte(), Hidden: d.bool(), Period: int64(d.below(1 << 62))}
		if d.bad {
			return nil
		}
		computed = append(computed, c)
	}
	return computed
}

func (d *decoder) group() *Group {
	g := &Group{Keys: d.numbers(MaxKeys)}
	for range d.below(MaxAggregates + 1) {
		a := Aggregate{Op: AggregateOp(d.byte()), Args: d.numbers(MaxAggregateArgs), Params: d.values()}
		if d.bad {
			return g
		}
		g.Aggregates = append(g.Aggregates, a)
	}
	g.MaxGroups = int64(d.below(1 << 62))
	g.HideKeys = d.bool()
	return g
}

// numbers are column numbers, at most so many.
func (d *decoder) numbers(most uint64) []int {
	var numbers []int
	for range d.below(most + 1) {
		numbers = append(numbers, int(d.below(MaxColumns+MaxComputed+1)))
		if d.bad {
			return nil
		}
	}
	return numbers
}

func (d *decoder) values() []catalog.Value {
	var values []catalog.Value
	for range d.below(MaxExprValues + 1) {
		v := catalog.Value{Kind: catalog.Kind(d.byte()), Bits: d.uvarint(), Text: d.text()}
		if d.bad {
			return nil
		}
		values = append(values, v)
	}
	return values
}

func (d *decoder) policy() *catalog.Policy {
	p := &catalog.Policy{
		Disabled: d.bool(), Key: catalog.Key(d.byte()), Survivor: catalog.Survivor(d.byte()),
		Conflict: catalog.Conflict(d.byte()), Missing: catalog.Missing(d.byte()),
	}
	if p.Key > catalog.KeyID || p.Survivor > catalog.SurvivorLast || p.Conflict > catalog.ConflictKeep || p.Missing > catalog.MissingContent {
		d.bad = true
	}
	return p
}

func (d *decoder) columns() []Column {
	var columns []Column
	for range d.below(MaxColumns + 1) {
		c := Column{Source: Source(d.byte()), Type: catalog.Type(d.byte()), Precision: d.byte(), Scale: d.byte(), Hidden: d.bool(), Property: d.text()}
		if d.bad {
			return nil
		}
		columns = append(columns, c)
	}
	return columns
}

func (d *decoder) expr(depth int) *Expr {
	x := &Expr{Op: Op(d.byte())}
	if d.nodes++; d.nodes > MaxExprNodes || depth > MaxExprDepth {
		d.bad = true
		return x
	}
	if x.Op == OpAnd || x.Op == OpOr || x.Op == OpNot {
		for range d.below(MaxExprNodes + 1) {
			if d.bad {
				return x
			}
			x.Args = append(x.Args, d.expr(depth+1))
		}
		return x
	}
	x.Column = int(d.below(MaxColumns + MaxComputed + 1))
	x.Values = d.values()
	return x
}

func (d *decoder) bytes(n int) []byte {
	if d.bad || len(d.rest) < n {
		d.bad = true
		return make([]byte, min(n, catalog.IngestIDSize))
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte { return d.bytes(1)[0] }

func (d *decoder) bool() bool {
	b := d.byte()
	if b > 1 {
		d.bad = true
	}
	return b == 1
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// below is a uvarint less than limit.
func (d *decoder) below(limit uint64) uint64 {
	v := d.uvarint()
	if v >= limit {
		d.bad = true
		return 0
	}
	return v
}

func (d *decoder) text() string {
	n := int(d.below(MaxValueBytes + 1))
	if d.bad || len(d.rest) < n {
		d.bad = true
		return ""
	}
	return string(d.bytes(n))
}
