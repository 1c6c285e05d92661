package engine

import (
	"context"
	"fmt"
	"time"

	"arbor/catalog"
	"arbor/engine/event"
)

// scrubEvery is how long after a pass the next one begins.
const scrubEvery = 10 * time.Minute

// leastScrubbed is what a shard counts as at least, so that many small ones are
// not read in a burst.
const leastScrubbed = 64 << 10

// scrubber reads everything again and again, slowly, until the engine is closed.
func (e *Engine) scrubber() {
	defer e.work.Done()
	for {
		if !e.pause(e.life, scrubEvery) {
			return
		}
		if rate := e.catalog.Load().ScrubRate(); rate > 0 {
			if err := e.Scrub(e.life, rate); err != nil && e.life.Err() == nil {
				e.logger.Error("scrub", "error", err)
			}
		}
	}
}

// pause waits, and reports whether ctx still lasts.
func (e *Engine) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Scrub reads all files and all that is logged once, at most rate bytes a second
// or, if it is 0, as fast as it goes. It holds files against their checksums and, where
// that is due, every value against their order and the digests that they were proven to
// have: a file that this process has not read so yet, so that what a faulty build wrote and
// nobody proved is found by the next pass, and one that it last read so scrub_whole_every
// ago. A shard whose file or log is not what it should be fails from then on, with an
// alarm. Only the end of the context is an error.
func (e *Engine) Scrub(ctx context.Context, rate int64) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	shards := e.allShards()
	j := e.jobs.start("scrub", catalog.ShardKey{}, int64(len(shards)))
	damaged, bytes := 0, int64(0)
	for _, s := range shards {
		if s.failure() != nil {
			damaged++
			continue
		}
		read, scrubErr := e.scrubShard(ctx, s, rate)
		bytes += read
		if ctx.Err() != nil {
			err = ctx.Err()
			break
		}
		if scrubErr != nil {
			e.logger.Error("scrub: a shard cannot be read whole", "shard", s.key, "error", scrubErr)
			damaged++
		}
		j.done.Add(1)
	}
	if err == nil {
		e.metrics.Scrubs.Add(1)
		e.metrics.Scrubbed.Store(e.now().UnixMicro())
	}
	e.jobs.finish(j, fmt.Sprintf("%d bytes of %d shards, of which %d are damaged", bytes, len(shards), damaged), err)
	return err
}

// scrubShard reads a shard and pauses after each file for as long as the rate asks.
func (e *Engine) scrubShard(ctx context.Context, s *shard, rate int64) (read int64, err error) {
	v, err := s.view(e)
	if err != nil {
		return 0, err
	}
	defer v.release()
	for _, f := range v.files.files {
		check := v.checkBytes
		if f.wholeDue(e.now(), e.catalog.Load().ScrubWholeEvery()) {
			check = v.check
			e.metrics.ScrubbedWhole.Add(f.reader.Size())
		}
		if err := check(ctx, f); err != nil {
			return read, v.blame(err)
		}
		read += f.reader.Size()
		if !e.scrubbed(ctx, f.reader.Size(), rate) {
			return read, ctx.Err()
		}
	}
	events := int64(0)
	if err := v.eachLogged(ctx, func(uint32, *event.Event) { events++ }); err != nil {
		return read, v.blame(err)
	}
	if events != v.events {
		return read, v.blame(fmt.Errorf("%d logged events where %d were acknowledged: %w", events, v.events, ErrDamaged))
	}
	e.scrubbed(ctx, max(v.bytes, leastScrubbed), rate)
	return read + v.bytes, nil
}

// wholeDue reports whether a scrub has to read every value of the file, rather than its
// checksums.
func (f *file) wholeDue(now time.Time, every time.Duration) bool {
	age := now.UnixMicro() - f.readWhole.Load()
	return age >= every.Microseconds() || age < 0 || f.readWhole.Load() == 0
}

// scrubbed counts bytes that were read and pauses for as long as they may take.
func (e *Engine) scrubbed(ctx context.Context, n, rate int64) bool {
	e.metrics.ScrubbedBytes.Add(n)
	if rate <= 0 {
		return ctx.Err() == nil
	}
	return e.pause(ctx, time.Duration(float64(n)/float64(rate)*float64(time.Second)))
}
