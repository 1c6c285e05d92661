package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/rowexec"

	"arbor/catalog"
	"arbor/engine/exec"
)

// batchRows are rows that can be had by column. A sql.RowIter that implements it
// may be what the root of a plan gives; then the handler sends the batches to the
// client as they are, and no sql.Row is made of them:
//
//	root of the plan ─ batchRows.batches ─▶ rowEncoder ─▶ wire
//
// Whoever wants rows instead (a cursor, a node above, a test) calls Next, as of
// any other iterator. Of Next and batches only one is called, and before either
// of them the layout may be asked for. Close ends both.
type batchRows interface {
	sql.RowIter
	// layout says how the columns of the result are made of those of the batches.
	// It does not change.
	layout() *batchLayout
	// batches gives all rows to yield, in the order of the rows. It may call yield
	// from other goroutines, but not at the same time twice. A batch and its
	// arrays are valid until yield returns; of a batch with Runs only those rows
	// are meant. It returns yield's error, if there is one, and when ctx ends;
	// then yield is not called any more. A panic of its own, or of yield in another
	// goroutine, it turns into an error.
	batches(ctx *sql.Context, yield func(*exec.Batch) error) error
}

// batchLayout says how a result is made of batches. An aggregate, or the first
// rows by some order, whose columns are all of the result and in its order, has
// their kinds, and as columns {place: 0}, {place: 1} and so on.
type batchLayout struct {
	// kinds are the types of the batches' columns: what their arrays hold follows
	// from them, see exec.Batch.
	kinds []catalog.Type
	// columns are the result's, in the order of its schema.
	columns []columnSource
	// Expressions are evaluated for a row of width values: that of the batches'
	// column i at places[i], NULL at all others. Without expressions both may be
	// left out.
	places []int
	width  int
	// projected says that the plan has a projection, which makes 0 of -0.
	projected bool
}

// columnSource is where a column of a result comes from.
type columnSource struct {
	// place is the batch's column that has the values, unless value computes them.
	place int
	value *computedValue
}

// batchesOf finds what gives the rows of a statement below the SQL library's
// book-keeping, if it can give batches. counts is where the rows must be noted
// that are not taken by Next; nil where nobody wants to know.
func batchesOf(iter sql.RowIter) (b batchRows, counts *plan.TrackedRowIter) {
	for {
		switch i := iter.(type) {
		case batchRows:
			return i, counts
		case *rowexec.ExprCloserIter:
			iter = i.GetIter()
		case *plan.TrackedRowIter:
			counts = i
			iter = i.GetIter()
		case *rowexec.TransactionCommittingIter:
			iter = i.GetIter()
		default:
			return nil, nil
		}
	}
}
