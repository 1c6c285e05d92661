package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// fakeLocal is an engine that remembers its catalogs and answers as it is told.
type fakeLocal struct {
	Local
	cluster  *Cluster
	mu       sync.Mutex
	versions []uint64
	early    int
	err      error
	scan     func(yield func(*exec.Batch) error) error
}

func (f *fakeLocal) SetCatalog(c *catalog.Catalog) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.versions = append(f.versions, c.Version)
	// The engine comes first: who takes the catalog from the cluster can ask
	// the engine by it.
	if f.cluster != nil && f.cluster.Catalog().Version >= c.Version {
		f.early++
	}
}

func (f *fakeLocal) Append(context.Context, [][]byte) error { return f.err }

func (f *fakeLocal) Scan(_ context.Context, _ *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	return exec.ScanStats{RowsGiven: 7}, f.scan(yield)
}

func open(t *testing.T, local *fakeLocal) *Cluster {
	t.Helper()
	m, err := OpenMetadata(vfs.NewMem(), "catalog", quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return New(m, local)
}

func TestEngineHasTheCatalogBeforeChangeReturns(t *testing.T) {
	local := &fakeLocal{}
	c := open(t, local)
	local.cluster = c
	const writers, each = 8, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				got, err := c.Change(t.Context(), catalog.CreateProject{Name: fmt.Sprintf("p%d_%d", w, i)})
				if err != nil {
					t.Error(err)
					return
				}
				local.mu.Lock()
				last := local.versions[len(local.versions)-1]
				local.mu.Unlock()
				if last < got.Version || c.Catalog().Version < got.Version {
					t.Errorf("version %d returned, engine has %d, cluster %d", got.Version, last, c.Catalog().Version)
				}
			}
		})
	}
	wg.Wait()
	for i, v := range local.versions {
		if v != uint64(i) {
			t.Fatalf("engine got version %d as number %d", v, i)
		}
	}
	if local.early > 0 {
		t.Fatalf("%d catalogs were in force before the engine had them", local.early)
	}
	if n := len(c.Catalog().Projects); n != writers*each {
		t.Fatalf("%d projects", n)
	}
}

func TestAppendErrors(t *testing.T) {
	for _, test := range []struct{ from, want error }{
		{nil, nil},
		{context.Canceled, context.Canceled},
		{event.ErrCorrupt, event.ErrCorrupt},
		{fmt.Errorf("append: %w", appendlog.ErrTooLarge), ErrTooLarge},
		{appendlog.ErrBroken, ErrUnavailable},
		{errors.New("no space left on device"), ErrUnavailable},
	} {
		c := open(t, &fakeLocal{err: test.from})
		err := c.Append(t.Context(), nil)
		if !errors.Is(err, test.want) || !errors.Is(err, test.from) {
			t.Errorf("engine says %v: got %v, want %v", test.from, err, test.want)
		}
		if test.want != ErrUnavailable && errors.Is(err, ErrUnavailable) {
			t.Errorf("engine says %v: that is not unavailable", test.from)
		}
	}
}

func TestCloseWaitsForScans(t *testing.T) {
	local := &fakeLocal{}
	c := open(t, local)
	inside, leave := make(chan struct{}), make(chan struct{})
	var nested error
	local.scan = func(yield func(*exec.Batch) error) error {
		close(inside)
		<-leave
		return yield(nil)
	}
	scanned := make(chan error)
	go func() {
		stats, err := c.Scan(t.Context(), nil, func(*exec.Batch) error {
			nested = c.Append(t.Context(), nil) // as INSERT … SELECT does
			return nil
		})
		if stats.RowsGiven != 7 {
			err = fmt.Errorf("stats %+v", stats)
		}
		scanned <- err
	}()
	<-inside
	closed := make(chan error)
	go func() { closed <- c.Close() }()
	for { // until Close has begun
		if err := c.Append(t.Context(), nil); errors.Is(err, ErrClosed) {
			break
		}
	}
	select {
	case <-closed:
		t.Fatal("closed while a scan was under way")
	default:
	}
	close(leave)
	if err := <-scanned; err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if !errors.Is(nested, ErrClosed) {
		t.Fatalf("a call from inside a scan, while closing: %v", nested)
	}
}
