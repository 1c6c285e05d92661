package engine

import (
	"slices"
	"sync"
	"sync/atomic"

	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// A question that looks at two columns is answered by how often each pair of values
// comes in a file, as one that looks at one column is. The counts of a pair are made
// when they are first asked for, which takes as long as looking at all rows, and are
// kept: in the order of the values of the column that has fewer of them, so that what
// is asked of one event name or of one country reads that value's pairs and no others.
type pairTally struct {
	once   sync.Once // guards making what follows
	err    error
	of     [2]*indexfile.Tally
	starts []uint32 // where the pairs of each value of the first begin, and where all end
	codes  []int32  // the second's value of each pair that comes, ascending for each of the first
	counts []uint32 // of its rows
	// visible are the counts without hidden rows.
	mu      sync.Mutex // guards visible
	visible byHidden[[]uint32]
	// bytes is what was counted of it, and used by which of the engine's questions it was
	// last asked for; the mu of its pairTallies guards them.
	bytes, used int64
}

// Limits of what is kept of pairs.
const (
	// maxPairCells is how many pairs there can be at most, going by the values of
	// both columns.
	maxPairCells = 1 << 20
	// pairMany is how many rows there must be for each of these.
	pairMany = 2
	// maxPairTallies is of how many pairs of columns a file keeps the counts.
	maxPairTallies = 8
	// maxPairBytes is about what the counts of all files may take, and the groups that are
	// kept of them, before no more are made; see keptroom.go.
	maxPairBytes = 256 << 20
	// pairBytes is what a pair takes: its code, and how many rows have it.
	pairBytes = 4 + 4
	// visibleBytes is what it takes more for each list of rows that are hidden.
	visibleBytes = 4
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

// get is the tally of two columns for a question; it may have to be made.
func (p *pairTallies) get(of [2]*indexfile.Tally, question int64, all *atomic.Int64) *pairTally {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t, ok := p.known[of]; ok {
		t.used = question
		return t
	}
	if len(p.known) >= maxPairTallies {
		p.remove(p.oldest())
	}
	if p.known == nil {
		p.known = map[[2]*indexfile.Tally]*pairTally{}
	}
	t := &pairTally{of: of, used: question}
	p.known[of], p.all = t, all
	return t
}

// made counts so many bytes that a tally takes, if it is still known.
func (p *pairTallies) made(t *pairTally, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[t.of] == t {
		t.bytes += bytes
		p.held += bytes
		p.all.Add(bytes)
	}
}

// oldest is the tally that was asked for least recently. The caller has mu.
func (p *pairTallies) oldest() (oldest *pairTally) {
	for _, t := range p.known {
		if oldest == nil || t.used < oldest.used {
			oldest = t
		}
	}
	return oldest
}

// remove forgets a tally. The caller has mu.
func (p *pairTallies) remove(t *pairTally) {
	p.held -= t.bytes
	p.all.Add(-t.bytes)
	delete(p.known, t.of)
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

// pairs reports whether a file's rows can be answered by the pairs of two columns, and
// which of the two comes first.
func (s *scan) pairs(f *file, a, b int) (first, second int, ok bool, err error) {
	of, err := s.talliesOf(f, a, b)
	if err != nil || of[0] == nil || of[1] == nil {
		return 0, 0, false, err
	}
	if len(of[0].Counts()) > len(of[1].Counts()) {
		of[0], of[1], a, b = of[1], of[0], b, a
	}
	cells := len(of[0].Counts()) * len(of[1].Counts()) // both small enough for a product
	room := f.pairs.has(of) || s.engine.keptRoom()
	return a, b, room && cells <= maxPairCells && s.pays(cells, pairMany, f.rows()), nil
}

// talliesOf are the tallies of two columns, nil of one that has none.
func (s *scan) talliesOf(f *file, a, b int) (of [2]*indexfile.Tally, err error) {
	if of[0], err = tallyOf(f, &s.fragment.Columns[a]); err == nil {
		of[1], err = tallyOf(f, &s.fragment.Columns[b])
	}
	return of, err
}

// pairTally is the tally of a part's two columns.
func (w *worker) pairTally(p *part, f *file) (*pairTally, error) {
	of, err := w.scan.talliesOf(f, p.column, p.second-1)
	if err != nil {
		return nil, err
	}
	t := f.pairs.get(of, w.scan.question, &w.scan.engine.pairBytes)
	t.once.Do(func() {
		t.err = w.countPairs(t, p, f)
		f.pairs.made(t, int64(len(t.counts))*pairBytes+4*int64(len(t.starts)))
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
	t.list(cells, width)
	return nil
}

// list lists the pairs that come.
func (t *pairTally) list(cells []uint32, width int) {
	there := 0
	for _, n := range cells {
		if n > 0 {
			there++
		}
	}
	t.starts = make([]uint32, 0, len(cells)/width+1)
	t.codes, t.counts = make([]int32, 0, there), make([]uint32, 0, there)
	for len(cells) > 0 {
		t.starts = append(t.starts, uint32(len(t.codes)))
		for code, n := range cells[:width] {
			if n > 0 {
				t.codes, t.counts = append(t.codes, int32(code)), append(t.counts, n)
			}
		}
		cells = cells[width:]
	}
	t.starts = append(t.starts, uint32(len(t.codes)))
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

// pairOf is the number of a row's pair.
func (t *pairTally) pairOf(row int) int {
	first, second := t.of[0].Code(row), int32(t.of[1].Code(row))
	lo := int(t.starts[first])
	at, _ := slices.BinarySearch(t.codes[lo:t.starts[first+1]], second)
	return lo + at
}

// weights are how many visible rows have each pair; leave takes the others off.
// They are remembered where plain says that only hidden rows are left out, and then
// grown is told of how many bytes that takes more.
func (t *pairTally) weights(plain bool, hidden []uint32, leave func(off func(row int)), grown func(bytes int64)) []uint32 {
	if plain {
		if len(hidden) == 0 {
			return t.counts
		}
		t.mu.Lock()
		known, ok := t.visible.get(hidden)
		t.mu.Unlock()
		if ok {
			return known
		}
	}
	weights := slices.Clone(t.counts)
	leave(func(row int) { weights[t.pairOf(row)]-- })
	if plain && t.remember(hidden, weights) {
		grown(int64(len(weights)) * visibleBytes)
	}
	return weights
}

// remember remembers counts, and reports whether they take no other's place.
func (t *pairTally) remember(hidden, weights []uint32) (more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.visible.get(hidden); ok {
		return false // another question came first
	}
	_, full := t.visible.put(hidden, weights)
	return !full
}

// columns are the numbers of the two columns of a part that is answered by pairs.
func (p *part) columns() [2]int { return [2]int{p.column, p.second - 1} }

// tallyPairs adds all rows of a file by the pairs of values of two columns, of which
// those are looked at whose first value can pass the filter.
func (w *worker) tallyPairs(p *part, f *file) error {
	t, err := w.pairTally(p, f)
	if err != nil {
		return err
	}
	m := p.marks()
	hidden := w.hiddenOf(m)
	weights := t.weights(m.plain(), hidden, func(off func(row int)) { w.leave(f, m, off) }, func(bytes int64) { f.pairs.made(t, bytes) })
	runs, err := w.pairRuns(p, f, t)
	if err != nil {
		return err
	}
	looked := 0
	for _, run := range runs {
		lo, hi := int(t.starts[run.Lo]), int(t.starts[run.Hi])
		if lo == hi {
			continue
		}
		for _, n := range weights[lo:hi] {
			looked += int(n)
		}
		if err := w.tallyRun(p, f, t, run, weights[lo:hi]); err != nil {
			return err
		}
	}
	total := f.rows() - len(hidden)
	if !m.plain() {
		total = 0
		for _, n := range weights {
			total += int(n)
		}
	}
	w.stats.RowsFiltered += int64(total - looked)
	return nil
}

// pairRuns are the runs of values of a part's first column that can pass the filter.
func (w *worker) pairRuns(p *part, f *file, t *pairTally) ([]exec.Run, error) {
	all := []exec.Run{{Lo: 0, Hi: len(t.starts) - 1}}
	if w.filter == nil {
		return all, nil
	}
	on, known := w.filtersOn[p.column]
	if !known {
		on = w.scan.plan.NewFilterOn(p.column)
		if w.filtersOn == nil {
			w.filtersOn = map[int]*exec.Filter{}
		}
		w.filtersOn[p.column] = on
	}
	if on == nil {
		return all, nil
	}
	v, err := tallyVector(t.of[0], &w.scan.fragment.Columns[p.column])
	if err != nil {
		return nil, err
	}
	values := all[0].Hi
	w.reads.Reset(values)
	w.reads.Set(p.column, v)
	w.selected = w.selected.Reset(values)
	w.selected.Fill(values)
	if err := on.SelectRows(w.reads, w.selected); err != nil {
		return nil, err
	}
	return w.selected.AppendRuns(nil), nil
}

// tallyRun adds the pairs of a run of values of a part's first column.
func (w *worker) tallyRun(p *part, f *file, t *pairTally, run exec.Run, weights []uint32) error {
	r, n := w.reads, len(weights)
	r.Reset(n)
	if cap(w.pairWeights) < n {
		w.pairWeights, w.pairCodes = make([]int64, n), make([]int32, n)
	}
	wide, first := w.pairWeights[:n], w.pairCodes[:n]
	for i, n := range weights {
		wide[i] = int64(n)
	}
	lo := t.starts[run.Lo]
	for code := run.Lo; code < run.Hi; code++ {
		for i := t.starts[code]; i < t.starts[code+1]; i++ {
			first[i-lo] = int32(code)
		}
	}
	picks := [2][]int32{first, t.codes[lo : int(lo)+n]}
	for i, column := range p.columns() {
		v, err := tallyVector(t.of[i], &w.scan.fragment.Columns[column])
		if err != nil {
			return err
		}
		r.Set(column, r.Pick(&v, picks[i]))
	}
	if err := w.setOthers(p, f, n); err != nil {
		return err
	}
	return w.addTally(r, n, wide)
}
