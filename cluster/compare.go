package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// alarmDivergence is the kind of alarms about replicas that have the same batches of a
// shard and other content.
const alarmDivergence = "divergence"

// Every DefaultCompareEvery a member compares what it holds of comparedAtOnce buckets with
// their other replicas: all 1024 of them in about eleven minutes.
const (
	DefaultCompareEvery = 10 * time.Second
	comparedAtOnce      = 16
)

// Divergence says that two replicas have the same batches of a shard and other content.
type Divergence struct {
	Shard   catalog.ShardKey
	Members [2]protocol.MemberID
	Content [2]event.Content
	// Why it stays, though each of the two would have taken in what it lacks.
	Why error
}

// String names the shard, the members, and what each of them has.
func (d Divergence) String() string {
	what := func(c *event.Content) string {
		return fmt.Sprintf("%s, of which it hides %d, shows %d as deleted and keeps %d aside", c.Records, c.Hidden.Count, c.Deleted, c.Quarantined)
	}
	text := fmt.Sprintf("shard %s: members %s and %s have the same batches and other content: the first has %s; the second has %s",
		d.Shard, d.Members[0], d.Members[1], what(&d.Content[0]), what(&d.Content[1]))
	if d.Why != nil {
		text += "; it stays so: " + d.Why.Error()
	}
	return text
}

// Comparison is what came of comparing replicas.
type Comparison struct {
	// Compared counts shards, for each other replica, that had the same batches there
	// and here. Apart counts those that had not, at that moment: one of the two has yet
	// to get some, and they are compared another time.
	Compared, Apart int
	// Silent are members that did not answer.
	Silent []protocol.MemberID
	// Divergences are in order of buckets; each is an alarm, too. United are those that
	// are none any more, since each of the two took in what it lacked.
	Divergences, United []Divergence
}

// Compare compares what this member holds of some buckets with their other replicas,
// but for replicas whose id is less than its own: those ask this one. So each two
// replicas of a bucket are compared by one of them, whoever else is away.
func (m *Members) Compare(ctx context.Context, which func(protocol.Bucket) bool) (Comparison, error) {
	return m.compare(ctx, which, m.repairDivergence)
}

// compare is Compare, with what is done about a divergence.
func (m *Members) compare(ctx context.Context, which func(protocol.Bucket) bool, unite func(context.Context, *Divergence) error) (Comparison, error) {
	var whole Comparison
	for _, b := range m.compared() {
		if !which(b.bucket) {
			continue
		}
		if err := m.compareBucket(ctx, b, &whole); err != nil {
			return whole, fmt.Errorf("compare the replicas of bucket %d: %w", b.bucket, err)
		}
	}
	found := whole.Divergences
	whole.Divergences = nil
	for _, d := range found {
		if d.Why = unite(ctx, &d); ctx.Err() != nil {
			return whole, ctx.Err()
		}
		if d.Why == nil {
			whole.United = append(whole.United, d)
			continue
		}
		whole.Divergences = append(whole.Divergences, d)
	}
	for _, d := range whole.Divergences {
		m.o.Engine.RaiseShardAlarm(alarmDivergence, d.Shard, fmt.Sprint(d.Members), d.String())
	}
	return whole, nil
}

// replicated is a bucket that this member holds, and the others with whom it compares.
type replicated struct {
	bucket protocol.Bucket
	others []protocol.MemberID
}

// compared are the buckets that this member compares, in order.
func (m *Members) compared() (all []replicated) {
	for _, s := range m.driver.Status().Replicas {
		if !s.Member {
			continue
		}
		r := replicated{bucket: s.Bucket}
		for _, x := range s.Config.Members() {
			if slices.Compare(x.Member[:], m.o.Member[:]) > 0 {
				r.others = append(r.others, x.Member)
			}
		}
		if len(r.others) > 0 {
			all = append(all, r)
		}
	}
	return all
}

// compareBucket adds what comes of one bucket.
func (m *Members) compareBucket(ctx context.Context, b replicated, whole *Comparison) error {
	// First the names alone: only what has the same ones in two places is reckoned.
	names := map[catalog.ShardKey]uint64{}
	if _, err := m.o.Engine.Holdings(ctx, func(k catalog.ShardKey, batches uint64) bool {
		if protocol.BucketOf(k) == b.bucket {
			names[k] = batches
		}
		return false
	}); err != nil || len(names) == 0 {
		return err
	}
	request := appendNames(nil, names)
	theirs, wanted := map[protocol.MemberID][]event.Holding{}, map[catalog.ShardKey]uint64{}
	for _, other := range b.others {
		if slices.Contains(whole.Silent, other) {
			continue
		}
		held, err := m.askCompare(ctx, other, request)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			whole.Silent = append(whole.Silent, other)
			m.o.Logger.Debug("a member does not say what it holds", "member", other, "bucket", b.bucket, "error", err)
			continue
		}
		theirs[other] = held
		whole.Apart += len(names) - len(held)
		for i := range held {
			wanted[held[i].Shard] = held[i].Batches
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	own, err := m.o.Engine.Holdings(ctx, func(k catalog.ShardKey, batches uint64) bool {
		was, ok := wanted[k]
		return ok && was == batches
	})
	if err != nil {
		return err
	}
	for _, other := range b.others {
		m.hold(own, theirs[other], other, whole)
	}
	return nil
}

// hold holds what another member has against what this one has.
func (m *Members) hold(own, theirs []event.Holding, other protocol.MemberID, whole *Comparison) {
	mine := map[catalog.ShardKey]*event.Holding{}
	for i := range own {
		mine[own[i].Shard] = &own[i]
	}
	for i := range theirs {
		their := &theirs[i]
		h := mine[their.Shard]
		if h == nil || h.Batches != their.Batches {
			whole.Apart++ // it has changed here meanwhile
			continue
		}
		whole.Compared++
		if !h.Agrees(their) {
			whole.Divergences = append(whole.Divergences, Divergence{Shard: h.Shard, Members: [2]protocol.MemberID{m.o.Member, other}, Content: [2]event.Content{h.Content, their.Content}})
		}
	}
}

// askCompare asks another member what it has of shards that have these names there.
func (m *Members) askCompare(ctx context.Context, other protocol.MemberID, request []byte) ([]event.Holding, error) {
	peers := m.peers.Load()
	if peers == nil {
		return nil, errNotStarted
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	answer, err := (*peers).Call(ctx, other, callCompare, request)
	if err != nil {
		return nil, err
	}
	return decodeHoldings(answer)
}

// answerCompare says what this member has of the shards that it has under the same
// names as who asks.
func (m *Members) answerCompare(ctx context.Context, _ protocol.MemberID, request []byte) ([]byte, error) {
	names, err := decodeNames(request)
	if err != nil {
		return nil, err
	}
	held, err := m.o.Engine.Holdings(ctx, func(k catalog.ShardKey, batches uint64) bool {
		there, ok := names[k]
		return ok && there == batches
	})
	if err != nil {
		return nil, err
	}
	return appendHoldings(nil, held), nil
}

// keepComparing goes through all buckets again and again.
func (m *Members) keepComparing() {
	t := time.NewTicker(cmp.Or(m.o.CompareEvery, DefaultCompareEvery))
	defer t.Stop()
	next := protocol.Bucket(0)
	tried, differing := repairs{}, map[string]*repairRest{}
	patient := func(ctx context.Context, d *Divergence) error {
		// Both copy all of the shard, which is not done each time that they are compared.
		key := d.Shard.String() + fmt.Sprint(d.Members)
		if last := differing[key]; last != nil && time.Now().Before(last.until) {
			return last.why
		}
		err := m.repairDivergence(ctx, d)
		if differing[key] = nil; err != nil {
			differing[key] = &repairRest{until: time.Now().Add(lastRepairRest), why: err}
		}
		return err
	}
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-t.C:
		}
		if err := m.WatchStage(m.ctx); err != nil && m.ctx.Err() == nil {
			m.o.Logger.Warn("a staged version of the indexer is not looked after", "error", err)
		}
		m.repairDue(tried)
		due := nextBuckets(m.compared(), next)
		if len(due) == 0 {
			continue
		}
		next = due[len(due)-1] + 1
		if _, err := m.compare(m.ctx, func(b protocol.Bucket) bool { return slices.Contains(due, b) }, patient); err != nil && m.ctx.Err() == nil {
			m.o.Logger.Warn("replicas are not compared", "error", err)
		}
	}
}

// nextBuckets are the next ones that are due, beginning with from, or with the first
// after the last.
func nextBuckets(all []replicated, from protocol.Bucket) (due []protocol.Bucket) {
	for _, after := range []bool{true, false} {
		for _, r := range all {
			if len(due) < comparedAtOnce && r.bucket >= from == after {
				due = append(due, r.bucket)
			}
		}
	}
	return due
}

// checked says what a check is of: a project, or all for 0, and one day of it, or all.
type checked struct {
	project catalog.ProjectID
	day     *catalog.Day
}

func (c *checked) has(k catalog.ShardKey) bool {
	return (c.project == 0 || k.Project == c.project) && (c.day == nil || k.Day == *c.day)
}

// checkHere checks what this member has, by itself and beside the other replicas, and
// repairs what can be repaired.
func (m *Members) checkHere(ctx context.Context, of checked) (*exec.Table, error) {
	t, err := m.o.Engine.CheckShards(ctx, of.has)
	if err != nil {
		return nil, err
	}
	repaired, err := m.RepairDamaged(ctx, of.has)
	if err != nil {
		return nil, err
	}
	noteRepairs(t, repaired)
	return t, m.compareInto(ctx, t, of.project, of.has)
}

// compareInto compares a project's buckets with their other replicas, and adds rows to a
// check about the shards that which accepts.
func (m *Members) compareInto(ctx context.Context, t *exec.Table, project catalog.ProjectID, which func(catalog.ShardKey) bool) error {
	var buckets []protocol.Bucket
	if p, ok := m.catalogNow().ProjectByID(project); ok {
		buckets = bucketsOf(p, any16)
	}
	found, err := m.Compare(ctx, func(b protocol.Bucket) bool { return project == 0 || slices.Contains(buckets, b) })
	if err != nil {
		return err
	}
	for _, d := range slices.Concat(found.Divergences, found.United) {
		if which(d.Shard) {
			t.Rows = append(t.Rows, divergenceRow(t.Columns, d))
		}
	}
	return nil
}

// divergenceRow is a row of a check.
func divergenceRow(columns []exec.TableColumn, d Divergence) []catalog.Value {
	row := make([]catalog.Value, len(columns))
	for i, c := range columns {
		switch c.Name {
		case "name":
			row[i] = catalog.String(d.Shard.String())
		case "kind":
			row[i] = catalog.String("replicas")
		case "project":
			row[i] = catalog.Int(int64(d.Shard.Project))
		case "day":
			row[i] = catalog.String(d.Shard.Day.String())
		case "bucket":
			row[i] = catalog.Int(int64(d.Shard.Bucket))
		case "events":
			row[i] = catalog.Int(int64(d.Content[0].Records.Count))
		case "ok":
			row[i] = catalog.Bool(d.Why == nil)
		case "problem":
			row[i] = catalog.String(d.String())
			if d.Why == nil {
				row[i] = catalog.String(d.String() + "; each has taken in what it lacked")
			}
		}
	}
	return row
}
