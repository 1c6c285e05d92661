package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
)

// Limits of what is given as batches from segments in the trash.
const (
	// fetchTrashFor is how long after it was retired a segment is still read for
	// members that were away: after that its batches are given as files.
	fetchTrashFor = 24 * time.Hour
	// maxTrashReads is how many segments in the trash one Fetch reads, if it does not need
	// another one to give anything at all.
	maxTrashReads = 2
)

// Fetch gives what the engine holds of wanted batches of some slots: batches as they
// were appended from the log and from segments that left it lately, at least one if there
// is any and then as many as fit maxBytes, and for batches that are in indexed
// files only, those files, at most maxFiles, that with the most first. A batch of a
// purged project is given without its events.
func (e *Engine) Fetch(ctx context.Context, which func(catalog.Slot) bool, want dot.Set, maxBytes, maxFiles int) (dot.Fetched, error) {
	leave, err := e.enter()
	if err != nil {
		return dot.Fetched{}, err
	}
	defer leave()
	f := fetch{engine: e, left: maxBytes, maxFiles: maxFiles}
	for _, slot := range e.holdings.those(which) {
		if err := f.slot(ctx, slot, &want); err != nil {
			return dot.Fetched{}, fmt.Errorf("fetch batches of slot %s: %w", slot, err)
		}
	}
	slices.SortStableFunc(f.offers, func(a, b offer) int { return cmp.Compare(b.wanted, a.wanted) })
	for _, o := range f.offers[:min(len(f.offers), maxFiles)] {
		f.got.Files = append(f.got.Files, o.File)
	}
	return f.got, nil
}

// fetch is one call of Fetch.
type fetch struct {
	engine   *Engine
	left     int // of the bytes
	maxFiles int
	reads    int // of segments in the trash
	got      dot.Fetched
	offers   []offer
}

// offer is a file, and how much of what is wanted is in it.
type offer struct {
	dot.File
	wanted uint64
}

// full says whether there is no room for another batch.
func (f *fetch) full() bool { return f.left <= 0 && len(f.got.Batches) > 0 }

// give adds a batch if it fits.
func (f *fetch) give(d dot.Dot, record []byte) {
	if f.full() || len(record) > f.left && len(f.got.Batches) > 0 {
		f.left = 0
		return
	}
	f.left -= len(record)
	f.got.Batches = append(f.got.Batches, dot.Named{Dot: d, Record: record})
}

// slot fetches what a slot has.
func (f *fetch) slot(ctx context.Context, slot catalog.Slot, want *dot.Set) error {
	held := f.engine.holdings.of(slot)
	rest := want.And(&held)
	if rest.IsEmpty() {
		return nil
	}
	logged := f.engine.holdings.loggedOf(slot, &rest)
	for _, n := range logged {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.full() {
			break
		}
		record, err := f.engine.loggedRecord(slot, n)
		if err != nil {
			return err
		}
		if record != nil {
			f.give(n, record)
		}
	}
	given := dot.Of(logged...)
	rest = rest.Minus(&given)
	if err := f.fromTrash(ctx, slot, &rest); err != nil {
		return err
	}
	if err := f.voids(slot, &rest); err != nil {
		return err
	}
	return f.files(slot, &rest)
}

// loggedOf are those of the dots whose batches are in the log, in its order.
func (h *holdings) loggedOf(s catalog.Slot, dots *dot.Set) (logged []dot.Dot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.slots[s]
	if at == nil {
		return nil
	}
	for d := range at.logged {
		if dots.Contains(d) {
			logged = append(logged, d)
		}
	}
	slices.SortFunc(logged, func(a, b dot.Dot) int {
		p, q := at.logged[a], at.logged[b]
		return cmp.Or(cmp.Compare(p.Segment, q.Segment), cmp.Compare(p.Offset, q.Offset))
	})
	return logged
}

// fromTrash gives batches of segments that are in the trash, and takes out of rest all
// that are in them.
func (f *fetch) fromTrash(ctx context.Context, slot catalog.Slot, rest *dot.Set) error {
	if rest.IsEmpty() {
		return nil
	}
	e := f.engine
	segments, err := e.trash.segments(e.now().Add(-fetchTrashFor))
	if err != nil {
		return err
	}
	for _, s := range segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		known, has := e.holdings.inSegment(s.id, slot)
		has = has.And(rest)
		// One that is known to have something is read in any case where nothing is given
		// yet: who asks must get something of what is there.
		enough := f.full() || f.reads >= maxTrashReads && (len(f.got.Batches) > 0 || has.IsEmpty())
		if known && has.IsEmpty() || enough {
			*rest = rest.Minus(&has)
			continue
		}
		f.reads++
		seen := map[catalog.Slot]*dot.Set{}
		err := appendlog.ReadSegment(e.fs, s.path, func(_ appendlog.Position, payload []byte) error {
			d, record, err := dot.CutName(payload)
			if err != nil || d.IsZero() {
				return err
			}
			h, err := event.DecodeHeader(record)
			if err != nil {
				return err
			}
			of := h.Shard.Slot()
			if seen[of] == nil {
				seen[of] = &dot.Set{}
			}
			if seen[of].Add(d) && of == slot && rest.Contains(d) {
				f.give(d, slices.Clone(record))
			}
			return nil
		})
		if err != nil {
			// It is no longer needed for anything: the files have it.
			e.logger.Debug("segment in the trash cannot be read", "file", s.path, "error", err)
			continue
		}
		e.holdings.learnSegment(s.id, seen)
		if of := seen[slot]; of != nil {
			*rest = rest.Minus(of)
		}
	}
	return nil
}

// voids gives batches of purged projects: as records without events.
func (f *fetch) voids(slot catalog.Slot, rest *dot.Set) error {
	void := f.engine.ledger.voidDots(slot)
	void = void.And(rest)
	*rest = rest.Minus(&void)
	for d := range void.All() {
		if f.full() {
			return nil
		}
		record, err := event.AppendBatch(nil, &event.Batch{Shard: catalog.ShardKey{Project: slot.Project, Bucket: slot.Bucket}})
		if err != nil {
			return err
		}
		f.give(d, record)
	}
	return nil
}

// files offers the files that have some of the rest.
func (f *fetch) files(slot catalog.Slot, rest *dot.Set) error {
	if rest.IsEmpty() {
		return nil
	}
	stage := f.engine.stage()
	for _, s := range f.engine.shardsOf(slot.Project) {
		if s.key.Bucket != slot.Bucket {
			continue
		}
		v, err := s.view(f.engine)
		if err != nil {
			continue // it is damaged: who has it whole is asked
		}
		for _, file := range v.files.files {
			if isStaged(stage, file) {
				continue // others have the batches, too, in files that are not on trial
			}
			dots := f.engine.dotsOf(file)
			if wanted := dots.And(rest); !wanted.IsEmpty() {
				f.offers = append(f.offers, offer{dot.File{Name: path.Join(s.key.String(), file.name.String()), Bytes: file.reader.Size(), Dots: dots}, wanted.Len()})
			}
		}
		v.release()
	}
	return nil
}

// trashedSegment is a segment of the log that is in the trash.
type trashedSegment struct {
	id   uint64
	path string
}

// segments are those of the log that came into the trash since a moment, the latest
// first.
func (t *trash) segments(since time.Time) (all []trashedSegment, err error) {
	e := t.engine
	names, err := e.fs.List(e.trashDir())
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Backward(names) {
		dir := strings.TrimSuffix(name, "/")
		if at, ok := trashedAt(dir); !ok || at < since.UnixMicro() || !strings.HasSuffix(dir, logTrash) {
			continue
		}
		files, err := e.fs.List(path.Join(e.trashDir(), dir))
		if err != nil {
			if isNotExist(err) {
				continue // it was emptied meanwhile
			}
			return nil, err
		}
		for _, file := range files {
			if id, ok := parseSegmentName(file); ok {
				all = append(all, trashedSegment{id, path.Join(e.trashDir(), dir, file)})
			}
		}
	}
	return all, nil
}

func parseSegmentName(name string) (id uint64, ok bool) {
	n, err := fmt.Sscanf(name, "%d.log", &id)
	return id, n == 1 && err == nil && appendlog.SegmentName(id) == name
}

// inSegment is what a segment has of a slot, and whether that is known.
func (h *holdings) inSegment(id uint64, s catalog.Slot) (known bool, dots dot.Set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of, known := h.segments[id]
	if of[s] != nil {
		dots = of[s].Clone()
	}
	return known, dots
}

// learnSegment says what is in a segment.
func (h *holdings) learnSegment(id uint64, of map[catalog.Slot]*dot.Set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.segments == nil {
		h.segments = map[uint64]map[catalog.Slot]*dot.Set{}
	}
	h.segments[id] = of
}

// leftTrash says that a segment is gone for good.
func (h *holdings) leftTrash(name string) {
	id, ok := parseSegmentName(name)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.segments, id)
}

// filePiece is how much of a file ReadFile gives at once.
const filePiece = 1 << 20

// ReadFile gives the bytes of an indexed file that Fetch has offered, in pieces that
// hold until yield returns. One that was replaced meanwhile is read from the trash, as
// long as it is there; ErrNoFile says that it is not.
func (e *Engine) ReadFile(ctx context.Context, name string, yield func(piece []byte) error) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	if err := e.readFile(ctx, name, yield); err != nil {
		return fmt.Errorf("read file %s: %w", name, err)
	}
	return nil
}

func (e *Engine) readFile(ctx context.Context, name string, yield func(piece []byte) error) error {
	at, err := e.findFile(name)
	if err != nil {
		return err
	}
	f, err := e.fs.Open(at)
	if err != nil {
		if isNotExist(err) {
			return fmt.Errorf("%w: %w", dot.ErrNoFile, err)
		}
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	buffer := make([]byte, min(size, filePiece))
	for at := int64(0); at < size; at += int64(len(buffer)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		buffer = buffer[:min(size-at, filePiece)]
		if n, err := f.ReadAt(buffer, at); n < len(buffer) {
			return fmt.Errorf("byte %d: %w", at+int64(n), cmp.Or(err, errShort))
		}
		if err := yield(buffer); err != nil {
			return err
		}
	}
	return nil
}

var errShort = errors.New("file is shorter than it was")

// findFile is where an indexed file is: in its shard or, since it was replaced, in the
// trash.
func (e *Engine) findFile(name string) (string, error) {
	k, ok := catalog.ParseShardKey(path.Dir(name))
	n, ok2 := parseFileName(path.Base(name))
	if !ok || !ok2 {
		return "", fmt.Errorf("%w: that is no name", dot.ErrNoFile)
	}
	e.mu.RLock()
	s := e.shards[k.Project][k]
	e.mu.RUnlock()
	if s != nil && s.uses(n.String()) {
		return path.Join(s.dir, n.String()), nil
	}
	names, err := e.fs.List(e.trashDir())
	if err != nil {
		return "", err
	}
	for _, trashed := range names {
		if strings.HasSuffix(trashed, ","+strings.ReplaceAll(k.String(), "/", ".")+","+n.String()) {
			return path.Join(e.trashDir(), trashed), nil
		}
	}
	return "", dot.ErrNoFile
}
