package torture

import (
	"fmt"
	"math/rand/v2"

	"arbor/catalog"
	"arbor/engine/exec"
)

// Most questions of a dashboard are the same again, and files keep what answers these. So
// every history has some questions that it asks after a third of its steps, and then once
// more: what is kept was made before events came, went or counted otherwise.

// repeated is how many questions a history asks again and again.
const repeated = 3

// someDashboard draws the questions of a history.
func someDashboard(rng *rand.Rand) []*exec.Fragment {
	out := []*exec.Fragment{someSteps(rng)}
	for len(out) < repeated {
		f := someTallied(rng)
		out = append(out, f)
		if column := rng.IntN(len(f.Columns)); len(out) < repeated && f.Columns[column].Source == exec.SourceProperty && rng.IntN(2) == 0 {
			out = append(out, otherType(rng, f, column))
		}
	}
	return out
}

// someTallied draws a question about a few columns of few values, and others beside.
func someTallied(rng *rand.Rand) *exec.Fragment {
	f := &exec.Fragment{Copies: rng.IntN(4) == 0, Columns: []exec.Column{{Source: exec.SourceEvent}}, Group: &exec.Group{}}
	if rng.IntN(4) == 0 {
		p := somePolicy(rng)
		f.Policy = &p
	}
	for range 1 + rng.IntN(3) {
		f.Columns = append(f.Columns, propertyColumn(rng, propertyNames[rng.IntN(len(propertyNames))]))
	}
	looked := len(f.Columns) // by keys and the filter
	for range 1 + rng.IntN(2) {
		f.Columns = append(f.Columns, propertyColumn(rng, propertyNames[rng.IntN(len(propertyNames))]))
	}
	for column := range looked {
		if rng.IntN(2) == 0 {
			f.Group.Keys = append(f.Group.Keys, column)
		}
	}
	if rng.IntN(2) == 0 {
		f.Filter = oneOf(rng, f, rng.IntN(looked))
	}
	if rng.IntN(4) == 0 { // which all days are in, but for what comes at their ends
		f.Columns = append(f.Columns, exec.Column{Source: exec.SourceTime})
		since := &exec.Expr{Op: exec.OpMoreEq, Column: len(f.Columns) - 1, Values: []catalog.Value{catalog.Int(some(rng, days).Start() + some(rng, moments))}}
		if f.Filter != nil {
			since = &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{f.Filter, since}}
		}
		f.Filter = since
	}
	for range 1 + rng.IntN(3) {
		column := rng.IntN(len(f.Columns))
		if f.Columns[column].Source == exec.SourceTime {
			column = 0
		}
		f.Group.Aggregates = append(f.Group.Aggregates, someKept(rng, column, f.Columns[column].Result()))
	}
	if rng.IntN(3) == 0 {
		f.Group.Keys = append(f.Group.Keys, len(f.Columns))
		f.Computed = append(f.Computed, isNamed(rng, 0))
	}
	return f
}

// someKept draws an aggregate of a column of a type, of which states are kept.
func someKept(rng *rand.Rand, column int, t catalog.Type) exec.Aggregate {
	ops := []exec.AggregateOp{exec.AggCount, exec.AggMin, exec.AggMax}
	switch t {
	case catalog.TypeInt, catalog.TypeBool:
		ops = append(ops, exec.AggBitAnd, exec.AggBitOr, exec.AggBitXor, exec.AggSum, exec.AggVarPop, exec.AggStdSamp)
	case catalog.TypeDouble, catalog.TypeDecimal:
		ops = append(ops, exec.AggSum, exec.AggSum, exec.AggVarSamp, exec.AggStdPop)
	}
	a := exec.Aggregate{Op: ops[rng.IntN(len(ops))], Args: []int{column}}
	if a.Op == exec.AggCount && rng.IntN(2) == 0 {
		a.Args = nil
	}
	return a
}

// oneOf draws a filter that looks at one column.
func oneOf(rng *rand.Rand, f *exec.Fragment, column int) *exec.Expr {
	constants := constantsFor(rng, f.Columns[column])
	if len(constants) == 0 {
		return &exec.Expr{Op: exec.OpIsNull, Column: column}
	}
	x := &exec.Expr{Op: exec.OpIn, Column: column, Values: constants}
	if rng.IntN(3) == 0 {
		x = &exec.Expr{Op: exec.OpNot, Args: []*exec.Expr{x}}
	}
	return x
}

// otherType is the same question of a property that has another type.
func otherType(rng *rand.Rand, f *exec.Fragment, column int) *exec.Fragment {
	other := *f
	other.Columns = append([]exec.Column(nil), f.Columns...)
	other.Columns[column] = propertyColumn(rng, f.Columns[column].Property)
	other.Filter = nil // its constants are of the type
	group := *f.Group
	group.Aggregates = append([]exec.Aggregate(nil), f.Group.Aggregates...)
	for i := range group.Aggregates {
		if a := &group.Aggregates[i]; len(a.Args) > 0 {
			*a = someKept(rng, a.Args[0], other.Columns[a.Args[0]].Result())
		}
	}
	other.Group = &group
	return &other
}

// someSteps draws behavioural functions over conditions on the names of events.
func someSteps(rng *rand.Rand) *exec.Fragment {
	f := &exec.Fragment{Copies: rng.IntN(4) == 0, Columns: []exec.Column{
		{Source: exec.SourceDistinctID}, {Source: exec.SourceTime}, {Source: exec.SourceIngestID}, {Source: exec.SourceEvent}}}
	of := func(function string, params ...catalog.Value) exec.Aggregate {
		a := exec.Aggregate{Op: exec.AggBehaviour, Args: []int{1, 2}, Params: append([]catalog.Value{catalog.String(function)}, params...)}
		for range 2 + rng.IntN(2) {
			a.Args = append(a.Args, len(f.Columns)+len(f.Computed))
			f.Computed = append(f.Computed, isNamed(rng, 3))
		}
		return a
	}
	f.Group = &exec.Group{Keys: []int{0}, Aggregates: []exec.Aggregate{of(exec.BehaviourFunnel, catalog.Int(1+rng.Int64N(90000)))}}
	if rng.IntN(2) == 0 {
		f.Group.Aggregates = append(f.Group.Aggregates, of(exec.BehaviourRetention))
	}
	return f
}

// isNamed is a column that says whether an event, of which a column has the name, has a
// certain one.
func isNamed(rng *rand.Rand, column int) exec.Computed {
	return exec.Computed{Function: some(rng, names), Args: []int{column}, Type: catalog.TypeBool}
}

// nameFunctions are functions that say whether a text is their name.
type nameFunctions struct{}

func (nameFunctions) Function(name string) (exec.Function, error) { return nameFunction(name), nil }

type nameFunction string

func (n nameFunction) Eval(args []catalog.Value) (catalog.Value, error) {
	return catalog.Bool(args[0].Text == string(n)), nil
}

// compareDashboard asks a project the history's questions: twice each, and then by a policy
// that shows as many copies of an event, but others.
func (r *run) compareDashboard(project catalog.ProjectID) error {
	for i, of := range r.dashboard {
		for n, policy := range []*catalog.Policy{of.Policy, of.Policy, {Survivor: catalog.SurvivorLast}} {
			f := *of
			f.Project, f.Policy = project, policy
			if err := r.compareGroups(&f); err != nil {
				return fmt.Errorf("question %d, asked %d times before: %w", i, n, err)
			}
		}
	}
	return nil
}
