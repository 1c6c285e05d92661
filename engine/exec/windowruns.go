package exec

import (
	"math/big"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// A partition that is large, such as all rows of OVER (ORDER BY time), is given in pieces
// where its functions only look back. A piece ends where peers do. Of the rows before it
// each function has what it needs: how many there were and their sum, or those rows that
// it may look at again, which are put in front of the piece.
//
//	rows that were given          │ piece              │ rows whose peers may go on
//	──────────────────────────────┼────────────────────┼───────────────
//	 3 (count, sum) ·  the last 7 │ computed and given │ kept
//
// What looks ahead, or at how many rows there are in all, has all rows kept.

const (
	// windowPieceRows is how many rows of a partition are kept before some are given.
	windowPieceRows = 1 << 17
	// maxLookBack is by how many rows functions look back at most where rows are given in
	// pieces.
	maxLookBack = 1 << 16
)

// runs reports whether partitions may be given in pieces.
func (p *WindowPlan) runs() bool {
	return !slices.ContainsFunc(p.Functions, func(f WindowFunction) bool { return !f.runs(len(p.Order)) })
}

// peers reports whether a function asks which rows are peers.
func (f *WindowFunction) peers(order int) bool {
	if f.Order > order {
		return false // every row is its own
	}
	switch f.Op {
	case WindowRowNumber, WindowBefore:
		return false
	case WindowRank, WindowDenseRank:
		return true
	}
	return !f.Frame.ByRows
}

// runs reports whether a function only looks back, and not too far.
func (f *WindowFunction) runs(order int) bool {
	if f.peers(order) && f.Order == 0 {
		return false // all rows are peers
	}
	switch f.Op {
	case WindowRowNumber, WindowRank, WindowDenseRank:
		return true
	case WindowPercentRank, WindowCumeDist, WindowTiles:
		return false
	case WindowBefore:
		return f.N >= 0 && f.N <= maxLookBack
	case WindowNth:
		if f.N > maxLookBack {
			return false
		}
	}
	start, end := f.Frame.Start, f.Frame.End
	back := func(b WindowBound) bool {
		return b.Kind == BoundCurrent || b.Kind == BoundBefore && (!f.Frame.ByRows || b.N <= maxLookBack)
	}
	switch {
	case start.Kind == BoundNone && !f.Frame.ByRows:
		return end.Kind == BoundCurrent
	case start.Kind == BoundNone:
		return back(end)
	}
	return back(start) && back(end)
}

// runningPartition is a partition of which rows were given.
type runningPartition struct{ functions []runningFunction }

// runningFunction is what a function needs of the rows of its partition that were given.
type runningFunction struct {
	rows int64 // that were given
	// again are rows that it may look at again, in order, so many.
	again     []segment
	againRows int
	held      int64 // bytes that those take
	rank      int64 // the last dense rank
	// Of frames that begin with the partition: how many rows are not null, and their sum
	// in 128 bits, or if that is not enough large, or of doubles.
	unbounded bool
	count     int64
	low       uint64
	high      int64
	large     *big.Int
	doubles   slidingSum
	bestRow   int32 // of the block, that a MIN or MAX of the last frame is of; -1 for none
}

// given is how many rows of the partition there were before.
func (r *runningFunction) given() int64 {
	if r == nil {
		return 0
	}
	return r.rows
}

// fromStart is what is known of the rows before where frames begin with the partition; else
// nil.
func (r *runningFunction) fromStart() *runningFunction {
	if r == nil || !r.unbounded {
		return nil
	}
	return r
}

// total is the sum of the rows before.
func (r *runningFunction) total() *big.Int {
	if r.large != nil {
		return r.large
	}
	return large(r.low, r.high)
}

// counts takes the rows that the last frame of a block has, which no later frame is without.
func (r *runningFunction) counts(nullsBefore []int32, frames *windowFrames) {
	r.count += frames.counts(nullsBefore, len(frames.hi)-1)
}

// summed takes their sum as well.
func (r *runningFunction) summed(sums wideSums, nullsBefore []int32, frames *windowFrames) {
	r.counts(nullsBefore, frames)
	r.low, r.high, _ = sums.between(0, frames.hi[len(frames.hi)-1])
}

// giveRunning gives what can be given of a partition whose rows are kept, if they are many.
func (w *Windows) giveRunning() error {
	if w.piece == 0 || w.rows < max(w.piece, 2*w.tried) {
		return nil
	}
	end := w.pieceEnd()
	if end == 0 {
		w.tried = w.rows
		return nil
	}
	var block, rest []segment
	for i, at := 0, 0; i < len(w.kept); i++ {
		s := &w.kept[i]
		switch {
		case at+s.rows <= end:
			block = append(block, *s)
		case at >= end:
			rest = append(rest, *s)
		default:
			block, rest = append(block, s.slice(0, end-at)), append(rest, s.slice(end-at, s.rows))
		}
		at += s.rows
	}
	left := w.rows - end
	if err := w.giveBlock(block, end); err != nil {
		return err
	}
	// What is left is copied, so that what was given is freed.
	held := w.held
	w.kept, w.rows, w.held, w.tried = nil, 0, 0, 0
	for i := range rest {
		if err := w.keep(&rest[i], 0); err != nil {
			return err
		}
	}
	if w.rows != left {
		panic("exec: rows of a window were lost")
	}
	return w.plan.Take(-held)
}

// pieceEnd is the number of rows that are kept up to the last at which no function's peers
// go on.
func (w *Windows) pieceEnd() int {
	keys := len(w.keys) + 1 // any row
	for i := range w.plan.Functions {
		if f := &w.plan.Functions[i]; f.peers(len(w.plan.Order)) {
			keys = min(keys, len(w.plan.Partition)+f.Order)
		}
	}
	end := w.rows
	if keys > len(w.keys) {
		return end
	}
	for i := len(w.kept) - 1; i >= 0; i-- {
		levels := w.kept[i].levels
		for k := len(levels) - 1; k >= 0; k-- {
			end--
			if end > 0 && int(levels[k]) < keys {
				return end
			}
		}
	}
	return 0
}

// endRunning gives the last rows of a partition of which some were given.
func (w *Windows) endRunning(block []segment) error {
	rows := 0
	for i := range block {
		rows += block[i].rows
	}
	if rows > 0 {
		if err := w.giveBlock(block, rows); err != nil {
			return err
		}
	}
	size := w.held
	for i := range w.running.functions {
		size += w.running.functions[i].held
	}
	w.running, w.kept, w.rows, w.held, w.tried = nil, nil, 0, 0, 0
	return w.plan.Take(-size)
}

// giveBlock gives rows of a partition of which more follow, or were given.
func (w *Windows) giveBlock(block []segment, rows int) error {
	if w.running == nil {
		w.running = &runningPartition{functions: make([]runningFunction, len(w.plan.Functions))}
		for i := range w.running.functions {
			f := &w.plan.Functions[i]
			w.running.functions[i].unbounded = f.Op >= WindowFirst && f.Frame.Start.Kind == BoundNone
		}
	}
	size := int64(rows) * w.block.rowBytes()
	if err := w.plan.Take(size); err != nil {
		return err
	}
	results := make([]arrow.Array, len(w.plan.Functions))
	plain := false // the block is of these rows alone
	for i := range w.plan.Functions {
		f, run := &w.plan.Functions[i], &w.running.functions[i]
		if run.againRows > 0 || !plain {
			w.block.begins(append(slices.Clip(run.again), block...), run.againRows+rows)
			plain = run.againRows == 0
		}
		w.block.before = run
		a, err := w.block.function(f)
		if err != nil {
			return err
		}
		results[i] = array.NewSlice(a, int64(run.againRows), int64(run.againRows+rows))
		if err := w.lookAgain(f, run); err != nil {
			return err
		}
		run.rows += int64(rows)
	}
	w.block.before = nil
	if err := w.give(block, results); err != nil {
		return err
	}
	return w.plan.Take(-size)
}

// lookAgain keeps the rows of the block that a function may look at again.
func (w *Windows) lookAgain(f *WindowFunction, run *runningFunction) error {
	b := &w.block
	n := b.rows
	head, headEnd, from := 0, 0, n // rows [head, headEnd) are kept, and those behind from
	var frames *windowFrames
	if f.Op >= WindowFirst {
		var err error
		if frames, err = b.framesOf(f); err != nil {
			return err
		}
	}
	switch {
	case f.Op == WindowBefore:
		from = max(n-int(f.N), 0)
	case f.Op < WindowFirst:
	case !run.unbounded:
		from = int(frames.lo[n-1])
	default:
		from = int(frames.hi[n-1])
		switch f.Op {
		case WindowFirst:
			headEnd = 1
		case WindowNth:
			headEnd = int(min(f.N, int64(n)))
		case WindowLast:
			from = max(from-1, 0)
		case WindowMin, WindowMax:
			if run.bestRow >= 0 {
				head, headEnd = int(run.bestRow), int(run.bestRow)+1
			}
		}
		from = max(from, headEnd)
	}
	before := run.held
	run.again, run.againRows, run.held = nil, headEnd-head+n-from, 0
	for _, r := range [...]Run{{head, headEnd}, {from, n}} {
		if err := w.keepAgain(run, b.segments, r); err != nil {
			return err
		}
	}
	return w.plan.Take(run.held - before)
}

// keepAgain copies rows of segments for a function.
func (w *Windows) keepAgain(run *runningFunction, segments []segment, r Run) error {
	at := 0
	for i := range segments {
		s := &segments[i]
		if lo, hi := max(r.Lo-at, 0), min(r.Hi-at, s.rows); lo < hi {
			kept, size, err := w.copied(s, lo, hi)
			if err != nil {
				return err
			}
			run.again, run.held = append(run.again, kept), run.held+size
		}
		at += s.rows
	}
	return nil
}
