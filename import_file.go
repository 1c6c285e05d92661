package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"
)

// importBatch is what one request carries of a file.
type importBatch struct {
	number int64 // of the file's batches, from 0
	lines  []byte
	first  int64 // the place of its first event in the file, from 1
	events int
	end    int64 // where it ends in the file's decompressed bytes
}

// file reads one file and sends it batch by batch, several at once.
func (im *importer) file(ctx context.Context, name string, o importOptions) error {
	in, size, err := openImport(name)
	if err != nil {
		return err
	}
	defer in.Close()
	state := openImportState(o, im.token, name)
	if o.restart {
		state.begin()
	}
	newBar := progressbar.DefaultBytes
	if o.quiet {
		newBar = progressbar.DefaultBytesSilent
	}
	bar := newBar(size, name)
	defer bar.Close()
	lines, err := decompress(io.TeeReader(in, bar))
	if err != nil {
		return err
	}
	if state.Bytes > 0 {
		fmt.Fprintf(os.Stderr, "%s: going on behind event %d, where an earlier import stopped; --restart begins anew\n", name, state.Events)
		if _, err := io.CopyN(io.Discard, lines, state.Bytes); err != nil {
			return fmt.Errorf("skip what was imported before: %w", err)
		}
	}
	done, stop := state.keep(func(events int64, rate float64) {
		bar.Describe(fmt.Sprintf("%s: %d events, %.0f/s", name, events, rate))
	})
	err = im.sendAll(ctx, o.connections, lines, state.importPlace, done)
	if stateErr := stop(err == nil); err == nil && stateErr != nil {
		err = stateErr
	}
	if err != nil && state.resumable() {
		err = fmt.Errorf("%w; the same command goes on from there", err)
	}
	return err
}

// openImport opens a file, or standard input, and gives its size, -1 for none.
func openImport(name string) (in io.ReadCloser, size int64, err error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), -1, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return f, -1, nil
	}
	return f, info.Size(), nil
}

// sendAll reads batches and sends them over so many connections. It tells done of
// each that the server has answered for. After an error the batches under way end
// and no others begin.
func (im *importer) sendAll(ctx context.Context, connections int, lines io.Reader, from importPlace, done func(*importBatch)) error {
	all, ctx := errgroup.WithContext(ctx)
	batches := make(chan *importBatch)
	free := make(chan []byte, 2*connections) // buffers of batches that are done
	all.Go(func() error {
		defer close(batches)
		return readBatches(lines, from, free, func(b *importBatch) error {
			select {
			case batches <- b:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	for range connections {
		all.Go(func() error {
			for b := range batches {
				if err := im.send(ctx, b); err != nil {
					return err
				}
				done(b)
				select {
				case free <- b.lines[:0]:
				default:
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// readBatches cuts lines into batches. The cuts follow from the file alone, so
// that an import which is repeated sends the same batches under the same keys.
func readBatches(lines io.Reader, from importPlace, free <-chan []byte, give func(*importBatch) error) error {
	b := &importBatch{first: from.Events + 1, end: from.Bytes}
	read := from.Bytes // bytes, lines without events included
	flush := func() error {
		if b.events == 0 {
			return nil
		}
		next := &importBatch{number: b.number + 1, first: b.first + int64(b.events), end: b.end}
		select {
		case next.lines = <-free:
		default:
		}
		full := b
		b = next
		return give(full)
	}
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(make([]byte, 1<<20), importLineBytes)
	scanner.Split(func(data []byte, end bool) (int, []byte, error) {
		advance, token, err := bufio.ScanLines(data, end)
		read += int64(advance)
		return advance, token, err
	})
	for before := read; scanner.Scan(); before = read {
		line := bytes.TrimSpace(scanner.Bytes())
		if len(line) == 0 {
			continue
		}
		if b.events == importBatchEvents || len(b.lines)+len(line) >= importBatchBytes {
			b.end = before
			if err := flush(); err != nil {
				return err
			}
		}
		b.lines = append(append(b.lines, line...), '\n')
		b.events++
	}
	err := scanner.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("event %d is longer than %d bytes", b.first+int64(b.events), importLineBytes)
	}
	b.end = read
	return errors.Join(flush(), err)
}

// decompress tells gzip and zstd by their first bytes.
func decompress(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 1<<20)
	magic, _ := b.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(b)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstd.NewReader(b)
	}
	return b, nil
}

// showEvery is how often progress is shown and written down.
const showEvery = 500 * time.Millisecond
