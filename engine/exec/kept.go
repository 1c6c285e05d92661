package exec

import (
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// Kept are groups that were made of rows which do not change, to be put into the groups
// of questions about the same rows: by fewer keys, by what is computed of the keys, and
// of those groups alone that pass a filter on the keys. It is not changed once it is
// made, and may be used from many goroutines.
type Kept struct {
	g      *Grouper
	groups []uint32
	keys   []arrow.Array // of each group
}

// Keeps reports whether the states of an aggregate take little and can be kept.
func (a *Aggregate) Keeps() bool {
	return a.Op != AggCountDistinct && a.Op < AggPercentile
}

// KeepsPlain reports whether an aggregate of a column of a type keeps nothing of values
// that no dictionary has: whether it takes each as the number that it is.
func (a *Aggregate) KeepsPlain(t catalog.Type) bool {
	return a.Keeps() && (t == catalog.TypeInt || t == catalog.TypeDatetime || t == catalog.TypeDouble)
}

// Inner is the plan of groups by some of the plan's columns, which are to be Kept: by
// the first of them, as many as there are keys, and with the plan's aggregates, whose
// arguments are among them. It has no filter.
func (p *Plan) Inner(columns []int, keys int) *Plan {
	group := &Group{}
	f := &Fragment{Project: p.Fragment.Project, Copies: p.Fragment.Copies, Group: group}
	inner := &Plan{Fragment: f}
	for i, column := range columns {
		f.Columns = append(f.Columns, p.Fragment.Columns[column])
		inner.domains = append(inner.domains, p.domains[column])
		if i < keys {
			group.Keys = append(group.Keys, i)
		}
	}
	for _, a := range p.Fragment.Group.Aggregates {
		a.Args = slices.Clone(a.Args)
		for i, column := range a.Args {
			a.Args[i] = slices.Index(columns, column)
		}
		group.Aggregates = append(group.Aggregates, a)
	}
	inner.uses = make([]bool, len(f.Columns))
	return inner
}

// Keep makes what is kept of groups, to which nothing is added any more: g counted rows.
func (g *Grouper) Keep() (*Kept, error) {
	k := &Kept{g: g, groups: g.existing()}
	for i := range g.group.Keys {
		a, err := g.keyColumn(i, k.groups)
		if err != nil {
			return nil, err
		}
		a.NullN() // counts them for all who share the array
		k.keys = append(k.keys, a)
	}
	g.coded, g.dense, g.codes = codedKeys{}, denseTuples{}, byCode{}
	g.groups, g.ids, g.at, g.values, g.spare = nil, nil, nil, nil, nil
	return k, nil
}

// NewKeeper is a Grouper whose groups are to be kept.
func NewKeeper(p *Plan) (*Grouper, error) {
	g, err := NewGrouper(p)
	if err == nil {
		g.counted = true
	}
	return g, err
}

// Bytes is about what it takes.
func (k *Kept) Bytes() int64 {
	size := k.g.taken + 4*int64(len(k.groups))
	for _, a := range k.keys {
		size += arrayBytes(a)
	}
	return size
}

// Len is the number of groups.
func (k *Kept) Len() int { return len(k.groups) }

// Count is how many rows a group is made of.
func (k *Kept) Count(i int) int64 { return k.g.rows[k.groups[i]] }

// Key is the values of a key, one for each group.
func (k *Kept) Key(i int) (Vector, error) {
	t, _, _ := k.g.plan.Fragment.ColumnType(k.g.group.Keys[i])
	return VectorOf(k.keys[i], t)
}

// Numbers reports whether the values of a plan's columns have the same numbers in the
// groups that p, its Inner plan or that of another one like it, makes of them.
func (p *Plan) Numbers(o *Plan, columns []int) bool {
	for i, column := range columns {
		if p.domains[i] != o.domains[column] {
			return false
		}
	}
	return true
}

// AddKept adds the rows of kept groups, of those that are selected, nil for all. r has
// the keys of each of them.
func (g *Grouper) AddKept(r *Rows, selected Bitmap, k *Kept) error {
	to := make([]uint32, len(k.g.rows))
	for lo := 0; lo < r.n; lo += chunkRows {
		groups := g.groups[:min(chunkRows, r.n-lo)]
		g.newChunk()
		if err := g.number(r, lo, groups); err != nil {
			return err
		}
		if selected != nil {
			hide(groups, selected, lo)
		}
		from := k.groups[lo:]
		for i, group := range groups {
			to[from[i]] = group
		}
		if !g.counted {
			g.mark(groups)
			continue
		}
		for i, group := range groups {
			g.rows[group] += k.g.rows[from[i]]
		}
	}
	for i, t := range g.tables {
		if err := t.merge(k.g.tables[i], to); err != nil {
			return err
		}
	}
	return g.check()
}
