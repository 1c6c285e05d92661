package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/zeebo/xxh3"
)

// importPlace is a place between two batches of a file.
type importPlace struct {
	// Events and Bytes are before the place, the bytes after decompression.
	Events, Bytes int64
}

// importState remembers how far an import of a file came: up to where the server
// has answered for all batches. It is a small file of its own for each file,
// project and server, which is gone when the import is complete. Where none can be
// kept, as for standard input, an import starts anew.
type importState struct {
	importPlace
	path string // "" where none is kept
	of   importStateFile

	mu sync.Mutex // guards what follows, and importPlace
	// next is the number of the first batch that is not answered for; ahead are
	// the places behind later ones that are.
	next  int64
	ahead map[int64]importPlace
}

// importStateFile is the file's content.
type importStateFile struct {
	importPlace
	// File, Size and Modified say of which file it is: another one of that name
	// begins anew.
	File     string
	Size     int64
	Modified time.Time
}

// openImportState finds what is remembered of an import.
func openImportState(o importOptions, token, name string) *importState {
	s := &importState{ahead: map[int64]importPlace{}}
	now, ok := describeImport(name)
	if !ok {
		return s
	}
	dir := o.stateDir
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return s
		}
		dir = filepath.Join(cache, "arbor", "import")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		fmt.Fprintf(os.Stderr, "how far the import comes is not remembered: %v\n", err)
		return s
	}
	s.of = now
	s.path = filepath.Join(dir, fmt.Sprintf("%016x.json", xxh3.HashString(o.server+"\x00"+token+"\x00"+now.File)))
	var old importStateFile
	text, err := os.ReadFile(s.path)
	if err == nil && json.Unmarshal(text, &old) == nil && old.File == now.File && old.Size == now.Size && old.Modified.Equal(now.Modified) {
		s.importPlace = old.importPlace
	}
	return s
}

// describeImport says which file a name is of; false is for what cannot be read
// again.
func describeImport(name string) (f importStateFile, ok bool) {
	path, err := filepath.Abs(name)
	if err != nil || name == "-" {
		return f, false
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return f, false
	}
	return importStateFile{File: path, Size: info.Size(), Modified: info.ModTime()}, true
}

// begin forgets what was remembered.
func (s *importState) begin() { s.importPlace = importPlace{} }

// resumable reports whether something is remembered.
func (s *importState) resumable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.path != "" && s.Bytes > 0
}

// done says that the server has answered for a batch.
func (s *importState) done(b *importBatch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead[b.number] = importPlace{Events: b.first - 1 + int64(b.events), Bytes: b.end}
	for {
		place, ok := s.ahead[s.next]
		if !ok {
			return
		}
		delete(s.ahead, s.next)
		s.importPlace, s.next = place, s.next+1
	}
}

// keep writes the place down and shows it, from time to time, until stop is
// called, with whether the import is complete. Batches are told to done.
func (s *importState) keep(show func(events int64, rate float64)) (done func(*importBatch), stop func(complete bool) error) {
	file, first, start := s.path, s.Events, time.Now()
	ended, over := make(chan struct{}), make(chan struct{})
	go func() { // ends when ended is closed
		defer close(over)
		ticks := time.NewTicker(showEvery)
		defer ticks.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticks.C:
			}
			s.mu.Lock()
			events := s.Events
			s.mu.Unlock()
			show(events, float64(events-first)/time.Since(start).Seconds())
			_ = s.save() // the next time, or stop, says so
		}
	}()
	return s.done, func(complete bool) error {
		close(ended)
		<-over
		if !complete {
			return s.save()
		}
		if file == "" {
			return nil
		}
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("forget how far the import came: %w", err)
		}
		return nil
	}
}

// save writes the place down, so that it is there as a whole or as it was before.
// Nothing depends on it that the insert ids do not mend.
func (s *importState) save() error {
	s.mu.Lock()
	place := s.importPlace
	s.mu.Unlock()
	if s.path == "" {
		return nil
	}
	f := s.of
	f.importPlace = place
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("remember how far the import came: %w", err)
	}
	if err := os.WriteFile(s.path+".tmp", text, 0o600); err != nil {
		return fmt.Errorf("remember how far the import came: %w", err)
	}
	if err := os.Rename(s.path+".tmp", s.path); err != nil {
		return fmt.Errorf("remember how far the import came: %w", err)
	}
	return nil
}
