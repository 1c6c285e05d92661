// Package audit writes down who did what, and keeps it: log-ins, changes of users,
// settings and schemas, and what removes or takes out data.
//
// A trail is a directory of files, each of lines of JSON. Lines are only added. What
// is about to be done is on disk before it is done; how it ended is a line of its
// own, and log-ins are on disk within a second. Each line has a hash over itself and
// the line before it, so that a line that was changed or taken out afterwards shows,
// though not to somebody who would write all later lines anew. The oldest files go
// when all of them are larger than they may be together.
//
//	{"arbor_audit":1,"after":"CHAIN OF THE LAST LINE OF THE FILE BEFORE"}
//	{"id":7,"at":"…","kind":"ddl","user":"root",…,"statement":"DROP TABLE …","chain":"…"}
//	{"id":0,"at":"…","kind":"","outcome":"ok","ends":7,"chain":"…"}
package audit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"arbor/engine/vfs"
)

// Limits of a trail.
const (
	// MaxRead is how many records Read gives at most: the newest.
	MaxRead = 100_000
	// MaxText is the longest text of a field, in bytes; what is longer is cut.
	MaxText = 8 << 10
	// maxFiles is how many files there may be: a process begins a new one.
	maxFiles = 4096
	// parts is how many files the trail's size is divided into.
	parts = 16
	// syncEvery is how soon log-ins are on disk.
	syncEvery = time.Second
	// maxOpen is how many records whose end is awaited Read knows.
	maxOpen = MaxRead
)

const extension = ".jsonl"

// Options say where a trail is and how large it may be.
type Options struct {
	FS  vfs.FS
	Dir string
	// MaxBytes is how large the files may be together; it is asked before each line.
	MaxBytes func() int64
	// Now is the clock; nil means time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

// Trail is an open trail. Its methods may be called from many goroutines.
type Trail struct {
	o    Options
	stop chan struct{}
	done chan struct{}

	// mu guards the rest, and is held over writes: they are one after the other.
	mu     sync.Mutex
	file   vfs.File // nil until there is something to write
	size   int64
	dirty  bool // something is not synced
	closed bool
	number uint64 // of the last file
	next   uint64 // the next record's id
	chain  string // of the last line
	old    []file // files that are not written to any more, oldest first
}

// file is a file of a trail.
type file struct {
	name string
	size int64
}

// Open opens a trail, which is made if missing. Nothing is written before there is
// something to write down.
func Open(o Options) (*Trail, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	t := &Trail{o: o, next: 1, stop: make(chan struct{}), done: make(chan struct{})}
	if err := t.find(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	go t.syncNowAndThen()
	return t, nil
}

// find finds the files there are, and where the last one ends.
func (t *Trail) find() error {
	names, err := t.o.FS.List(t.o.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := numberOf(name); !ok {
			continue
		}
		info, err := t.o.FS.Stat(path.Join(t.o.Dir, name))
		if err != nil {
			return err
		}
		t.old = append(t.old, file{name, info.Size()})
	}
	if len(t.old) == 0 {
		return nil
	}
	t.number, _ = numberOf(t.old[len(t.old)-1].name)
	for i := len(t.old) - 1; i >= 0 && (t.chain == "" || t.next == 1); i-- { // a file may have no record
		chain, err := t.readFile(t.old[i].name, nil, func(l line) {
			if l.Ends == 0 {
				t.next = max(t.next, l.ID+1)
			}
		})
		t.chain = cmp.Or(t.chain, chain)
		if err != nil && !errors.Is(err, errBroken) {
			return fmt.Errorf("%s: %w", t.old[i].name, err)
		}
	}
	return nil // what is broken is so for those who read
}

// numberOf is the number of a file.
func numberOf(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, extension)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil
}

// Note writes a record down that is on disk within a second.
func (t *Trail) Note(r Record) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.record(r)
	return err
}

// Begin writes down what is about to be done, on disk when it returns. End has the
// outcome.
func (t *Trail) Begin(r Record) (id uint64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Outcome, r.Code = "", 0
	if id, err = t.record(r); err != nil {
		return 0, err
	}
	return id, t.sync()
}

// End writes down how what Begin wrote ended; it is on disk within a second.
func (t *Trail) End(id uint64, outcome string, code uint16) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.write(line{Record: Record{At: t.o.Now().UTC(), Outcome: outcome, Code: code}, Ends: id})
}

// record gives a record its number and writes it. mu is held.
func (t *Trail) record(r Record) (uint64, error) {
	r.ID, r.At = t.next, t.o.Now().UTC()
	for _, text := range []*string{&r.User, &r.Host, &r.Address, &r.Project, &r.Statement} {
		*text = cut(*text)
	}
	if err := t.write(line{Record: r}); err != nil {
		return 0, err
	}
	t.next++
	return r.ID, nil
}

// cut cuts a text to what a field may have, and makes it UTF-8.
func cut(s string) string {
	if len(s) > MaxText {
		s = s[:MaxText] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}

// write adds a line. mu is held.
func (t *Trail) write(l line) error {
	if t.closed {
		return fmt.Errorf("audit: %w", errClosed)
	}
	if err := t.makeRoom(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	text, chain, err := encode(l, t.chain)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	n, err := t.file.Write(text)
	t.size += int64(n)
	t.dirty = true
	if err != nil {
		// What is behind half a line cannot be read, so the next line begins a file.
		t.retire()
		return fmt.Errorf("audit: %w", err)
	}
	t.chain = chain
	return nil
}

var errClosed = errors.New("the trail is closed")

// makeRoom sees to it that there is a file to write to, and removes old ones. mu is held.
func (t *Trail) makeRoom() error {
	most := t.o.MaxBytes()
	if t.file != nil && t.size >= most/parts {
		if err := t.sync(); err != nil {
			return err
		}
		t.retire()
	}
	if t.file == nil {
		if err := t.create(); err != nil {
			return err
		}
	}
	all := t.size
	for _, f := range t.old {
		all += f.size
	}
	for len(t.old) > 1 && (all > most || len(t.old) >= maxFiles) {
		if err := t.o.FS.Remove(path.Join(t.o.Dir, t.old[0].name)); err != nil {
			return fmt.Errorf("remove the oldest file: %w", err)
		}
		all -= t.old[0].size
		t.old = t.old[1:]
	}
	return nil
}

// create begins a file. mu is held.
func (t *Trail) create() error {
	name := fmt.Sprintf("%016d%s", t.number+1, extension)
	f, err := t.o.FS.Create(path.Join(t.o.Dir, name))
	if err != nil {
		return err
	}
	head, err := json.Marshal(header{Version: version, After: t.chain})
	if err == nil {
		_, err = f.Write(append(head, '\n'))
	}
	if err == nil {
		err = t.o.FS.SyncDir(t.o.Dir)
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("begin %s: %w", name, err)
	}
	t.file, t.size = f, int64(len(head)+1)
	t.chain = chainOf(t.chain, head)
	t.number++
	t.old = append(t.old, file{name: name}) // its size is t.size until it is retired
	return nil
}

// retire ends the file that is written to. mu is held.
func (t *Trail) retire() {
	if t.file == nil {
		return
	}
	if err := t.file.Close(); err != nil {
		t.o.Logger.Error("close a file of the audit trail", "error", err)
	}
	t.old[len(t.old)-1].size = t.size
	t.file, t.size = nil, 0
}

// sync makes what was written durable. mu is held. A file whose sync fails is not
// trusted again.
func (t *Trail) sync() error {
	if t.file == nil || !t.dirty {
		return nil
	}
	t.dirty = false
	if err := t.file.Sync(); err != nil {
		t.retire()
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// syncNowAndThen makes durable what nobody waits for; it ends with Close.
func (t *Trail) syncNowAndThen() {
	defer close(t.done)
	ticker := time.NewTicker(syncEvery)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
		}
		t.mu.Lock()
		if err := t.sync(); err != nil {
			t.o.Logger.Error("sync the audit trail", "error", err)
		}
		t.mu.Unlock()
	}
}

// Close makes all durable and ends the trail.
func (t *Trail) Close() error {
	close(t.stop)
	<-t.done
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	err := t.sync()
	t.retire()
	return err
}
