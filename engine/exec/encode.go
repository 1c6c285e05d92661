package exec

import (
	"encoding/binary"

	"arbor/catalog"
)

// An encoded fragment:
//
//	version   byte     2, 3 with buckets, or 4 if it is measured; 1 ends with the filter
//	                   and has no flags from 32 on
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
//	more      in version 4: a byte, 1 measured, 2 buckets follow
//	buckets   in version 3, and 4 if so: uvarint, then each: uvarint, how many lie between it and the
//	          one before

const (
	encodingVersion = 2
	// bucketsVersion is of fragments that not all buckets are asked.
	bucketsVersion = 3
	// measuredFragment is of fragments that are measured.
	measuredFragment = 4
)

// What a fragment of version 4 says behind its order.
const (
	moreMeasured = 1 << iota
	moreBuckets
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
	switch {
	case f.Measured:
		dst = append(dst, measuredFragment)
	case f.Buckets != nil:
		dst = append(dst, bucketsVersion)
	default:
		dst = append(dst, encodingVersion)
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
	if f.Measured {
		more := byte(moreMeasured)
		if f.Buckets != nil {
			more |= moreBuckets
		}
		dst = append(dst, more)
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
