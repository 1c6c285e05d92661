// Package oracle is arbor in its simplest form: a list of records and one plain
// function that says which of them a query sees. It is what the tests believe.
// It keeps no files, knows no order of arrival, and shares no code with the
// engine, so that a mistake would have to be made twice to go unseen.
//
// Visible is the function. Model puts cluster.Local around it, so that whatever
// talks to an engine can talk to the list instead.
package oracle

import (
	"slices"
	"strconv"
	"strings"

	"arbor/catalog"
	"arbor/engine/event"
)

// Record is one stored record of a project: exactly one of Event, Delete and
// Undo is set.
type Record struct {
	Shard  catalog.ShardKey
	Event  *event.Event
	Delete *event.Delete
	Undo   *event.Undo
}

// Row is a stored event that is neither deleted nor quarantined.
type Row struct {
	Shard catalog.ShardKey
	Event *event.Event
	// Kind is empty for what queries see, "retry" for a duplicate that says the
	// same as its survivor and "conflict" for one that says something else.
	Kind string
	// DupOf is the duplicate's survivor.
	DupOf catalog.IngestID
}

// The kinds of duplicates.
const (
	KindRetry    = "retry"
	KindConflict = "conflict"
)

// Duplicate reports whether queries do not see the row.
func (r Row) Duplicate() bool { return r.Kind != "" }

// Answer is what Visible says.
type Answer struct {
	Rows        []Row // by shard and ingest id
	Deleted     []Row // hidden by a delete or a truncation
	Quarantined []Row // share their ingest id with a different event
}

// Visible says what a query sees of a project's records. It depends on the set
// of records only: not on their order, nor on how often each is in the list.
// An asOf of zero means now.
func Visible(records []Record, policyOf func(catalog.Day) catalog.Policy, truncations []catalog.Truncation, asOf catalog.IngestID) Answer {
	if asOf.IsZero() {
		asOf = catalog.MaxIngestID
	}
	var answer Answer
	for _, shard := range shardsOf(records) {
		of := ofShard(records, shard)

		// Physical repeats are one; one id with different bytes is damage.
		events, damaged := physical(of)

		// What came later is not there yet.
		events = keep(events, func(e *event.Event) bool { return e.ID.Compare(asOf) <= 0 })
		damaged = keep(damaged, func(e *event.Event) bool { return e.ID.Compare(asOf) <= 0 })

		// Deletes apply before survivors are chosen.
		targets := deletedIDs(of, asOf)
		isDeleted := func(e *event.Event) bool { return targets[e.ID] || isTruncated(e, truncations, asOf) }
		deleted := keep(events, isDeleted)
		alive := keep(events, func(e *event.Event) bool { return !isDeleted(e) })

		answer.Rows = append(answer.Rows, survivors(shard, alive, policyOf(shard.Day))...)
		answer.Deleted = append(answer.Deleted, alone(shard, deleted)...)
		answer.Quarantined = append(answer.Quarantined, alone(shard, damaged)...)
	}
	return answer
}

// survivors groups events by their logical key and marks all but one of each
// group as its duplicates.
func survivors(shard catalog.ShardKey, events []*event.Event, policy catalog.Policy) []Row {
	groups := map[string][]*event.Event{}
	var rows []Row
	for _, e := range events {
		key, ok := LogicalKey(e, policy)
		if !ok {
			rows = append(rows, Row{Shard: shard, Event: e})
			continue
		}
		groups[key] = append(groups[key], e)
	}
	for _, group := range groups {
		slices.SortFunc(group, byID)
		survivor := group[0]
		if policy.Survivor == catalog.SurvivorLast {
			survivor = group[len(group)-1]
		}
		for _, e := range group {
			row := Row{Shard: shard, Event: e}
			if e != survivor {
				row.DupOf = survivor.ID
				row.Kind = KindConflict
				if Payload(e) == Payload(survivor) {
					row.Kind = KindRetry
				}
			}
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return byID(a.Event, b.Event) })
	return rows
}

// alone makes rows of events that are no duplicates.
func alone(shard catalog.ShardKey, events []*event.Event) []Row {
	var rows []Row
	for _, e := range events {
		rows = append(rows, Row{Shard: shard, Event: e})
	}
	return rows
}

// LogicalKey is what makes two events of a shard the same one; false means that
// the event stands alone.
func LogicalKey(e *event.Event, policy catalog.Policy) (string, bool) {
	if policy.Disabled {
		return "", false
	}
	if e.InsertID == "" {
		if policy.Missing == catalog.MissingNone {
			return "", false
		}
		return list([]string{"content", e.DistinctID, e.Name, strconv.FormatInt(e.Time, 10), Payload(e)}), true
	}
	key := []string{"id", e.DistinctID, e.InsertID}
	if policy.Key == catalog.KeyDay || policy.Key == catalog.KeyExact {
		key = append(key, e.Name)
	}
	if policy.Key == catalog.KeyExact {
		key = append(key, strconv.FormatInt(floorDiv(e.Time, catalog.Millisecond), 10))
	}
	if policy.Conflict == catalog.ConflictKeep {
		key = append(key, Payload(e))
	}
	return list(key), true
}

// Payload is what the client said: all of the event but its physical identity,
// and but the time where that is the server's.
func Payload(e *event.Event) string {
	time := "the server's"
	if !e.ServerTime {
		time = strconv.FormatInt(e.Time, 10)
	}
	parts := []string{e.Name, e.DistinctID, e.InsertID, time}
	for _, p := range e.Properties {
		parts = append(parts, p.Name, string(rune('0'+p.Value.Kind)), strconv.FormatUint(p.Value.Bits, 16), p.Value.Text)
	}
	return list(parts)
}

// Bytes is all of the event: equal events have equal Bytes.
func Bytes(e *event.Event) string {
	return list([]string{e.ID.String(), strconv.FormatInt(e.Time, 10), Payload(e)})
}

// list puts parts together, each after its length, so that different lists are
// different texts.
func list(parts []string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(':')
		b.WriteString(p)
	}
	return b.String()
}

// physical tells the events of a shard's records, each once, from those whose
// ingest id another event bears too.
func physical(records []Record) (events, damaged []*event.Event) {
	forms := map[catalog.IngestID]map[string]*event.Event{}
	for _, r := range records {
		if e := r.Event; e != nil {
			if forms[e.ID] == nil {
				forms[e.ID] = map[string]*event.Event{}
			}
			forms[e.ID][Bytes(e)] = e
		}
	}
	for _, form := range forms {
		for _, e := range form {
			if len(form) == 1 {
				events = append(events, e)
			} else {
				damaged = append(damaged, e)
			}
		}
	}
	return events, damaged
}

// deletedIDs are the ids that deletes in force at asOf name.
func deletedIDs(records []Record, asOf catalog.IngestID) map[catalog.IngestID]bool {
	deleted := map[catalog.IngestID]bool{}
	for _, r := range records {
		if d := r.Delete; d != nil && d.ID.Compare(asOf) <= 0 && !isUndone(d, records, asOf) {
			for _, target := range d.Targets {
				deleted[target] = true
			}
		}
	}
	return deleted
}

// isUndone reports whether the delete was taken back by asOf.
func isUndone(d *event.Delete, records []Record, asOf catalog.IngestID) bool {
	for _, r := range records {
		if u := r.Undo; u != nil && u.Delete == d.ID && u.ID.Compare(asOf) <= 0 {
			return true
		}
	}
	return false
}

// isTruncated reports whether a truncation in force at asOf covers the event.
func isTruncated(e *event.Event, truncations []catalog.Truncation, asOf catalog.IngestID) bool {
	for _, t := range truncations {
		if !t.Undone && t.ID.Compare(asOf) <= 0 && e.ID.Compare(t.UpTo) <= 0 {
			return true
		}
	}
	return false
}

// shardsOf lists the shards of the records, sorted.
func shardsOf(records []Record) []catalog.ShardKey {
	seen := map[catalog.ShardKey]bool{}
	var shards []catalog.ShardKey
	for _, r := range records {
		if !seen[r.Shard] {
			seen[r.Shard] = true
			shards = append(shards, r.Shard)
		}
	}
	slices.SortFunc(shards, catalog.ShardKey.Compare)
	return shards
}

func ofShard(records []Record, shard catalog.ShardKey) []Record {
	var of []Record
	for _, r := range records {
		if r.Shard == shard {
			of = append(of, r)
		}
	}
	return of
}

func keep(events []*event.Event, wanted func(*event.Event) bool) []*event.Event {
	var kept []*event.Event
	for _, e := range events {
		if wanted(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

func byID(a, b *event.Event) int { return a.ID.Compare(b.ID) }

// floorDiv divides towards minus infinity, so that the millisecond before 1970
// is not the one after it.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
