package exec

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"arbor/catalog"
)

// Plan is a fragment made ready: what all workers of a query share.
type Plan struct {
	Fragment  *Fragment
	functions Functions
	// domains number the values of the columns, computed ones included.
	domains []*Domain
	// memos remember the values of computed columns, by the number of their one
	// argument.
	memos []memoTable
	// periods remember those of columns that are the same for periods of a moment.
	periods []sharedPeriods
	uses    []bool
	// said are what leaves over texts say of a domain's values.
	said map[*Expr]*memoTable
	// maxBytes is about what a query's groups and domains may take; 0 is no limit.
	maxBytes int64
	taken    atomic.Int64
	kept     int64 // bytes of domains when the query began
	// until is the query's context; nil is one without an end.
	until context.Context
}

// Options of a plan.
type Options struct {
	// Functions evaluates computed columns; a fragment without any needs none.
	Functions Functions
	// Domains are kept from query to query; nil begins anew.
	Domains *Domains
	// MaxBytes is about what the query may hold in memory, else ErrMemory; 0 is no
	// limit.
	MaxBytes int64
}

// NewPlan prepares a valid fragment.
func NewPlan(f *Fragment, o Options) (*Plan, error) {
	p := &Plan{Fragment: f, functions: o.Functions, maxBytes: o.MaxBytes}
	p.domains = make([]*Domain, f.columnCount())
	for i := range f.Columns {
		c := f.Columns[i]
		c.Hidden = false
		if o.Domains != nil && (c.Source == SourceProperty || c.Source == SourceEvent || c.Source == SourceDistinctID) {
			p.domains[i] = o.Domains.Get(DomainKey{f.Project, c})
		} else {
			p.domains[i] = NewDomain(c.Result())
		}
		p.kept += p.domains[i].Bytes()
	}
	for i := range f.Computed {
		p.domains[len(f.Columns)+i] = NewDomain(f.Computed[i].Type)
	}
	p.memos = make([]memoTable, len(f.Computed))
	p.periods = make([]sharedPeriods, len(f.Computed))
	if len(f.Computed) > 0 && p.functions == nil {
		return nil, fmt.Errorf("%w: no functions are known here", ErrFunction)
	}
	p.uses = Uses(f)
	if f.Filter != nil && o.Domains != nil {
		p.said = map[*Expr]*memoTable{}
		p.shareLeaves(f.Filter)
	}
	return p, nil
}

// shareLeaves makes a table for each comparison of texts of a column.
func (p *Plan) shareLeaves(x *Expr) {
	for _, a := range x.Args {
		p.shareLeaves(a)
	}
	if len(x.Args) == 0 && x.Op != OpIsNull && x.Column < len(p.Fragment.Columns) {
		c := &p.Fragment.Columns[x.Column]
		if c.Source == SourceProperty && compared(c.Result()) {
			p.said[x] = p.domains[x.Column].saidOf(x)
		}
	}
}

// Domain is the domain of a column, by its number.
func (p *Plan) Domain(column int) *Domain { return p.domains[column] }

// take counts memory that the query holds from now on.
func (p *Plan) take(n int64) error {
	if total := p.taken.Add(n); p.maxBytes > 0 && total > p.maxBytes {
		return fmt.Errorf("%w: more than %d bytes", ErrMemory, p.maxBytes)
	}
	return nil
}

// checkDomains fails if the domains have grown by more than the query may hold.
func (p *Plan) checkDomains() error {
	if p.maxBytes == 0 {
		return nil
	}
	total := -p.kept
	for _, d := range p.domains {
		total += d.Bytes()
	}
	if total+p.taken.Load() > p.maxBytes {
		return fmt.Errorf("%w: more than %d bytes", ErrMemory, p.maxBytes)
	}
	return nil
}

// unknownID marks what was not computed yet.
const unknownID = ^uint32(0)

// memoTable remembers, by number, the number of a computed value. It grows; what
// a growing table forgets is computed again.
type memoTable struct {
	mu  sync.Mutex // held to grow
	ids atomic.Pointer[[]uint32]
}

// upTo is the table for n numbers. Its elements are read and written atomically.
func (m *memoTable) upTo(n int) []uint32 {
	if ids := m.ids.Load(); ids != nil && len(*ids) >= n {
		return *ids
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var old []uint32
	if ids := m.ids.Load(); ids != nil {
		if old = *ids; len(old) >= n {
			return old
		}
	}
	ids := make([]uint32, max(n, 2*len(old), 64))
	for i := range ids {
		ids[i] = unknownID
		if i < len(old) {
			ids[i] = atomic.LoadUint32(&old[i])
		}
	}
	m.ids.Store(&ids)
	return ids
}

// SameBetween reports whether nothing that is asked of a column of moments tells
// the moments from least to greatest apart: computed columns have one value for all
// of them, and the filter passes all or none.
func (p *Plan) SameBetween(column int, least, greatest int64) bool {
	f := p.Fragment
	same := func(n int) bool {
		if n < len(f.Columns) {
			return n != column
		}
		c := &f.Computed[n-len(f.Columns)]
		for _, a := range c.Args {
			if a == column && (c.Period == 0 || nearEpoch(least) || floorDiv(least, c.Period) != floorDiv(greatest, c.Period)) {
				return false
			}
		}
		return true
	}
	var passes func(x *Expr) bool
	passes = func(x *Expr) bool {
		for _, a := range x.Args {
			if !passes(a) {
				return false
			}
		}
		if len(x.Args) > 0 || same(x.Column) {
			return true
		}
		l := compileLeaf(x, catalog.TypeDatetime, false)
		return x.Column == column && l.span != nil && !l.nullConstant &&
			(l.span.lo <= least && greatest <= l.span.hi || l.span.lo > greatest || l.span.hi < least)
	}
	if f.Filter != nil && !passes(f.Filter) {
		return false
	}
	if f.Group == nil {
		return false
	}
	for _, k := range f.Group.Keys {
		if !same(k) {
			return false
		}
	}
	for i := range f.Group.Aggregates {
		for _, a := range f.Group.Aggregates[i].Args {
			if !same(a) {
				return false
			}
		}
	}
	return true
}

// Weighs reports whether the aggregate of a row that comes n times follows from
// the row and n.
func (a *Aggregate) Weighs() bool { return a.Op < AggFirst }

// CountsOnce reports whether it makes no difference how often a row comes.
func (g *Group) CountsOnce() bool {
	for i := range g.Aggregates {
		switch g.Aggregates[i].Op {
		case AggCountDistinct, AggMin, AggMax, AggBitAnd, AggBitOr:
		default:
			return false
		}
	}
	return true
}
