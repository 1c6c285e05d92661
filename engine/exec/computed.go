package exec

import (
	"errors"

	"arbor/catalog"
)

// Computed is a column whose values follow from other columns of the same row by
// a function that only the SQL library knows. It must be deterministic: one
// that depends on nothing but its arguments. So it is evaluated once for each
// distinct value of a dictionary, or once for each period of time, and means
// exactly what it means row by row.
type Computed struct {
	// Function says what to compute, in the words of whoever implements Functions.
	Function string
	// Args are the numbers of the columns that it is given, positions in
	// Fragment.Columns.
	Args []int
	// Type is the type of the result, and of the column's arrays.
	Type catalog.Type
	// Precision and Scale are those of a TypeDecimal.
	Precision, Scale uint8
	// Hidden columns are not part of the batches given back.
	Hidden bool
	// Period, in microseconds, says of a function with one argument, a moment,
	// that it is the same for all moments of a period; periods count from 1970.
	// 0 says nothing.
	Period int64
}

// Functions makes the functions of Computed columns ready. The gateway implements
// it over its SQL library; every member is given the same ones.
type Functions interface {
	// Function reads Computed.Function. What it gives is for one goroutine.
	Function(encoded string) (Function, error)
}

// Function computes a value.
type Function interface {
	// Eval gives the function's value of one row's arguments: of the kinds that
	// catalog.Convert gives for the argument's column, KindNull for NULL. The
	// result is of the kind that catalog.Convert gives for Computed.Type, or null.
	// Text in it stays valid.
	Eval(args []catalog.Value) (catalog.Value, error)
}

// ErrFunction means that a Computed column cannot be evaluated: the function is
// not known here, or failed for a value. It is wrapped beside the cause.
var ErrFunction = errors.New("function cannot be evaluated")
