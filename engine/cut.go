package engine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"sync"
	"time"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/filesum"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
)

// Cut is all that the engine holds at one moment: the indexed files of each
// shard, and the log up to a place. Writing and indexing go on beside it, and
// what it refers to can be read until Release, wherever it is moved meanwhile.
//
// A copy of the files and of the log up to that place, with the catalog, is a
// data directory: opened, it holds exactly what was stored when the cut was made.
type Cut struct {
	At time.Time
	// Catalog is the one in force, at least as new as the data.
	Catalog *catalog.Catalog
	Shards  []*CutShard
	// Log are the segments of the log, each up to the cut.
	Log []*CutFile
	// Damaged are the shards that cannot be read whole. Of those only what is
	// logged is in the cut.
	Damaged []event.DamagedShard

	engine *Engine
	leave  func()
	unpin  sync.Once
}

// CutShard is a shard at the moment of a cut.
type CutShard struct {
	Key   catalog.ShardKey
	Files []*CutFile

	cut   *Cut
	upTo  cut
	shard *shard
	view  *view
}

// CutFile is a file of a cut. Path is relative to the data directory. Digest
// stands for the file's records, and is zero for a segment of the log, as Rows is.
type CutFile struct {
	Path   string
	Size   int64
	Rows   int64
	Digest event.Digest

	reader *indexfile.Reader
	sums   *filesum.Sums // if they are known
	file   vfs.File
}

// everySegment pins all segments of the log: they are numbered from 1.
const everySegment = 1

// Cut takes a cut. It waits for the build under way and keeps the next one, and
// the clean-up, waiting while it takes hold of what there is, which needs no
// reading of data; the log is read afterwards.
func (e *Engine) Cut(ctx context.Context) (*Cut, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	c := &Cut{engine: e, leave: leave}
	e.pins.pinFrom(everySegment)
	if err = c.hold(ctx); err == nil {
		err = c.readLog(ctx)
	}
	if err != nil {
		c.Release()
		return nil, fmt.Errorf("cut: %w", err)
	}
	return c, nil
}

// hold takes hold of the files and the segments. Nothing is built meanwhile, so
// that files hold nothing that the log up to the cut does not.
func (c *Cut) hold(ctx context.Context) error {
	e := c.engine
	if err := e.indexer.planning.take(ctx); err != nil {
		return err
	}
	defer e.indexer.planning.give()
	if err := e.indexer.cleaning.take(ctx); err != nil {
		return err
	}
	defer e.indexer.cleaning.give()
	// A sealed segment never changes, so its copy is made once.
	if err := e.log.Rotate(ctx); err != nil {
		return err
	}
	c.At = e.now()
	for _, s := range e.log.Segments() {
		name := appendlog.SegmentName(s.ID)
		f, err := e.fs.Open(path.Join(e.logDir(), name))
		if err != nil {
			return err
		}
		c.Log = append(c.Log, &CutFile{Path: path.Join("log", name), Size: s.Bytes, file: f})
	}
	for _, s := range e.allShards() {
		c.holdShard(s)
	}
	c.Catalog = e.catalog.Load()
	return nil
}

// holdShard takes hold of a shard's files as they are now.
func (c *Cut) holdShard(s *shard) *CutShard {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		c.Damaged = append(c.Damaged, event.DamagedShard{Key: s.key, Reason: s.broken.Error()})
		return nil
	}
	return c.holdFiles(s)
}

// holdFiles is holdShard of a shard that may be damaged. The caller has its lock.
func (c *Cut) holdFiles(s *shard) *CutShard {
	held := &CutShard{Key: s.key, cut: c, upTo: s.cut, shard: s}
	files := newFileset(s.now.files.files)
	held.view = &view{engine: c.engine, shard: s, contents: contents{files: files, tail: newTail(files)}}
	for _, f := range files.files {
		held.Files = append(held.Files, &CutFile{
			Path: path.Join("shards", s.key.String(), f.name.String()), Size: f.reader.Size(), Rows: int64(f.rows()), Digest: f.digest(), reader: f.reader, sums: f.sums,
		})
	}
	c.Shards = append(c.Shards, held)
	return held
}

// readLog finds what the shards have in the log up to the cut: what another
// engine would find that opened it, and so also what was written without having
// been acknowledged.
func (c *Cut) readLog(ctx context.Context) error {
	shards := map[catalog.ShardKey]*CutShard{}
	for _, s := range c.Shards {
		shards[s.Key] = s
	}
	for _, d := range c.Damaged {
		shards[d.Key] = nil
	}
	for _, segment := range c.Log {
		err := appendlog.ReadSegmentTo(c.engine.fs, path.Join(c.engine.opts.Dir, segment.Path), segment.Size, func(pos appendlog.Position, payload []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			name, record, err := dot.CutName(payload)
			if err != nil {
				return err
			}
			h, err := event.DecodeHeader(record)
			if err != nil {
				return err
			}
			if c.engine.ledger.dropped(h.Shard).cut.covers(pos) {
				return nil
			}
			s, known := shards[h.Shard]
			if !known {
				s = c.holdEmpty(h.Shard)
				shards[h.Shard] = s
			}
			if s != nil && !s.upTo.covers(pos) {
				s.view.add(logRef{segment: pos.Segment, offset: pos.Offset, length: pos.Length, events: int32(h.Events), marks: h.Deletes+h.Undos > 0, dot: name})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read %s up to the cut: %w", segment.Path, err)
		}
	}
	return nil
}

// holdEmpty is a shard that began after the files were held: all that it has up
// to the cut is in the log.
func (c *Cut) holdEmpty(k catalog.ShardKey) *CutShard {
	files := newFileset(nil)
	s := c.engine.shard(k)
	held := &CutShard{Key: k, cut: c, shard: s, view: &view{engine: c.engine, shard: s, contents: contents{files: files, tail: newTail(files)}}}
	c.Shards = append(c.Shards, held)
	return held
}

// Reckon gives the digest of all records of the shard, physical repeats once, and
// how many events are visible.
func (s *CutShard) Reckon(ctx context.Context) (d event.Digest, visible int64, err error) {
	v, c := s.view, s.cut.Catalog
	defer func() {
		v.tail.columns.drop()
		v.tail = newTail(v.files)
	}()
	if d, err = v.digest(ctx, c); err != nil {
		return d, 0, err
	}
	st, err := v.state(ctx, rulesFor(c, s.Key, catalog.IngestID{}, nil))
	if err != nil {
		return d, 0, err
	}
	visible = st.accepted - st.deleted - st.quarantined - int64(len(st.log.hidden))
	for i := range st.files {
		visible -= int64(len(st.files[i].hidden))
	}
	return d, visible, nil
}

// Read says that the shards were reckoned: from then on only the contents of files are
// read, by handles that the cut has, and segments of the log may be retired again.
func (c *Cut) Read() { c.unpin.Do(func() { c.engine.pins.unpin(everySegment) }) }

// Release lets go of everything. It is called once.
func (c *Cut) Release() {
	for _, s := range c.Shards {
		s.view.tail.columns.drop()
		s.view.release()
	}
	for _, f := range c.Log {
		if err := f.file.Close(); err != nil {
			c.engine.logger.Warn("close a segment of the log", "path", f.Path, "error", err)
		}
	}
	c.Read()
	c.leave()
}

// Content reads the file from its beginning up to the cut.
func (f *CutFile) Content() io.Reader {
	if f.reader != nil {
		return f.reader.Content()
	}
	return io.NewSectionReader(f.file, 0, f.Size)
}

// Sum holds an indexed file against its checksums, and gives the sums of its bytes. A
// segment was checked when the cut was made. pace is told how many bytes are to be read.
//
// No value of a file is read: it was proven when it was written, by this process or by one
// before it, and its bytes are still those.
func (f *CutFile) Sum(ctx context.Context, pace func(n int) error) (filesum.Sums, error) {
	if f.reader == nil {
		return sumBytes(&paced{io.NewSectionReader(f.file, 0, f.Size), pace}, f.Path, f.Size)
	}
	if f.sums == nil {
		return sumFile(ctx, f.reader, pace)
	}
	if f.sums.Quick == "" {
		return f.sumQuickly(ctx, pace)
	}
	if err := pace(int(f.Size)); err != nil {
		return filesum.Sums{}, err
	}
	return *f.sums, f.reader.VerifyChecksums(ctx)
}

// sumQuickly gives the hash of the bytes that another process proved, and the quick sum of
// those that are here. That these are the same the file's checksums say: its footer is
// the one that was proven.
func (f *CutFile) sumQuickly(ctx context.Context, pace func(n int) error) (filesum.Sums, error) {
	var q filesum.Quick
	err := f.reader.Pieces(func(piece []byte) error {
		q.Write(piece)
		return pace(len(piece))
	})
	if err == nil {
		err = f.reader.VerifyChecksums(ctx)
	}
	return filesum.Sums{Hash: f.sums.Hash, Quick: q.Sum()}, err
}

// sumFile sums the bytes of an indexed file, and then sees that they were those that its
// checksums are of.
func sumFile(ctx context.Context, r *indexfile.Reader, pace func(n int) error) (filesum.Sums, error) {
	sums, err := sumBytes(&paced{r.Content(), pace}, r.Path(), r.Size())
	return sums, cmp.Or(err, r.VerifyChecksums(ctx))
}

func sumBytes(content io.Reader, name string, size int64) (filesum.Sums, error) {
	sums, n, err := filesum.Of(content)
	if err != nil {
		return sums, fmt.Errorf("read %s: %w", name, err)
	}
	if n != size {
		return sums, fmt.Errorf("read %s: it has %d bytes, and should have %d: %w", name, n, size, ErrDamaged)
	}
	return sums, nil
}

// paced tells how much is read.
type paced struct {
	from io.Reader
	pace func(n int) error
}

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	return n, cmp.Or(p.pace(n), err)
}
