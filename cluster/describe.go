package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/cluster/replication"
	"arbor/engine/exec"
)

// ofAll are the tables about what all members hold together: each shard's row comes
// from one replica that has all of it. The other tables are about members themselves,
// and have every member's rows.
var ofAll = []string{"shards", "sizes", "balance", "duplicates", "deletes"}

// askWithin is how long another member may take to describe itself.
const askWithin = 5 * time.Second

// describe gives the rows of a table, each with the member that it comes from.
func (m *Members) describe(ctx context.Context, c *catalog.Catalog, table string) (*exec.Table, error) {
	if !slices.Contains(ofAll, table) {
		return m.describeEach(ctx, table)
	}
	var buckets []protocol.Bucket
	var seen [protocol.Buckets]bool
	for _, p := range c.Projects {
		for _, b := range bucketsOf(p, any16) {
			if !seen[b] {
				seen[b] = true
				buckets = append(buckets, b)
			}
		}
	}
	if m.driver.Alone(buckets) {
		t, err := m.o.Engine.Describe(ctx, table)
		if err != nil {
			return nil, err
		}
		return withMember(t, m.o.Member.String()), nil
	}
	parts, err := m.driver.Query(ctx, append(newPlan(planDescribe, c), table...), buckets, func() (replication.Part, error) { return &tablePart{}, nil })
	if err != nil {
		return nil, m.askError("arbor."+table, err)
	}
	whole := &exec.Table{}
	for _, p := range parts {
		t := p.(*tablePart).table
		whole.Columns, whole.Rows = t.Columns, append(whole.Rows, t.Rows...)
	}
	return whole, nil
}

// tablePart is a part that is a table.
type tablePart struct{ table exec.Table }

// Add takes the table, or more of its rows.
func (p *tablePart) Add(piece []byte) error {
	t, err := decodeTable(piece)
	if err != nil {
		return fmt.Errorf("%w: %w", replication.ErrElsewhere, err)
	}
	p.table.Columns, p.table.Rows = t.Columns, append(p.table.Rows, t.Rows...)
	return nil
}

// Drop forgets the rows.
func (p *tablePart) Drop() { p.table = exec.Table{} }

// tableRows is how many rows go into one piece.
const tableRows = 4096

// describeBuckets gives the rows about some buckets' shards.
func (m *Members) describeBuckets(ctx context.Context, mine map[protocol.Bucket]bool, table string, send func([]byte) error) error {
	if !slices.Contains(ofAll, table) {
		return fmt.Errorf("%w: there is no table %q", errPlan, table)
	}
	t, err := m.o.Engine.Describe(ctx, table)
	if err != nil {
		return err
	}
	project := slices.IndexFunc(t.Columns, func(c exec.TableColumn) bool { return c.Name == "project" })
	slot := slices.IndexFunc(t.Columns, func(c exec.TableColumn) bool { return c.Name == "bucket" })
	if project < 0 || slot < 0 {
		return fmt.Errorf("%w: table %s is not about shards", errPlan, table)
	}
	rows := slices.DeleteFunc(t.Rows, func(row []catalog.Value) bool {
		shard := catalog.ShardKey{Project: catalog.ProjectID(row[project].Int()), Bucket: uint16(row[slot].Int())}
		return !mine[protocol.BucketOf(shard)]
	})
	for first := true; first || len(rows) > 0; first = false {
		n := min(tableRows, len(rows))
		piece := withMember(&exec.Table{Columns: t.Columns, Rows: rows[:n]}, m.o.Member.String())
		if err := send(appendTable(nil, piece)); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// errNotStarted: nobody can be asked before Start.
var errNotStarted = errors.New("the member has not started")

// answered is what a member answered, or why not.
type answered struct {
	member protocol.MemberID
	bytes  []byte
	err    error
}

// askEach asks all members but this one, at once.
func (m *Members) askEach(ctx context.Context, within time.Duration, call string, request []byte) []answered {
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, within)
		defer cancel()
	}
	var others []answered
	for _, id := range m.o.Present() {
		if id != m.o.Member {
			others = append(others, answered{member: id})
		}
	}
	peers := m.peers.Load()
	var wg sync.WaitGroup
	for i := range others {
		a := &others[i]
		if peers == nil {
			a.err = errNotStarted
			continue
		}
		wg.Go(func() { a.bytes, a.err = (*peers).Call(ctx, a.member, call, request) })
	}
	wg.Wait()
	return others
}

// describeEach gives every member's rows. A member that does not answer has a row
// that says so.
func (m *Members) describeEach(ctx context.Context, table string) (*exec.Table, error) {
	own, err := m.o.Engine.Describe(ctx, table)
	if err != nil {
		return nil, err
	}
	whole := withMember(own, m.o.Member.String())
	return m.gather(ctx, whole, m.askEach(ctx, askWithin, callDescribe, []byte(table)), func(a answered) []catalog.Value {
		return silent(whole.Columns, a)
	})
}

// gather adds what others answered to a table, and a row for whom did not.
func (m *Members) gather(ctx context.Context, whole *exec.Table, others []answered, missing func(answered) []catalog.Value) (*exec.Table, error) {
	for _, a := range others {
		var t *exec.Table
		if a.err == nil {
			t, a.err = decodeTable(a.bytes)
		}
		if a.err == nil && len(t.Columns) != len(whole.Columns)-1 {
			a.err = fmt.Errorf("%w: %d columns, want %d", errTable, len(t.Columns), len(whole.Columns)-1)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if a.err != nil {
			whole.Rows = append(whole.Rows, missing(a))
			continue
		}
		whole.Rows = append(whole.Rows, withMember(t, a.member.String()).Rows...)
	}
	return whole, nil
}

// silent is a row of a table that says that a member did not answer.
func silent(columns []exec.TableColumn, a answered) []catalog.Value {
	row := make([]catalog.Value, len(columns))
	for i, c := range columns {
		switch c.Name {
		case "at", "started_at", "finished_at":
			row[i] = catalog.Int(time.Now().UnixMicro())
		case "kind":
			row[i] = catalog.String("member")
		case "state":
			row[i] = catalog.String("unreachable")
		case "digest":
			row[i] = catalog.String("unreachable")
		case "message", "missing":
			row[i] = catalog.String("what member " + a.member.String() + " has is missing here: " + a.err.Error())
		case "member":
			row[i] = catalog.String(a.member.String())
		}
	}
	return row
}

func (m *Members) answerDescribe(ctx context.Context, _ protocol.MemberID, table []byte) ([]byte, error) {
	t, err := m.o.Engine.Describe(ctx, string(table))
	if err != nil {
		return nil, err
	}
	return appendTable(nil, t), nil
}

// index has every member index. Who is away does so by itself when it is back.
func (m *Members) index(ctx context.Context, project catalog.ProjectID, closeDays bool) error {
	request := binary.AppendUvarint(nil, uint64(project))
	if closeDays {
		request = append(request, 1)
	}
	done := make(chan error, 1)
	go func() { done <- m.o.Engine.Index(ctx, project, closeDays) }()
	others := m.askEach(ctx, 0, callIndex, request)
	errs := []error{<-done}
	for _, a := range others {
		if a.err != nil {
			errs = append(errs, fmt.Errorf("index on member %s: %w", a.member, a.err))
		}
	}
	return errors.Join(errs...)
}

func (m *Members) answerIndex(ctx context.Context, _ protocol.MemberID, request []byte) ([]byte, error) {
	project, n := binary.Uvarint(request)
	if n <= 0 || project > 1<<32-1 {
		return nil, errPlan
	}
	return nil, m.o.Engine.Index(ctx, catalog.ProjectID(project), len(request) > n)
}

// check has every member check what it has. A member that does not answer is a row
// that is not well.
func (m *Members) check(ctx context.Context, of checked) (*exec.Table, error) {
	type answer struct {
		table *exec.Table
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		t, err := m.checkHere(ctx, of)
		done <- answer{t, err}
	}()
	request := binary.AppendUvarint(nil, uint64(of.project))
	if of.day != nil {
		request = binary.AppendVarint(request, int64(*of.day))
	}
	others := m.askEach(ctx, 0, callCheck, request)
	own := <-done
	if own.err != nil {
		return nil, own.err
	}
	whole := withMember(own.table, m.o.Member.String())
	return m.gather(ctx, whole, others, func(a answered) []catalog.Value {
		row := make([]catalog.Value, len(whole.Columns))
		for i, c := range whole.Columns {
			switch c.Name {
			case "name":
				row[i] = catalog.String("member " + a.member.String())
			case "ok":
				row[i] = catalog.Bool(false)
			case "problem":
				row[i] = catalog.String("it was not checked: " + a.err.Error())
			case "member":
				row[i] = catalog.String(a.member.String())
			}
		}
		return row
	})
}

func (m *Members) answerCheck(ctx context.Context, _ protocol.MemberID, request []byte) ([]byte, error) {
	project, n := binary.Uvarint(request)
	if n <= 0 || project > 1<<32-1 {
		return nil, errPlan
	}
	of := checked{project: catalog.ProjectID(project)}
	if rest := request[n:]; len(rest) > 0 {
		at, w := binary.Varint(rest)
		day := catalog.Day(at)
		if w != len(rest) || int64(day) != at {
			return nil, errPlan
		}
		of.day = &day
	}
	t, err := m.checkHere(ctx, of)
	if err != nil {
		return nil, err
	}
	return appendTable(nil, t), nil
}
