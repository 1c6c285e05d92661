package torture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
)

// member is the engine, the catalog's log and the cluster of one between them,
// as main opens them, on a disk in memory that can fail and be crashed.
type member struct {
	*cluster.Cluster
	engine   *engine.Engine
	metadata *cluster.Metadata
	disk     *vfs.Mem // nil for the machine's
	faulty   *vfs.Faulty
	options  engine.Options
	names    givenNames
	// keptGroups and keptSteps are how many files were answered by what is kept, before the
	// member was opened.
	keptGroups, keptSteps int64
	// opens counts how often the member was opened.
	opens int
	// fired is set once an operation has failed, failed if that was since the
	// member was opened; crashed, once the machine stands still.
	fired, failed, crashed atomic.Bool
	// unsynced are the shares of what was not synced that a crash may leave.
	unsynced []float64
}

// engineOptions are those of all engines under test: nothing happens by itself,
// and segments are so small that histories fill many.
func engineOptions(now func() time.Time) engine.Options {
	return engine.Options{Dir: "data", Now: now, Manual: true, SegmentBytes: 16 << 10, Workers: 2, SortedRows: 40, Functions: nameFunctions{}, Logger: slog.New(slog.DiscardHandler), CreatedBy: "torture"}
}

// indexBytes are what lives of a member may take to build files: as much as they
// want, nothing, so that every build puts rows aside, and a little.
var indexBytes = []int64{0, 1, 64 << 10, 1}

// fewRows are what lives of a member scan without workers: all that there is, or little.
var fewRows = []int{0, 20}

// fileForms are the ways in which files are written: with all encodings, however
// few the rows, as an older arbor did, and as always.
var fileForms = []indexfile.BuilderOptions{{Short: true}, {Version: 1}, {}}

func openEngine(ctx context.Context, now func() time.Time) (subject, error) {
	return openOn(ctx, vfs.NewMem(), engineOptions(now))
}

// openOn opens a member on what a disk holds.
func openOn(ctx context.Context, disk *vfs.Mem, options engine.Options) (*member, error) {
	m := &member{disk: disk, options: options, unsynced: []float64{0, 0.5, 1}}
	return m, m.open(ctx)
}

func (m *member) open(ctx context.Context) (err error) {
	if m.faulty == nil && m.disk == nil {
		m.faulty = vfs.NewFaulty(vfs.OS())
	} else if m.faulty == nil {
		m.faulty = vfs.NewFaulty(m.disk)
	}
	m.options.FS = m.faulty
	// Each life writes other files, and finds those of the lives before.
	m.options.Files = fileForms[m.opens%len(fileForms)]
	m.options.IndexBytes = indexBytes[m.opens%len(indexBytes)]
	m.options.KeepFew = m.opens%4 != 3
	m.options.FewRows = fewRows[m.opens%len(fewRows)]
	m.opens++
	if m.metadata, err = cluster.OpenMetadata(m.faulty, path.Join(m.options.Dir, "catalog"), m.options.Logger); err != nil {
		return err
	}
	m.options.Catalog = m.metadata.Catalog()
	if m.engine, err = engine.Open(ctx, m.options); err != nil {
		return err
	}
	m.Cluster = cluster.New(m.metadata, m.engine)
	m.failed.Store(false)
	return nil
}

// Opened reports whether there is anybody to ask.
func (m *member) Opened() bool { return m.Cluster != nil }

// Close closes what is open.
func (m *member) Close() error {
	var errs []error
	if m.Cluster != nil {
		errs = append(errs, m.Cluster.Close())
	}
	if m.engine != nil {
		m.keptGroups += m.engine.Metrics().KeptGroups.Load()
		m.keptSteps += m.engine.Metrics().KeptSteps.Load()
		errs = append(errs, m.engine.Close())
	}
	if m.metadata != nil {
		errs = append(errs, m.metadata.Close())
	}
	m.Cluster, m.engine, m.metadata = nil, nil, nil
	return errors.Join(errs...)
}

// Change is Cluster.Change.
func (m *member) Change(ctx context.Context, change catalog.Change) error {
	_, err := m.Cluster.Change(ctx, change)
	return err
}

// Tick is Engine.Tick.
func (m *member) Tick(ctx context.Context) error { return m.engine.Tick(ctx) }

// Reopen closes and opens. Closing may fail only where files did.
func (m *member) Reopen(ctx context.Context) error {
	if err := m.Close(); err != nil && !m.failed.Load() {
		return fmt.Errorf("close: %w", err)
	}
	return m.open(ctx)
}

// Crash takes the disk away from the engine that runs. The machine's disk cannot
// be taken away.
func (m *member) Crash(ctx context.Context, rng *rand.Rand) error {
	before := m.disk
	if before == nil {
		_ = m.Close()
		m.faulty = nil
		m.crashed.Store(false)
		return m.open(ctx)
	}
	m.disk = before.CrashClone(rng, m.unsynced[rng.IntN(len(m.unsynced))])
	_ = m.Close() // the old engine goes on, on the old disk; nobody listens
	m.faulty = nil
	m.crashed.Store(false)
	return m.open(ctx)
}

// The ways in which a disk failm.
var diskErrors = []error{vfs.ErrCrashed, vfs.ErrCrashed, syscall.EIO, syscall.ENOSPC}

func (m *member) Fail(rng *rand.Rand) string {
	k := 1 + rng.Int64N([]int64{3, 12, 60}[rng.IntN(3)])
	err := diskErrors[rng.IntN(len(diskErrors))]
	once := rng.IntN(2) == 0
	m.FailAt(k, err, once)
	return fmt.Sprintf("operation %d from now: %v, once=%v", k, err, once)
}

// FailAt has the k-th operation from now fail, and all after it unless once.
func (m *member) FailAt(k int64, err error, once bool) {
	k += m.faulty.Operations()
	m.faulty.Inject(func(o vfs.Op) error {
		if o.N < k || once && o.N > k {
			return nil
		}
		m.fired.Store(true)
		m.failed.Store(true)
		m.crashed.Store(errors.Is(err, vfs.ErrCrashed))
		return err
	})
}

func (m *member) Heal()         { m.faulty.Inject(nil) }
func (m *member) Failed() bool  { return m.failed.Load() }
func (m *member) Crashed() bool { return m.crashed.Load() }

// TestHistories is the heart of it.
func TestHistories(t *testing.T) {
	survey(t, openEngine, *firstSeed, *histories)
}

// diskHistories is how many histories touch the machine's disk, whose syncs take
// their time.
const diskHistories = 12

// TestHistoriesOnDisk lives through some histories on the machine's file system,
// where files are mapped and removed for real.
func TestHistoriesOnDisk(t *testing.T) {
	dir, count := t.TempDir(), diskHistories
	if testing.Short() {
		count /= 4
	}
	var n atomic.Int64
	survey(t, func(ctx context.Context, now func() time.Time) (subject, error) {
		options := engineOptions(now)
		options.Dir = path.Join(dir, fmt.Sprint(n.Add(1)))
		return openOn(ctx, nil, options)
	}, *firstSeed, min(*histories, count))
}
