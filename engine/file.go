package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/filesum"
	"arbor/engine/indexfile"
)

// file is an open indexed file. It is shared by the shard and the views, and
// closed when the last of them lets go.
type file struct {
	name   fileName
	reader *indexfile.Reader
	meta   indexfile.Meta
	cut    cut
	// marks are the deletes, undos and quarantined ids that the file carries.
	marks tombstones
	// minID and maxID bound the rows' ingest ids.
	minID, maxID catalog.IngestID
	refs         atomic.Int64
	// index finds a row's group; nil until worked out.
	index atomic.Pointer[groupIndex]
	// ids is the filter of insert ids, nil where there is none, filters are all of
	// the engine's, and unfiltered is how many events were looked for in the file without
	// one; see idfilter.go.
	ids        atomic.Pointer[idFilter]
	filters    *idFilters
	unfiltered atomic.Int64
	// hidden are the lists of hidden rows that were had last; see hiddenlists.go.
	hidden hiddenLists
	// visible remembers how often values come; see tallied.go.
	visible visibleCounts
	pairs   pairTallies
	groups  keptGroups
	// sums are those of the bytes that were proven, without the quick one where another
	// process proved them, and the ledger says so; nil where neither did
	// the file.
	sums *filesum.Sums
	// readWhole is when the scrub last read all values of the file, in microseconds.
	readWhole atomic.Int64
}

// openFile opens an indexed file of a shard and reads what is always needed of it.
func (e *Engine) openFile(s *shard, name fileName) (*file, error) {
	reader, err := indexfile.Open(e.fs, path.Join(s.dir, name.String()))
	if err != nil {
		return nil, err
	}
	reader.Keep(e.kept)
	f := &file{name: name, reader: reader, meta: reader.Meta(), filters: &e.idFilters}
	if err := f.load(s.key); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", reader.Path(), err), reader.Close())
	}
	return f, nil
}

func (f *file) load(key catalog.ShardKey) (err error) {
	if f.meta.Shard != key {
		return fmt.Errorf("it is of shard %s and lies in that of %s: %w", f.meta.Shard, key, indexfile.ErrCorrupt)
	}
	if f.cut, _, err = decodeCut(f.meta.LogCut); err != nil {
		return err
	}
	encoded, err := f.reader.Tombstones()
	if err != nil {
		return err
	}
	if f.marks, err = decodeTombstones(encoded); err != nil {
		return err
	}
	f.minID, f.maxID = f.reader.IngestBounds()
	return nil
}

// dots are those of the named batches whose events are in the file. They are taken
// from the encoding each time, for they are seldom asked for. What has no name is
// dotsOf's.
func (f *file) dots() dot.Set {
	_, dots, _ := decodeCut(f.meta.LogCut) // load has seen that it is sound
	return dots
}

func (f *file) rows() int { return f.reader.Rows() }

// digest is that of the file's rows, deletes and undos.
func (f *file) digest() event.Digest {
	d := f.meta.Digest
	return event.Digest{Count: d[0], Hi: d[1], Lo: d[2]}
}

// cursor reads rows in turn; it is for one goroutine.
type cursor struct {
	rows *indexfile.Cursor
	row  indexfile.Row
}

func (f *file) cursor() *cursor { return &cursor{rows: f.reader.Cursor()} }

// event is row i. Its insert id and properties hold until the next call.
func (c *cursor) event(i int) (*event.Event, error) {
	if err := c.rows.Row(i, &c.row); err != nil {
		return nil, err
	}
	return (*event.Event)(&c.row), nil
}

// isDamage tells bytes that are not what was written from other errors.
func isDamage(err error) bool {
	return errors.Is(err, indexfile.ErrCorrupt) || errors.Is(err, event.ErrCorrupt) || errors.Is(err, appendlog.ErrCorrupt) ||
		errors.Is(err, dot.ErrNameCorrupt) || errors.Is(err, ErrDamaged)
}

// fileName names an indexed file for ever: no two files of a shard ever share
// one. Sequence grows from file to file of a shard and is, unless the clock went
// back, the moment of its making in microseconds. Random tells files of the
// same sequence apart, which a half-made attempt may have left.
type fileName struct {
	sequence uint64
	random   uint32
}

const (
	fileSuffix = ".idx"
	// newSuffix ends the name of a file that is not proven yet; it is never read
	// at opening, but removed.
	newSuffix = ".new"
	// asideSuffix ends the name of a file of an unfinished build, which is removed, too.
	asideSuffix = newSuffix + ".aside.tmp"
)

// nextFileName is a name after all of the shard's.
func nextFileName(files []*file, now time.Time) fileName {
	n := fileName{sequence: uint64(max(now.UnixMicro(), 1)), random: rand.Uint32()}
	for _, f := range files {
		n.sequence = max(n.sequence, f.name.sequence+1)
	}
	return n
}

// String is the name on disk; names sort as the files were made.
func (n fileName) String() string {
	return fmt.Sprintf("%016d-%08x%s", n.sequence, n.random, fileSuffix)
}

// madeAt is when the file was made, in microseconds.
func (n fileName) madeAt() int64 { return int64(n.sequence) }

func parseFileName(s string) (n fileName, ok bool) {
	stem, ok := strings.CutSuffix(s, fileSuffix)
	if !ok || len(stem) != 16+1+8 || stem[16] != '-' {
		return n, false
	}
	sequence, err := strconv.ParseUint(stem[:16], 10, 64)
	random, err2 := strconv.ParseUint(stem[17:], 16, 32)
	n = fileName{sequence, uint32(random)}
	return n, err == nil && err2 == nil && n.String() == s
}
