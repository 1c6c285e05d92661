package engine

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/engine/exec"
)

// A question that groups or filters by a few columns of few values, and asks for sums,
// counts or extremes of others, is answered from groups by all of these columns that
// were made of a file before: there are as many as there are combinations of values,
// and which keys, periods of the day or conditions are asked for makes no difference.
// They are made when a file is asked the second time, since that takes longer than
// answering one question, and are of the visible rows: others hide, others are made.

// Limits of what is kept of groups.
const (
	// maxKeptKeys is by how many columns groups are kept.
	maxKeptKeys = 4
	// maxKeptCells is how many combinations there can be at most, going by the values of
	// each column.
	maxKeptCells = 1 << 16
	// maxKeptGroups is how many kinds of groups a file keeps, or has been asked for,
	// each without the rows of up to maxHiddenLists lists.
	maxKeptGroups = 32
)

// keptGroups are a file's.
type keptGroups struct {
	mu    sync.Mutex // guards what follows
	known map[string]*byHidden[*keptGroup]
	held  int64         // bytes of the known ones
	all   *atomic.Int64 // bytes of all files' together, with those of pairs
}

// keptGroup is groups that are kept, or steps, or has been asked for once.
type keptGroup struct {
	hidden []uint32   // the rows that it is made without
	plan   *exec.Plan // of groups
	bytes  int64      // that were counted once it was made
	used   int64      // by which of the engine's questions it was last asked for
	once   sync.Once  // guards making what follows
	err    error
	groups *exec.Kept
	steps  *exec.Steps
}

// keptPart says how a file is answered by groups that are kept.
type keptPart struct {
	*keptGroup
	name    string
	columns []int // of the fragment: those of the keys, and then other arguments
	keys    int
}

// ask gives the part the groups of its name, if they were asked for before without the
// same rows and by the same numbers of values, and are there or have room.
func (k *keptGroups) ask(p *keptPart, hidden []uint32, plan *exec.Plan, question int64, room func() bool) bool {
	k.mu.Lock()
	g := k.find(p.name, hidden)
	if g == nil || !g.plan.Numbers(plan, p.columns) {
		k.note(p.name, &keptGroup{hidden: hidden, plan: plan.Inner(p.columns, p.keys), used: question})
		k.mu.Unlock()
		return false
	}
	g.used = question
	made := g.bytes > 0
	k.mu.Unlock()
	p.keptGroup = g
	return made || room()
}

// askSteps gives the steps of a name, if they were asked for before without the same
// rows, and are there or have room; else nil.
func (k *keptGroups) askSteps(name string, hidden []uint32, question int64, room func() bool) *keptGroup {
	k.mu.Lock()
	g := k.find(name, hidden)
	if g == nil {
		k.note(name, &keptGroup{hidden: hidden, used: question})
		k.mu.Unlock()
		return nil
	}
	g.used = question
	made := g.bytes > 0
	k.mu.Unlock()
	if !made && !room() {
		return nil
	}
	return g
}

// find finds what is known of a name without some rows, or nil. The caller has mu.
func (k *keptGroups) find(name string, hidden []uint32) *keptGroup {
	if of := k.known[name]; of != nil {
		g, _ := of.get(hidden)
		return g
	}
	return nil
}

// note notes that a name was asked for, in place of what is known of it without the
// same rows. The caller has mu.
func (k *keptGroups) note(name string, g *keptGroup) {
	if old := k.find(name, g.hidden); old != nil {
		k.remove(name, old)
	}
	of := k.known[name]
	if of == nil {
		if len(k.known) >= maxKeptGroups {
			k.removeOldest()
		}
		if k.known == nil {
			k.known = map[string]*byHidden[*keptGroup]{}
		}
		of = &byHidden[*keptGroup]{}
		k.known[name] = of
	}
	if dropped, full := of.put(g.hidden, g); full {
		k.uncount(dropped)
	}
}

// made counts so many bytes that g takes, if it is still known. What failed is
// forgotten.
func (k *keptGroups) made(name string, g *keptGroup, bytes int64, all *atomic.Int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.find(name, g.hidden) != g:
	case g.err != nil:
		k.remove(name, g)
	default:
		g.bytes, k.all = bytes, all
		k.held += bytes
		all.Add(bytes)
	}
}

// remove forgets groups. The caller has mu.
func (k *keptGroups) remove(name string, g *keptGroup) {
	k.uncount(g)
	k.known[name].remove(g.hidden)
}

// removeOldest forgets the name that was asked for least recently. The caller has mu.
func (k *keptGroups) removeOldest() {
	oldest, at := "", int64(math.MaxInt64)
	for name, of := range k.known {
		last := int64(0)
		for _, l := range of.lists {
			last = max(last, l.made.used)
		}
		if last < at {
			oldest, at = name, last
		}
	}
	for _, l := range k.known[oldest].lists {
		k.uncount(l.made)
	}
	delete(k.known, oldest)
}

// uncount takes off what groups take that are kept no longer. The caller has mu.
func (k *keptGroups) uncount(g *keptGroup) {
	if g.bytes > 0 {
		k.held -= g.bytes
		k.all.Add(-g.bytes)
	}
}

// drop forgets all of a file that is closed.
func (k *keptGroups) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget()
}

// forget forgets all. The caller has mu.
func (k *keptGroups) forget() {
	if k.all != nil {
		k.all.Add(-k.held)
	}
	k.known, k.held = nil, 0
}

// kept says how a file is answered by groups that are kept, nil if it is not.
func (s *scan) kept(f *file, m *marks) (*keptPart, error) {
	g := s.fragment.Group
	if g == nil || !m.plain() || slices.ContainsFunc(g.Aggregates, func(a exec.Aggregate) bool { return !a.Keeps() }) {
		return nil, nil
	}
	p := &keptPart{}
	least, greatest := f.reader.TimeBounds()
	keyed, cells := exec.KeyUses(s.fragment), 1
	for i := range s.fragment.Columns {
		c := &s.fragment.Columns[i]
		if !s.uses[i] && !keyed[i] || s.sameEverywhere(f, i, least, greatest) {
			continue
		}
		tally, err := tallyOf(f, c)
		if err != nil || tally == nil {
			return nil, err
		}
		if cells *= len(tally.Counts()); cells > maxKeptCells || len(p.columns) == maxKeptKeys {
			return nil, nil
		}
		p.columns = append(p.columns, i)
	}
	if len(p.columns) == 0 || !s.pays(cells, tallyMany, f.rows()) {
		return nil, nil
	}
	p.keys = len(p.columns)
	for i := range g.Aggregates {
		for _, arg := range g.Aggregates[i].Args {
			if arg >= len(s.fragment.Columns) {
				return nil, nil
			}
			if ok, err := keepsValues(f, &g.Aggregates[i], &s.fragment.Columns[arg]); err != nil || !ok {
				return nil, err
			}
			if !slices.Contains(p.columns, arg) {
				p.columns = append(p.columns, arg)
			}
		}
	}
	p.name = s.keptName(p)
	hidden := m.hidden
	if s.fragment.Copies {
		hidden = nil
	}
	if !f.groups.ask(p, hidden, s.plan, s.question, s.engine.keptRoom) {
		return nil, nil
	}
	return p, nil
}

// keepsValues reports whether groups of all rows take no more of an aggregate's argument
// than those of some rows would: of values that are different in each row, and have to be
// held, a question that filters has as many as rows that it wants.
func keepsValues(f *file, a *exec.Aggregate, c *exec.Column) (bool, error) {
	if c.Source != exec.SourceProperty && c.Source != exec.SourceEvent {
		return false, nil
	}
	if a.KeepsPlain(c.Result()) || c.Source == exec.SourceProperty && !f.reader.HasProperty(c.Property) {
		return true, nil
	}
	tally, err := tallyOf(f, c)
	return tally != nil, err
}

// keptName tells groups apart by their keys and aggregates.
func (s *scan) keptName(p *keptPart) string {
	name := []byte{byte(p.keys)}
	if s.fragment.Copies {
		name[0] |= 0x80
	}
	for _, column := range p.columns {
		c := &s.fragment.Columns[column]
		name = append(name, byte(c.Source), byte(c.Result()), c.Precision, c.Scale)
		name = binary.AppendUvarint(name, uint64(len(c.Property)))
		name = append(name, c.Property...)
	}
	for i := range s.fragment.Group.Aggregates {
		a := &s.fragment.Group.Aggregates[i]
		name = append(name, 0xff, byte(a.Op))
		for _, arg := range a.Args {
			name = binary.AppendUvarint(name, uint64(slices.Index(p.columns, arg)))
		}
	}
	return string(name)
}

// addKept adds the rows of a file as groups that are kept.
func (w *worker) addKept(p *part, f *file) error {
	k := p.kept
	k.once.Do(func() {
		bytes := int64(0)
		if k.groups, k.err = w.makeKept(p, f); k.err == nil {
			bytes = k.groups.Bytes()
		}
		f.groups.made(k.name, k.keptGroup, bytes, &w.scan.engine.pairBytes)
	})
	if k.err != nil {
		return k.err
	}
	w.scan.engine.metrics.KeptGroups.Add(1)
	r, n := w.reads, k.groups.Len()
	r.Reset(n)
	for i, column := range k.columns[:k.keys] {
		v, err := k.groups.Key(i)
		if err != nil {
			return err
		}
		r.Set(column, v)
	}
	if err := w.setOthers(p, f, n); err != nil {
		return err
	}
	if w.filter == nil {
		return w.groups.AddKept(r, nil, k.groups)
	}
	w.selected = w.selected.Reset(n)
	w.selected.Fill(n)
	if err := w.filter.SelectRows(r, w.selected); err != nil {
		return err
	}
	for i := range n {
		if !w.selected.Has(i) {
			w.stats.RowsFiltered += k.groups.Count(i)
		}
	}
	return w.groups.AddKept(r, w.selected, k.groups)
}

// makeKept makes groups of all visible rows of a file.
func (w *worker) makeKept(p *part, f *file) (*exec.Kept, error) {
	plan := p.kept.plan
	groups, err := exec.NewKeeper(plan)
	if err != nil {
		return nil, err
	}
	columns := len(plan.Fragment.Columns)
	s := &scan{
		engine: w.scan.engine, question: w.scan.question, fragment: plan.Fragment, plan: plan, bounds: exec.BoundsOf(plan.Fragment), catalog: w.scan.catalog,
		uses: make([]bool, columns), grouped: slices.Repeat([]bool{true}, columns),
	}
	inner := &worker{scan: s, reads: exec.NewRows(plan), groups: groups, columns: make([]arrow.Array, columns)}
	m := p.marks()
	for lo := 0; lo < f.rows(); lo += pieceRows {
		hi := min(lo+pieceRows, f.rows())
		visible := inner.selectVisible(m, lo, hi)
		if err := inner.groupRows(p, f, m, lo, hi, visible); err != nil {
			return nil, err
		}
	}
	return groups.Keep()
}
