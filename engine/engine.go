// Package engine holds this member's shards. It appends records to one durable
// log, turns what is logged into indexed files, scans both as one, and proves
// what it rewrites. It knows neither SQL nor other members.
//
// The life of a record:
//
//	Append    to the shared log, fsynced; then published to its shard's log refs
//	Tick      plan → build → verify → swap → retire, for whatever is due
//	Scan      a view of each shard: its files, its log refs, and who is visible
//
// A shard is a set of records: rows of indexed files and events of the log.
// Which are visible is a pure function of that set, the policy and the moment
// asked for; see duplicates.go. Files are immutable and are named by no
// manifest: a new file says which files it replaces and up to where it holds
// the shard's log, so that opening heals whatever a crash left half done. The
// ledger says what must be there, so that what vanished is missed.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
)

// Errors of an engine; they are wrapped with the shard, file or table.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("engine is closed")
	// ErrInUse means that another process has the data directory open.
	ErrInUse = errors.New("data directory is in use by another process")
	// ErrDamaged means that a shard cannot be read whole. Its queries fail
	// rather than give a smaller answer; other shards are not touched.
	ErrDamaged = errors.New("shard is damaged")
	// ErrUnproven means that a file that was built does not hold exactly what
	// its sources hold. It was thrown away, and the sources were kept.
	ErrUnproven = errors.New("new file does not prove equal to its sources")
	// ErrNoTable is returned by Describe for a name that is not a table's.
	ErrNoTable = errors.New("no such table")
	// ErrGuarded means that a clean-up wanted to touch a file that is needed.
	ErrGuarded = errors.New("file is in use and stays")
	// ErrCatalogLost means that there is data of a project that the catalog never
	// made. It was lost, or is an older copy: a new project would be given the
	// same id, and see the other's events.
	ErrCatalogLost = errors.New("catalog is older than the data")
)

// Options say where an engine keeps its data and how it runs.
type Options struct {
	// FS and Dir hold the data. FS is the machine's if nil.
	FS  vfs.FS
	Dir string
	// Catalog is the catalog in force at the start. Nil is an empty one, of which
	// nothing is expected.
	Catalog *catalog.Catalog
	// Logger is slog.Default if nil.
	Logger *slog.Logger
	// Now is the clock, time.Now if nil.
	Now func() time.Time
	// Manual leaves all indexing to Tick and Index; else a goroutine ticks, and
	// another follows the log.
	Manual bool
	// TickEvery is how often the goroutine ticks; a second if 0.
	TickEvery time.Duration
	// SegmentBytes is the log's; 0 means its default.
	SegmentBytes int64
	// Workers is how many goroutines a scan uses; the number of processors, at
	// most 8, if 0.
	Workers int
	// Functions evaluates the columns that only the SQL library can compute; nil
	// refuses fragments with any.
	Functions exec.Functions
	// QueryBytes is about what the groups and sorted rows of one query may take in
	// memory; if 0 it is the setting max_query_memory.
	QueryBytes int64
	// SortedRows is about how many rows of an order by time or by user are sorted at once;
	// 0 means a number that suits the files.
	SortedRows int
	// KeepFew answers by what is kept of files, and by how often values come, however few
	// rows there are for each of these: tests do, so that few events show what many are like.
	KeepFew bool
	// FewRows is how many rows are scanned by the goroutine that asks for them, 4,096 if 0;
	// of more the workers take parts.
	FewRows int
	// IndexBytes is about what building a file may take in memory; if 0 it is the
	// setting index_memory.
	IndexBytes int64
	// DomainBytes is about what the numbered values of columns, which are kept
	// from query to query, may take; DefaultDomainBytes if 0.
	DomainBytes int64
	// LogColumnBytes is about what the logged events of all shards may take by
	// column in memory, DefaultLogColumnBytes if 0. What does not fit is read from
	// the log, which takes longer.
	LogColumnBytes int64
	// MaxLoggedEvents is how many events may be logged and not indexed before appends
	// wait for the indexer, unless Manual is set; DefaultMaxLoggedEvents if 0.
	MaxLoggedEvents int64
	// KeptBytes is what columns of indexed files that are asked for again and again may
	// take in memory, decoded; DefaultKeptBytes if 0.
	KeptBytes int64
	// Replica says that others may ask for what is here: an indexed file of events
	// without names, from a time when the directory was used alone, counts as a batch.
	Replica bool
	// Member is who this is among replicas, which a staged version of the indexer is
	// asked for; zero for a server that is alone.
	Member catalog.MemberKey
	// Files says how files are written; what is not zero makes old or odd ones, for
	// tests.
	Files indexfile.BuilderOptions
	// CreatedBy is the program's version, written into files.
	CreatedBy string
	// OpenDamagedLog opens a log in spite of damage: what can be read is there,
	// what cannot be is an alarm.
	OpenDamagedLog bool
	// Faults make builds and clean-ups go wrong, to test the gates that must
	// catch it. Nil in production.
	Faults *Faults
}

// Defaults of Options.
const (
	DefaultDomainBytes    = 512 << 20
	DefaultLogColumnBytes = 1 << 30
	DefaultKeptBytes      = 256 << 20
)

func (o *Options) validate() error {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.Catalog == nil {
		o.Catalog = &catalog.Catalog{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TickEvery == 0 {
		o.TickEvery = time.Second
	}
	if o.Workers == 0 {
		o.Workers = min(runtime.GOMAXPROCS(0), 8)
	}
	if o.LogColumnBytes == 0 {
		o.LogColumnBytes = DefaultLogColumnBytes
	}
	if o.MaxLoggedEvents == 0 {
		o.MaxLoggedEvents = DefaultMaxLoggedEvents
	}
	if o.KeptBytes == 0 {
		o.KeptBytes = DefaultKeptBytes
	}
	if o.DomainBytes == 0 {
		o.DomainBytes = DefaultDomainBytes
	}
	if o.Dir == "" {
		return errors.New("engine: no data directory given")
	}
	return nil
}

// Engine is an open data directory. Its methods may be called at once from
// many goroutines.
type Engine struct {
	opts    Options
	fs      vfs.FS
	logger  *slog.Logger
	now     func() time.Time
	log     *appendlog.Log
	lock    io.Closer
	catalog atomic.Pointer[catalog.Catalog]
	alarms  alarms
	trouble stageTrouble
	jobs    jobs
	trash   trash
	ledger  ledger
	// holdings are the dots of named batches.
	holdings holdings
	flights  flights
	pins     pins
	metrics  Metrics
	domains  *exec.Domains
	// pairBytes is what the counts of pairs of all files take, and the groups that are
	// kept of them; see pairtally.go and keptgroups.go.
	pairBytes atomic.Int64
	// questions is how many there were, and keptLooked how many when it was last looked
	// for what is kept and not asked for any more; see keptroom.go.
	questions, keptLooked atomic.Int64
	idFilters             idFilters
	// ordinals are the numbers from 0 on, as many as were asked for; not to be changed.
	ordinals atomic.Pointer[[]int32]
	// kept are decoded columns of indexed files.
	kept *indexfile.Kept
	// columnBudget is for the columns of all shards' tails.
	columnBudget columnBudget
	follower     follower

	// mu guards shards; it is never held during I/O.
	mu      sync.RWMutex
	shards  map[catalog.ProjectID]map[catalog.ShardKey]*shard
	backlog backlog

	// lifeMu guards closed, and that work only grows while it is false.
	lifeMu sync.RWMutex
	closed bool
	// work counts calls under way, so that Close can wait for them.
	work sync.WaitGroup
	// stop ends the background goroutine and every task.
	stop    context.CancelFunc
	life    context.Context
	indexer indexer
	// catalogGiven is set when data must belong to projects of Options.Catalog.
	catalogGiven bool
	// ignoreDuplicates builds files without looking for copies, which is wrong:
	// only benchmarks set it, to see what looking costs.
	ignoreDuplicates bool
}

// Open opens the data directory, or makes one: it reads the indexed files'
// metadata, heals what a crash left half done, and replays the log.
func Open(ctx context.Context, opts Options) (*Engine, error) {
	catalogGiven := opts.Catalog != nil
	if err := opts.validate(); err != nil {
		return nil, err
	}
	e := &Engine{
		opts: opts, catalogGiven: catalogGiven, fs: opts.FS, logger: opts.Logger, now: opts.Now,
		shards:  map[catalog.ProjectID]map[catalog.ShardKey]*shard{},
		domains: exec.NewDomains(opts.DomainBytes),
		kept:    indexfile.NewKept(opts.KeptBytes),

		idFilters: idFilters{most: maxIDFilters},
	}
	e.columnBudget.open(opts.LogColumnBytes)
	e.catalog.Store(opts.Catalog)
	e.alarms.engine, e.trash.engine, e.ledger.engine = e, e, e
	e.indexer = indexer{engine: e, planning: newTurn(), cleaning: newTurn()}
	e.jobs.now = opts.Now
	e.follower.engine = e
	if opts.Manual { // who indexes may be who appends
		e.backlog.open(0)
	} else {
		e.backlog.open(opts.MaxLoggedEvents)
		e.follower.wake = make(chan struct{}, 1)
	}
	e.life, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := e.open(ctx); err != nil {
		e.stop()
		return nil, errors.Join(fmt.Errorf("open engine: %w", err), e.release())
	}
	if !opts.Manual {
		e.work.Add(3)
		go e.background()
		go e.scrubber()
		go e.follower.run(e.life)
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context) error {
	if err := e.takeLock(); err != nil {
		return err
	}
	for _, dir := range []string{e.logDir(), e.shardsDir(), e.trashDir()} {
		if err := e.fs.MkdirAll(dir); err != nil {
			return err
		}
	}
	if err := e.ledger.open(); err != nil {
		return err
	}
	e.openVoids()
	if err := e.openShards(ctx); err != nil {
		return err
	}
	if err := e.missShards(); err != nil {
		return err
	}
	if err := e.openLog(ctx); err != nil {
		return err
	}
	return e.reckonLog()
}

// takeLock keeps a second process out.
func (e *Engine) takeLock() error {
	if err := e.fs.MkdirAll(e.opts.Dir); err != nil {
		return err
	}
	lock, err := e.fs.Lock(path.Join(e.opts.Dir, "LOCK"))
	if errors.Is(err, vfs.ErrLocked) {
		return fmt.Errorf("%s: %w: stop it first, or choose another directory", e.opts.Dir, ErrInUse)
	}
	if err != nil {
		return err
	}
	e.lock = lock
	return nil
}

// Close ends the background work, waits for the calls under way, and closes
// all files. What was acknowledged is on disk already.
func (e *Engine) Close() error {
	e.lifeMu.Lock()
	already := e.closed
	e.closed = true
	e.lifeMu.Unlock()
	if already {
		return nil
	}
	e.stop()
	e.work.Wait()
	return e.release()
}

// release gives back what Open took.
func (e *Engine) release() error {
	var errs []error
	if e.log != nil {
		errs = append(errs, e.log.Close())
	}
	e.ledger.close()
	for _, s := range e.allShards() {
		errs = append(errs, s.close())
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	return errors.Join(errs...)
}

// enter marks a call as under way; the func that it returns marks its end.
func (e *Engine) enter() (leave func(), err error) {
	e.lifeMu.RLock()
	defer e.lifeMu.RUnlock()
	if e.closed {
		return nil, ErrClosed
	}
	e.work.Add(1)
	return e.work.Done, nil
}

// pressedEvery is how often at most the engine ticks for a backlog.
const pressedEvery = 20 * time.Millisecond

// background ticks until the engine is closed.
func (e *Engine) background() {
	defer e.work.Done()
	ticker := time.NewTicker(e.opts.TickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-e.life.Done():
			return
		case <-ticker.C:
		case <-e.backlog.pressed:
			e.pause(e.life, pressedEvery) // shards may rest, or take longer to be found than indexed
		}
		if err := e.Tick(e.life); err != nil && e.life.Err() == nil {
			e.logger.Error("background work", "error", err)
		}
	}
}

// SetCatalog makes c the catalog in force.
func (e *Engine) SetCatalog(c *catalog.Catalog) { e.catalog.Store(c) }

func (e *Engine) logDir() string    { return path.Join(e.opts.Dir, "log") }
func (e *Engine) shardsDir() string { return path.Join(e.opts.Dir, "shards") }
func (e *Engine) trashDir() string  { return path.Join(e.opts.Dir, "trash") }

func (e *Engine) shardDir(k catalog.ShardKey) string { return path.Join(e.shardsDir(), k.String()) }
