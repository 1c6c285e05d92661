package exec

import (
	"encoding/binary"
	"fmt"

	"arbor/catalog"
)

// An encoded fragment:
//
//	version   byte     2, or 3 with buckets; 1 ends with the filter and has no flags
//	                   from 32 on
//	project   uvarint
//	flags     byte     1 copies, 2 as-of follows, 4 policy follows, 8 filter follows,
//	                   16 runs, 32 computed columns follow, 64 a group, 128 an order
//	as-of     16 bytes big-endian ingest id
//	policy    5 bytes  disabled, key, survivor, conflict, missing
//	limit     uvarint
//	columns   uvarint, then each: source, type, precision, scale, hidden (a byte
//	          each), property (uvarint length, bytes)
//	filter    an expression: op byte, then for and, or, not: uvarint count and
//	          the arguments; for the others: uvarint column, uvarint count and the
//	          constants, each kind byte, uvarint bits, text (uvarint length, bytes)
//	computed  uvarint, then each: function (text), uvarint count and the
//	          arguments, type, precision, scale, hidden (a byte each), uvarint period
//	group     uvarint count and the keys; uvarint count and the aggregates, each: op
//	          byte, uvarint count and arguments, uvarint count and constants; uvarint
//	          greatest number of groups, hidden keys byte
//	order     uvarint, then each: uvarint column, descending byte
//	buckets   in version 3: uvarint, then each: uvarint, how many lie between it and the
//	          one before

const (
	encodingVersion = 2
	// bucketsVersion is of fragments that not all buckets are asked.
	bucketsVersion = 3
)

const (
	flagCopies = 1 << iota
	flagAsOf
	flagPolicy
	flagFilter
	flagRuns
	flagComputed
	flagGroup
	flagOrder
)

// flagsOfVersion1 are the flags that version 1 knew.
const flagsOfVersion1 = flagComputed - 1

// AppendFragment appends the fragment's encoding to dst. The fragment must be valid.
func AppendFragment(dst []byte, f *Fragment) []byte {
	if f.Buckets == nil {
		dst = append(dst, encodingVersion)
	} else {
		dst = append(dst, bucketsVersion)
	}
	dst = binary.AppendUvarint(dst, uint64(f.Project))
	dst = append(dst, f.flags())
	if !f.AsOf.IsZero() {
		dst, _ = f.AsOf.AppendBinary(dst)
	}
	if p := f.Policy; p != nil {
		dst = append(dst, boolByte(p.Disabled), byte(p.Key), byte(p.Survivor), byte(p.Conflict), byte(p.Missing))
	}
	dst = binary.AppendUvarint(dst, uint64(f.Limit))
	dst = binary.AppendUvarint(dst, uint64(len(f.Columns)))
	for _, c := range f.Columns {
		dst = append(dst, byte(c.Source), byte(c.Type), c.Precision, c.Scale, boolByte(c.Hidden))
		dst = appendText(dst, c.Property)
	}
	if f.Filter != nil {
		dst = appendExpr(dst, f.Filter)
	}
	if len(f.Computed) > 0 {
		dst = appendComputed(dst, f.Computed)
	}
	if f.Group != nil {
		dst = appendGroup(dst, f.Group)
	}
	if len(f.Order) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(f.Order)))
		for _, o := range f.Order {
			dst = append(binary.AppendUvarint(dst, uint64(o.Column)), boolByte(o.Descending))
		}
	}
	if f.Buckets != nil {
		dst = binary.AppendUvarint(dst, uint64(len(f.Buckets)))
		next := 0
		for _, b := range f.Buckets {
			dst = binary.AppendUvarint(dst, uint64(int(b)-next))
			next = int(b) + 1
		}
	}
	return dst
}

func appendComputed(dst []byte, computed []Computed) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(computed)))
	for i := range computed {
		c := &computed[i]
		dst = appendNumbers(appendText(dst, c.Function), c.Args)
		dst = append(dst, byte(c.Type), c.Precision, c.Scale, boolByte(c.Hidden))
		dst = binary.AppendUvarint(dst, uint64(c.Period))
	}
	return dst
}

func appendGroup(dst []byte, g *Group) []byte {
	dst = appendNumbers(dst, g.Keys)
	dst = binary.AppendUvarint(dst, uint64(len(g.Aggregates)))
	for i := range g.Aggregates {
		a := &g.Aggregates[i]
		dst = appendNumbers(append(dst, byte(a.Op)), a.Args)
		dst = appendValues(dst, a.Params)
	}
	return append(binary.AppendUvarint(dst, uint64(g.MaxGroups)), boolByte(g.HideKeys))
}

func appendNumbers(dst []byte, numbers []int) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(numbers)))
	for _, n := range numbers {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return dst
}

func appendValues(dst []byte, values []catalog.Value) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(values)))
	for _, v := range values {
		dst = append(dst, byte(v.Kind))
		dst = binary.AppendUvarint(dst, v.Bits)
		dst = appendText(dst, v.Text)
	}
	return dst
}

func (f *Fragment) flags() (flags byte) {
	if f.Copies {
		flags |= flagCopies
	}
	if !f.AsOf.IsZero() {
		flags |= flagAsOf
	}
	if f.Policy != nil {
		flags |= flagPolicy
	}
	if f.Filter != nil {
		flags |= flagFilter
	}
	if f.Runs {
		flags |= flagRuns
	}
	if len(f.Computed) > 0 {
		flags |= flagComputed
	}
	if f.Group != nil {
		flags |= flagGroup
	}
	if len(f.Order) > 0 {
		flags |= flagOrder
	}
	return flags
}

func appendExpr(dst []byte, x *Expr) []byte {
	dst = append(dst, byte(x.Op))
	if x.Op == OpAnd || x.Op == OpOr || x.Op == OpNot {
		dst = binary.AppendUvarint(dst, uint64(len(x.Args)))
		for _, a := range x.Args {
			dst = appendExpr(dst, a)
		}
		return dst
	}
	return appendValues(binary.AppendUvarint(dst, uint64(x.Column)), x.Values)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// DecodeFragment reads what AppendFragment wrote and validates it. The fragment
// shares no memory with b.
func DecodeFragment(b []byte) (*Fragment, error) {
	if len(b) > 0 && b[0] > bucketsVersion {
		return nil, fmt.Errorf("%w: version %d, this arbor knows %d", ErrVersion, b[0], bucketsVersion)
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
	if version == bucketsVersion {
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
