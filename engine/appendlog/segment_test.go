package appendlog

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"arbor/engine/vfs"
)

func ids(l *Log) (ids []uint64) {
	for _, s := range l.Segments() {
		ids = append(ids, s.ID)
	}
	return ids
}

func wantIDs(t *testing.T, l *Log, want ...uint64) {
	t.Helper()
	if got := ids(l); !slices.Equal(got, want) {
		t.Fatalf("segments %v, want %v", got, want)
	}
}

func TestRotate(t *testing.T) {
	m := vfs.NewMem()
	l, _ := open(t, options(m))
	must(t, l.Rotate(t.Context())) // nothing to seal
	wantIDs(t, l)
	add(t, l, "a")
	wantIDs(t, l, 1)
	must(t, l.Rotate(t.Context()))
	must(t, l.Rotate(t.Context()))
	wantIDs(t, l, 1, 2)
	infos := l.Segments()
	if !infos[0].Sealed || infos[0].Frames != 1 || infos[1].Sealed || infos[1].Frames != 0 {
		t.Fatalf("segments %+v", infos)
	}
	add(t, l, "b")
	wantIDs(t, l, 1, 2)
	must(t, l.Close())

	// After a restart all are sealed, and the next append starts another.
	l, _ = open(t, options(m))
	wantIDs(t, l, 1, 2)
	if !l.Segments()[1].Sealed {
		t.Fatal("a segment of an earlier process is open")
	}
	must(t, l.Rotate(t.Context()))
	wantIDs(t, l, 1, 2)
	add(t, l, "c")
	wantIDs(t, l, 1, 2, 3)
}

// A segment is filled to its limit and not past it, unless by one append.
func TestSegmentBytes(t *testing.T) {
	l, _ := open(t, options(vfs.NewMem()))
	room := 512 - headerSize - groupOverhead - frameHeaderSize
	add(t, l, strings.Repeat("x", room))
	if b := l.Segments()[0].Bytes; b != 512 {
		t.Fatalf("full segment has %d bytes, want 512", b)
	}
	add(t, l, strings.Repeat("x", room-groupOverhead-frameHeaderSize-1))
	wantIDs(t, l, 1, 2)
	add(t, l, "y")
	wantIDs(t, l, 1, 2)
	add(t, l, "")
	wantIDs(t, l, 1, 2, 3)
	add(t, l, strings.Repeat("x", 5000))
	wantIDs(t, l, 1, 2, 3, 4)
	add(t, l, "z")
	wantIDs(t, l, 1, 2, 3, 4, 5)
}

func TestRetire(t *testing.T) {
	m := vfs.NewMem()
	opts := options(m)
	l, _ := open(t, opts)
	first := add(t, l, "a")[0]
	wantErr(t, l.Retire(t.Context(), 1, "trash/log"), ErrNotSealed)
	wantErr(t, l.Retire(t.Context(), 2, "trash/log"), ErrNoSegment)
	must(t, l.Rotate(t.Context()))
	add(t, l, "b")
	must(t, l.Retire(t.Context(), 1, "trash/log"))
	wantErr(t, l.Retire(t.Context(), 1, "trash/log"), ErrNoSegment)
	wantIDs(t, l, 2)
	disk := m.CrashClone(rand.New(rand.NewPCG(1, 1)), 0)
	if exists(disk, "log/"+SegmentName(1)) || !exists(disk, "trash/log/"+SegmentName(1)) {
		t.Fatal("a crash takes back what Retire has done")
	}
	_, err := l.ReadAt(first, nil)
	wantErr(t, err, ErrNoSegment)
	must(t, l.Close())
	wantErr(t, l.Retire(t.Context(), 2, "trash/log"), ErrClosed)

	// When the last one goes, its successor stays, so that ids go on.
	for i := range uint64(3) {
		var c *content
		l, c = open(t, opts)
		if want := []string{"b"}; i == 0 && !slices.Equal(c.payloads, want) || i > 0 && len(c.payloads) > 0 {
			t.Fatalf("log holds %q", c.payloads)
		}
		wantIDs(t, l, 2+i)
		must(t, l.Retire(t.Context(), 2+i, "trash/log"))
		wantIDs(t, l, 3+i)
		must(t, l.Close())
	}
	names, err := m.List("trash/log")
	must(t, err)
	if want := []string{SegmentName(1), SegmentName(2)}; !slices.Equal(names, want) {
		t.Fatalf("trash holds %q, want %q", names, want)
	}
	// What is in the trash is a segment: put back, it is replayed.
	must(t, m.Rename(path.Join("trash/log", SegmentName(1)), "log/"+SegmentName(1)))
	l, c := open(t, opts)
	if want := []string{"a"}; !slices.Equal(c.payloads, want) {
		t.Fatalf("log holds %q", c.payloads)
	}
	if pos := add(t, l, "on"); pos[0].Segment != 6 {
		t.Fatalf("appended at %v", pos)
	}
}

// Whatever a crash leaves of the making of a segment, the log opens, and takes
// the same name again.
func TestHalfMadeSegment(t *testing.T) {
	m := vfs.NewMem()
	l, _ := open(t, options(m))
	add(t, l, "a")
	must(t, l.Rotate(t.Context()))
	img := imageOf(t, m)
	name := SegmentName(2)
	for length := range headerSize {
		for _, b := range [][]byte{img[name][:length], make([]byte, length+1)} {
			m := img.with(name, b).disk(t)
			l, c := open(t, options(m))
			if !slices.Equal(c.payloads, []string{"a"}) || len(l.Findings()) > 0 {
				t.Fatalf("%d bytes: %q, findings %v", length, c.payloads, l.Findings())
			}
			if pos := add(t, l, "b"); pos[0].Segment != 2 {
				t.Fatalf("%d bytes: appended at %v", length, pos)
			}
			must(t, l.Close())
			_, c = open(t, options(m))
			if !slices.Equal(c.payloads, []string{"a", "b"}) {
				t.Fatalf("%d bytes: %q", length, c.payloads)
			}
		}
	}
	// Of a segment in the middle that is damage: it once was there.
	add(t, l, "b")
	must(t, l.Rotate(t.Context()))
	m = imageOf(t, m).with(name, nil).disk(t)
	_, err := Open(options(m), new(content).replay)
	wantErr(t, err, ErrCorrupt)
	opts := options(m)
	opts.Quarantine = true
	l, c := open(t, opts)
	if !slices.Equal(c.payloads, []string{"a"}) || len(l.Findings()) == 0 {
		t.Fatalf("%q, findings %v", c.payloads, l.Findings())
	}
}

// A header speaks of the newest segment before it that holds something, so that
// restarts without appends do not hide where it ended.
func TestHeaderSpeaksOfPrevious(t *testing.T) {
	m := vfs.NewMem()
	l, _ := open(t, options(m))
	end := add(t, l, "a")[0].Offset + frameHeaderSize + 2
	must(t, l.Rotate(t.Context()))
	must(t, l.Close())
	for id := uint64(3); id < 6; id++ {
		l, _ = open(t, options(m))
		must(t, l.rotate(true))
		wantIDs(t, l, 1, id)
		if h := l.active.header; h.previous != 1 || int64(h.previousEnd) != end {
			t.Fatalf("header %+v, and segment 1 ended at %d", h, end)
		}
		must(t, l.Close())
	}
	names, err := m.List("log")
	must(t, err)
	if len(names) != 2 {
		t.Fatalf("empty segments were left: %q", names)
	}
}

func TestOtherFiles(t *testing.T) {
	m := vfs.NewMem()
	must(t, m.MkdirAll("log/000000000009.log"))
	for _, name := range []string{"log/1.log", "log/000000000000.log", "log/00000000000x.log", "log/readme"} {
		_, err := m.Create(name)
		must(t, err)
	}
	l, c := open(t, options(m))
	wantContent(t, c, nil, nil)
	wantIDs(t, l)
	if pos := add(t, l, "a"); pos[0].Segment != 1 {
		t.Fatalf("appended at %v", pos)
	}
}

func TestNewerVersion(t *testing.T) {
	m := vfs.NewMem()
	l, _ := open(t, options(m))
	add(t, l, "a")
	img := imageOf(t, m)
	b := img[SegmentName(1)]
	b[8] = version + 1
	restampHeader(b)
	opts := options(img.disk(t))
	for _, opts.Quarantine = range []bool{false, true} {
		_, err := Open(opts, new(content).replay)
		wantErr(t, err, ErrVersion)
		if s := err.Error(); !strings.Contains(s, SegmentName(1)) || !strings.Contains(s, "version 2") {
			t.Fatalf("error %q", s)
		}
	}
}

// No memory is taken for a file that cannot be one of ours.
func TestHugeFile(t *testing.T) {
	opts := options(vfs.OS())
	opts.Dir = t.TempDir()
	l, _ := open(t, opts)
	add(t, l, "a")
	must(t, l.active.file.Truncate(maxFileBytes+1)) // sparse
	must(t, l.Close())
	_, err := Open(opts, new(content).replay)
	wantErr(t, err, ErrCorrupt)
}

// A header of another segment, whole as it is, is not this one's.
func TestMisplacedSegment(t *testing.T) {
	m := vfs.NewMem()
	l, _ := open(t, options(m))
	add(t, l, "a")
	must(t, l.Close())
	must(t, m.Rename("log/"+SegmentName(1), "log/"+SegmentName(2)))
	_, err := Open(options(m), new(content).replay)
	wantErr(t, err, ErrCorrupt)
}

func TestReplayError(t *testing.T) {
	m := vfs.NewMem()
	l, _ := open(t, options(m))
	add(t, l, "a", "b")
	must(t, l.Close())
	stop := fmt.Errorf("stop")
	_, err := Open(options(m), func(pos Position, payload []byte) error {
		if string(payload) == "b" {
			return stop
		}
		return nil
	})
	wantErr(t, err, stop)
}

// The same salt and clock give the same bytes.
func fixed(opts Options) Options {
	opts.salt = rand.New(rand.NewPCG(1, 2)).Uint64
	return opts
}

func TestLimits(t *testing.T) {
	m := vfs.NewMem()
	opts := fixed(options(m))
	opts.MaxFrameBytes = 100
	l, _ := open(t, opts)
	add(t, l, strings.Repeat("x", 100))
	_, err := l.Append(t.Context(), payloads("good", strings.Repeat("x", 101)))
	wantErr(t, err, ErrTooLarge)
	if s := err.Error(); !strings.Contains(s, "payload 1 has 101 bytes, and 100 is the limit") {
		t.Fatalf("error %q", s)
	}
	if info := l.Segments()[0]; info.Frames != 1 {
		t.Fatalf("%d frames after an append that was refused", info.Frames)
	}
	must(t, l.Close())

	// A limit that was lowered does not hide what is there.
	opts.MaxFrameBytes = 10
	_, c := open(t, opts)
	if len(c.payloads) != 1 {
		t.Fatalf("log holds %q", c.payloads)
	}

	// One append, at the limit and one past it.
	part := make([]byte, (MaxAppendBytes-groupOverhead)/4-frameHeaderSize)
	rest := make([]byte, (MaxAppendBytes-groupOverhead)%4)
	all := [][]byte{part, part, part, slices.Concat(part, rest)}
	r, err := newRequest(nil, all, MaxAppendBytes)
	must(t, err)
	if r.bytes != MaxAppendBytes {
		t.Fatalf("%d bytes, want %d", r.bytes, MaxAppendBytes)
	}
	all[3] = append(all[3], 0)
	_, err = newRequest(nil, all, MaxAppendBytes)
	wantErr(t, err, ErrTooLarge)

	for _, bad := range []Options{
		{},
		{FS: m, SegmentBytes: minSegmentBytes - 1},
		{FS: m, SegmentBytes: MaxSegmentBytes + 1},
		{FS: m, MaxFrameBytes: -1},
		{FS: m, MaxFrameBytes: MaxAppendBytes - groupOverhead - frameHeaderSize + 1},
	} {
		if bad.validate() == nil {
			t.Fatalf("options %+v are taken", bad)
		}
	}
	for _, good := range []Options{
		{FS: m, SegmentBytes: minSegmentBytes},
		{FS: m, SegmentBytes: MaxSegmentBytes, MaxFrameBytes: MaxAppendBytes - groupOverhead - frameHeaderSize},
	} {
		must(t, good.validate())
	}
	l, _ = open(t, options(vfs.NewMem()))
	l.nextID = maxID
	add(t, l, "last")
	if err := l.Rotate(t.Context()); err == nil {
		t.Fatal("made a segment past the last name")
	}
}
