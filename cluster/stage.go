package cluster

import (
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
)

// A new version of the indexer is run by some members, the canaries, before all others.
// Each canary holds what it makes of every shard against the other replicas that have the
// same batches of it: what is in the files, and the answers of fixed questions. The first
// difference stops the stage for all.

// Stager is what an engine can do about a staged version.
type Stager interface {
	// Staged says what this member has made by it.
	Staged(ctx context.Context) (event.Staged, error)
	// Samples reads shards that have these batches.
	Samples(ctx context.Context, which func(k catalog.ShardKey, batches uint64) bool) ([]event.Sample, error)
	// OfferShard gives the files that hold all of a shard, but for staged ones.
	OfferShard(ctx context.Context, k catalog.ShardKey) ([]dot.File, error)
	// Reinstate puts other files in the place of staged ones.
	Reinstate(ctx context.Context, k catalog.ShardKey, files []dot.File, read func(ctx context.Context, name string, take func(piece []byte) error) error) error
}

// alarmStage is the kind of alarms about a staged version.
const alarmStage = "stage"

// stagesAtOnce is how many shards a canary compares in a round.
const stagesAtOnce = 64

// StageReport says how far a canary has come with the staged version.
type StageReport struct {
	Member string
	// Newest is the newest version that the member can write.
	Newest uint32
	// Since is that of the stage which the member knows, 0 for none.
	Since int64
	// Shards have files of the staged version, Files of them, and Compared are those that
	// were held against another replica since the stage began, and agreed. Fresh are those
	// of them that have other files or batches by now.
	Shards, Files, Compared, Fresh int
	// Problem is what is wrong, empty for nothing, and Stopped why the stage was stopped.
	Problem, Stopped string
}

// stageWatch is what a canary knows of the stage.
type stageWatch struct {
	// turn is held by whoever compares or rolls back.
	turn sync.Mutex
	mu   sync.Mutex // guards what follows
	// agreed are the shards that were compared, with the batches and files that they had.
	since  int64
	agreed map[catalog.ShardKey]string
}

func stateOf(s *event.StagedShard) string {
	return fmt.Sprintf("%016x %s", s.Batches, strings.Join(s.Files, " "))
}

// begin forgets what was known of another stage.
func (w *stageWatch) begin(since int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since != since {
		w.since, w.agreed = since, map[catalog.ShardKey]string{}
	}
}

func (w *stageWatch) agree(k catalog.ShardKey, state string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.agreed[k] = state
}

// state is what was compared of a shard.
func (w *stageWatch) state(k catalog.ShardKey) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.agreed[k]
	return s, ok
}

// stageHere is the stage of which this member is a canary, nil for none.
func (m *Members) stageHere() *catalog.Stage {
	return m.catalogNow().StageOn(catalog.MemberKey(m.o.Member))
}

// errNotStager: the engine knows no stages.
var errNotStager = errors.New("this member's engine has no versions")

func (m *Members) stager() (Stager, error) {
	s, ok := m.o.Engine.(Stager)
	if !ok {
		return nil, errNotStager
	}
	return s, nil
}

// WatchStage does what is due of a canary: it compares what it has made, or, where the
// stage is taken back, replaces it. It is called again and again.
func (m *Members) WatchStage(ctx context.Context) error {
	stage := m.stageHere()
	if stage == nil {
		return nil
	}
	m.stage.turn.Lock()
	defer m.stage.turn.Unlock()
	m.stage.begin(stage.Since)
	do := m.compareStage
	switch stage.State {
	case catalog.StageRunning:
	case catalog.StageRollingBack:
		do = m.rollBack
	default:
		return nil
	}
	engine, err := m.stager()
	if err != nil {
		return err
	}
	staged, err := engine.Staged(ctx)
	if err != nil {
		return err
	}
	return do(ctx, stage, engine, staged)
}

// compareStage holds staged files against other replicas.
func (m *Members) compareStage(ctx context.Context, stage *catalog.Stage, engine Stager, staged event.Staged) error {
	if staged.Trouble != "" {
		return m.stopStage(ctx, stage, catalog.ShardKey{}, "a file could not be made: "+staged.Trouble)
	}
	due := map[catalog.ShardKey]*event.StagedShard{}
	for i := range staged.Shards {
		s := &staged.Shards[i]
		if s.Damaged != "" {
			return m.stopStage(ctx, stage, s.Shard, "it cannot be read: "+s.Damaged)
		}
		if was, ok := m.stage.state(s.Shard); s.Batches != 0 && len(due) < stagesAtOnce && !(ok && was == stateOf(s)) {
			due[s.Shard] = s
		}
	}
	for other, names := range m.askedAbout(stage, due) {
		theirs, err := m.askSamples(ctx, other, names)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			m.o.Logger.Debug("a member gives no samples", "member", other, "error", err)
			continue
		}
		wanted := map[catalog.ShardKey]*event.Sample{}
		for i := range theirs {
			wanted[theirs[i].Shard] = &theirs[i]
		}
		own, err := engine.Samples(ctx, func(k catalog.ShardKey, batches uint64) bool { return wanted[k] != nil && wanted[k].Batches == batches })
		if err != nil {
			return err
		}
		for i := range own {
			their, of := wanted[own[i].Shard], due[own[i].Shard]
			if what := own[i].Differs(their); what != "" {
				return m.stopStage(ctx, stage, own[i].Shard, fmt.Sprintf("member %s has the same batches, and differs in %s", other, what))
			}
			// Under another catalog the answers say nothing, and files that came meanwhile
			// were read, or not.
			if own[i].Catalog == their.Catalog && own[i].Batches == of.Batches {
				m.stage.agree(of.Shard, stateOf(of))
			}
		}
	}
	return nil
}

// askedAbout are the other members, none of them a canary, and the shards about which they
// are asked.
func (m *Members) askedAbout(stage *catalog.Stage, due map[catalog.ShardKey]*event.StagedShard) map[protocol.MemberID]map[catalog.ShardKey]uint64 {
	others := m.otherReplicas()
	asked := map[protocol.MemberID]map[catalog.ShardKey]uint64{}
	for k, s := range due {
		for _, id := range others[protocol.BucketOf(k)] {
			if stage.Has(catalog.MemberKey(id)) {
				continue
			}
			if asked[id] == nil {
				asked[id] = map[catalog.ShardKey]uint64{}
			}
			asked[id][k] = s.Batches
		}
	}
	return asked
}

// otherReplicas are the other members that hold what this one holds.
func (m *Members) otherReplicas() map[protocol.Bucket][]protocol.MemberID {
	others := map[protocol.Bucket][]protocol.MemberID{}
	for _, s := range m.driver.Status().Replicas {
		if !s.Member {
			continue
		}
		for _, x := range s.Config.Members() {
			if x.Member != m.o.Member {
				others[s.Bucket] = append(others[s.Bucket], x.Member)
			}
		}
	}
	return others
}

// stopStage raises the alarm and ends indexing by the staged version.
func (m *Members) stopStage(ctx context.Context, stage *catalog.Stage, k catalog.ShardKey, what string) error {
	where := ""
	if k != (catalog.ShardKey{}) {
		where = fmt.Sprintf("shard %s: ", k)
	}
	reason := fmt.Sprintf("index version %d, staged on member %s: %s%s", stage.To, m.o.Member, where, what)
	m.o.Engine.RaiseShardAlarm(alarmStage, k, fmt.Sprint(stage.Since), reason)
	_, err := m.change(ctx, catalog.StopStage{Since: stage.Since, At: time.Now().UnixMicro(), Reason: reason})
	if errors.Is(err, catalog.ErrNotStaged) {
		return nil // it is over
	}
	return err
}

// rollBack replaces all staged files by what other replicas have.
func (m *Members) rollBack(ctx context.Context, stage *catalog.Stage, engine Stager, staged event.Staged) error {
	others := m.otherReplicas()
	var errs []error
	for i := range staged.Shards {
		k := staged.Shards[i].Shard
		if err := m.reinstate(ctx, engine, k, others[protocol.BucketOf(k)]); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := m.change(ctx, catalog.RolledBack{Since: stage.Since, Member: catalog.MemberKey(m.o.Member)})
	if errors.Is(err, catalog.ErrNotStaged) {
		return nil
	}
	return err
}

// reinstate takes a shard from the first replica that has all of it.
func (m *Members) reinstate(ctx context.Context, engine Stager, k catalog.ShardKey, others []protocol.MemberID) error {
	request, err := json.Marshal(stageAsk{Offer: &k})
	if err != nil {
		return err
	}
	peers := m.peers.Load()
	if peers == nil {
		return errNotStarted
	}
	err = fmt.Errorf("shard %s: no other replica has it", k)
	for _, id := range others {
		var answer []byte
		if answer, err = (*peers).Call(ctx, id, callStage, request); err == nil {
			err = m.reinstateFrom(ctx, engine, k, id, answer, *peers)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		err = fmt.Errorf("shard %s from member %s: %w", k, id, err)
	}
	return err
}

func (m *Members) reinstateFrom(ctx context.Context, engine Stager, k catalog.ShardKey, id protocol.MemberID, answer []byte, peers Peers) error {
	var offered []stageOffer
	if err := json.Unmarshal(answer, &offered); err != nil {
		return fmt.Errorf("its files: %w", err)
	}
	var files []dot.File
	for _, o := range offered {
		if !fileIsIn(protocol.BucketOf(k), o.Name) || o.Bytes < 0 || o.Bytes > maxAdoptedBytes {
			return fmt.Errorf("it offers %s of %d bytes", clipName(o.Name), o.Bytes)
		}
		dots, rest, err := dot.DecodeSet(o.Dots)
		if err != nil || len(rest) > 0 {
			return fmt.Errorf("it does not say which batches %s holds", clipName(o.Name))
		}
		files = append(files, dot.File{Name: o.Name, Bytes: o.Bytes, Dots: dots})
	}
	return engine.Reinstate(ctx, k, files, func(ctx context.Context, name string, take func([]byte) error) error {
		return peers.Stream(ctx, id, replication.StreamFile, protocol.Encode(&protocol.FileRequest{Bucket: protocol.BucketOf(k), Name: name}), take)
	})
}

func clipName(s string) string { return fmt.Sprintf("%q", s[:min(len(s), 100)]) }

// stageReport says how far this member has come.
func (m *Members) stageReport(ctx context.Context) (StageReport, error) {
	r := StageReport{Member: m.o.Member.String(), Newest: catalog.NewestIndexVersion}
	stage := m.stageHere()
	if stage == nil {
		return r, nil
	}
	engine, err := m.stager()
	if err != nil {
		return r, err
	}
	staged, err := engine.Staged(ctx)
	if err != nil {
		return r, err
	}
	m.stage.begin(stage.Since)
	r.Since, r.Shards, r.Problem, r.Stopped = stage.Since, len(staged.Shards), staged.Trouble, stage.Reason
	for i := range staged.Shards {
		s := &staged.Shards[i]
		r.Files += len(s.Files)
		if s.Damaged != "" {
			r.Problem = s.Damaged
		}
		if was, ok := m.stage.state(s.Shard); ok {
			r.Compared++
			if was != stateOf(s) {
				r.Fresh++
			}
		}
	}
	return r, nil
}

// stageAsk is a request about a stage, as JSON: for one of these things.
type stageAsk struct {
	// Report asks how far the member has come, and Compare, the moment of a stage, has it
	// compare before that.
	Report  bool  `json:",omitempty"`
	Compare int64 `json:",omitempty"`
	// Offer asks for the files of a shard.
	Offer *catalog.ShardKey `json:",omitempty"`
	// RollBack, the moment of a stage, has it replace what it made.
	RollBack int64 `json:",omitempty"`
	// Samples are names as appendNames has them, of shards to be sampled.
	Samples []byte `json:",omitempty"`
}

// stageOffer is a file that is offered, as JSON.
type stageOffer struct {
	Name  string
	Bytes int64
	// Dots are its batches, as package dot encodes a set.
	Dots []byte
}

// answerStage does what another member asks about a stage.
func (m *Members) answerStage(ctx context.Context, _ protocol.MemberID, request []byte) ([]byte, error) {
	var a stageAsk
	if err := json.Unmarshal(request, &a); err != nil {
		return nil, fmt.Errorf("request about a stage: %w", err)
	}
	engine, err := m.stager()
	if err != nil {
		return nil, err
	}
	switch {
	case a.Offer != nil:
		files, err := engine.OfferShard(ctx, *a.Offer)
		if err != nil {
			return nil, err
		}
		offers := []stageOffer{}
		for _, f := range files {
			offers = append(offers, stageOffer{f.Name, f.Bytes, f.Dots.Append(nil)})
		}
		return json.Marshal(offers)
	case a.RollBack != 0:
		return nil, m.rollBackNow(ctx, a.RollBack)
	case a.Compare != 0:
		if err := m.compareNow(ctx, a.Compare); err != nil {
			return nil, err
		}
	case len(a.Samples) > 0:
		names, err := decodeNames(a.Samples)
		if err != nil {
			return nil, err
		}
		samples, err := engine.Samples(ctx, func(k catalog.ShardKey, batches uint64) bool {
			there, ok := names[k]
			return ok && there == batches
		})
		if err != nil {
			return nil, err
		}
		return json.Marshal(samples)
	}
	report, err := m.stageReport(ctx)
	if err != nil {
		return nil, err
	}
	return json.Marshal(report)
}

// rollBackNow has this member roll back as soon as it knows that it is to.
func (m *Members) rollBackNow(ctx context.Context, since int64) error {
	if _, err := m.await(ctx, func(c *catalog.Catalog) bool {
		return c.Stage == nil || c.Stage.Since != since || c.Stage.State == catalog.StageRollingBack
	}); err != nil {
		return err
	}
	return m.WatchStage(ctx)
}

// compareNow has this member compare what it has made in a stage.
func (m *Members) compareNow(ctx context.Context, since int64) error {
	if _, err := m.await(ctx, func(c *catalog.Catalog) bool { return c.Stage == nil || c.Stage.Since >= since }); err != nil {
		return err
	}
	for {
		before, err := m.stageReport(ctx)
		if err != nil {
			return err
		}
		if err := m.WatchStage(ctx); err != nil {
			return err
		}
		after, err := m.stageReport(ctx)
		if err != nil || after.Compared <= before.Compared {
			return err
		}
	}
}

// askSamples asks another member for samples of shards that have these names there.
func (m *Members) askSamples(ctx context.Context, other protocol.MemberID, names map[catalog.ShardKey]uint64) (samples []event.Sample, err error) {
	request, err := json.Marshal(stageAsk{Samples: appendNames(nil, names)})
	if err != nil {
		return nil, err
	}
	peers := m.peers.Load()
	if peers == nil {
		return nil, errNotStarted
	}
	answer, err := (*peers).Call(ctx, other, callStage, request)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(answer, &samples); err != nil {
		return nil, fmt.Errorf("samples of member %s: %w", other, err)
	}
	return samples, nil
}

// askStage asks a member, this one too, about a stage.
func (m *Members) askStage(ctx context.Context, id protocol.MemberID, a stageAsk) ([]byte, error) {
	request, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	if id == m.o.Member {
		return m.answerStage(ctx, id, request)
	}
	peers := m.peers.Load()
	if peers == nil {
		return nil, errNotStarted
	}
	return (*peers).Call(ctx, id, callStage, request)
}

// stageReports are what some members say, in their order; one that does not answer has a
// problem.
func (m *Members) stageReports(ctx context.Context, ids []protocol.MemberID, a stageAsk) []StageReport {
	reports := make([]StageReport, len(ids))
	var asking sync.WaitGroup
	for i, id := range ids {
		asking.Go(func() {
			answer, err := m.askStage(ctx, id, a)
			if err == nil {
				err = json.Unmarshal(answer, &reports[i])
			}
			if err != nil {
				reports[i] = StageReport{Problem: "it does not answer: " + err.Error()}
			}
			reports[i].Member = id.String()
		})
	}
	asking.Wait()
	return reports
}

// moveRate is the setting move_rate.
func (m *Members) moveRate() int64 { return m.catalogNow().MoveRate() }

// avoidCanaries ranks canaries that differ behind all others for questions.
func (m *Members) avoidCanaries(prefer func(protocol.MemberID) int) func(protocol.MemberID) int {
	const behind = 1 << 10
	return func(id protocol.MemberID) int {
		rank := 0
		if prefer != nil {
			rank = prefer(id)
		} else if id != m.o.Member {
			rank = 1
		}
		if s := m.catalogNow().StageOn(catalog.MemberKey(id)); s != nil && s.State != catalog.StageRunning {
			rank += behind
		}
		return rank
	}
}

// change changes the catalog of all members.
func (m *Members) change(ctx context.Context, c catalog.Change) (*catalog.Catalog, error) {
	m.mu.Lock()
	change := m.changes
	m.mu.Unlock()
	if change == nil {
		return nil, errNotStarted
	}
	return change(ctx, c)
}

// canaryOf finds a member by the beginning of its id.
func canaryOf(name string, present []protocol.MemberID) (protocol.MemberID, error) {
	var found []protocol.MemberID
	for _, id := range present {
		if name != "" && strings.HasPrefix(id.String(), strings.ToLower(name)) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return protocol.MemberID{}, fmt.Errorf("%w: %d members that store events have an id that begins with %s; arbor.members lists them", ErrRefused, len(found), clipName(name))
	}
	return found[0], nil
}

// sortedMembers are ids in their order.
func sortedMembers(ids []protocol.MemberID) []protocol.MemberID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b protocol.MemberID) int { return slices.Compare(a[:], b[:]) })
	return ids
}
