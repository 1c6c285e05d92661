package engine

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/filesum"
)

// fileNotes are what the ledger says of live files.
type fileNotes struct {
	// batches are the dots of those in each file. A file says itself what is in it; this
	// is for the file that cannot be read any more, or is gone: it is known what was lost
	// with it, so that just that can be had again from others, and so is whoever
	// acknowledged it.
	batches perFile[dot.Set]
	// sums are of the bytes that were proven, for the backups of later processes.
	sums perFile[provenSum]
}

// provenSum is the SHA-256 of a file, and the checksum of its footer, which tells that a
// file is the one that was proven.
type provenSum struct {
	seal uint64
	hash [32]byte
}

func newFileNotes() fileNotes {
	return fileNotes{batches: perFile[dot.Set]{}, sums: perFile[provenSum]{}}
}

// set puts entries of the kinds ledgerBatches and ledgerSum in force.
func (n *fileNotes) set(entries ...ledgerEntry) {
	for _, e := range entries {
		switch {
		case e.kind == ledgerSum:
			n.sums.put(e.shard, e.file, e.sum)
		case e.dots.IsEmpty():
			delete(n.batches[e.shard], e.file)
		default:
			n.batches.put(e.shard, e.file, e.dots)
		}
	}
}

// keep forgets all files of a shard but some.
func (n *fileNotes) keep(k catalog.ShardKey, files []fileName) {
	n.batches.keep(k, files)
	n.sums.keep(k, files)
}

func (n *fileNotes) len() int { return n.batches.len() + n.sums.len() }

// append adds an encoded entry for each note.
func (n *fileNotes) append(entries [][]byte) [][]byte {
	for k, of := range n.batches {
		for file, dots := range of {
			entries = append(entries, ledgerEntry{kind: ledgerBatches, shard: k, file: file, dots: dots}.encode())
		}
	}
	for k, of := range n.sums {
		for file, sum := range of {
			entries = append(entries, ledgerEntry{kind: ledgerSum, shard: k, file: file, sum: sum}.encode())
		}
	}
	return entries
}

// perFile is something for each of some shards' files.
type perFile[T any] map[catalog.ShardKey]map[fileName]T

func (p perFile[T]) put(k catalog.ShardKey, n fileName, v T) {
	if p[k] == nil {
		p[k] = map[fileName]T{}
	}
	p[k][n] = v
}

func (p perFile[T]) keep(k catalog.ShardKey, files []fileName) {
	for n := range p[k] {
		if !slices.Contains(files, n) {
			delete(p[k], n)
		}
	}
	if len(p[k]) == 0 {
		delete(p, k)
	}
}

func (p perFile[T]) len() (n int) {
	for _, of := range p {
		n += len(of)
	}
	return n
}

// unnoted are entries for what is known of a shard's files and not on record. The caller
// has the turn.
func (l *ledger) unnoted(s *shard) (entries []ledgerEntry) {
	for _, f := range s.files() {
		if _, known := l.notes.batches[s.key][f.name]; !known {
			if dots := l.engine.dotsOf(f); !dots.IsEmpty() {
				entries = append(entries, ledgerEntry{kind: ledgerBatches, shard: s.key, file: f.name, dots: dots})
			}
		}
		if _, known := l.notes.sums[s.key][f.name]; !known && f.sums != nil {
			sum := provenSum{seal: f.reader.Seal()}
			if n, err := hex.Decode(sum.hash[:], []byte(f.sums.Hash)); err == nil && n == len(sum.hash) {
				entries = append(entries, ledgerEntry{kind: ledgerSum, shard: s.key, file: f.name, sum: sum})
			}
		}
	}
	slices.SortFunc(entries, func(a, b ledgerEntry) int { return cmp.Or(a.file.compare(b.file), int(a.kind)-int(b.kind)) })
	return entries
}

// batchesOf are those that are on record of a file; known is whether they are.
func (l *ledger) batchesOf(k catalog.ShardKey, n fileName) (dots dot.Set, known bool) {
	l.turn.Lock()
	defer l.turn.Unlock()
	dots, known = l.notes.batches[k][n]
	return dots.Clone(), known
}

// sumsOf are what is on record of the bytes of an open file, if it is the one that was
// proven; nil if nothing is. They have no quick sum.
func (l *ledger) sumsOf(k catalog.ShardKey, f *file) *filesum.Sums {
	l.turn.Lock()
	defer l.turn.Unlock()
	sum, known := l.notes.sums[k][f.name]
	if !known || sum.seal != f.reader.Seal() {
		return nil
	}
	return &filesum.Sums{Hash: hex.EncodeToString(sum.hash[:])}
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
	if err := l.recordAll(entries, func() { l.notes.set(entries...) }); err != nil {
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
