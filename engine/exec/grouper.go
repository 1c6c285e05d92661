package exec

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
)

// Grouper makes groups of rows. A worker has one of its own; what several have
// made of parts of the rows is merged. For one goroutine.
//
// A group is a number: of its key's value in the key's domain, or of the pair of
// numbers where there are more keys, and so on; one more than that, since number
// 0 stands for rows that are not meant. So most work is done for all rows of a
// batch, and the few hidden ones are counted where nobody looks.
type Grouper struct {
	plan   *Plan
	group  *Group
	pairs  []pairTable // numbers of the first two keys, of those and the third, …
	dense  denseTuples
	coded  codedKeys
	codes  byCode
	tables []accumulator
	// rows counts the rows of each group, if counted is set; else it says 1 of
	// groups that are there. A group of none is none.
	rows    []int64
	counted bool
	there   int // groups that are known to be there, if few have a number

	groups []uint32   // of the chunk's rows
	ids    [][]uint32 // of the keys' values
	at     []int32    // positions of selected rows
	used   []bool
	values map[int][]uint32 // numbers of the chunk's values, by column
	spare  [][]uint32
	taken  int64
}

// hiddenGroup is the group of rows that are not meant.
const hiddenGroup = 0

// NewGrouper makes a Grouper for a plan whose fragment has a group.
func NewGrouper(p *Plan) (*Grouper, error) {
	g := &Grouper{plan: p, group: p.Fragment.Group, values: map[int][]uint32{}}
	g.pairs = make([]pairTable, max(0, len(g.group.Keys)-1))
	g.groups = make([]uint32, chunkRows)
	for range g.group.Keys {
		g.ids = append(g.ids, make([]uint32, chunkRows))
	}
	g.used = p.Fragment.groupUses()
	for i := range g.group.Aggregates {
		t, err := newAccumulator(p, &g.group.Aggregates[i], g)
		if err != nil {
			return nil, fmt.Errorf("aggregate %d: %w", i, err)
		}
		g.tables = append(g.tables, t)
	}
	g.codes.know(g)
	if len(g.group.Keys) == 0 {
		if err := g.room(2); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// GroupUses reports which columns the fragment's keys and aggregates are made of.
func (f *Fragment) groupUses() []bool {
	used := make([]bool, len(f.Columns))
	if f.Group == nil {
		return used
	}
	for _, k := range f.Group.Keys {
		f.mark(used, k)
	}
	for i := range f.Group.Aggregates {
		for _, a := range f.Group.Aggregates[i].Args {
			f.mark(used, a)
		}
	}
	return used
}

// GroupUses reports which columns, of Fragment.Columns, the keys and aggregates are
// made of.
func GroupUses(f *Fragment) []bool { return f.groupUses() }

// KeyUses reports which columns, of Fragment.Columns, the keys are made of.
func KeyUses(f *Fragment) []bool {
	used := make([]bool, len(f.Columns))
	for _, k := range f.Group.Keys {
		f.mark(used, k)
	}
	return used
}

// sparse is the share of selected rows below which they are gathered first.
const sparse = 2

// Add adds the rows that are selected, of which there are so many; nil is all.
// The rows are changed.
func (g *Grouper) Add(r *Rows, selected Bitmap, count int) error {
	if count == 0 {
		return nil
	}
	if selected != nil && count == r.n {
		selected = nil
	}
	if selected == nil {
		if done, err := g.addWhole(r); err != nil {
			return err
		} else if done {
			return g.check()
		}
	}
	if done, err := g.codes.add(g, r, selected); err != nil {
		return err
	} else if done {
		return g.check()
	}
	if selected != nil && count*sparse < r.n {
		g.at = selected.appendPositions(g.at[:0])
		if err := r.compact(g.at, g.used); err != nil {
			return err
		}
		selected = nil
	}
	return g.addRows(r, selected, nil)
}

// AddWeighted adds the rows that are selected, nil for all, each as many times as
// its weight says, which may be 0; nil weights are once.
func (g *Grouper) AddWeighted(r *Rows, selected Bitmap, weights []int64) error {
	if weights == nil {
		count := r.n
		if selected != nil {
			count = selected.Count()
		}
		return g.Add(r, selected, count)
	}
	if selected == nil {
		selected = NewBitmap(r.n)
		selected.Fill(r.n)
	}
	for i, w := range weights {
		if w == 0 {
			selected.Unset(i)
		}
	}
	return g.addRows(r, selected, weights)
}

func (g *Grouper) addRows(r *Rows, selected Bitmap, weights []int64) error {
	for lo := 0; lo < r.n; lo += chunkRows {
		n := min(chunkRows, r.n-lo)
		if err := g.addChunk(r, selected, weights, lo, n); err != nil {
			return err
		}
	}
	return g.check()
}

// check holds what the groups take against the query's limits.
func (g *Grouper) check() error {
	if err := g.checkGroups(); err != nil {
		return err
	}
	return g.plan.checkDomains()
}

// newChunk forgets the numbers of the chunk before.
func (g *Grouper) newChunk() {
	for column, ids := range g.values {
		g.spare = append(g.spare, ids)
		delete(g.values, column)
	}
}

// addChunk adds rows [lo, lo+n).
func (g *Grouper) addChunk(r *Rows, selected Bitmap, weights []int64, lo, n int) error {
	g.newChunk()
	groups := g.groups[:n]
	if err := g.number(r, lo, groups); err != nil {
		return err
	}
	if selected != nil {
		hide(groups, selected, lo)
	}
	if weights != nil {
		weights = weights[lo : lo+n]
		for i, group := range groups {
			g.rows[group] += weights[i]
		}
	} else if g.counted {
		for _, group := range groups {
			g.rows[group]++
		}
	} else {
		g.mark(groups)
	}
	for _, t := range g.tables {
		if err := t.add(r, lo, groups, weights); err != nil {
			return err
		}
	}
	return nil
}

// fewGroups is of how many groups it pays to know whether all are there.
const fewGroups = 1 << 10

// mark says that groups are there. Where all that have a number are, there is
// nothing to say.
func (g *Grouper) mark(groups []uint32) {
	numbered := g.numbered()
	if g.there == numbered {
		return
	}
	rows := g.rows
	for _, group := range groups {
		rows[group] = 1
	}
	if numbered > fewGroups {
		return
	}
	g.there = 0
	for _, n := range rows[1 : numbered+1] {
		if n > 0 {
			g.there++
		}
	}
}

// room makes room for n groups.
func (g *Grouper) room(n int) error {
	if n <= len(g.rows) {
		return nil
	}
	grown := make([]int64, max(n, 2*len(g.rows)))
	copy(grown, g.rows)
	size := int64(8 * (len(grown) - len(g.rows)))
	g.rows = grown
	for _, t := range g.tables {
		size += t.grow(len(grown))
	}
	g.taken += size
	return g.plan.take(size)
}

func (g *Grouper) checkGroups() error {
	most := g.group.MaxGroups
	if most == 0 {
		most = DefaultMaxGroups
	}
	n := int64(0)
	switch {
	case len(g.group.Keys) > 1:
		n = int64(len(g.pairs[len(g.pairs)-1].pairs))
	case int64(len(g.rows)) > most:
		for _, rows := range g.rows[1:] {
			if rows > 0 {
				n++
			}
		}
	}
	if n > most {
		return fmt.Errorf("%w: more than %d", ErrGroups, most)
	}
	return nil
}

// Merge adds what another Grouper of the same plan has made.
func (g *Grouper) Merge(o *Grouper) error {
	to := make([]uint32, len(o.rows))
	var ids []uint32
	same := len(g.group.Keys) == 1 // then groups are numbers of one domain
	if same {
		if err := g.room(len(o.rows)); err != nil {
			return err
		}
	}
	for group := 1; group < len(o.rows); group++ {
		if err := g.plan.ended(group); err != nil {
			return err
		}
		if o.rows[group] == 0 {
			continue
		}
		mine := uint32(group)
		if !same {
			ids = o.keyIDs(mine, ids)
			var err error
			if mine, err = g.groupOf(ids); err != nil {
				return err
			}
		}
		to[group] = mine
		if g.counted {
			g.rows[mine] += o.rows[group]
		} else {
			g.rows[mine] = 1
		}
	}
	for i, t := range g.tables {
		if err := g.plan.ended(0); err != nil {
			return err
		}
		if err := t.merge(o.tables[i], to); err != nil {
			return err
		}
	}
	return g.checkGroups()
}

// AddBatch adds a batch whose columns are those of Fragment.Columns, after the
// fragment's filter. r and filter are the caller's, for the same plan.
func (g *Grouper) AddBatch(r *Rows, filter *Filter, b *Batch) error {
	r.Reset(b.Rows)
	for i, a := range b.Columns {
		v, err := VectorOf(a, g.plan.Fragment.Columns[i].Result())
		if err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
		r.Set(i, v)
	}
	var selected Bitmap
	if b.Runs != nil || filter != nil {
		selected = NewBitmap(b.Rows)
		if b.Runs == nil {
			selected.Fill(b.Rows)
		}
		for _, run := range b.Runs {
			for i := run.Lo; i < run.Hi; i++ {
				selected.Set(i)
			}
		}
	}
	count := b.Rows
	if filter != nil {
		if err := filter.SelectRows(r, selected); err != nil {
			return err
		}
	}
	if b.Weights != nil {
		return g.AddWeighted(r, selected, b.Weights)
	}
	if selected != nil {
		count = selected.Count()
	}
	return g.Add(r, selected, count)
}

// accumulator computes an aggregate for all groups.
type accumulator interface {
	// add adds the rows from lo on, whose groups are given. Each counts as often as
	// its weight says; nil is once.
	add(r *Rows, lo int, groups []uint32, weights []int64) error
	// grow makes room for n groups and says how many bytes that took.
	grow(n int) int64
	// merge adds what the same accumulator of another Grouper has; its group i
	// is the group to[i] here, or none if that is 0.
	merge(o accumulator, to []uint32) error
	// put writes part of a group's state, and get adds one; see partial_states.go.
	put(w *groupWriter, group uint32, from int) (next int)
	get(r *groupReader, group uint32) error
	// result is the aggregate of the groups.
	result(groups []uint32) (arrow.Array, error)
}
