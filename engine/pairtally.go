package engine

import (
	"slices"
	"sync"
	"sync/atomic"

	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// A question that looks at two columns of few values is answered by how often each
// pair of values comes in a file, as one that looks at one column is. The counts of
// a pair are made when they are first asked for, which takes as long as looking at
// all rows, and are kept.
type pairTally struct {
	once   sync.Once // guards making what follows
	err    error
	of     [2]*indexfile.Tally
	codes  [2][]int32 // of each pair that comes
	counts []int64    // of its rows
	// visible are the counts without hidden rows, as last asked for.
	mu      sync.Mutex // guards visible
	visible visibleCount
}

// Limits of what is kept of pairs.
const (
	// maxPairCells is how many pairs there can be at most, going by the values of
	// both columns.
	maxPairCells = 1 << 18
	// maxPairTallies is of how many pairs of columns a file keeps the counts.
	maxPairTallies = 8
	// maxPairBytes is about what the counts of all files may take before no more are
	// made.
	maxPairBytes = 256 << 20
	// pairBytes is what a pair takes: its codes, and its counts with and without
	// hidden rows.
	pairBytes = 2*4 + 2*8
)

// pairTallies are a file's.
type pairTallies struct {
	mu    sync.Mutex // guards what follows
	known map[[2]*indexfile.Tally]*pairTally
	held  int64         // bytes of the known ones
	all   *atomic.Int64 // bytes of all files' together
}

// has reports whether the pairs of two columns are known already.
func (p *pairTallies) has(of [2]*indexfile.Tally) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[of] != nil
}

// get is the tally of two columns, which may have to be made.
func (p *pairTallies) get(of [2]*indexfile.Tally, all *atomic.Int64) *pairTally {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t, ok := p.known[of]; ok {
		return t
	}
	if len(p.known) >= maxPairTallies {
		p.forget()
	}
	if p.known == nil {
		p.known = map[[2]*indexfile.Tally]*pairTally{}
	}
	t := &pairTally{of: of}
	p.known[of], p.all = t, all
	return t
}

// made counts what a tally takes, if it is still known.
func (p *pairTallies) made(t *pairTally) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[t.of] == t {
		n := int64(len(t.counts)) * pairBytes
		p.held += n
		p.all.Add(n)
	}
}

// drop forgets all of a file that is closed.
func (p *pairTallies) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget()
}

// forget forgets all. The caller has mu.
func (p *pairTallies) forget() {
	if p.all != nil {
		p.all.Add(-p.held)
	}
	p.known, p.held = nil, 0
}

// pairs reports whether a file's rows can be answered by the pairs of two columns.
func (s *scan) pairs(f *file, columns [2]int) (bool, error) {
	cells := 1
	var of [2]*indexfile.Tally
	for i, column := range columns {
		tally, err := tallyOf(f, &s.fragment.Columns[column])
		if err != nil || tally == nil {
			return false, err
		}
		of[i] = tally
		cells *= len(tally.Counts()) // both small enough for a product
	}
	room := s.engine.pairBytes.Load() < maxPairBytes || f.pairs.has(of)
	return room && cells <= maxPairCells && cells*tallyMany <= f.rows(), nil
}

// pairTally is the tally of a part's two columns.
func (w *worker) pairTally(p *part, f *file) (*pairTally, error) {
	var of [2]*indexfile.Tally
	for i, column := range p.columns() {
		tally, err := tallyOf(f, &w.scan.fragment.Columns[column])
		if err != nil {
			return nil, err
		}
		of[i] = tally
	}
	t := f.pairs.get(of, &w.scan.engine.pairBytes)
	t.once.Do(func() {
		t.err = w.countPairs(t, p, f)
		f.pairs.made(t)
	})
	return t, t.err
}

// countPairs makes the tally. Vectors are of the types asked for, which may make
// nulls of values; then the rows are looked at one by one.
func (w *worker) countPairs(t *pairTally, p *part, f *file) error {
	width := len(t.of[1].Counts())
	cells := make([]uint32, len(t.of[0].Counts())*width)
	coded := true
	for lo := 0; lo < f.rows() && coded; lo += pieceRows {
		hi := min(lo+pieceRows, f.rows())
		var vectors [2]exec.Vector
		for i, column := range p.columns() {
			v, err := f.vector(w, p, p.marks(), &w.scan.fragment.Columns[column], lo, hi)
			if err != nil {
				return err
			}
			is, err := v.Coded(len(t.of[i].Counts()) - 1)
			if err != nil {
				return err
			}
			vectors[i], coded = v, coded && is
		}
		if coded {
			exec.CountPairs(&vectors[0], &vectors[1], width, cells)
		}
	}
	if !coded || !t.adds(cells) {
		clear(cells)
		for row := range f.rows() {
			cells[t.of[0].Code(row)*width+t.of[1].Code(row)]++
		}
	}
	for cell, n := range cells {
		if n > 0 {
			t.codes[0], t.codes[1] = append(t.codes[0], int32(cell/width)), append(t.codes[1], int32(cell%width))
			t.counts = append(t.counts, int64(n))
		}
	}
	return nil
}

// adds reports whether the pairs of each value are as many as its rows.
func (t *pairTally) adds(cells []uint32) bool {
	width := len(t.of[1].Counts())
	sums := [2][]int64{make([]int64, len(t.of[0].Counts())), make([]int64, width)}
	for cell, n := range cells {
		sums[0][cell/width] += int64(n)
		sums[1][cell%width] += int64(n)
	}
	return slices.Equal(sums[0], t.of[0].Counts()) && slices.Equal(sums[1], t.of[1].Counts())
}

// pairOf gives the function that finds a row's pair.
func (t *pairTally) pairOf() func(row int) int {
	width := len(t.of[1].Counts())
	pairs := make([]int32, len(t.of[0].Counts())*width)
	for i := range t.counts {
		pairs[int(t.codes[0][i])*width+int(t.codes[1][i])] = int32(i)
	}
	return func(row int) int { return int(pairs[t.of[0].Code(row)*width+t.of[1].Code(row)]) }
}

// weights are how many visible rows have each pair; leave takes the others off.
// They are remembered where plain says that only hidden rows are left out.
func (t *pairTally) weights(plain bool, hidden []uint32, leave func(code func(row int) int, weights []int64)) []int64 {
	if plain {
		t.mu.Lock()
		known := t.visible
		t.mu.Unlock()
		if known.counts != nil && known.of(hidden) {
			return known.counts
		}
	}
	weights := slices.Clone(t.counts)
	leave(t.pairOf(), weights)
	if plain {
		t.mu.Lock()
		t.visible = visibleCount{hidden, weights}
		t.mu.Unlock()
	}
	return weights
}

// columns are the numbers of the two columns of a part that is answered by pairs.
func (p *part) columns() [2]int { return [2]int{p.column, p.second - 1} }
