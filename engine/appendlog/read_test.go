package appendlog

import (
	"context"
	"errors"
	"strings"
	"testing"

	"arbor/engine/vfs"
)

func TestReadSegment(t *testing.T) {
	fs := vfs.NewMem()
	log, err := Open(Options{FS: fs, Dir: "log"}, func(Position, []byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	positions, err := log.Append(context.Background(), [][]byte{[]byte("one"), []byte("two")})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	path := "log/" + SegmentName(positions[0].Segment)
	read := func() (payloads []string, err error) {
		err = ReadSegment(fs, path, func(p Position, payload []byte) error {
			payloads = append(payloads, string(payload))
			return nil
		})
		return payloads, err
	}
	got, err := read()
	if err != nil || strings.Join(got, " ") != "one two" {
		t.Fatalf("got %q, %v", got, err)
	}

	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := readAll(f, nil)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	data[positions[0].Offset+frameHeaderSize] ^= 1
	g, err := fs.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Write(data); err != nil {
		t.Fatal(err)
	}
	g.Close()
	got, err = read()
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) || strings.Join(got, " ") != "two" {
		t.Errorf("damaged: got %q, %v; want two and ErrCorrupt", got, err)
	}
	if err := ReadSegment(fs, "log/none", nil); err == nil {
		t.Error("a file that is not there was read")
	}
}
