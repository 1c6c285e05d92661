package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"arbor/catalog"
	"arbor/engine/exec"
)

// compare holds the subject against the list: every copy and every column of
// every project, what queries see, a few queries as somebody might ask them,
// and what the system says about itself.
func (r *run) compare(rng *rand.Rand) error {
	for _, p := range r.catalog.Projects {
		for _, copies := range []bool{true, false} {
			if err := r.compareScan(everything(rng, p.ID, copies)); err != nil {
				return err
			}
		}
		if err := r.compareScan(allStored(p.ID)); err != nil {
			return err
		}
		for range 2 {
			if err := r.compareScan(someFragment(rng, p.ID, r.someMoment(rng))); err != nil {
				return err
			}
		}
		if err := r.compareGroups(someBehaviours(rng, p.ID, r.someMoment(rng))); err != nil {
			return err
		}
		for range 2 {
			if err := r.compareGroups(someGroups(rng, p.ID, r.someMoment(rng))); err != nil {
				return err
			}
		}
		for range 3 {
			if err := r.compareOrder(someOrder(rng, p.ID, r.someMoment(rng))); err != nil {
				return err
			}
		}
		if err := r.compareLimit(rng, p.ID); err != nil {
			return err
		}
		if rng.IntN(3) == 0 {
			if err := r.compareDashboard(p.ID); err != nil {
				return err
			}
		}
	}
	if m, ok := r.subject.(*member); ok {
		if err := m.compareNames(r.ctx, r.model); err != nil {
			return err
		}
	}
	for table, key := range map[string]string{"balance": balanceColumns, "digests": digestColumns} {
		if err := r.compareTable(table, key); err != nil {
			return err
		}
	}
	if rng.IntN(4) == 0 {
		err := errors.Join(r.compareTable("duplicates", duplicateColumns), r.compareTable("deletes", deleteColumns), r.check())
		if err != nil {
			return err
		}
	}
	return nil
}

// The columns that are compared; both sides may have more.
const (
	balanceColumns   = "project day bucket accepted visible retry conflict deleted quarantined"
	digestColumns    = "project day bucket records digest"
	duplicateColumns = "project day bucket event distinct_id insert_id ingest_id dup_of dup_kind"
	deleteColumns    = "project day bucket id targets undone"
)

// errWrong is what every difference wraps: an answer that is wrong, rather than
// none.
var errWrong = errors.New("wrong answer")

// someMoment is an as-of bound beside, or at, something that happened.
func (r *run) someMoment(rng *rand.Rand) catalog.IngestID {
	if len(r.events) == 0 {
		return someID(rng)
	}
	id := r.events[rng.IntN(len(r.events))].ID
	if n := len(r.deletes); n > 0 && rng.IntN(3) == 0 {
		id = r.deletes[rng.IntN(n)].id
	}
	switch rng.IntN(4) {
	case 0:
		id.Time--
	case 1:
		id.Index++
	}
	return id
}

func (r *run) compareScan(f *exec.Fragment) error {
	got, err := scan(r.ctx, r.subject, f)
	if err != nil {
		return fmt.Errorf("scan %s: %w", show(f), err)
	}
	want, err := scan(r.ctx, r.model, f)
	if err != nil {
		return fmt.Errorf("scan of the model: %w", err)
	}
	if d := difference(want, got); d != "" {
		return fmt.Errorf("%w: scan %s: %d rows, want %d (-want +got):\n%s", errWrong, show(f), len(got), len(want), d)
	}
	return r.compareParts(f, want, scan)
}

// compareLimit asks for some of the rows, which may be any.
func (r *run) compareLimit(rng *rand.Rand, project catalog.ProjectID) error {
	f := someFragment(rng, project, r.someMoment(rng))
	want, err := scan(r.ctx, r.model, f)
	if err != nil {
		return err
	}
	f.Limit = 1 + rng.Int64N(5)
	got, err := scan(r.ctx, r.subject, f)
	if err != nil {
		return fmt.Errorf("scan %s: %w", show(f), err)
	}
	if len(got) != min(len(want), int(f.Limit)) {
		return fmt.Errorf("%w: scan %s: %d rows, want %d", errWrong, show(f), len(got), min(len(want), int(f.Limit)))
	}
	left := map[string]int{}
	for _, line := range want {
		left[line]++
	}
	for _, line := range got {
		if left[line]--; left[line] < 0 {
			return fmt.Errorf("%w: scan %s: a row that is not there: %s", errWrong, show(f), line)
		}
	}
	return nil
}

// describer is what both the engine and the model can do.
type describer interface {
	Describe(ctx context.Context, table string) (*exec.Table, error)
}

func (r *run) compareTable(table, columns string) error {
	got, err := tableLines(r.ctx, r.subject, table, columns)
	if err != nil {
		return err
	}
	want, err := tableLines(r.ctx, r.model, table, columns)
	if err != nil {
		return err
	}
	want, got = r.live(want), r.live(got)
	if d := difference(want, got); d != "" {
		return fmt.Errorf("%w: table %s (-want +got):\n%s", errWrong, table, d)
	}
	return nil
}

// live keeps the lines of projects that are not purged: of a purged one there
// may be something until the next tick.
func (r *run) live(lines []string) []string {
	return slices.DeleteFunc(lines, func(line string) bool {
		var id catalog.ProjectID
		fmt.Sscanf(line, "project=%d", &id)
		_, ok := r.catalog.ProjectByID(id)
		return !ok
	})
}

// digests are the digests of all shards, as text.
func digests(ctx context.Context, d describer) (map[catalog.ShardKey]string, error) {
	rows, err := tableRows(ctx, d, "digests", "project day bucket digest")
	if err != nil {
		return nil, err
	}
	out := map[catalog.ShardKey]string{}
	for _, row := range rows {
		day, err := parseDay(row[1].Text)
		if err != nil {
			return nil, err
		}
		out[catalog.ShardKey{Project: catalog.ProjectID(row[0].Int()), Day: day, Bucket: uint16(row[2].Int())}] = row[3].Text
	}
	return out, nil
}

// check has the subject verify itself, and looks for alarms that should or
// should not be there.
func (r *run) check() error {
	t, err := r.subject.Check(r.ctx, 0)
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	rows, err := pick(t, "name ok problem")
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	for _, row := range rows {
		if !row[1].Bool() {
			return fmt.Errorf("check: %s: %s", row[0].Text, row[2].Text)
		}
	}
	return r.checkAlarms()
}

// checkAlarms wants an alarm where two events have come to share an id since the
// engine was opened, and none where nothing is wrong.
func (r *run) checkAlarms() error {
	m, ok := r.subject.(*member)
	if !ok {
		return nil
	}
	alarms, err := tableLines(r.ctx, r.subject, "alarms", "kind message")
	if err != nil {
		return err
	}
	quarantined := 0
	for _, p := range r.catalog.Projects {
		quarantined += len(r.model.Answer(p.ID, catalog.IngestID{}, nil).Quarantined)
	}
	switch {
	case len(alarms) == 0 && quarantined > r.knownQuarantined:
		return fmt.Errorf("%d events are quarantined, %d of them since the engine was opened, and there is no alarm", quarantined, quarantined-r.knownQuarantined)
	case len(alarms) > 0 && quarantined == 0 && !m.fired.Load():
		return fmt.Errorf("nothing is wrong, and there is an alarm: %s", alarms[0])
	}
	return nil
}

// compareFiles holds a store whose days were all closed to one file a shard.
func (r *run) compareFiles() error {
	if _, ok := r.subject.(*modelSubject); ok {
		return nil
	}
	rows, err := tableRows(r.ctx, r.subject, "shards", "project day bucket files logged_events")
	if err != nil {
		return err
	}
	for _, row := range rows {
		if _, ok := r.catalog.ProjectByID(catalog.ProjectID(row[0].Int())); !ok {
			return fmt.Errorf("project %d was purged, and there is something of it", row[0].Int())
		}
		if row[3].Int() > 1 || row[4].Int() != 0 {
			return fmt.Errorf("shard %d/%s/%d has %d files and %d events in logs after its day was closed", row[0].Int(), row[1].Text, row[2].Int(), row[3].Int(), row[4].Int())
		}
	}
	return nil
}

// difference is empty if both hold the same lines; both are sorted.
func difference(want, got []string) string {
	if len(want) == 0 && len(got) == 0 || cmp.Equal(want, got) {
		return ""
	}
	count := map[string]int{}
	for _, l := range want {
		count[l]++
	}
	for _, l := range got {
		count[l]--
	}
	var out []string
	for _, l := range want {
		if count[l] > 0 {
			count[l]--
			out = append(out, "- "+l)
		}
	}
	for _, l := range got {
		if count[l] < 0 {
			count[l]++
			out = append(out, "+ "+l)
		}
	}
	const most = 8
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("… and %d more", len(out)-most))
	}
	return strings.Join(out, "\n")
}

// show is a fragment for a person.
func show(f *exec.Fragment) string {
	s := fmt.Sprintf("project %d copies=%v asOf=%s limit=%d", f.Project, f.Copies, f.AsOf, f.Limit)
	if f.Policy != nil {
		s += fmt.Sprintf(" policy=%+v", *f.Policy)
	}
	var columns []string
	for _, c := range f.Columns {
		columns = append(columns, columnName(c))
	}
	s += " columns " + strings.Join(columns, ",")
	if f.Filter != nil {
		s += " where " + showExpr(f.Filter, f.Columns)
	}
	return s
}

func showExpr(x *exec.Expr, columns []exec.Column) string {
	op := map[exec.Op]string{exec.OpAnd: "AND", exec.OpOr: "OR", exec.OpNot: "NOT", exec.OpEqual: "=", exec.OpLess: "<", exec.OpLessEq: "<=",
		exec.OpMore: ">", exec.OpMoreEq: ">=", exec.OpIn: "IN", exec.OpIsNull: "IS NULL", exec.OpPrefix: "LIKE PREFIX", exec.OpLike: "LIKE"}[x.Op]
	var parts []string
	for _, a := range x.Args {
		parts = append(parts, showExpr(a, columns))
	}
	for _, v := range x.Values {
		parts = append(parts, string(v.AppendJSON(nil)))
	}
	if len(x.Args) == 0 {
		op = columnName(columns[x.Column]) + " " + op
	}
	return op + "(" + strings.Join(parts, ", ") + ")"
}

// verify is check as an act.
func (r *run) verify(*rand.Rand) error { return r.check() }
