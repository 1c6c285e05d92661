package exec

import (
	"errors"
	"fmt"

	"arbor/catalog"
)

// Group makes groups of rows with equal keys, and computes aggregates of each.
// NULL is a key like others. Without keys there is one group, which is there
// even without rows.
type Group struct {
	// Keys are column numbers, of Columns and then of Computed. Strings and JSON
	// are equal by bytes, numbers by value.
	Keys       []int
	Aggregates []Aggregate
	// HideKeys leaves the keys out of the answer, which has the aggregates alone.
	HideKeys bool
	// MaxGroups is how many groups there may be before ErrGroups; 0 means
	// DefaultMaxGroups.
	MaxGroups int64
}

// Aggregate is a value computed of a group's rows. But for AggConcat and AggConcatCut,
// the result does not depend on the order in which rows and partial results come, to the
// last bit.
type Aggregate struct {
	Op AggregateOp
	// Args are column numbers, of Columns and then of Computed. But for
	// AggCount without one and AggBehaviour, rows in which an argument is null do
	// not count.
	Args []int
	// Params are the constants of an aggregate that has some.
	Params []catalog.Value
}

// AggregateOp is what an Aggregate computes.
type AggregateOp uint8

// The aggregates, with their arguments and results. Append only: they travel.
const (
	AggCount         AggregateOp = 1 // none: rows, or one: rows where it is not null; int
	AggCountDistinct AggregateOp = 2 // one or more: distinct combinations; int
	// AggSum: bools and ints: int, or decimal where an int64 does not hold it;
	// decimals: decimal; doubles: double, the exact sum rounded once, of decimals
	// with up to six digits behind the point where the doubles are nearest to
	// such. Null if there is nothing to add.
	AggSum AggregateOp = 3
	AggMin AggregateOp = 4 // one; its type; null if there is nothing
	AggMax AggregateOp = 5 // one; its type; null if there is nothing
	// The next four: one number; double, null if there are too few.
	AggVarPop  AggregateOp = 6
	AggVarSamp AggregateOp = 7
	AggStdPop  AggregateOp = 8
	AggStdSamp AggregateOp = 9
	// Bit operations: one int; int, whose bits are MySQL's BIGINT UNSIGNED. Of
	// nothing they give all ones for AND, else 0.
	AggBitAnd AggregateOp = 10
	AggBitOr  AggregateOp = 11
	AggBitXor AggregateOp = 12
	// AggPercentile: one number; Params[0] is a double p in [0, 1]. The value at
	// p*(n-1) of the sorted values, between neighbours in proportion
	// (PERCENTILE_CONT); double, null if there is nothing.
	AggPercentile AggregateOp = 13
	// AggPercentileDisc: the first of the sorted values at or above that share
	// of them (PERCENTILE_DISC); the argument's type.
	AggPercentileDisc AggregateOp = 14
	// AggFirst and AggLast: the value of the row that is first, or last, in the
	// order (time, ingest id): two more arguments, a SourceTime and a
	// SourceIngestID column; the first argument's type, nulls passed over.
	AggFirst AggregateOp = 15
	AggLast  AggregateOp = 16
	// AggBehaviour: a Behaviour over the group's rows in the order (time, ingest
	// id); see behaviour.go. Args: a SourceTime column, a SourceIngestID column,
	// then one bool (or number) column for each condition, which is not met where
	// it is null. Params[0] is the name, the others are its own.
	AggBehaviour AggregateOp = 17
	// AggConcat: one string; the texts of all rows in the order in which they are added,
	// nulls passed over; string, null if there are none. Params[0] is put between two
	// texts, and Params[1] an int: of a longer text as many whole characters as fit into so
	// many bytes. AggConcatCut: the same arguments; int, the number of the row, from 1 on,
	// in whose text or separator it ended so, and 0 if it did not. A fragment of a
	// project's events cannot have them, since these come in no order.
	AggConcat    AggregateOp = 18
	AggConcatCut AggregateOp = 19
)

// Order is a column to sort by. NULL comes first, or last if Descending.
type Order struct {
	Column     int
	Descending bool
}

// Limits of groups.
const (
	MaxKeys          = 64
	MaxAggregates    = 256
	MaxAggregateArgs = 64
	DefaultMaxGroups = 4 << 20
)

// ErrGroups means that a statement made more groups than it may.
var ErrGroups = errors.New("too many groups")

// ErrMemory means that an aggregation needs more memory than it may take.
var ErrMemory = errors.New("aggregation needs too much memory")

// ColumnType is the type of a column by its number: of Columns, then of Computed.
func (f *Fragment) ColumnType(n int) (t catalog.Type, precision, scale uint8) {
	if n < len(f.Columns) {
		c := &f.Columns[n]
		return c.Result(), c.Precision, c.Scale
	}
	c := &f.Computed[n-len(f.Columns)]
	return c.Type, c.Precision, c.Scale
}

// columnCount is how many columns there are, computed ones included.
func (f *Fragment) columnCount() int { return len(f.Columns) + len(f.Computed) }

// answerColumns is how many columns the answer has.
func (f *Fragment) answerColumns() int {
	if g := f.Group; g != nil {
		if g.HideKeys {
			return len(g.Aggregates)
		}
		return len(g.Keys) + len(g.Aggregates)
	}
	n := 0
	for i := range f.Columns {
		if !f.Columns[i].Hidden {
			n++
		}
	}
	for i := range f.Computed {
		if !f.Computed[i].Hidden {
			n++
		}
	}
	return n
}

// validateGroup reports what is wrong with the grouping and the order.
func (f *Fragment) validateGroup() error {
	for i, o := range f.Order {
		if o.Column < 0 || o.Column >= f.answerColumns() {
			return fmt.Errorf("%w: order %d by column %d of %d", ErrFragment, i, o.Column, f.answerColumns())
		}
	}
	g := f.Group
	if g == nil {
		return nil
	}
	if len(g.Keys) > MaxKeys || len(g.Aggregates) > MaxAggregates {
		return fmt.Errorf("%w: %d keys and %d aggregates, at most %d and %d", ErrFragment, len(g.Keys), len(g.Aggregates), MaxKeys, MaxAggregates)
	}
	if g.MaxGroups < 0 {
		return fmt.Errorf("%w: at most %d groups", ErrFragment, g.MaxGroups)
	}
	for _, k := range g.Keys {
		if k < 0 || k >= f.columnCount() {
			return fmt.Errorf("%w: key on column %d of %d", ErrFragment, k, f.columnCount())
		}
	}
	for i := range g.Aggregates {
		if err := f.validateAggregate(&g.Aggregates[i]); err != nil {
			return fmt.Errorf("aggregate %d: %w", i, err)
		}
	}
	return nil
}

func (f *Fragment) validateAggregate(a *Aggregate) error {
	for _, c := range a.Args {
		if c < 0 || c >= f.columnCount() {
			return fmt.Errorf("%w: argument on column %d of %d", ErrFragment, c, f.columnCount())
		}
	}
	least, most := 1, 1
	switch a.Op {
	case AggCount:
		least = 0
	case AggCountDistinct:
		most = MaxAggregateArgs
	case AggFirst, AggLast:
		least, most = 3, 3
	case AggBehaviour:
		least, most = 2, MaxAggregateArgs
	}
	if a.Op < AggCount || a.Op > AggConcatCut || len(a.Args) < least || len(a.Args) > most {
		return fmt.Errorf("%w: aggregate %d with %d arguments", ErrFragment, a.Op, len(a.Args))
	}
	if len(a.Args) > 0 {
		t, _, _ := f.ColumnType(a.Args[0])
		switch a.Op {
		case AggSum, AggVarPop, AggVarSamp, AggStdPop, AggStdSamp, AggPercentile:
			if !isNumber(t) {
				return fmt.Errorf("%w: aggregate %d of a %s", ErrFragment, a.Op, t)
			}
		case AggBitAnd, AggBitOr, AggBitXor:
			if t != catalog.TypeInt && t != catalog.TypeBool {
				return fmt.Errorf("%w: aggregate %d of a %s", ErrFragment, a.Op, t)
			}
		}
	}
	if err := f.validateOrdered(a); err != nil {
		return err
	}
	for _, p := range a.Params {
		if len(p.Text) > MaxValueBytes {
			return fmt.Errorf("%w: constant of %d bytes, at most %d", ErrFragment, len(p.Text), MaxValueBytes)
		}
	}
	if a.Op == AggConcat || a.Op == AggConcatCut {
		return f.validateConcat(a)
	}
	if a.Op == AggPercentile || a.Op == AggPercentileDisc {
		if len(a.Params) != 1 || a.Params[0].Kind != catalog.KindDouble || !(a.Params[0].Double() >= 0 && a.Params[0].Double() <= 1) {
			return fmt.Errorf("%w: a percentile takes one number from 0 to 1", ErrFragment)
		}
	}
	return nil
}

func (f *Fragment) validateConcat(a *Aggregate) error {
	switch t, _, _ := f.ColumnType(a.Args[0]); {
	case f.Project != 0:
		return fmt.Errorf("%w: aggregate %d of events, which come in no order", ErrFragment, a.Op)
	case t != catalog.TypeString:
		return fmt.Errorf("%w: aggregate %d of a %s", ErrFragment, a.Op, t)
	case len(a.Params) != 2 || a.Params[0].Kind != catalog.KindString || a.Params[1].Kind != catalog.KindInt || a.Params[1].Int() < 0:
		return fmt.Errorf("%w: aggregate %d takes a separator and a length", ErrFragment, a.Op)
	}
	return nil
}

// isNumber reports whether values of the type are numbers.
func isNumber(t catalog.Type) bool {
	return t == catalog.TypeBool || t == catalog.TypeInt || t == catalog.TypeDouble || t == catalog.TypeDecimal
}
