package indexfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/zeebo/xxh3"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// The header is the first thing in a file: the magic, the version, the version
// again with every bit flipped, so that a damaged version is not taken for a
// newer one, and zeros up to the first section.
const (
	headerSize  = 64
	headerMagic = "arbor ix"
)

// The trailer is the last thing in a file.
//
//	 0  8  where the footer starts
//	 8  4  its length
//	12  4  its length decompressed
//	16  4  its encoding
//	20  4  zero
//	24  8  xxh3 of the footer as stored and the trailer so far
//	32  8  the magic
const (
	trailerSize  = 40
	trailerMagic = "arbor/ix"
)

// maxPooled is the length up to which a part goes to the pool.
const maxPooled = 1 << 10

func appendHeader(b []byte, version uint32) []byte {
	b = append(b, headerMagic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, ^version)
	return append(b, make([]byte, headerSize-len(b))...)
}

// fileWriter writes parts as they come.
type fileWriter struct {
	w      *bufio.Writer
	offset int64
	footer footer
	pool   []byte
}

// parts writes the parts of a column.
func (w *fileWriter) parts(column int, parts ...part) error {
	for _, p := range parts {
		var err error
		switch {
		case p.write != nil:
			err = w.streamed(column, p)
		case len(p.bytes) == 0: // what is missing is empty
		case len(p.bytes) <= maxPooled:
			w.pooled(p.kind, column, p.bytes)
		default:
			err = w.section(column, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pooled puts a short part into the pool.
func (w *fileWriter) pooled(kind partKind, column int, b []byte) {
	w.pool = append(w.pool, make([]byte, align(int64(len(w.pool)), poolAlign)-int64(len(w.pool)))...)
	w.pool = append(w.pool, b...)
	w.footer.pooled = append(w.footer.pooled, pooledPart{kind: kind, column: column, raw: len(b)})
}

// section writes a part by itself.
func (w *fileWriter) section(column int, p part) error {
	s := sectionInfo{kind: p.kind, column: column, raw: int64(len(p.bytes))}
	stored := p.bytes
	if p.cold {
		stored, s.encoding = compress(zstdEncoder(), nil, p.bytes)
	}
	s.stored, s.checksum = int64(len(stored)), xxh3.Hash(stored)
	w.footer.sections = append(w.footer.sections, s)
	if w.offset+s.stored > MaxFileBytes {
		return fmt.Errorf("%d bytes in one file: %w", MaxFileBytes, ErrLimit)
	}
	return w.write(stored)
}

// write writes bytes at the next multiple of sectionAlign.
func (w *fileWriter) write(b []byte) error {
	var zeros [sectionAlign]byte
	padding := align(w.offset, sectionAlign) - w.offset
	if _, err := w.w.Write(zeros[:padding]); err != nil {
		return err
	}
	w.offset += padding
	return w.append(b)
}

// append writes bytes right after those before.
func (w *fileWriter) append(b []byte) error {
	_, err := w.w.Write(b)
	w.offset += int64(len(b))
	return err
}

// finish writes the pool, the footer and the trailer.
func (w *fileWriter) finish() error {
	if len(w.pool) > 0 {
		if err := w.section(columnFile, part{kind: partPool, bytes: w.pool, cold: true}); err != nil {
			return err
		}
	}
	plain := w.footer.append(nil)
	stored, encoding := compress(zstdEncoder(), nil, plain)
	at := align(w.offset, sectionAlign)
	if len(plain) > maxFooter {
		return fmt.Errorf("footer of %d bytes, at most %d: %w", len(plain), maxFooter, ErrLimit)
	}
	n := len(stored)
	tail := binary.LittleEndian.AppendUint64(stored, uint64(at))
	tail = binary.LittleEndian.AppendUint32(tail, uint32(n))
	tail = binary.LittleEndian.AppendUint32(tail, uint32(len(plain)))
	tail = binary.LittleEndian.AppendUint32(tail, uint32(encoding))
	tail = binary.LittleEndian.AppendUint32(tail, 0)
	tail = binary.LittleEndian.AppendUint64(tail, xxh3.Hash(tail))
	tail = append(tail, trailerMagic...)
	if err := w.write(tail); err != nil {
		return err
	}
	return w.w.Flush()
}

// maxFooter is the greatest length of a footer.
const maxFooter = maxCompressed

// Write writes the file dir/name: under a temporary name first, synced, then
// renamed, and the directory synced. The Builder is spent afterwards.
func (b *Builder) Write(fs vfs.FS, dir, name string, m Meta) error {
	if err := b.write(fs, dir, name, &m); err != nil {
		return fmt.Errorf("write indexed file %s: %w", path.Join(dir, name), err)
	}
	return nil
}

func (b *Builder) write(fs vfs.FS, dir, name string, m *Meta) error {
	if err := checkMeta(m, b.Rows()); err != nil {
		return err
	}
	tmp := path.Join(dir, name+".tmp")
	f, err := fs.Create(tmp)
	if err != nil {
		return err
	}
	w := &fileWriter{w: bufio.NewWriterSize(f, 1<<20)}
	err = b.encode(w, m)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = fs.Rename(tmp, path.Join(dir, name))
	}
	if err != nil {
		// What is left of it would fill a disk that is full already.
		return errors.Join(err, fs.Remove(tmp))
	}
	return fs.SyncDir(dir)
}

// releaseIDs lets go of the rows' ids, which are written.
func (b *Builder) releaseIDs() {
	spareIDs.put(b.ids.tail)
	sparePacks.put(b.inserts.packed.tail)
	spareForms.put(b.inserts.forms.tail)
	b.ids, b.inserts = pages[catalog.IngestID]{}, insertBuilder{}
}

// encode writes everything, column by column, and lets go of each as it is
// written.
func (b *Builder) encode(w *fileWriter, m *Meta) error {
	if err := w.write(appendHeader(nil, b.version)); err != nil {
		return err
	}
	rows := b.Rows()
	f := &w.footer
	f.version, f.rows, f.users = b.version, rows, b.users.count
	f.meta = *m
	f.duplicates, f.groups, f.cross = len(m.Duplicates), len(m.Groups), len(m.Cross)

	aside := &b.limit.scratch
	userColumn, userParts, runs := b.users.encode(aside)
	coder := &coder{version: b.version, rows: rows, small: b.small}
	if b.version > 1 && rows > 0 {
		coder.users = readRunLengths(&decoder{bytes: runs.bytes}, f.users, rows)
	}
	if err := errors.Join(b.times.load(aside), b.ids.load(aside), b.inserts.load(aside)); err != nil {
		return err
	}
	timeInfo, timeParts := encodeTimes(&b.times)
	spareTimes.put(b.times.tail)
	b.times = pages[int64]{}
	ingestInfo, ingestParts := encodeIngestIDs(&b.ids, timeInfo, timeParts, b.version)
	insertInfo, idParts, insertTexts, err := b.inserts.encode(b.version, m.Groups, &b.limit)
	if err != nil {
		return err
	}
	f.times, f.ingest, f.insert = timeInfo, ingestInfo, insertInfo
	fileParts := slices.Concat(timeParts, []part{runs}, ingestParts, idParts, []part{
		{kind: partDuplicates, bytes: appendDuplicates(nil, m.Duplicates), cold: true},
		{kind: partGroups, bytes: appendGroups(nil, m.Groups), cold: true},
		{kind: partCross, bytes: appendCross(nil, m.Cross), cold: true},
		{kind: partTombstones, bytes: m.Tombstones, cold: true},
	})
	if err := w.parts(columnFile, fileParts...); err != nil {
		return err
	}
	b.releaseIDs()
	column := func(info columnInfo, parts []part) error {
		f.columns = append(f.columns, info)
		return w.parts(len(f.columns), parts...)
	}
	values := func(c *valueBuilder) error {
		if err := c.load(aside); err != nil {
			return err
		}
		err := column(coder.column(c))
		spareCodes.put(c.codes.tail)
		*c = valueBuilder{} // it is written
		return err
	}
	for _, c := range []*valueBuilder{&b.events, &b.serverTimes, insertTexts} {
		if err := values(c); err != nil {
			return err
		}
	}
	if err := column(userColumn, userParts); err != nil {
		return err
	}
	if err := values(&b.others); err != nil {
		return err
	}
	names := make([]string, 0, len(b.properties))
	for name := range b.properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := b.properties[name]
		if c.values() == 0 {
			continue // it was met only in a row that was refused
		}
		if err := values(c); err != nil {
			return err
		}
	}
	return w.finish()
}
