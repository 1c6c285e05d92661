package engine

import (
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/engine/dot"
)

// fileBatches are the dots of the batches in live files. A file says itself what is in
// it; this is for the file that cannot be read any more, or is gone: it is known what was
// lost with it, so that just that can be had again from others, and so is whoever
// acknowledged it.
type fileBatches map[catalog.ShardKey]map[fileName]dot.Set

// set puts entries of the kind ledgerBatches in force.
func (b fileBatches) set(entries ...ledgerEntry) {
	for _, e := range entries {
		if e.dots.IsEmpty() {
			delete(b[e.shard], e.file)
			continue
		}
		if b[e.shard] == nil {
			b[e.shard] = map[fileName]dot.Set{}
		}
		b[e.shard][e.file] = e.dots
	}
}

// keep forgets all files of a shard but some.
func (b fileBatches) keep(k catalog.ShardKey, files []fileName) {
	for n := range b[k] {
		if !slices.Contains(files, n) {
			delete(b[k], n)
		}
	}
	if len(b[k]) == 0 {
		delete(b, k)
	}
}

func (b fileBatches) len() (n int) {
	for _, of := range b {
		n += len(of)
	}
	return n
}

// append adds an encoded entry for each file.
func (b fileBatches) append(entries [][]byte) [][]byte {
	for k, of := range b {
		for n, dots := range of {
			entries = append(entries, ledgerEntry{kind: ledgerBatches, shard: k, file: n, dots: dots}.encode())
		}
	}
	return entries
}

// unnamed are entries for those of a shard's files whose batches are not on record. The
// caller has the turn.
func (l *ledger) unnamed(s *shard) (entries []ledgerEntry) {
	for _, f := range s.files() {
		if _, known := l.batches[s.key][f.name]; known {
			continue
		}
		if dots := l.engine.dotsOf(f); !dots.IsEmpty() {
			entries = append(entries, ledgerEntry{kind: ledgerBatches, shard: s.key, file: f.name, dots: dots})
		}
	}
	slices.SortFunc(entries, func(a, b ledgerEntry) int { return a.file.compare(b.file) })
	return entries
}

// batchesOf are those that are on record of a file; known is whether they are.
func (l *ledger) batchesOf(k catalog.ShardKey, n fileName) (dots dot.Set, known bool) {
	l.turn.Lock()
	defer l.turn.Unlock()
	dots, known = l.batches[k][n]
	return dots.Clone(), known
}

// absent is a file that must be there and could not be opened.
type absent struct {
	name fileName
	// dots are of the batches in it. If there are none nobody knows which they were.
	dots dot.Set
}

// lack notes what cannot be opened of the shard: files of which it is on record what was
// in them, which their dots go on being held for, and others.
func (e *Engine) lack(s *shard, n fileName) {
	dots, known := e.ledger.batchesOf(s.key, n)
	if known {
		e.holdings.addFile(s.key.Slot(), &dots)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absent = append(s.absent, absent{n, dots})
	slices.SortFunc(s.absent, func(a, b absent) int { return a.name.compare(b.name) })
}

// lacks are the files that must be there and could not be opened.
func (s *shard) lacks() []absent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.absent)
}

// lackNothing says that another file stands for all that could not be opened.
func (s *shard) lackNothing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absent = nil
}

// isShort reports whether the shard had batches of which nobody knows here.
func (s *shard) isShort() bool {
	return slices.ContainsFunc(s.lacks(), func(a absent) bool { return a.dots.IsEmpty() })
}

// mustHave are the names of the files that must be there: those that are open, and those
// that the shard lacks.
func (s *shard) mustHave() []fileName {
	names := s.fileNames()
	for _, a := range s.lacks() {
		names = append(names, a.name)
	}
	slices.SortFunc(names, fileName.compare)
	return names
}

// Disown says that nobody can give what a damaged shard lost with files that could not be
// opened, so that it was never acknowledged: the next opening counts the shard's slot
// as lost, and it is held anew. Who calls it has asked all who may have it.
func (e *Engine) Disown(k catalog.ShardKey) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	s := e.existing(k)
	if s == nil {
		return nil
	}
	var entries []ledgerEntry
	for _, a := range s.lacks() {
		if _, known := e.ledger.batchesOf(k, a.name); known {
			entries = append(entries, ledgerEntry{kind: ledgerBatches, shard: k, file: a.name})
		}
	}
	if len(entries) == 0 {
		return nil
	}
	l := &e.ledger
	l.turn.Lock()
	defer l.turn.Unlock()
	if err := l.recordAll(entries, func() { l.batches.set(entries...) }); err != nil {
		return fmt.Errorf("disown what shard %s lost: %w", k, err)
	}
	return nil
}

// nextName is a name after all of the shard's files.
func (s *shard) nextName(e *Engine) fileName {
	n := nextFileName(s.files(), e.now())
	for _, a := range s.lacks() {
		n.sequence = max(n.sequence, a.name.sequence+1)
	}
	return n
}
