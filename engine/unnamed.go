package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"

	"arbor/catalog"
	"arbor/engine/dot"
)

// Events that were stored while a server was alone have no names. In a replica's
// directory an indexed file of such events counts as one batch, which is named by what
// is in it: so every member finds the same name, nothing is written anew, and a name
// is lost only with its events. Merges carry the names of what they are made of, as
// those of any batches.

// dotsOf are those of the batches whose events are in a file.
func (e *Engine) dotsOf(f *file) dot.Set {
	dots := f.dots()
	if e.opts.Replica && dots.IsEmpty() {
		return dot.Of(f.ownName())
	}
	return dots
}

// ownName names a file by its shard and the digest of all that is in it.
func (f *file) ownName() dot.Dot {
	k := f.meta.Shard
	b := binary.BigEndian.AppendUint64(nil, uint64(k.Project))
	b = binary.BigEndian.AppendUint64(b, uint64(k.Day))
	b = binary.BigEndian.AppendUint16(b, k.Bucket)
	for _, d := range f.meta.Digest {
		b = binary.BigEndian.AppendUint64(b, d)
	}
	sum := xxh3.Hash128(b).Bytes()
	return dot.Dot{Stream: sum, Seq: 1}
}

// NameAll makes of all that is logged files, so that all that is stored has names, and
// gives the slots that have something. It is for a directory that was used alone and
// is about to be a replica's: nothing may be appended meanwhile, and nobody else may
// have answered for anything of it. It can be repeated after a crash. A shard that is
// damaged is an error.
func (e *Engine) NameAll(ctx context.Context) ([]catalog.Slot, error) {
	slots, err := e.nameAll(ctx)
	if err == nil {
		err = e.Trust(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("name all that is stored: %w", err)
	}
	return slots, nil
}

func (e *Engine) nameAll(ctx context.Context) (slots []catalog.Slot, err error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	if !e.opts.Replica {
		return nil, errors.New("the engine was not opened as a replica's")
	}
	if err := e.indexer.runAll(ctx, 0, false); err != nil {
		return nil, err
	}
	seen := map[catalog.Slot]bool{}
	for _, s := range e.allShards() {
		if err := s.failure(); err != nil {
			return nil, err
		}
		files := s.files()
		for _, f := range files {
			dots := e.dotsOf(f)
			e.holdings.addFile(s.key.Slot(), &dots)
		}
		if slot := s.key.Slot(); len(files) > 0 && !seen[slot] {
			seen[slot] = true
			slots = append(slots, slot)
		}
	}
	return slots, e.ledger.begin()
}
