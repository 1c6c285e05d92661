package raftlog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/raft"
	"github.com/zeebo/xxh3"

	"arbor/engine/vfs"
)

// Snapshots is a raft.SnapshotStore. A snapshot is a file, written under another
// name, synced, renamed, and read again before those it replaces go.
//
//	┌──────────┬─────────┬────────────┬────────────┬───────┬─────────────┬──────────────────────────┐
//	│ arborsnp │ version │ meta bytes │ meta, JSON │ state │ state bytes │ xxh3-128 of all before   │
//	│ 8        │ 4       │ 4          │            │       │ 8           │ 16                       │
//	└──────────┴─────────┴────────────┴────────────┴───────┴─────────────┴──────────────────────────┘
//
// Numbers are little-endian, the sum big-endian; meta is raft.SnapshotMeta.
type Snapshots struct {
	fs     vfs.FS
	dir    string
	logger *slog.Logger
	// mu is held while files come and go.
	mu sync.Mutex
}

const (
	snapshotKind    = "arborsnp"
	snapshotVersion = 1
	snapshotHead    = len(snapshotKind) + 4 + 4
	snapshotTail    = 8 + 16
	snapshotSuffix  = ".state"
	halfSuffix      = ".half"
	// snapshotsKept are the newest, the one in force among them.
	snapshotsKept = 2
	// maxMetaBytes bounds the meta: a configuration of thousands of members.
	maxMetaBytes = 4 << 20
)

// OpenSnapshots opens the snapshots of a directory; what a crash left half
// written goes.
func OpenSnapshots(fs vfs.FS, dir string, logger *slog.Logger) (*Snapshots, error) {
	s := &Snapshots{fs: fs, dir: path.Join(dir, "snapshots"), logger: cmp.Or(logger, slog.Default())}
	if err := fs.MkdirAll(s.dir); err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	names, err := fs.List(s.dir)
	for _, name := range names {
		if strings.HasSuffix(name, halfSuffix) {
			err = errors.Join(err, fs.Remove(path.Join(s.dir, name)))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	return s, nil
}

// Create begins a snapshot.
func (s *Snapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != raft.SnapshotVersionMax {
		return nil, fmt.Errorf("create snapshot: version %d of its meta is not known", version)
	}
	meta := raft.SnapshotMeta{Version: version, ID: fmt.Sprintf("%016x-%016x", index, term), Index: index, Term: term,
		Configuration: configuration, ConfigurationIndex: configurationIndex}
	encoded, err := json.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	head := binary.LittleEndian.AppendUint32([]byte(snapshotKind), snapshotVersion)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(encoded)))
	k := &sink{store: s, id: meta.ID, sum: xxh3.New()}
	if k.file, err = s.fs.Create(path.Join(s.dir, meta.ID+halfSuffix)); err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	if err := k.put(append(head, encoded...)); err != nil {
		return nil, errors.Join(fmt.Errorf("create snapshot: %w", err), k.Cancel())
	}
	return k, nil
}

// sink is a snapshot that is being written, by one goroutine.
type sink struct {
	store *Snapshots
	id    string
	file  vfs.File
	sum   *xxh3.Hasher
	size  uint64
	// ended is set by Close and Cancel: both raft and its state machine call them.
	ended bool
}

// ID is the snapshot's.
func (k *sink) ID() string { return k.id }

func (k *sink) put(b []byte) error {
	k.sum.Write(b) // never gives an error
	_, err := k.file.Write(b)
	return err
}

// Write adds to the state.
func (k *sink) Write(b []byte) (int, error) {
	if err := k.put(b); err != nil {
		return 0, fmt.Errorf("write snapshot %s: %w", k.id, err)
	}
	k.size += uint64(len(b))
	return len(b), nil
}

// Cancel removes what was written.
func (k *sink) Cancel() error {
	if k.ended {
		return nil
	}
	k.ended = true
	return errors.Join(k.file.Close(), k.store.fs.Remove(path.Join(k.store.dir, k.id+halfSuffix)))
}

// Close makes the snapshot durable, reads it again, and removes the oldest. Only
// the first call does anything.
func (k *sink) Close() error {
	if k.ended {
		return nil
	}
	err := k.put(binary.LittleEndian.AppendUint64(nil, k.size))
	if err == nil {
		sum := k.sum.Sum128().Bytes()
		_, err = k.file.Write(sum[:])
	}
	if err == nil {
		err = k.file.Sync()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write snapshot %s: %w", k.id, err), k.Cancel())
	}
	k.ended = true
	if err := k.file.Close(); err != nil {
		return fmt.Errorf("write snapshot %s: %w", k.id, err)
	}
	s := k.store
	s.mu.Lock()
	defer s.mu.Unlock()
	half := path.Join(s.dir, k.id+halfSuffix)
	if _, _, err := s.read(k.id + halfSuffix); err != nil {
		return errors.Join(fmt.Errorf("read snapshot %s again: %w", k.id, err), s.fs.Remove(half))
	}
	if err := errors.Join(s.fs.Rename(half, path.Join(s.dir, k.id+snapshotSuffix)), s.fs.SyncDir(s.dir)); err != nil {
		return fmt.Errorf("write snapshot %s: %w", k.id, err)
	}
	if err := s.reap(); err != nil {
		s.logger.Warn("old snapshots of the metadata stay; nothing is lost", "dir", s.dir, "error", err)
	}
	return nil
}

// Purge removes all but the newest for good.
func (s *Snapshots) Purge() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.keep(1)
	if err == nil {
		err = s.fs.SyncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("purge snapshots: %w", err)
	}
	return nil
}

// reap removes all but the newest few.
func (s *Snapshots) reap() error { return s.keep(snapshotsKept) }

// keep removes all but so many of the newest. The caller holds mu.
func (s *Snapshots) keep(kept int) error {
	names, err := s.names()
	if err != nil {
		return err
	}
	for _, name := range names[min(len(names), kept):] {
		err = errors.Join(err, s.fs.Remove(path.Join(s.dir, name)))
	}
	return err
}

// names are the files of snapshots, the newest first: index and term come first
// in them, at a fixed width.
func (s *Snapshots) names() ([]string, error) {
	all, err := s.fs.List(s.dir)
	names := slices.DeleteFunc(all, func(name string) bool { return !strings.HasSuffix(name, snapshotSuffix) })
	slices.Reverse(names)
	return names, err
}

// List gives the snapshots that can be read, the newest first. If the newest
// cannot be read that is an error: the log may not go back to an older one. A
// damaged older one is said to the log and left out.
func (s *Snapshots) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.names()
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var metas []*raft.SnapshotMeta
	for i, name := range names {
		meta, _, err := s.read(name)
		switch {
		case err == nil:
			metas = append(metas, meta)
		case i == 0:
			return nil, err
		default:
			s.logger.Warn("an old snapshot of the metadata cannot be read", "file", path.Join(s.dir, name), "error", err)
		}
	}
	return metas, nil
}

// Open gives a snapshot's state, which was checked whole.
func (s *Snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	meta, state, err := s.read(id + snapshotSuffix)
	if err != nil {
		return nil, nil, err
	}
	return meta, io.NopCloser(bytes.NewReader(state)), nil
}

// read reads and checks a file. A snapshot holds a catalog, which is in memory
// anyhow.
func (s *Snapshots) read(name string) (*raft.SnapshotMeta, []byte, error) {
	meta, state, err := s.readFile(path.Join(s.dir, name))
	if err != nil {
		return nil, nil, fmt.Errorf("snapshot %s: %w", name, err)
	}
	return meta, state, nil
}

func (s *Snapshots) readFile(name string) (*raft.SnapshotMeta, []byte, error) {
	f, err := s.fs.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, nil, err
	}
	return decodeSnapshot(b)
}

func decodeSnapshot(b []byte) (*raft.SnapshotMeta, []byte, error) {
	if len(b) < snapshotHead+snapshotTail || string(b[:len(snapshotKind)]) != snapshotKind {
		return nil, nil, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, snapshotKind)
	}
	body, want := b[:len(b)-16], b[len(b)-16:]
	if sum := xxh3.Hash128(body).Bytes(); !bytes.Equal(sum[:], want) {
		return nil, nil, fmt.Errorf("%w: its checksum is another", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != snapshotVersion {
		return nil, nil, fmt.Errorf("%w: version %d, this one reads version %d", ErrVersion, v, snapshotVersion)
	}
	metaBytes := int64(binary.LittleEndian.Uint32(b[12:]))
	if metaBytes > min(maxMetaBytes, int64(len(b)-snapshotHead-snapshotTail)) {
		return nil, nil, fmt.Errorf("%w: its meta has %d bytes", ErrCorrupt, metaBytes)
	}
	encoded, state := b[snapshotHead:snapshotHead+int(metaBytes)], b[snapshotHead+int(metaBytes):len(b)-snapshotTail]
	if n := binary.LittleEndian.Uint64(body[len(body)-8:]); n != uint64(len(state)) {
		return nil, nil, fmt.Errorf("%w: it has %d bytes of state, and says %d", ErrCorrupt, len(state), n)
	}
	meta := &raft.SnapshotMeta{}
	if err := json.Unmarshal(encoded, meta); err != nil {
		return nil, nil, fmt.Errorf("%w: its meta: %w", ErrCorrupt, err)
	}
	meta.Size = int64(len(state))
	return meta, state, nil
}
