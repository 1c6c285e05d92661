package export

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/parquet"

	"arbor/engine/vfs"
)

// sumFile is a file that is written from its beginning to its end, and summed up. What
// goes wrong it keeps in failed, for whoever writes to look at: the libraries that write
// through it panic at an error, or wait for ever.
type sumFile struct {
	vfs.File
	size   int64
	sum    hash.Hash
	failed error
}

func createSummed(files vfs.FS, name string) (*sumFile, error) {
	f, err := files.Create(name)
	if err != nil {
		return nil, err
	}
	return &sumFile{File: f, sum: sha256.New()}, nil
}

// Write adds to the file, unless something went wrong before.
func (s *sumFile) Write(p []byte) (int, error) {
	if s.failed != nil {
		return len(p), nil
	}
	if _, s.failed = s.File.Write(p); s.failed == nil {
		s.sum.Write(p)
	}
	s.size += int64(len(p))
	return len(p), nil
}

// Seek says where the file ends, which is all that writers of Arrow's files ask.
func (s *sumFile) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.New("file is written from its beginning to its end")
	}
	return s.size, nil
}

// written is a file that is whole, durable, and was read again.
type written struct {
	file   File
	digest Digest
}

// rowFile is a file of records that is being written.
type rowFile struct {
	out    *sumFile
	format string
	schema *arrow.Schema
	w      recordWriter
	name   string
	rows   int64
	bytes  int64 // in memory, before they were encoded
	digest Digest
}

func newRowFile(files vfs.FS, dir, name, format string, schema *arrow.Schema, plain map[string]parquet.Encoding) (*rowFile, error) {
	schema = nullable(schema)
	if err := checkFormat(format, schema); err != nil {
		return nil, err
	}
	out, err := createSummed(files, path.Join(dir, name))
	if err != nil {
		return nil, err
	}
	f := &rowFile{out: out, format: format, schema: schema, name: name}
	f.w, err = newRecordWriter(format, schema, out, plain)
	if err = cmp.Or(out.failed, err); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return f, nil
}

// write adds a record's rows.
func (f *rowFile) write(r arrow.Record) error {
	sum, err := digestOf(r)
	if err != nil {
		return err
	}
	f.digest = f.digest.Add(sum)
	f.rows += r.NumRows()
	f.bytes += bytesOf(r)
	own := array.NewRecord(f.schema, r.Columns(), r.NumRows())
	defer own.Release()
	err = f.w.Write(own)
	if err = cmp.Or(f.out.failed, err); err != nil {
		return fmt.Errorf("write %s: %w", f.name, err)
	}
	return nil
}

// close ends the file, makes it durable, and reads it again: all rows must come back.
func (f *rowFile) close() (w written, err error) {
	defer func() { err = errors.Join(err, f.abort()) }()
	err = f.w.Close()
	if err = cmp.Or(f.out.failed, err); err != nil {
		return w, fmt.Errorf("write %s: %w", f.name, err)
	}
	if err := f.out.Sync(); err != nil {
		return w, fmt.Errorf("sync %s: %w", f.name, err)
	}
	again := sha256.New()
	if _, err := io.Copy(again, io.NewSectionReader(f.out, 0, f.out.size)); err != nil {
		return w, fmt.Errorf("read %s again: %w", f.name, err)
	}
	bytes := f.out.sum.Sum(nil)
	if !slices.Equal(again.Sum(nil), bytes) {
		return w, fmt.Errorf("%w: %s has other bytes than were written", ErrProof, f.name)
	}
	var rows int64
	var sum Digest
	err = readRecords(f.format, f.out, f.out.size, func(r arrow.Record) error {
		part, err := digestOf(r)
		rows, sum = rows+r.NumRows(), sum.Add(part)
		return err
	})
	if err != nil {
		return w, fmt.Errorf("read %s again: %w", f.name, err)
	}
	if rows != f.rows || sum != f.digest {
		return w, fmt.Errorf("%w: %s: %d rows with digest %s were written, %d with %s came back", ErrProof, f.name, f.rows, f.digest, rows, sum)
	}
	return written{digest: sum, file: File{File: f.name, Rows: rows, Bytes: f.out.size,
		SHA256: hex.EncodeToString(bytes), Digest: sum.String()}}, nil
}

// abort closes the file as it is. It may be called again.
func (f *rowFile) abort() error {
	if f.out == nil {
		return nil
	}
	err := f.out.Close()
	f.out = nil
	return err
}

// eventFiles are the files of an export's events, one after the other.
type eventFiles struct {
	fs   vfs.FS
	dir  string
	o    Options
	now  *rowFile
	done []written
}

func (e *eventFiles) write(r arrow.Record) error {
	if e.now != nil && (e.now.rows >= e.o.FileRows || e.now.bytes >= e.o.FileBytes) {
		if err := e.end(); err != nil {
			return err
		}
	}
	if err := e.begin(); err != nil {
		return err
	}
	return e.now.write(r)
}

func (e *eventFiles) begin() (err error) {
	if e.now == nil {
		name := fmt.Sprintf("events-%05d.%s", len(e.done)+1, e.o.Format)
		e.now, err = newRowFile(e.fs, e.dir, name, e.o.Format, e.o.Schema, map[string]parquet.Encoding{"_ingest_id": parquet.Encodings.Plain})
	}
	return err
}

func (e *eventFiles) end() error {
	w, err := e.now.close()
	if err != nil {
		return err
	}
	e.done, e.now = append(e.done, w), nil
	return nil
}

// close ends the files. There is one, empty perhaps, so that who reads them all finds
// their columns.
func (e *eventFiles) close() ([]written, error) {
	if e.now != nil || len(e.done) == 0 {
		if err := e.begin(); err != nil {
			return nil, err
		}
		if err := e.end(); err != nil {
			return nil, err
		}
	}
	return e.done, nil
}

func (e *eventFiles) abort() error {
	if e.now == nil {
		return nil
	}
	return e.now.abort()
}

// Answer is a file with the answer of a statement. It belongs to one goroutine.
type Answer struct {
	dir     *Dir
	name    string
	rows    *rowFile
	settled bool
}

// File begins a file, whose format follows from its name. Commit or Abort ends it.
func (d *Dir) File(name string, schema *arrow.Schema) (*Answer, error) {
	format, err := FormatOf(name)
	if err != nil {
		return nil, err
	}
	temporary, err := d.reserve(name)
	if err != nil {
		return nil, err
	}
	rows, err := newRowFile(d.fs, d.root, path.Base(temporary), format, schema, nil)
	if err != nil {
		return nil, errors.Join(err, d.discard(name))
	}
	return &Answer{dir: d, name: name, rows: rows}, nil
}

// Write adds rows. The record is the caller's.
func (a *Answer) Write(r arrow.Record) error { return a.rows.write(r) }

// Commit makes the file durable, reads it again, and gives it its name.
func (a *Answer) Commit() error {
	if a.settled {
		return errors.New("file has ended")
	}
	_, err := a.rows.close()
	if err == nil {
		err = a.dir.publish(a.name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("file %s: %w", a.name, err), a.Abort())
	}
	a.settled = true
	return nil
}

// Abort removes the file. After Commit it does nothing.
func (a *Answer) Abort() error {
	if a.settled {
		return nil
	}
	a.settled = true
	return errors.Join(a.rows.abort(), a.dir.discard(a.name))
}
