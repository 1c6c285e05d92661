// Package cluster decides which members hold an event and asks them; the
// gateway above it neither knows nor cares how many there are. In the cluster of
// one member (New) the catalog is durable in its own log, and every shard is on the
// member's own engine, reached through Local. In one of several (NewOver) Members
// have each event on the replicas of its bucket.
//
// A member opens from the inside out: OpenMetadata gives the catalog, the
// engine opens with it, and New puts the two together. It closes the other way.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"arbor/catalog"
	"arbor/cluster/tables"
	"arbor/engine/appendlog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// Errors that the gateway decides by. What the member itself said is wrapped
// beside them.
var (
	// ErrClosed: the cluster was closed; the server is going down.
	ErrClosed = errors.New("cluster is closed")
	// ErrUnavailable: the member cannot store anything now, because of its disk or
	// because it goes down. What was asked may or may not have been stored; asking
	// again later is right.
	ErrUnavailable = errors.New("storage is unavailable")
	// ErrFull: there is no room on the member's disk, and nothing of what was asked was
	// stored. ErrUnavailable is beside it.
	ErrFull = errors.New("the disk is full")
	// ErrTooLarge: the request is greater than a log takes. Send less at once.
	ErrTooLarge = errors.New("request is too large")
	// ErrCorrupt: the catalog's log is damaged.
	ErrCorrupt = errors.New("catalog's log is damaged")
)

// Cluster is what the gateway asks. Its methods may be called at once from many
// goroutines.
type Cluster struct {
	metadata Catalogs
	local    Local
	members  *Members // nil for a member that stores everything itself
	control  Control  // nil for one that is alone

	// erasing is held by whoever erases.
	erasing chan struct{}
	// rows knows what rows of mutable tables say of whom; nil until ReadRows.
	rows atomic.Pointer[RowReader]

	// mu guards closed; calls counts those under way and is only added to while
	// closed is not set.
	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

// New puts a member's metadata and its engine together, and makes the catalog
// in force the engine's. Closing them stays with the caller.
func New(metadata Catalogs, local Local) *Cluster {
	metadata.Follow(local.SetCatalog)
	return &Cluster{metadata: metadata, local: local, erasing: make(chan struct{}, 1)}
}

// NewOver is New for a member of several: events are where members say. Closing them
// stays with the caller.
func NewOver(metadata Catalogs, members *Members) *Cluster {
	members.mu.Lock()
	members.changes, members.purgeTables = metadata.Change, metadata.PurgeTables
	members.mu.Unlock()
	metadata.Follow(members.setCatalog)
	return &Cluster{metadata: metadata, local: members.o.Engine, members: members, erasing: make(chan struct{}, 1)}
}

// Catalog is the catalog in force.
func (c *Cluster) Catalog() *catalog.Catalog { return c.metadata.Catalog() }

// Change makes a change durable and gives the catalog that it made, which is
// then in force here and in the engine. A change that the catalog does not
// allow gives the catalog's error and changes nothing. The context bounds the
// waiting for other changes; once this one is being written it is waited for.
func (c *Cluster) Change(ctx context.Context, change catalog.Change) (*catalog.Catalog, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	defer c.calls.Done()
	return c.metadata.Change(ctx, change)
}

// Tables are the mutable tables in force.
func (c *Cluster) Tables() *tables.State { return c.metadata.Tables() }

// ChangeTables makes a change of the tables, a transaction, durable as a whole, and
// gives the state that has it, which is then in force here. An error of package
// tables says that nothing was changed; after another one it is not known.
func (c *Cluster) ChangeTables(ctx context.Context, change tables.Change) (*tables.State, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	defer c.calls.Done()
	return c.metadata.ChangeTables(ctx, change)
}

// PurgeDropped forgets the projects that were dropped longer ago than the
// setting drop_retention says; the engine then frees what they hold. It returns
// how many there were.
func (c *Cluster) PurgeDropped(ctx context.Context, now time.Time) (purged int, err error) {
	current := c.Catalog()
	for _, p := range current.Projects {
		if p.DroppedAt == 0 || now.Sub(time.UnixMicro(p.DroppedAt)) < current.DropRetention() {
			continue
		}
		if _, err := c.Change(ctx, catalog.PurgeProject{ID: p.ID}); err != nil {
			return purged, fmt.Errorf("purge project %s: %w", p.Name, err)
		}
		purged++
	}
	return purged, c.forgetTables(ctx)
}

// forgetTables drops the tables of projects that are no more.
func (c *Cluster) forgetTables(ctx context.Context) error {
	current := c.Catalog()
	for _, project := range c.Tables().Projects() {
		if project == ownProject {
			continue
		}
		if _, ok := current.ProjectByID(catalog.ProjectID(project)); ok {
			continue
		}
		if _, err := c.ChangeTables(ctx, tables.Change{{Op: tables.OpForget, Project: project}}); err != nil {
			return fmt.Errorf("drop the tables of project %d: %w", project, err)
		}
	}
	return nil
}

// Append makes records durable on a quorum of the members that hold their
// shards: each is an encoded event.Batch. After an error each record may or may
// not be stored, and appending it again is harmless.
func (c *Cluster) Append(ctx context.Context, records [][]byte) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.calls.Done()
	if c.members != nil {
		// The catalog is looked at once the append is under way, as in the engine.
		landed := c.members.writing.depart()
		defer landed()
		left, err := event.Suppress(c.members.catalogNow(), records)
		if err != nil || len(left) == 0 && len(records) > 0 {
			return err
		}
		return c.members.append(ctx, left)
	}
	return storageError(c.local.Append(ctx, records))
}

// Duplicates counts the events of records that Append took which are hidden as
// duplicates now.
func (c *Cluster) Duplicates(ctx context.Context, records [][]byte) (int64, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	defer c.calls.Done()
	if c.members != nil {
		return c.members.duplicates(ctx, c.Catalog(), records)
	}
	return c.local.Duplicates(ctx, records)
}

// Scan gives the fragment's rows, as Local.Scan does. Yield may call the cluster.
func (c *Cluster) Scan(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	if err := c.begin(); err != nil {
		return exec.ScanStats{}, err
	}
	defer c.calls.Done()
	if c.members != nil {
		return c.members.execute(ctx, c.Catalog(), f, c.local.Scan, yield)
	}
	return c.local.Scan(ctx, f, yield)
}

// Execute gives the answer of a fragment with a group, as Local.Execute does.
func (c *Cluster) Execute(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	if err := c.begin(); err != nil {
		return exec.ScanStats{}, err
	}
	defer c.calls.Done()
	if c.members != nil {
		return c.members.execute(ctx, c.Catalog(), f, c.local.Execute, yield)
	}
	return c.local.Execute(ctx, f, yield)
}

// Describe gives the rows of one of the tables that DescribeTables names. Where there
// are several members they have a column more, member: whose row it is. Shards,
// digests, balance, duplicates and deletes are of what all members hold together, each
// shard once, from a replica that has all of it; the others are every member's own,
// and have a row that says so for a member that does not answer.
func (c *Cluster) Describe(ctx context.Context, table string) (*exec.Table, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	defer c.calls.Done()
	if c.members != nil {
		return c.members.describe(ctx, c.Catalog(), table)
	}
	return c.local.Describe(ctx, table)
}

// DescribeHere is Describe of this member alone, without the column member.
func (c *Cluster) DescribeHere(ctx context.Context, table string) (*exec.Table, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	defer c.calls.Done()
	return c.local.Describe(ctx, table)
}

// Index seals and indexes what a project has in logs, as Local.Index does.
func (c *Cluster) Index(ctx context.Context, project catalog.ProjectID, closeDays bool) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.calls.Done()
	if c.members != nil {
		return c.members.index(ctx, project, closeDays)
	}
	return c.local.Index(ctx, project, closeDays)
}

// Check re-reads all that a project has and compares it with its checksums. Where there
// are several members what is damaged, or missing on one of them, is repaired: its row is
// well then, and its problem says what was.
func (c *Cluster) Check(ctx context.Context, project catalog.ProjectID) (*exec.Table, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	defer c.calls.Done()
	if c.members != nil {
		return c.members.check(ctx, checked{project: project})
	}
	return c.local.Check(ctx, project)
}

// CheckDay is Check of one day.
func (c *Cluster) CheckDay(ctx context.Context, project catalog.ProjectID, day catalog.Day) (*exec.Table, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	defer c.calls.Done()
	if c.members != nil {
		return c.members.check(ctx, checked{project, &day})
	}
	t, err := c.local.Check(ctx, project)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(t.Columns, func(c exec.TableColumn) bool { return c.Name == "day" })
	t.Rows = slices.DeleteFunc(t.Rows, func(row []catalog.Value) bool { return row[at].Text != day.String() })
	return t, nil
}

// Close lets no more calls in and waits for those under way. The engine and the
// metadata stay open.
func (c *Cluster) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.calls.Wait()
	return nil
}

// begin counts a call in. A call from inside another one, as from Scan's yield,
// does not wait for Close, so that Close ends.
func (c *Cluster) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("%w: %w", ErrUnavailable, ErrClosed)
	}
	c.calls.Add(1)
	return nil
}

// storageError says which of the package's errors a failed write is. The
// caller's own doing, a context that ended or a record that is none, stays what
// it is; all else is the member's.
func storageError(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, event.ErrCorrupt), errors.Is(err, event.ErrVersion), errors.Is(err, event.ErrLimit), errors.Is(err, event.ErrInvalid):
		return err
	case errors.Is(err, appendlog.ErrTooLarge):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case isFull(err):
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrFull, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}
