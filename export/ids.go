package export

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"path"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// A file of ids is Parquet: day, bucket, _ingest_id, in that order. The ids are the hex
// text that the column _ingest_id of events has, so that files can be joined by them;
// each one is stored as what it differs in from the one before.

const maxBucket = math.MaxUint16

var idSchema = arrow.NewSchema([]arrow.Field{
	{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "bucket", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "_ingest_id", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// idBatch is how many ids are written at once.
const idBatch = 1 << 16

// idFile is a file of ids that is being written.
type idFile struct {
	rows  *rowFile
	build *array.RecordBuilder
	count int
}

func newIDFile(files vfs.FS, dir, name string) (*idFile, error) {
	rows, err := newRowFile(files, dir, name, Parquet, idSchema, map[string]parquet.Encoding{"_ingest_id": parquet.Encodings.DeltaByteArray})
	if err != nil {
		return nil, err
	}
	return &idFile{rows: rows, build: array.NewRecordBuilder(memory.DefaultAllocator, idSchema)}, nil
}

// add adds an id, in the order of day, bucket and id.
func (f *idFile) add(day catalog.Day, bucket uint16, id ID) error {
	f.build.Field(0).(*array.Date32Builder).Append(arrow.Date32(day))
	f.build.Field(1).(*array.Int32Builder).Append(int32(bucket))
	f.build.Field(2).(*array.StringBuilder).Append(idText(id))
	if f.count++; f.count%idBatch == 0 {
		return f.flush()
	}
	return nil
}

func (f *idFile) flush() error {
	r := f.build.NewRecord()
	defer r.Release()
	if r.NumRows() == 0 {
		return nil
	}
	return f.rows.write(r)
}

func (f *idFile) close() (File, error) {
	if err := f.flush(); err != nil {
		return File{}, err
	}
	w, err := f.rows.close()
	w.file.File = path.Join(idsDir, w.file.File)
	return w.file, err
}

func (f *idFile) abort() error { return f.rows.abort() }

// idReader reads a file of ids from its beginning to its end.
type idReader struct {
	file   vfs.File
	reader *parquetReader

	record arrow.Record
	row    int
	days   *array.Date32
	shards *array.Int32
	ids    *array.String

	last struct {
		set    bool
		day    catalog.Day
		bucket uint16
		id     ID
	}
}

// openIDFile opens a file of ids after it was compared with its checksum.
func openIDFile(files vfs.FS, dir string, f File) (_ *idReader, err error) {
	if f.File != path.Join(idsDir, heldName) {
		return nil, fmt.Errorf("%s: ids in %.80q", manifestName, f.File)
	}
	in, err := files.Open(path.Join(dir, f.File))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			in.Close()
		}
	}()
	size, err := in.Size()
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(in, 0, size)); err != nil {
		return nil, err
	}
	if size != f.Bytes || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return nil, fmt.Errorf("%s is not the file that was written: its checksum differs", f.File)
	}
	r := &idReader{file: in}
	if r.reader, err = openParquet(io.NewSectionReader(in, 0, size)); err != nil {
		return nil, err
	}
	return r, nil
}

// peek makes the next row the current one, and reports false at the end.
func (r *idReader) peek() (bool, error) {
	for r.record == nil || r.row >= int(r.record.NumRows()) {
		record, err := r.reader.next()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		r.record, r.row = record, 0
		var ok [3]bool
		if record.NumCols() == 3 {
			r.days, ok[0] = record.Column(0).(*array.Date32)
			r.shards, ok[1] = record.Column(1).(*array.Int32)
			r.ids, ok[2] = record.Column(2).(*array.String)
		}
		if ok != [3]bool{true, true, true} {
			return false, fmt.Errorf("ids have the columns %s", record.Schema())
		}
	}
	return true, nil
}

// upTo visits the ids up to a day's bucket.
func (r *idReader) upTo(day catalog.Day, last uint16, visit func(day catalog.Day, bucket uint16, id ID) error) error {
	for {
		more, err := r.peek()
		if err != nil || !more {
			return err
		}
		d, bucket := catalog.Day(r.days.Value(r.row)), r.shards.Value(r.row)
		if d > day || d == day && bucket > int32(last) {
			return nil
		}
		var id ID
		text := r.ids.Value(r.row)
		if len(text) != hex.EncodedLen(len(id)) || bucket < 0 || bucket > maxBucket {
			return fmt.Errorf("id %.40q of bucket %d", text, bucket)
		}
		if _, err := hex.Decode(id[:], []byte(text)); err != nil {
			return fmt.Errorf("id %q: %w", text, err)
		}
		l := &r.last
		if b := uint16(bucket); l.set && (d < l.day || d == l.day && (b < l.bucket || b == l.bucket && compareIDs(id, l.id) <= 0)) {
			return fmt.Errorf("ids are not in order at %s", text)
		}
		l.set, l.day, l.bucket, l.id = true, d, uint16(bucket), id
		r.row++
		if err := visit(d, uint16(bucket), id); err != nil {
			return err
		}
	}
}

// end makes sure that all ids were visited.
func (r *idReader) end() error {
	more, err := r.peek()
	if err == nil && more {
		err = fmt.Errorf("ids of day %s were passed over", catalog.Day(r.days.Value(r.row)))
	}
	return err
}

func (r *idReader) close() error {
	if r.file == nil {
		return nil
	}
	err := errors.Join(r.reader.close(), r.file.Close())
	r.file = nil
	return err
}
