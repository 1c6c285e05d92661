package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/exec"
)

// someGroups draws a query that groups.
func someGroups(rng *rand.Rand, project catalog.ProjectID, asOf catalog.IngestID) *exec.Fragment {
	f := someFragment(rng, project, asOf)
	// _file differs between the engine and the model.
	keep := f.Columns[:0:0]
	for _, c := range f.Columns {
		if c.Source == exec.SourceFile {
			c.Source = exec.SourceEvent
		}
		keep = append(keep, c)
	}
	time, ingestID := len(keep), len(keep)+1
	f.Columns = append(keep, exec.Column{Source: exec.SourceTime}, exec.Column{Source: exec.SourceIngestID})
	if rng.IntN(2) == 0 {
		f.Columns = append(f.Columns, exec.Column{Source: exec.SourceDistinctID}, exec.Column{Source: exec.SourceEvent})
	}
	g := &exec.Group{}
	for range rng.IntN(3) {
		g.Keys = append(g.Keys, rng.IntN(len(f.Columns)))
	}
	for range 1 + rng.IntN(4) {
		column := rng.IntN(len(f.Columns))
		t, _, _ := f.ColumnType(column)
		a := exec.Aggregate{Args: []int{column}}
		number := t == catalog.TypeInt || t == catalog.TypeBool || t == catalog.TypeDouble || t == catalog.TypeDecimal
		switch n := rng.IntN(8); {
		case n == 0:
			a = exec.Aggregate{Op: exec.AggCount}
		case n == 1:
			a.Op = exec.AggCount
		case n == 2:
			a.Op = exec.AggCountDistinct
		case n == 3:
			a.Op, a.Args = exec.AggCountDistinct, []int{column, rng.IntN(len(f.Columns))}
		case n == 4 && number:
			a.Op = exec.AggSum
		case n == 5 && number:
			a.Op, a.Params = exec.AggPercentile, []catalog.Value{catalog.Double(rng.Float64())}
		case n == 6:
			a.Op, a.Args = []exec.AggregateOp{exec.AggFirst, exec.AggLast}[rng.IntN(2)], []int{column, time, ingestID}
		default:
			a.Op = []exec.AggregateOp{exec.AggMin, exec.AggMax}[rng.IntN(2)]
		}
		g.Aggregates = append(g.Aggregates, a)
	}
	f.Group = g
	hideSome(rng, f)
	return f
}

// hideSome hides columns, which makes no difference to groups.
func hideSome(rng *rand.Rand, f *exec.Fragment) {
	all := rng.IntN(2) == 0
	for i := range f.Columns {
		f.Columns[i].Hidden = all || rng.IntN(2) == 0
	}
}

// someBehaviours draws behavioural functions of users, or of groups of another
// kind, over conditions that are properties.
func someBehaviours(rng *rand.Rand, project catalog.ProjectID, asOf catalog.IngestID) *exec.Fragment {
	f := someGroups(rng, project, asOf)
	f.Group = &exec.Group{HideKeys: rng.IntN(3) == 0}
	user, time, ingestID := len(f.Columns), len(f.Columns)+1, len(f.Columns)+2
	f.Columns = append(f.Columns, exec.Column{Source: exec.SourceDistinctID}, exec.Column{Source: exec.SourceTime}, exec.Column{Source: exec.SourceIngestID})
	var conditions []int
	for range 3 {
		conditions = append(conditions, len(f.Columns))
		f.Columns = append(f.Columns, exec.Column{Source: exec.SourceProperty, Property: propertyNames[rng.IntN(len(propertyNames))],
			Type: []catalog.Type{catalog.TypeBool, catalog.TypeInt}[rng.IntN(2)]})
	}
	f.Group.Keys = []int{user}
	if rng.IntN(4) == 0 {
		f.Group.Keys = []int{0}
	}
	for range 1 + rng.IntN(3) {
		a := exec.Aggregate{Op: exec.AggBehaviour, Args: append([]int{time, ingestID}, conditions[:1+rng.IntN(3)]...)}
		switch rng.IntN(4) {
		case 0:
			a.Params = []catalog.Value{catalog.String(exec.BehaviourFunnel), catalog.Int(rng.Int64N(3) * 86400)}
		case 1:
			a.Params = []catalog.Value{catalog.String(exec.BehaviourRetention)}
		case 2:
			a.Params = []catalog.Value{catalog.String(exec.BehaviourSequenceCount), catalog.String("(?1).*(?1)")}
		default:
			a.Params, a.Args = []catalog.Value{catalog.String(exec.BehaviourSessions), catalog.Int(1 + rng.Int64N(90000))}, a.Args[:2]
		}
		f.Group.Aggregates = append(f.Group.Aggregates, a)
	}
	hideSome(rng, f)
	return f
}

// groups gives a fragment's answer as sorted lines of text.
func groups(ctx context.Context, s scanner, f *exec.Fragment) ([]string, error) {
	var lines []string
	_, err := s.Execute(ctx, f, func(b *exec.Batch) error {
		for i := range b.Rows {
			var cells []string
			for _, a := range b.Columns {
				cell, err := answerCell(a, i)
				if err != nil {
					return err
				}
				cells = append(cells, cell)
			}
			lines = append(lines, strings.Join(cells, " | "))
		}
		return nil
	})
	slices.Sort(lines)
	return lines, err
}

func answerCell(a arrow.Array, i int) (string, error) {
	if a.IsNull(i) {
		return "null", nil
	}
	switch a := a.(type) {
	case *array.Boolean:
		return fmt.Sprint(a.Value(i)), nil
	case *array.Int64:
		return fmt.Sprint(a.Value(i)), nil
	case *array.Float64:
		return fmt.Sprint(a.Value(i)), nil
	case *array.Timestamp:
		return fmt.Sprint(int64(a.Value(i))), nil
	case *array.String:
		return fmt.Sprintf("%q", a.Value(i)), nil
	}
	return "", fmt.Errorf("an answer has an array of %s", a.DataType())
}

// compareGroups asks both sides for groups. A sum that is no number anywhere is
// refused on both.
func (r *run) compareGroups(f *exec.Fragment) error {
	want, wantErr := groups(r.ctx, r.model, f)
	got, err := groups(r.ctx, r.subject, f)
	if errors.Is(wantErr, exec.ErrFragment) && errors.Is(err, exec.ErrFragment) {
		return nil
	}
	if err := errors.Join(err, wantErr); err != nil {
		return fmt.Errorf("groups of %s: %w", show(f), err)
	}
	if d := difference(want, got); d != "" {
		return fmt.Errorf("%w: groups %+v of %s: %d, want %d (-want +got):\n%s", errWrong, *f.Group, show(f), len(got), len(want), d)
	}
	return r.compareParts(f, want, groups)
}
