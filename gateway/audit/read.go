package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Read gives the newest records, at most MaxRead, oldest first. Where lines are missing
// or changed there is a record of KindGap, which says so.
func (t *Trail) Read() ([]Record, error) {
	t.mu.Lock()
	files := append([]file(nil), t.old...)
	t.mu.Unlock()
	r := reading{places: make(map[uint64]int)}
	before, known := "", false
	for _, f := range files {
		var after *string
		if known {
			after = &before
		}
		end, err := t.readFile(f.name, after, r.add)
		if errors.Is(err, fs.ErrNotExist) {
			known = false // it was removed meanwhile, for it was the oldest
			continue
		}
		if err != nil {
			if !errors.Is(err, errBroken) {
				return nil, fmt.Errorf("audit: read %s: %w", f.name, err)
			}
			r.gap(fmt.Sprintf("%s: %s", f.name, err))
		}
		before, known = end, true
	}
	return r.all(), nil
}

// readFile gives the lines of a file to each, as far as they are chained, and returns the
// last one's chain. After is the chain that the file must go on from, nil for any. An
// unfinished line at the end is none: nobody was told that it was written.
func (t *Trail) readFile(name string, after *string, each func(line)) (chain string, err error) {
	f, err := t.o.FS.Open(path.Join(t.o.Dir, name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return "", err
	}
	text := make([]byte, size)
	if size > 0 {
		if _, err := f.ReadAt(text, 0); err != nil {
			return "", err
		}
	}
	head, rest, whole := bytes.Cut(text, []byte("\n"))
	if after != nil {
		chain = *after
	}
	if !whole {
		return chain, nil
	}
	var h header
	if err := json.Unmarshal(head, &h); err != nil || h.Version == 0 {
		return chain, fmt.Errorf("line 1: %w", errBroken)
	}
	if h.Version > version {
		return chain, fmt.Errorf("it is of version %d, and this arbor knows %d", h.Version, version)
	}
	var broken error
	if after != nil && h.After != *after {
		broken = fmt.Errorf("it does not go on where the file before ended: %w", errBroken)
	}
	chain = chainOf(h.After, head)
	for number := 2; ; number++ {
		text, next, whole := bytes.Cut(rest, []byte("\n"))
		if !whole {
			return chain, broken
		}
		rest = next
		l, err := decode(text, chain)
		if err != nil {
			return chain, fmt.Errorf("line %d and what follows: %w", number, err)
		}
		chain = l.Chain
		each(l)
	}
}

// reading gathers records and their ends.
type reading struct {
	records []Record
	dropped int
	places  map[uint64]int // of records that have not ended, counted from the first ever
}

func (r *reading) add(l line) {
	if l.Ends != 0 {
		if at, ok := r.places[l.Ends]; ok && at >= r.dropped {
			r.records[at-r.dropped].Outcome, r.records[at-r.dropped].Code = l.Outcome, l.Code
		}
		delete(r.places, l.Ends)
		return
	}
	if l.Outcome == "" {
		if len(r.places) >= maxOpen {
			clear(r.places)
		}
		r.places[l.ID] = r.dropped + len(r.records)
		l.Outcome = Unknown
	}
	r.append(l.Record)
}

// append adds a record; of twice as many as are given the older half goes.
func (r *reading) append(a Record) {
	if len(r.records) >= 2*MaxRead {
		r.dropped += MaxRead
		r.records = append(r.records[:0], r.records[MaxRead:]...)
	}
	r.records = append(r.records, a)
}

// gap adds a record that says what cannot be read.
func (r *reading) gap(what string) {
	g := Record{Kind: KindGap, Statement: what, Outcome: Unknown}
	if n := len(r.records); n > 0 {
		g.ID, g.At = r.records[n-1].ID, r.records[n-1].At
	}
	r.append(g)
}

func (r *reading) all() []Record {
	if n := len(r.records) - MaxRead; n > 0 {
		return r.records[n:]
	}
	return r.records
}
