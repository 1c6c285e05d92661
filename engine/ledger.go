package engine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"sync/atomic"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
)

// ledger is a small durable log of what must be there: the live files of each
// shard, and the segments of the log. Files say themselves what they replace, so
// the ledger is not needed to open a shard, but without it a file that vanished
// would not be missed, and answers would be smaller without a word.
//
//	data/ledger/*.log    an append log; a frame holds one entry
//
//	entry  ┌─────────┬──────┬──────┐
//	       │ version │ kind │ body │
//	       │ 1       │ 1    │      │
//	       └─────────┴──────┴──────┘
//
// An entry says all that is to be known of its subject, so the last one counts;
// ledgerentry.go has the kinds. It is written after a new file has its name,
// durably, and before anything that it replaces is moved away. So at any moment
// each file that the ledger names is there, or a live file names it as replaced:
// the file after a crash that came before the entry. What cannot be recorded is
// not moved. The same goes for segments of the log.
//
// A snapshot begins with an entry that voids all before it and goes to a segment
// of its own; older segments go to the trash. A ledger that is damaged after its
// last snapshot, or lost, says nothing: it is begun again from what is there.
type ledger struct {
	engine *Engine
	// turn is held by whoever reads or changes what follows. It is a turn rather
	// than a lock: it is held during I/O.
	turn sync.Mutex
	log  *appendlog.Log
	// files are the live files of each shard that has any, in order.
	files map[catalog.ShardKey][]fileName
	// notes are what is on record of these files.
	notes fileNotes
	// logged is what must be there of the log.
	logged loggedSegments
	// lost is set while more may have been acknowledged of named batches than is
	// here; lostRecorded is what the ledger says of it on disk. drops are shards that were dropped, and void batches of purged projects.
	lost, lostRecorded bool
	// begun is set when it is known that the ledger is not void.
	begun atomic.Bool

	drops map[catalog.ShardKey]drop
	voids map[catalog.Slot]dot.Set
	// void is set while nothing on disk may be believed, until the next snapshot.
	void bool
	// opening is set while the engine opens: a ledger that is void then learns
	// what is there, and is written once.
	opening bool
	// doubt is set after an append that failed: its entry may be on disk. The
	// next append settles it, since it takes its place.
	doubt bool
	// entries are those since the last snapshot began.
	entries int
	// maxEntries is maxLedgerEntries, but in tests.
	maxEntries int
}

// Limits of a ledger: when it has more than maxLedgerEntries and twice as many
// as a snapshot would have, or more segments, which restarts make, it is due for
// a snapshot. So its length is bounded by what there is, and an entry costs O(1).
const (
	maxLedgerEntries  = 4096
	maxLedgerSegments = 16
)

func (e *Engine) ledgerDir() string { return path.Join(e.opts.Dir, "ledger") }

// ledgerReplay gathers what the entries say.
type ledgerReplay struct {
	files   map[catalog.ShardKey][]fileName
	notes   fileNotes
	logged  loggedSegments
	lost    bool
	drops   map[catalog.ShardKey]drop
	voids   map[catalog.Slot]dot.Set
	entries int
	// begun is the segment of the last snapshot, 0 before the first.
	begun uint64
	// wrong is why the entries may not be believed.
	wrong string
}

func newLedgerReplay() ledgerReplay {
	return ledgerReplay{files: map[catalog.ShardKey][]fileName{}, notes: newFileNotes(), drops: map[catalog.ShardKey]drop{}, voids: map[catalog.Slot]dot.Set{}}
}

func (r *ledgerReplay) entry(pos appendlog.Position, payload []byte) error {
	entry, err := decodeLedgerEntry(payload)
	switch {
	case errors.Is(err, event.ErrVersion):
		return err
	case err != nil:
		r.wrong = fmt.Sprintf("%s at byte %d: %v", appendlog.SegmentName(pos.Segment), pos.Offset, err)
		return nil
	case entry.kind == ledgerBegin:
		*r = newLedgerReplay()
		r.begun = pos.Segment
	case entry.kind == ledgerLog:
		r.logged = entry.logged
	case entry.kind == ledgerLost:
		r.lost = entry.lost
	case entry.kind == ledgerDropped:
		r.drops[entry.shard] = entry.drop
	case entry.kind == ledgerVoid && entry.dots.IsEmpty():
		delete(r.voids, entry.slot)
	case entry.kind == ledgerVoid:
		r.voids[entry.slot] = entry.dots
	case entry.kind == ledgerBatches, entry.kind == ledgerSum:
		r.notes.set(entry)
	case len(entry.files) == 0:
		delete(r.files, entry.shard)
		r.notes.keep(entry.shard, nil)
	default:
		r.files[entry.shard] = entry.files
		r.notes.keep(entry.shard, entry.files)
	}
	r.entries++
	return nil
}

// open reads the ledger. Damage is an alarm and makes it void, never an error.
func (l *ledger) open() error {
	e := l.engine
	r := newLedgerReplay()
	log, err := appendlog.Open(appendlog.Options{FS: e.fs, Dir: e.ledgerDir(), Quarantine: true, Logger: e.logger}, r.entry)
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	l.log, l.opening, l.maxEntries = log, true, maxLedgerEntries
	if r.wrong == "" {
		r.wrong = findGap(log, r.begun, r.entries > 0)
	}
	if r.wrong != "" {
		e.alarms.raise(alarmDamage, catalog.ShardKey{}, e.ledgerDir(),
			r.wrong+"; the ledger is begun again from what is there, so files that are missing now are not missed")
	}
	if l.void = r.wrong != "" || r.begun == 0; l.void {
		wrong := r.wrong
		r = newLedgerReplay()
		l.lost = wrong != ""
	}
	l.files, l.notes, l.logged, l.entries = r.files, r.notes, r.logged, r.entries
	l.lost, l.lostRecorded, l.drops, l.voids = l.lost || r.lost, r.lost, r.drops, r.voids
	return nil
}

// close closes the ledger. What it recorded is on disk; what cannot be written
// now only says that it was closed.
func (l *ledger) close() {
	if l.log == nil {
		return
	}
	if err := l.log.Close(); err != nil {
		l.engine.logger.Warn("close the ledger", "error", err)
	}
}

// findGap says what the ledger lacks from its last snapshot on; empty if nothing.
func findGap(log *appendlog.Log, begun uint64, any bool) string {
	for _, f := range log.Findings() {
		if f.Damaged && f.Segment >= begun {
			return fmt.Sprintf("%s at byte %d: %s", appendlog.SegmentName(f.Segment), f.Offset, f.Reason)
		}
	}
	if any && begun == 0 {
		return "it has no beginning"
	}
	var there []uint64
	for _, s := range log.Segments() {
		if s.ID > begun && begun > 0 && s.Previous >= begun && !slices.Contains(there, s.Previous) {
			return appendlog.SegmentName(s.Previous) + " is not there"
		}
		there = append(there, s.ID)
	}
	return ""
}

// opened says that the engine knows what there is: a ledger that is void is begun
// again, and a long one made short. Where there is no room, that is done later.
func (l *ledger) opened() error {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.opening = false
	var notes []ledgerEntry // of an older arbor's files
	for _, s := range l.engine.allShards() {
		notes = append(notes, l.unnoted(s)...)
	}
	switch {
	case l.void && len(l.files) == 0 && l.logged.next == 0 && !l.lost:
		return nil // a new directory
	case l.void:
		l.engine.logger.Warn("ledger is begun from what is there", "shards", len(l.files), "segments", len(l.logged.live))
	case len(notes) == 0 && l.lost == l.lostRecorded && l.long():
		return l.snapshot()
	case len(notes) == 0 && l.lost == l.lostRecorded:
		return nil
	}
	return l.recordAll(notes, func() { l.notes.set(notes...) })
}

// agree records the shard's live files, if the ledger says otherwise. Before it
// returns nil nothing of the shard may be moved away.
func (l *ledger) agree(s *shard) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	files, notes := s.mustHave(), l.unnoted(s)
	if !l.void && !l.doubt && len(notes) == 0 && slices.Equal(l.files[s.key], files) {
		return nil
	}
	set := func() {
		if len(files) == 0 {
			delete(l.files, s.key)
		} else {
			l.files[s.key] = files
		}
		l.notes.keep(s.key, files)
		l.notes.set(notes...)
	}
	return l.recordAll(append([]ledgerEntry{{kind: ledgerShard, shard: s.key, files: files}}, notes...), set)
}

// agrees reports whether there is nothing to record.
func (l *ledger) agrees(s *shard) bool {
	l.turn.Lock()
	defer l.turn.Unlock()
	return !l.doubt && slices.Equal(l.files[s.key], s.mustHave())
}

// agreeLog records which segments must stay.
func (l *ledger) agreeLog(logged loggedSegments) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if !l.doubt && l.logged.equal(logged) && (!l.void || l.opening) {
		return nil
	}
	return l.record(ledgerEntry{kind: ledgerLog, logged: logged}, func() { l.logged = logged })
}

// record appends an entry and then has set put it in force. The caller has the
// turn.
func (l *ledger) record(entry ledgerEntry, set func()) error {
	return l.recordAll([]ledgerEntry{entry}, set)
}

// recordAll is record for entries that hold together or not at all.
func (l *ledger) recordAll(entries []ledgerEntry, set func()) error {
	if l.void {
		set()
		if l.opening {
			return nil
		}
		return l.snapshot()
	}
	if l.lost != l.lostRecorded {
		entries = append(entries, ledgerEntry{kind: ledgerLost, lost: l.lost})
	}
	encoded := make([][]byte, len(entries))
	for i, entry := range entries {
		encoded[i] = entry.encode()
	}
	if _, err := l.append(encoded); err != nil {
		return err
	}
	set()
	l.lostRecorded = l.lost
	l.entries += len(entries)
	if l.long() && !l.opening {
		if err := l.snapshot(); err != nil {
			l.engine.logger.Warn("ledger stays long for now", "entries", l.entries, "error", err)
		}
	}
	return nil
}

// append does not give up waiting: whether the entry holds would not be known.
func (l *ledger) append(entries [][]byte) ([]appendlog.Position, error) {
	positions, err := l.log.Append(context.Background(), entries)
	if l.doubt = err != nil; l.doubt {
		return nil, fmt.Errorf("record in the ledger: %w", err)
	}
	return positions, nil
}

func (l *ledger) long() bool {
	return l.entries > max(l.maxEntries, 2*(len(l.files)+l.notes.len()+len(l.drops)+len(l.voids)+2)) || len(l.log.Segments()) > maxLedgerSegments
}

// snapshot writes all that is known into a new segment, as one append, and moves
// the older ones to the trash. The caller has the turn.
func (l *ledger) snapshot() error {
	if err := l.log.Rotate(context.Background()); err != nil {
		return fmt.Errorf("snapshot of the ledger: %w", err)
	}
	entries := [][]byte{ledgerEntry{kind: ledgerBegin}.encode()}
	if l.logged.next > 0 {
		entries = append(entries, ledgerEntry{kind: ledgerLog, logged: l.logged}.encode())
	}
	for shard, files := range l.files {
		entries = append(entries, ledgerEntry{kind: ledgerShard, shard: shard, files: files}.encode())
	}
	entries = l.notes.append(entries)
	l.pruneDrops()
	if l.lost {
		entries = append(entries, ledgerEntry{kind: ledgerLost, lost: true}.encode())
	}
	for shard, d := range l.drops {
		entries = append(entries, ledgerEntry{kind: ledgerDropped, shard: shard, drop: d}.encode())
	}
	for slot, dots := range l.voids {
		entries = append(entries, ledgerEntry{kind: ledgerVoid, slot: slot, dots: dots}.encode())
	}
	slices.SortFunc(entries[1:], slices.Compare)
	positions, err := l.append(entries)
	if err != nil {
		return err
	}
	l.void, l.entries, l.lostRecorded = false, len(entries), l.lost
	trash := path.Join(l.engine.trashDir(), l.engine.trash.prefix()+ledgerTrash)
	for _, s := range l.log.Segments() {
		if s.ID >= positions[0].Segment {
			continue
		}
		if err := l.log.Retire(context.Background(), s.ID, trash); err != nil {
			// It does no harm: what came before a snapshot is void.
			l.engine.logger.Warn("segment of the ledger stays for now", "segment", s.ID, "error", err)
		}
	}
	return nil
}

// filesOf are the files that must be there of a shard.
func (l *ledger) filesOf(k catalog.ShardKey) []fileName {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.files[k]
}

// shards are those that must have files, in order.
func (l *ledger) shards() (keys []catalog.ShardKey) {
	l.turn.Lock()
	defer l.turn.Unlock()
	for k := range l.files {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, catalog.ShardKey.Compare)
	return keys
}
