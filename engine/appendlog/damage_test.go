package appendlog

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"arbor/engine/vfs"
)

// image is the bytes of a log's segments, by file name.
type image map[string][]byte

func imageOf(t testing.TB, fs vfs.FS) image {
	t.Helper()
	names, err := fs.List("log")
	must(t, err)
	img := image{}
	for _, name := range names {
		f, err := fs.Open("log/" + name)
		must(t, err)
		img[name], err = readAll(f, nil)
		must(t, err)
		must(t, f.Close())
	}
	return img
}

// with is the image with one file changed.
func (img image) with(name string, b []byte) image {
	img = maps.Clone(img)
	img[name] = b
	return img
}

// names are those of the files, in order.
func (img image) names() []string { return slices.Sorted(maps.Keys(img)) }

// disk puts the files on a new file system.
func (img image) disk(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	must(t, m.MkdirAll("log"))
	for name, b := range img {
		f, err := m.Create("log/" + name)
		must(t, err)
		_, err = f.Write(b)
		must(t, err)
		must(t, f.Sync())
		must(t, f.Close())
	}
	must(t, m.SyncDir("log"))
	return m
}

func mustRequest(t testing.TB, texts ...string) *request {
	t.Helper()
	r, err := newRequest(nil, payloads(texts...), DefaultMaxFrameBytes)
	must(t, err)
	return r
}

// small makes a log of a few segments, with the torn end of a crash in the
// middle, and gives the calls that were acknowledged, in order.
func small(t testing.TB, closed bool) (img image, calls [][]string) {
	t.Helper()
	m := vfs.NewMem()
	opts := options(m)
	opts.salt = rand.New(rand.NewPCG(3, 3)).Uint64
	call := func(l *Log, texts ...string) {
		add(t, l, texts...)
		calls = append(calls, texts)
	}
	l, _ := open(t, opts)
	for i := range 5 {
		call(l, fmt.Sprint("a", i), strings.Repeat("b", 100), "", "zeros\x00\x00\x00\x00")
	}
	torn := layGroup(nil, []*request{mustRequest(t, strings.Repeat("torn", 30))})
	stampGroup(torn, l.active.header.salt, l.active.end)
	img = imageOf(t, m)
	name := SegmentName(l.active.id)
	opts.FS = img.with(name, append(img[name], torn[:90]...)).disk(t)

	l, _ = open(t, opts)
	if f := l.Findings(); len(f) != 1 || f[0].Damaged || f[0].Bytes != 90 || f[0].File != "log/"+name {
		t.Fatalf("findings of a torn end are %+v", f)
	}
	for i := range 6 {
		call(l, fmt.Sprint("c", i), strings.Repeat("d", 40*i))
	}
	if closed {
		must(t, l.Close())
	}
	return imageOf(t, opts.FS), calls
}

// Every byte of a small log is changed, once this way and once that: Open names
// the damage, or all that was acknowledged is there. Of a log that was not
// closed the last group may be left out, with a finding.
func TestFlipEveryByte(t *testing.T) {
	skipShort(t)
	for _, closed := range []bool{true, false} {
		img, calls := small(t, closed)
		if len(img) < 3 {
			t.Fatalf("%d segments", len(img))
		}
		flips, refused := 0, 0
		for _, name := range img.names() {
			for at := range img[name] {
				for _, mask := range []byte{0x01, 0x80, 0xff} {
					b := slices.Clone(img[name])
					b[at] ^= mask
					flips++
					if flip(t, img.with(name, b), calls, name, at, closed) {
						refused++
					}
				}
			}
		}
		t.Logf("closed %v: %d flips, %d refused", closed, flips, refused)
	}
}

// flip opens a log of which one byte is not what it was.
func flip(t *testing.T, img image, calls [][]string, name string, at int, closed bool) (refused bool) {
	t.Helper()
	texts := slices.Concat(calls...)
	opts := options(img.disk(t))
	c := new(content)
	l, err := Open(opts, c.replay)
	if err == nil {
		if len(l.Findings()) > 0 && !closed {
			texts = slices.Concat(calls[:len(calls)-1]...)
		}
		if !slices.Equal(c.payloads, texts) {
			t.Fatalf("%s byte %d: opened, and holds %q", name, at, c.payloads)
		}
		must(t, l.Close())
		return false
	}
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.File != "log/"+name || corrupt.Offset > int64(at) {
		t.Fatalf("%s byte %d: %v", name, at, err)
	}

	// In quarantine nothing comes up that was not written, and of what was, one
	// call at most is missing; but without its salt a segment cannot be read.
	opts.Quarantine = true
	l, c = open(t, opts)
	if f := l.Findings(); !slices.ContainsFunc(f, func(f Finding) bool {
		return f.Damaged && f.File == corrupt.File && f.Offset == corrupt.Offset && f.Bytes > 0
	}) {
		t.Fatalf("%s byte %d: findings %+v", name, at, f)
	}
	missing, ok := minus(texts, c.payloads)
	if salt := at >= 48 && at < 56; !ok || len(missing) > 1 && !salt && !within(missing, calls) {
		t.Fatalf("%s byte %d: quarantine misses %q", name, at, missing)
	}
	add(t, l, "and on")
	must(t, l.Close())
	_, again := open(t, opts)
	if want := append(c.payloads, "and on"); !slices.Equal(again.payloads, want) {
		t.Fatalf("%s byte %d: later %q, want %q", name, at, again.payloads, want)
	}
	return true
}

// minus takes payloads, which must come in the order of texts, from texts.
func minus(texts, payloads []string) (missing []string, ok bool) {
	for _, text := range texts {
		if len(payloads) > 0 && payloads[0] == text {
			payloads = payloads[1:]
		} else {
			missing = append(missing, text)
		}
	}
	return missing, len(payloads) == 0
}

// within says whether all texts are of one call.
func within(texts []string, calls [][]string) bool {
	return slices.ContainsFunc(calls, func(call []string) bool {
		_, ok := minus(call, texts)
		return ok
	})
}

// Every file is cut at every length. In a segment that has a successor that is
// damage; at the end of the log it is a torn end, and whole calls are left.
func TestCutAtEveryByte(t *testing.T) {
	skipShort(t)
	img, calls := small(t, true)
	texts := slices.Concat(calls...)
	names := img.names()
	for i, name := range names {
		for length := range img[name] {
			c := new(content)
			_, err := Open(options(img.with(name, img[name][:length]).disk(t)), c.replay)
			if i < len(names)-1 {
				// A torn end may go: nobody was told of it.
				if !errors.Is(err, ErrCorrupt) && !(err == nil && slices.Equal(c.payloads, texts)) {
					t.Fatalf("%s cut to %d: %v, %q", name, length, err, c.payloads)
				}
				continue
			}
			must(t, err)
			whole := 0
			for len(slices.Concat(calls[:whole]...)) < len(c.payloads) {
				whole++
			}
			if !slices.Equal(c.payloads, slices.Concat(calls[:whole]...)) {
				t.Fatalf("%s cut to %d: %q", name, length, c.payloads)
			}
		}
	}
}

// Damage in the last group looks like a torn end only if the group has a sector
// of zeros; and not even then if the log was closed.
func TestZeros(t *testing.T) {
	for _, test := range []struct {
		text   string
		closed bool
		want   error
	}{
		{strings.Repeat("x", 1000), false, ErrCorrupt},
		// The group's last sector holds zeros and its stop byte.
		{strings.Repeat("x", 400) + strings.Repeat("\x00", 400), false, ErrCorrupt},
		{strings.Repeat("x", 400) + strings.Repeat("\x00", 1200), true, ErrCorrupt},
		{strings.Repeat("x", 400) + strings.Repeat("\x00", 1200), false, nil},
	} {
		m := vfs.NewMem()
		l, _ := open(t, options(m))
		at := add(t, l, test.text)[0].Offset + frameHeaderSize
		if test.closed {
			must(t, l.Close())
		}
		img := imageOf(t, m)
		img[SegmentName(1)][at] ^= 1
		c := new(content)
		l, err := Open(options(img.disk(t)), c.replay)
		wantErr(t, err, test.want)
		if test.want == nil && (len(l.Findings()) != 1 || len(c.payloads) > 0) {
			t.Fatalf("%d payloads, findings %v", len(c.payloads), l.Findings())
		}
	}
}

// ReadAt finds damage that came after Open.
func TestReadAtDamage(t *testing.T) {
	m := vfs.NewMem()
	l, _ := open(t, options(m))
	pos := add(t, l, "before", "payload", "after")[1]
	img := imageOf(t, m)
	for name, b := range img {
		for at := range b {
			changed := slices.Clone(b)
			changed[at] ^= 1
			var err error
			l.active.file, err = img.with(name, changed).disk(t).Open("log/" + name)
			must(t, err)
			got, err := l.ReadAt(pos, nil)
			inside := int64(at) >= pos.Offset && int64(at) < pos.Offset+frameHeaderSize+int64(pos.Length)
			var corrupt *CorruptError
			if inside != errors.As(err, &corrupt) || !inside && string(got) != "payload" || inside && corrupt.Offset != pos.Offset {
				t.Fatalf("byte %d changed: %q, %v", at, got, err)
			}
		}
		short, err := img.with(name, b[:pos.Offset+9]).disk(t).Open("log/" + name)
		must(t, err)
		l.active.file = short
		_, err = l.ReadAt(pos, nil)
		wantErr(t, err, ErrCorrupt)
	}
	for _, wrong := range []Position{{}, {1, 0, 1}, {1, pos.Offset, 1 << 20}, {1, 1 << 40, 1}, {2, pos.Offset, 7}, {1, pos.Offset, -8}} {
		_, err := l.ReadAt(wrong, nil)
		wantErr(t, err, ErrNoSegment)
	}
	_, err := l.ReadAt(Position{1, pos.Offset + 1, pos.Length}, nil)
	wantErr(t, err, ErrCorrupt)
}

// A group and a frame are good in their own segment and place only.
func TestSumsCoverSaltAndPlace(t *testing.T) {
	b := make([]byte, headerSize)
	b = layGroup(b, []*request{mustRequest(t, "aaaa", "bbbb")})
	stampGroup(b[headerSize:], 7, headerSize)
	const first, second = headerSize + groupHeaderSize, headerSize + groupHeaderSize + 12
	if _, ok := groupAt(b, 7, headerSize); !ok {
		t.Fatal("group is not good")
	}
	if _, ok := groupAt(b, 8, headerSize); ok {
		t.Fatal("group is good in another segment")
	}
	if _, ok := groupAt(b[1:], 7, headerSize-1); ok {
		t.Fatal("group is good in another place")
	}
	limit := int64(len(b) - 1)
	if _, ok := frameAt(b, 7, first, limit); !ok {
		t.Fatal("frame is not good")
	}
	if _, ok := frameAt(b, 8, first, limit); ok {
		t.Fatal("frame is good in another segment")
	}
	copy(b[second:], b[first:second])
	if _, ok := frameAt(b, 7, second, limit); ok {
		t.Fatal("frame is good in another place")
	}
}

// A payload holds a copy of a group of another segment, and happens to have it
// where it was there. When a crash tears the group around it, the copy must not
// be taken for a later group, which would make a torn end damage.
func TestPayloadHoldsALog(t *testing.T) {
	m := vfs.NewMem()
	l, _ := open(t, options(m))
	add(t, l, strings.Repeat("x", 100))
	from := l.active.end
	add(t, l, "copied")
	must(t, l.Rotate(t.Context()))
	must(t, l.Close())
	img := imageOf(t, m)
	copied := img[SegmentName(1)][from:]

	trap := strings.Repeat("y", int(from)-headerSize-groupHeaderSize-frameHeaderSize) + string(copied) + "end"
	m = img.disk(t)
	opts := options(m)
	l, _ = open(t, opts)
	add(t, l, trap)
	img = imageOf(t, m)
	name := SegmentName(l.active.id)
	b := img[name]
	l, c := open(t, options(img.with(name, b[:len(b)-3]).disk(t)))
	if len(c.payloads) != 2 || len(l.Findings()) != 1 || l.Findings()[0].Damaged {
		t.Fatalf("%d payloads, findings %+v", len(c.payloads), l.Findings())
	}
}
