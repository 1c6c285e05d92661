package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
)

// The formats, which are also what file names end with.
const (
	Parquet = "parquet"
	Arrow   = "arrow"
)

// recordWriter writes records of one schema as a file.
type recordWriter interface {
	Write(arrow.Record) error
	Close() error
}

// FormatOf is the format that a file's name asks for.
func FormatOf(name string) (string, error) {
	for _, f := range []string{Parquet, Arrow} {
		if strings.HasSuffix(name, "."+f) {
			return f, nil
		}
	}
	return "", fmt.Errorf("%w: the name of a file ends with .%s or .%s", ErrFormat, Parquet, Arrow)
}

// checkFormat refuses formats that there are not, and columns that they have no place for.
func checkFormat(format string, schema *arrow.Schema) error {
	if format != Parquet && format != Arrow {
		return fmt.Errorf("%w: %.40q; %s and %s can be", ErrFormat, format, Parquet, Arrow)
	}
	if schema.NumFields() == 0 {
		return fmt.Errorf("%w: there are no columns", ErrFormat)
	}
	for _, f := range schema.Fields() {
		if format == Parquet && f.Type.ID() == arrow.DURATION {
			return fmt.Errorf("%w: column %s is a TIME, which Parquet cannot hold as MySQL has it; CAST it AS CHAR", ErrFormat, f.Name)
		}
	}
	return nil
}

// nullable is a schema whose columns may all be NULL, as a moment is that there is not.
func nullable(schema *arrow.Schema) *arrow.Schema {
	fields := append([]arrow.Field(nil), schema.Fields()...)
	for i := range fields {
		fields[i].Nullable = true
	}
	metadata := schema.Metadata()
	return arrow.NewSchema(fields, &metadata)
}

// newRecordWriter begins a file. plain are columns whose values do not repeat.
func newRecordWriter(format string, schema *arrow.Schema, w *sumFile, plain map[string]parquet.Encoding) (recordWriter, error) {
	if format == Arrow {
		// One goroutine compresses: with several, the library waits for ever when a write fails.
		return ipc.NewFileWriter(w, ipc.WithSchema(schema), ipc.WithZstd(), ipc.WithCompressConcurrency(1))
	}
	properties := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithVersion(parquet.V2_6), parquet.WithCreatedBy("arbor"),
		parquet.WithMaxRowGroupLength(groupRows),
	}
	for column, encoding := range plain {
		properties = append(properties, parquet.WithDictionaryFor(column, false), parquet.WithEncodingFor(column, encoding))
	}
	p, err := pqarrow.NewFileWriter(schema, writeOnly{w}, parquet.NewWriterProperties(properties...), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return &parquetWriter{FileWriter: p}, nil
}

// writeOnly keeps the library from closing the file, which has to be synced first.
type writeOnly struct{ io.Writer }

// parquetWriter ends row groups, which are in memory until then.
type parquetWriter struct {
	*pqarrow.FileWriter
	rows, bytes int64
}

// Write adds a record to the row group.
func (p *parquetWriter) Write(r arrow.Record) error {
	size := bytesOf(r)
	if p.rows > 0 && (p.rows+r.NumRows() > groupRows || p.bytes+size > groupBytes) {
		p.NewBufferedRowGroup()
		p.rows, p.bytes = 0, 0
	}
	p.rows += r.NumRows()
	p.bytes += size
	return p.WriteBuffered(r)
}

// bytesOf is what a record's arrays have in memory.
func bytesOf(r arrow.Record) (n int64) {
	for _, c := range r.Columns() {
		for _, b := range c.Data().Buffers() {
			if b != nil {
				n += int64(b.Len())
			}
		}
	}
	return n
}

// readRecords reads a file of ours and visits its records, which are gone afterwards.
func readRecords(format string, r io.ReaderAt, size int64, visit func(arrow.Record) error) (err error) {
	defer func() {
		if p := recover(); p != nil { // the library panics at what it does not understand
			err = fmt.Errorf("%w: %v", ErrProof, p)
		}
	}()
	section := io.NewSectionReader(r, 0, size)
	if format == Arrow {
		f, err := ipc.NewFileReader(section)
		if err != nil {
			return err
		}
		defer f.Close()
		for i := range f.NumRecords() {
			record, err := f.Record(i)
			if err != nil {
				return err
			}
			if err := visit(record); err != nil {
				return err
			}
		}
		return nil
	}
	p, err := openParquet(section)
	if err != nil {
		return err
	}
	defer p.close()
	for {
		record, err := p.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(record); err != nil {
			return err
		}
	}
}

// parquetReader reads a file's records one after the other.
type parquetReader struct {
	file    *file.Reader
	records pqarrow.RecordReader
}

// readRows is how many rows are read at once.
const readRows = 1 << 14

func openParquet(r parquet.ReaderAtSeeker) (*parquetReader, error) {
	f, err := file.NewParquetReader(r)
	if err != nil {
		return nil, err
	}
	p := &parquetReader{file: f}
	reader, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: readRows}, memory.DefaultAllocator)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if f.NumRows() == 0 {
		return p, nil
	}
	if p.records, err = reader.GetRecordReader(context.Background(), nil, nil); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

// next is the next record, valid until the next call.
func (p *parquetReader) next() (arrow.Record, error) {
	if p.records == nil {
		return nil, io.EOF
	}
	if !p.records.Next() {
		if err := p.records.Err(); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, io.EOF
	}
	return p.records.Record(), nil
}

func (p *parquetReader) close() error {
	if p.records != nil {
		p.records.Release()
	}
	return p.file.Close()
}
