package appendlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"

	"arbor/engine/vfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// content is what a log holds: payloads with their positions, in order.
type content struct {
	payloads  []string
	positions []Position
}

func (c *content) replay(pos Position, payload []byte) error {
	c.payloads = append(c.payloads, string(payload))
	c.positions = append(c.positions, pos)
	return nil
}

// open opens the log in /log of a file system, or fails the test.
func open(t testing.TB, opts Options) (*Log, *content) {
	t.Helper()
	c := new(content)
	l, err := Open(opts, c.replay)
	must(t, err)
	return l, c
}

func options(fs vfs.FS) Options {
	return Options{FS: fs, Dir: "log", SegmentBytes: 512, Logger: quiet}
}

// add appends texts in one call.
func add(t testing.TB, l *Log, texts ...string) []Position {
	t.Helper()
	pos, err := l.Append(context.Background(), payloads(texts...))
	must(t, err)
	if len(pos) != len(texts) {
		t.Fatalf("%d positions for %d payloads", len(pos), len(texts))
	}
	return pos
}

func payloads(texts ...string) (p [][]byte) {
	for _, s := range texts {
		p = append(p, []byte(s))
	}
	return p
}

func wantContent(t testing.TB, c *content, texts []string, positions []Position) {
	t.Helper()
	if !slices.Equal(c.payloads, texts) {
		t.Fatalf("replayed %q, want %q", c.payloads, texts)
	}
	if !slices.Equal(c.positions, positions) {
		t.Fatalf("replayed at %v, want %v", c.positions, positions)
	}
}

// texts makes distinct payloads of various lengths.
func texts(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("payload %d %s", i, bytes.Repeat([]byte{'x'}, i*7%90)))
	}
	return all
}

func TestAppendAndReopen(t *testing.T) {
	for _, fs := range []vfs.FS{vfs.NewMem(), vfs.OS()} {
		opts := options(fs)
		opts.Dir = t.TempDir() + "/log"
		l, c := open(t, opts)
		wantContent(t, c, nil, nil)
		want := texts(40)
		var positions []Position
		for i := 0; i < len(want); i += 4 {
			positions = append(positions, add(t, l, want[i:i+4]...)...)
		}
		check := func() {
			t.Helper()
			var buf []byte
			for i, pos := range positions {
				got, err := l.ReadAt(pos, buf)
				must(t, err)
				if string(got) != want[i] {
					t.Fatalf("at %v: %q, want %q", pos, got, want[i])
				}
				buf = got[:0]
			}
		}
		check()
		if n := len(l.Segments()); n < 4 {
			t.Fatalf("%d segments of 512 bytes", n)
		}
		for range 3 {
			must(t, l.Close())
			must(t, l.Close())
			_, err := l.Append(context.Background(), payloads("late"))
			wantErr(t, err, ErrClosed)
			_, err = l.ReadAt(positions[0], nil)
			wantErr(t, err, ErrClosed)

			l, c = open(t, opts)
			wantContent(t, c, want, positions)
			if len(l.Findings()) > 0 {
				t.Fatalf("findings %v", l.Findings())
			}
			check()
			positions = append(positions, add(t, l, "one", "", "two")...)
			want = append(want, "one", "", "two")
		}
		frames := int64(0)
		for i, s := range l.Segments() {
			frames += s.Frames
			if s.ID != uint64(i+1) || s.Sealed != (i+1 < len(l.Segments())) || s.CreatedAt.IsZero() || s.Bytes > 512 {
				t.Fatalf("segment %d is %+v", i, s)
			}
		}
		if frames != int64(len(want)) {
			t.Fatalf("%d frames, want %d", frames, len(want))
		}
		must(t, l.Close())
	}
}

// TestHeadsStandBeforePayloads: a payload in two pieces is one.
func TestHeadsStandBeforePayloads(t *testing.T) {
	fs := vfs.NewMem()
	l, _ := open(t, options(fs))
	pos, err := l.AppendHeaded(context.Background(), payloads("head-", "", "x"), payloads("one", "two", ""))
	must(t, err)
	for i, want := range []string{"head-one", "two", "x"} {
		got, err := l.ReadAt(pos[i], nil)
		must(t, err)
		if string(got) != want {
			t.Errorf("payload %d is %q, want %q", i, got, want)
		}
	}
	if _, err := l.AppendHeaded(context.Background(), payloads("head"), payloads("one", "two")); err == nil {
		t.Error("one head for two payloads was taken")
	}
	must(t, l.Close())
	l, c := open(t, options(fs))
	defer l.Close()
	wantContent(t, c, []string{"head-one", "two", "x"}, pos)

	longest := make([]byte, 8)
	opts := options(fs)
	opts.Dir, opts.MaxFrameBytes = "other", 10
	other, _ := open(t, opts)
	defer other.Close()
	_, err = other.AppendHeaded(context.Background(), payloads("ab"), [][]byte{longest})
	must(t, err)
	_, err = other.AppendHeaded(context.Background(), payloads("abc"), [][]byte{longest})
	wantErr(t, err, ErrTooLarge)
}
