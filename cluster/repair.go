package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/cluster/replication"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// A member repairs its own shards. One that cannot be read whole gets back what it lost from
// the other replicas of its bucket, and where two replicas have other events under the same
// names each takes in what it lacks. A repair only ever adds: what two replicas say
// differently of one event is not decided, by no majority either, and stays an alarm.

// Rests between attempts to repair a shard: each is twice as long as the one before.
const (
	firstRepairRest = time.Minute
	lastRepairRest  = time.Hour
)

// Repair is what became of a shard that was not as it should be.
type Repair struct {
	event.Repaired
	// Err is why it stays as it is.
	Err error
}

// repairs remembers which shards could not be repaired, and when that is tried again. It
// is keepComparing's own.
type repairs map[catalog.ShardKey]*repairRest

type repairRest struct {
	until time.Time
	rest  time.Duration
	why   error
}

// due says whether a shard is to be tried now.
func (r repairs) due(k catalog.ShardKey, now time.Time) bool {
	return r[k] == nil || !now.Before(r[k].until)
}

// tried notes what came of it.
func (r repairs) tried(k catalog.ShardKey, now time.Time, err error) {
	if err == nil {
		delete(r, k)
		return
	}
	if r[k] == nil {
		r[k] = &repairRest{}
	}
	r[k].rest = min(max(firstRepairRest, 2*r[k].rest), lastRepairRest)
	r[k].until = now.Add(r[k].rest)
}

// RepairDamaged repairs those of the damaged shards that which accepts and that are this
// member's to hold. It says what became of each. Only the end of the context is an error.
func (m *Members) RepairDamaged(ctx context.Context, which func(catalog.ShardKey) bool) (all []Repair, err error) {
	logged := false
	if m.stageHere() != nil {
		return nil, nil // what a staged version harmed is to be seen, and rolled back
	}
	for _, d := range m.o.Engine.Damaged() {
		if !which(d.Key) {
			continue
		}
		others, held := m.othersOf(protocol.BucketOf(d.Key))
		if !held {
			continue
		}
		r := Repair{Repaired: event.Repaired{Shard: d.Key}}
		if len(others) == 0 {
			r.Err = fmt.Errorf("%s, and no other member has its bucket", d.Reason)
		} else if r.Repaired, r.Err = m.o.Engine.Repair(ctx, d.Key, m.sources(d.Key, others)); r.Err != nil {
			r.Err = fmt.Errorf("%s: %w", d.Reason, r.Err)
			if c := m.driver.Config(protocol.BucketOf(d.Key)); errors.Is(r.Err, dot.ErrNowhere) && !c.Joint() {
				r.Err = errors.Join(r.Err, m.o.Engine.Disown(d.Key))
			}
		}
		if err := ctx.Err(); err != nil {
			return all, err
		}
		if r.Err != nil {
			m.o.Engine.RaiseShardAlarm(event.AlarmUnrepaired, d.Key, "", r.Err.Error())
		}
		logged = logged || r.Err == nil && slices.Contains(r.Damaged, "log")
		all = append(all, r)
	}
	if !logged {
		return all, nil
	}
	// A damaged segment must not be met by the next start: it goes when all that is in it
	// is in files.
	if err := m.o.Engine.Index(ctx, 0, false); err != nil {
		m.o.Logger.Warn("what is logged stays in a damaged segment for now", "error", err)
	}
	return all, ctx.Err()
}

// damagedBuckets are those of which a shard is damaged, as it was a second ago at most.
type damagedBuckets struct {
	engine Engine
	mu     sync.Mutex // guards what follows
	at     time.Time
	which  map[protocol.Bucket]bool
}

// lookAgainAfter is how long damagedBuckets believes what it saw.
const lookAgainAfter = time.Second

func (d *damagedBuckets) has(b protocol.Bucket) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); d.at.IsZero() || now.Sub(d.at) >= lookAgainAfter {
		d.at, d.which = now, map[protocol.Bucket]bool{}
		for _, s := range d.engine.Damaged() {
			d.which[protocol.BucketOf(s.Key)] = true
		}
	}
	return d.which[b]
}

// othersOf are the other members that hold a bucket; held is whether this one does.
func (m *Members) othersOf(b protocol.Bucket) (others []protocol.MemberID, held bool) {
	for _, s := range m.driver.Status().Replicas {
		if s.Bucket != b || !s.Member {
			continue
		}
		for _, x := range s.Config.Members() {
			if x.Member != m.o.Member {
				others = append(others, x.Member)
			}
		}
		held = true
	}
	if m.o.Prefer != nil {
		slices.SortStableFunc(others, func(a, b protocol.MemberID) int { return cmp.Compare(m.o.Prefer(a), m.o.Prefer(b)) })
	}
	return others, held
}

// sources are other replicas of a shard.
func (m *Members) sources(k catalog.ShardKey, others []protocol.MemberID) (all []dot.Source) {
	for _, other := range others {
		all = append(all, m.source(k, other))
	}
	return all
}

func (m *Members) source(k catalog.ShardKey, other protocol.MemberID) dot.Source {
	return dot.Source{
		Name:  "member " + other.String(),
		Offer: func(ctx context.Context, want dot.Set) ([]dot.File, error) { return m.askOffer(ctx, other, k, want) },
		Read: func(ctx context.Context, f dot.File, take func([]byte) error) error {
			peers := m.peers.Load()
			if peers == nil {
				return errNotStarted
			}
			request := protocol.Encode(&protocol.FileRequest{Bucket: protocol.BucketOf(k), Name: f.Name})
			return (*peers).Stream(ctx, other, replication.StreamFile, request, func(piece []byte) error {
				if err := m.driver.Pass(ctx, len(piece)); err != nil {
					return err
				}
				return take(piece)
			})
		},
	}
}

// offerAsk asks for files of a shard that have some of the wanted batches, and for some
// of them the answer, both as JSON.
type offerAsk struct {
	Shard string
	Want  []byte // a set of dots, encoded
}

type offered struct {
	Name  string
	Bytes int64
	Dots  []byte
}

// maxOffered is how many files one answer names; who asks asks again.
const maxOffered = 1024

var errOffer = errors.New("offer of files cannot be read")

// askOffer asks another member what files of a shard it has.
func (m *Members) askOffer(ctx context.Context, other protocol.MemberID, k catalog.ShardKey, want dot.Set) ([]dot.File, error) {
	peers := m.peers.Load()
	if peers == nil {
		return nil, errNotStarted
	}
	request, err := json.Marshal(offerAsk{k.String(), want.Append(nil)})
	if err != nil {
		return nil, err
	}
	answer, err := (*peers).Call(ctx, other, callOffer, request)
	if err != nil {
		return nil, err
	}
	var got []offered
	if err := json.Unmarshal(answer, &got); err != nil {
		return nil, fmt.Errorf("%w: %w", errOffer, err)
	}
	var files []dot.File
	for _, o := range got {
		dots, rest, err := dot.DecodeSet(o.Dots)
		if err != nil || len(rest) > 0 || !strings.HasPrefix(o.Name, k.String()+"/") || o.Bytes < 0 || o.Bytes > maxAdoptedBytes {
			return nil, fmt.Errorf("%w: file %q of %d bytes: %w", errOffer, o.Name, o.Bytes, err)
		}
		files = append(files, dot.File{Name: o.Name, Bytes: o.Bytes, Dots: dots})
	}
	return files, nil
}

// answerOffer names this member's files.
func (m *Members) answerOffer(ctx context.Context, _ protocol.MemberID, request []byte) ([]byte, error) {
	var ask offerAsk
	if err := json.Unmarshal(request, &ask); err != nil {
		return nil, fmt.Errorf("%w: %w", errOffer, err)
	}
	k, ok := catalog.ParseShardKey(ask.Shard)
	want, rest, err := dot.DecodeSet(ask.Want)
	if !ok || err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: shard %q: %w", errOffer, ask.Shard, err)
	}
	files, err := m.o.Engine.Offer(ctx, k, want)
	if err != nil {
		return nil, err
	}
	answer := []offered{}
	for _, f := range files[:min(len(files), maxOffered)] {
		answer = append(answer, offered{f.Name, f.Bytes, f.Dots.Append(nil)})
	}
	return json.Marshal(answer)
}

// repairDivergence has each of two replicas take in what it lacks of the other one, after
// each has read what it has: what is damaged is no divergence, and is repaired as such. It
// is an error if they differ in more than what one of them lacks.
func (m *Members) repairDivergence(ctx context.Context, d *Divergence) error {
	if m.catalogNow().Stage != nil {
		return errors.New("while a version of the indexer is staged nothing is taken from others")
	}
	if err := m.unite(ctx, d.Shard, d.Members[1]); err != nil {
		return err
	}
	peers := m.peers.Load()
	if peers == nil {
		return errNotStarted
	}
	if _, err := (*peers).Call(ctx, d.Members[1], callUnite, []byte(d.Shard.String())); err != nil {
		return err
	}
	var again Comparison
	if err := m.compareBucket(ctx, replicated{protocol.BucketOf(d.Shard), d.Members[1:]}, &again); err != nil {
		return err
	}
	if slices.ContainsFunc(again.Divergences, func(x Divergence) bool { return x.Shard == d.Shard }) {
		return errors.New("each has what the other one has, and yet they differ")
	}
	return nil
}

// unite reads a shard again, and takes in what it lacks of another replica.
func (m *Members) unite(ctx context.Context, k catalog.ShardKey, other protocol.MemberID) error {
	this := func(x catalog.ShardKey) bool { return x == k }
	if _, err := m.o.Engine.CheckShards(ctx, this); err != nil {
		return err
	}
	if _, err := m.RepairDamaged(ctx, this); err != nil {
		return err
	}
	_, err := m.o.Engine.Unite(ctx, k, m.source(k, other))
	return err
}

// answerUnite takes in what the asking member has of a shard.
func (m *Members) answerUnite(ctx context.Context, from protocol.MemberID, request []byte) ([]byte, error) {
	k, ok := catalog.ParseShardKey(string(request))
	if !ok {
		return nil, fmt.Errorf("unite: %q is no shard", request)
	}
	others, held := m.othersOf(protocol.BucketOf(k))
	if !held || !slices.Contains(others, from) {
		return nil, fmt.Errorf("unite: bucket %d is not held here and by member %s", protocol.BucketOf(k), from)
	}
	return nil, m.unite(ctx, k, from)
}

// repairDue repairs damaged shards that were not tried lately.
func (m *Members) repairDue(tried repairs) {
	now := time.Now()
	all, err := m.RepairDamaged(m.ctx, func(k catalog.ShardKey) bool { return tried.due(k, now) })
	if err != nil {
		return // the member closes
	}
	for _, r := range all {
		tried.tried(r.Shard, now, r.Err)
	}
}

// noteRepairs says in the rows of a check what became of the shards that are damaged.
func noteRepairs(t *exec.Table, all []Repair) {
	place := map[string]int{}
	for i, c := range t.Columns {
		place[c.Name] = i
	}
	for _, r := range all {
		for _, row := range t.Rows {
			ok, problem := &row[place["ok"]], &row[place["problem"]]
			switch {
			case ok.Bool() || row[place["project"]].Int() != int64(r.Shard.Project) || row[place["day"]].Text != r.Shard.Day.String() || row[place["bucket"]].Int() != int64(r.Shard.Bucket):
			case r.Err != nil:
				*problem = catalog.String(r.Err.Error())
			default:
				*ok, *problem = catalog.Bool(true), catalog.String(r.String()+": "+problem.Text)
			}
		}
	}
}

// String says what was repaired, and from whom it came.
func (r *Repair) String() string {
	if len(r.From) == 0 {
		return "it can be read again"
	}
	return "it was damaged, and came again from " + strings.Join(r.From, " and ")
}
