package torture

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/sqltests/oracle"
)

func (r *run) project(rng *rand.Rand) *catalog.Project {
	return r.catalog.Projects[rng.IntN(3)/2%min(r.world.projects, len(r.catalog.Projects))]
}

// encode makes the record of a batch.
func encode(b *event.Batch) (record, error) {
	bytes, err := event.AppendBatch(nil, b)
	if err != nil {
		return record{}, fmt.Errorf("encode %s: %w", b.Shard, err)
	}
	return record{b.Shard, bytes, oracle.Records(b)}, nil
}

// request stamps events, groups them by shard and encodes them, as the gateway
// does.
func (r *run) request(rng *rand.Rand, p *catalog.Project, events []event.Event) ([]record, error) {
	id := r.stamp(rng)
	batches := map[catalog.ShardKey]*event.Batch{}
	var order []*event.Batch
	for i, e := range events {
		e.ID = id
		e.ID.Index = uint32(i)
		r.events = append(r.events, e)
		shard := p.Shard(e.Time, e.DistinctID, e.InsertID)
		if batches[shard] == nil {
			batches[shard] = &event.Batch{Shard: shard}
			order = append(order, batches[shard])
		}
		batches[shard].Events = append(batches[shard].Events, e)
		r.detail("%s in %s", describe(&e), shard)
	}
	var records []record
	for _, b := range order {
		rec, err := encode(b)
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	return records, nil
}

// describe is an event for a person.
func describe(e *event.Event) string {
	short := func(s string) string {
		if len(s) > 40 {
			return fmt.Sprintf("%q… (%d bytes)", s[:20], len(s))
		}
		return fmt.Sprintf("%q", s)
	}
	at := fmt.Sprintf("%s+%dµs", catalog.DayOf(e.Time), e.Time-catalog.DayOf(e.Time).Start())
	if e.ServerTime {
		at += " by the server"
	}
	properties := oracle.Properties(e)
	if len(properties) > 200 {
		properties = properties[:200] + "…"
	}
	return fmt.Sprintf("%s event %s of %s, insert id %s, at %s %s", e.ID, short(e.Name), short(e.DistinctID), short(e.InsertID), at, properties)
}

// accept appends records and, once they are acknowledged, believes in them.
func (r *run) accept(records []record) error {
	if err := r.subject.Append(r.ctx, encoded(records)); err != nil {
		r.doubt = append(r.doubt, records...)
		return fmt.Errorf("append: %w", err)
	}
	r.believe(records)
	return nil
}

func (r *run) believe(records []record) {
	r.sent = append(r.sent, records...)
	for _, rec := range records {
		r.model.Add(rec.records...)
	}
}

func encoded(records []record) [][]byte {
	var out [][]byte
	for _, rec := range records {
		out = append(out, rec.bytes)
	}
	return out
}

// someEvents draws what a request holds: new events, retries, conflicts.
func (r *run) someEvents(rng *rand.Rand) []event.Event {
	var events []event.Event
	for range 1 + rng.IntN(8) {
		switch {
		case len(r.events) > 0 && rng.IntN(2) == 0:
			events = append(events, r.world.copyOf(rng, r.events[rng.IntN(len(r.events))]))
		case len(events) > 0 && rng.IntN(3) == 0:
			events = append(events, r.world.copyOf(rng, events[rng.IntN(len(events))]))
		default:
			events = append(events, r.world.fresh(rng))
		}
	}
	return events
}

// append sends new events and, at once, asks how many are duplicates.
func (r *run) append(rng *rand.Rand) error {
	records, err := r.request(rng, r.project(rng), r.someEvents(rng))
	if err != nil {
		return err
	}
	if rng.IntN(4) == 0 { // two requests in one commit
		more, err := r.request(rng, r.project(rng), r.someEvents(rng))
		if err != nil {
			return err
		}
		records = append(records, more...)
	}
	if err := r.accept(records); err != nil {
		return err
	}
	got, err := r.subject.Duplicates(r.ctx, encoded(records))
	if err != nil {
		return fmt.Errorf("duplicates: %w", err)
	}
	if want, _ := r.model.Duplicates(r.ctx, encoded(records)); got != want {
		return fmt.Errorf("duplicates of the request: got %d, want %d", got, want)
	}
	return nil
}

// replay sends records again, as they were or put together anew, in another
// order and some of them twice.
func (r *run) replay(rng *rand.Rand) error {
	var again []record
	for range 1 + rng.IntN(6) {
		if len(r.sent) == 0 {
			return nil
		}
		again = append(again, r.sent[rng.IntN(len(r.sent))])
	}
	if rng.IntN(2) == 0 {
		var err error
		if again, err = regroup(rng, again); err != nil {
			return err
		}
	}
	r.detail("%d records again", len(again))
	return r.accept(again)
}

// regroup makes other batches of the same events.
func regroup(rng *rand.Rand, records []record) ([]record, error) {
	batches := map[catalog.ShardKey]*event.Batch{}
	var order []*event.Batch
	for _, rec := range records {
		if batches[rec.shard] == nil {
			batches[rec.shard] = &event.Batch{Shard: rec.shard}
			order = append(order, batches[rec.shard])
		}
		b := batches[rec.shard]
		for _, o := range rec.records {
			switch {
			case o.Event != nil:
				b.Events = append(b.Events, *o.Event)
			case o.Delete != nil:
				b.Deletes = append(b.Deletes, *o.Delete)
			case o.Undo != nil:
				b.Undos = append(b.Undos, *o.Undo)
			}
		}
	}
	var out []record
	for _, b := range order {
		rng.Shuffle(len(b.Events), func(i, j int) { b.Events[i], b.Events[j] = b.Events[j], b.Events[i] })
		rec, err := encode(b)
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}

// delete removes rows as DELETE FROM events does, with all copies, or one copy
// as DELETE FROM events_all does; now and then with a re-import in the same
// record, as REPLACE, or of what is not there.
func (r *run) delete(rng *rand.Rand) error {
	p := r.project(rng)
	rows := r.model.Answer(p.ID, catalog.IngestID{}, nil).Rows
	if len(rows) == 0 {
		return nil
	}
	id := r.stamp(rng)
	replaced := uint32(0)
	batches := map[catalog.ShardKey]*event.Batch{}
	for range 1 + rng.IntN(3) {
		row := rows[rng.IntN(len(rows))]
		b := batches[row.Shard]
		if b == nil {
			b = &event.Batch{Shard: row.Shard, Deletes: []event.Delete{{ID: id}}}
			batches[row.Shard] = b
		}
		targets := []catalog.IngestID{row.Event.ID}
		switch rng.IntN(8) {
		case 0: // one copy
		case 1:
			targets = append(targets, someID(rng))
		default:
			survivor := row.Event.ID
			if row.Duplicate() {
				survivor = row.DupOf
			}
			for _, other := range rows {
				if other.Shard == row.Shard && (other.Event.ID == survivor || other.Duplicate() && other.DupOf == survivor) {
					targets = append(targets, other.Event.ID)
				}
			}
		}
		b.Deletes[0].Targets = append(b.Deletes[0].Targets, targets...)
		if rng.IntN(6) == 0 {
			e := *row.Event
			replaced++
			e.ID = id
			e.ID.Index = replaced
			b.Events = append(b.Events, e)
			r.events = append(r.events, e)
		}
	}
	var records []record
	for _, shard := range slices.SortedFunc(maps.Keys(batches), catalog.ShardKey.Compare) {
		b := batches[shard]
		slices.SortFunc(b.Deletes[0].Targets, catalog.IngestID.Compare)
		b.Deletes[0].Targets = slices.Compact(b.Deletes[0].Targets)
		rec, err := encode(b)
		if err != nil {
			return err
		}
		r.detail("delete %s of %v in %s, %d events again", id, b.Deletes[0].Targets, shard, len(b.Events))
		r.deletes = append(r.deletes, shardID{shard, id})
		records = append(records, rec)
	}
	return r.accept(records)
}

// undo takes a delete back, or one that never was.
func (r *run) undo(rng *rand.Rand) error {
	if len(r.deletes) == 0 {
		return nil
	}
	of := r.deletes[rng.IntN(len(r.deletes))]
	u := event.Undo{ID: r.stamp(rng), Delete: of.id}
	if rng.IntN(10) == 0 {
		u.Delete = someID(rng)
	}
	rec, err := encode(&event.Batch{Shard: of.shard, Undos: []event.Undo{u}})
	if err != nil {
		return err
	}
	r.detail("undo %s of %s in %s", u.ID, u.Delete, of.shard)
	return r.accept([]record{rec})
}

// damage sends another event under an id that is taken: in the same shard,
// which must be noticed, or in another, where it is a record of its own.
func (r *run) damage(rng *rand.Rand) error {
	p := r.project(rng)
	rows := r.model.Answer(p.ID, catalog.IngestID{}, nil).Rows
	if len(rows) == 0 {
		return nil
	}
	row := rows[rng.IntN(len(rows))]
	e := *row.Event
	if rng.IntN(3) == 0 {
		e.Time += catalog.DayMicros
	} else {
		e.Properties = someProperties(rng)
	}
	rec, err := encode(&event.Batch{Shard: p.Shard(e.Time, e.DistinctID, e.InsertID), Events: []event.Event{e}})
	if err != nil {
		return err
	}
	r.detail("%s in %s", describe(&e), rec.shard)
	return r.accept([]record{rec})
}

// change decides something. Changes that the catalog refuses do not happen.
func (r *run) change(change catalog.Change) error {
	next, err := r.catalog.Apply(change)
	if err != nil {
		r.detail("refused: %v", err)
		return nil
	}
	if err := r.subject.Change(r.ctx, change); err != nil {
		r.doubtful = next
		return fmt.Errorf("change the catalog: %w", err)
	}
	r.decided(next)
	return nil
}

func (r *run) decided(c *catalog.Catalog) {
	r.catalog = c
	r.model.SetCatalog(c)
}

// policy adds a rule for some days, or drops all.
func (r *run) policy(rng *rand.Rand) error {
	p := r.project(rng)
	if rng.IntN(6) == 0 {
		return r.change(catalog.RemovePolicies{Project: p.ID})
	}
	rule := catalog.AddPolicy{Project: p.ID, From: catalog.MinDay, To: catalog.MaxDay, Policy: somePolicy(rng)}
	if rng.IntN(3) == 0 {
		rule.From = some(rng, days)
		rule.To = rule.From + catalog.Day(rng.IntN(2))
	}
	r.detail("%+v", rule)
	return r.change(rule)
}

// truncate hides all that has come so far, or what had come some time ago, or
// takes a truncation back.
func (r *run) truncate(rng *rand.Rand) error {
	p := r.project(rng)
	if n := len(p.Truncations); n > 0 && rng.IntN(2) == 0 {
		undo := catalog.UndoTruncate{Project: p.ID, ID: p.Truncations[rng.IntN(n)].ID}
		r.detail("%+v", undo)
		return r.change(undo)
	}
	t := catalog.Truncate{Project: p.ID, ID: r.stamp(rng)}
	t.UpTo = t.ID
	if len(r.events) > 0 && rng.IntN(2) == 0 {
		t.UpTo = r.events[rng.IntN(len(r.events))].ID
	}
	r.detail("%+v", t)
	return r.change(t)
}

// settings makes the engine seal, close and empty its trash earlier or later.
func (r *run) settings(rng *rand.Rand) error {
	changes := []catalog.SetSetting{
		{Name: catalog.SettingSealAfterBytes, Value: []string{"4096", "16384", "33554432"}[rng.IntN(3)]},
		{Name: catalog.SettingSealAfterAge, Value: []string{"1ms", "1s", "1m"}[rng.IntN(3)]},
		{Name: catalog.SettingCloseGrace, Value: []string{"0s", "1h", "48h"}[rng.IntN(3)]},
		{Name: catalog.SettingTrashRetention, Value: []string{"0s", "1h", "72h"}[rng.IntN(3)]},
	}
	for _, c := range changes[rng.IntN(len(changes)):] {
		r.detail("%+v", c)
		if err := r.change(c); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) index(rng *rand.Rand) error { return r.subject.Index(r.ctx, r.someProjects(rng), false) }

// close makes each shard's files one, and sees that they are.
func (r *run) close(rng *rand.Rand) error {
	project := r.someProjects(rng)
	if err := r.subject.Index(r.ctx, project, true); err != nil || project != 0 {
		return err
	}
	return r.compareFiles()
}

func (r *run) someProjects(rng *rand.Rand) catalog.ProjectID {
	return []catalog.ProjectID{0, 0, 1, 2}[rng.IntN(4)]
}

// tick lets time pass and the engine do what is due.
func (r *run) tick(rng *rand.Rand) error {
	return r.later([]time.Duration{time.Millisecond, time.Second, 2 * time.Minute, time.Hour, 26 * time.Hour, longAfter}[rng.IntN(6)])
}

func (r *run) later(d time.Duration) error {
	r.now = r.now.Add(d)
	r.detail("%s later", d)
	if err := r.subject.Tick(r.ctx); err != nil || d < longAfter || r.subject.Failed() {
		return err
	}
	// Days are closed after what they have in logs was indexed and, where they
	// had been closed before, late events have stopped coming.
	r.now = r.now.Add(time.Hour)
	if err := r.subject.Tick(r.ctx); err != nil {
		return err
	}
	return r.compareFiles()
}

// longAfter is when all days are over, with any grace that histories set.
const longAfter = 100 * time.Hour

func (r *run) reopen(rng *rand.Rand) error {
	if err := r.subject.Reopen(r.ctx); err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	r.opened()
	return nil
}

func (r *run) crash(rng *rand.Rand) error {
	if err := r.subject.Crash(r.ctx, rng); err != nil {
		return fmt.Errorf("open after a crash: %w", err)
	}
	r.opened()
	return nil
}

// opened notes what no alarm will speak of.
func (r *run) opened() {
	r.knownQuarantined = 0
	for _, p := range r.catalog.Projects {
		r.knownQuarantined += len(r.model.Answer(p.ID, catalog.IngestID{}, nil).Quarantined)
	}
}
