package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"github.com/cockroachdb/datadriven"
)

// frames are the history as a log holds it: changes by the version that they
// make, and snapshots by their own.
func frames(t testing.TB) (changes, snapshots [][]byte) {
	t.Helper()
	changes, snapshots = append(changes, nil), append(snapshots, nil)
	c := &catalog.Catalog{}
	for _, change := range history() {
		next, err := c.Apply(change)
		if err != nil {
			t.Fatal(err)
		}
		c = next
		changes = append(changes, encodeFrame(frameChange, c.Version, catalog.EncodeChange(change)))
		snapshots = append(snapshots, encodeFrame(frameSnapshot, c.Version, c.Encode()))
	}
	return changes, snapshots
}

// replayed gives the version that frames make.
func replayed(frames ...[]byte) (uint64, error) {
	r := replay{catalog: &catalog.Catalog{}}
	for i, frame := range frames {
		if err := r.frame(appendlog.Position{Segment: 1, Offset: int64(i)}, frame); err != nil {
			return 0, err
		}
	}
	return r.catalog.Version, r.gap
}

func TestReplay(t *testing.T) {
	change, snapshot := frames(t)
	for name, test := range map[string]struct {
		frames [][]byte
		want   uint64
	}{
		"nothing":                                 {nil, 0},
		"changes":                                 {change[1:4], 3},
		"a snapshot":                              {snapshot[3:4], 3},
		"changes and their snapshot":              {[][]byte{change[1], change[2], snapshot[2], change[3]}, 3},
		"a snapshot twice":                        {[][]byte{snapshot[2], snapshot[2], change[3]}, 3},
		"the end of a history and its snapshot":   {[][]byte{change[3], change[4], snapshot[4], change[5]}, 5},
		"a later snapshot than the one retired":   {[][]byte{snapshot[2], change[3], snapshot[4], change[5]}, 5},
		"an end of a history before a snapshot 1": {[][]byte{change[2], snapshot[2], change[3], snapshot[3]}, 3},
	} {
		if got, err := replayed(test.frames...); got != test.want || err != nil {
			t.Errorf("%s: version %d, %v", name, got, err)
		}
	}

	newer := slices.Clone(change[1])
	newer[frameHeader+4] = 2 // the version of the change's encoding, under a new checksum
	body := newer[frameHeader : len(newer)-4]
	binary.LittleEndian.PutUint32(newer[len(newer)-4:], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	mislabelled := slices.Clone(snapshot[3])
	mislabelled[1]++
	for name, test := range map[string]struct {
		frames [][]byte
		want   error
		says   string
	}{
		"the end of a history":          {change[3:6], ErrCorrupt, "version 3 follows version 0"},
		"a version left out":            {[][]byte{change[1], change[3]}, ErrCorrupt, "version 3 follows version 1"},
		"a version twice":               {[][]byte{change[1], change[1]}, ErrCorrupt, "version 1 follows version 1"},
		"a snapshot that is too old":    {[][]byte{change[3], change[4], snapshot[3]}, ErrCorrupt, "comes after 4"},
		"a snapshot that goes back":     {[][]byte{snapshot[3], snapshot[2]}, ErrCorrupt, "comes after 3"},
		"a snapshot of another version": {[][]byte{mislabelled}, ErrCorrupt, "calls itself 3"},
		"a change that is not allowed":  {[][]byte{encodeFrame(frameChange, 1, catalog.EncodeChange(catalog.DropProject{ID: 1}))}, ErrCorrupt, "no such project"},
		"a change that changes nothing": {[][]byte{snapshot[2], encodeFrame(frameChange, 3, change[2][frameHeader:])}, ErrCorrupt, "changes nothing"},
		"a damaged change":              {[][]byte{change[1][:20]}, ErrCorrupt, "checksum"},
		"a damaged snapshot":            {[][]byte{snapshot[1][:20]}, ErrCorrupt, "checksum"},
		"a short frame":                 {[][]byte{change[1][:8]}, ErrCorrupt, "8 bytes"},
		"an unknown kind":               {[][]byte{encodeFrame(3, 1, nil)}, ErrCorrupt, "kind 3"},
		"a newer arbor's":               {[][]byte{newer}, catalog.ErrVersion, "start that one"},
	} {
		_, err := replayed(test.frames...)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
		if test.want != ErrCorrupt && errors.Is(err, ErrCorrupt) {
			t.Errorf("%s is not damage: %v", name, err)
		}
	}
}

// TestGolden shows a change's and a snapshot's frame; package catalog shows what
// is in them. It also reads what stands in the file back.
func TestGolden(t *testing.T) {
	change, snapshot := frames(t)
	datadriven.RunTest(t, "testdata/frames.v1", func(t *testing.T, d *datadriven.TestData) string {
		frame := map[string][]byte{"change": change[1], "snapshot": snapshot[1]}[d.Cmd]
		if frame == nil {
			d.Fatalf(t, "there is no command %s", d.Cmd)
		}
		var old []byte
		for line := range strings.Lines(d.Expected) {
			var some []byte
			if _, err := fmt.Sscanf(strings.ReplaceAll(line[:min(len(line), 48)], " ", ""), "%x", &some); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			old = append(old, some...)
		}
		if v, err := replayed(old); !d.Rewrite && (v != 1 || err != nil) {
			t.Errorf("%s: the file's bytes give version %d, %v", d.Pos, v, err)
		}
		var out strings.Builder
		note := func(b []byte, what string) {
			for len(b) > 0 {
				n := min(len(b), 16)
				fmt.Fprintln(&out, strings.TrimRight(fmt.Sprintf("%-48s%s", fmt.Sprintf("% x", b[:n]), what), " "))
				b, what = b[n:], ""
			}
		}
		note(frame[:1], "kind of frame")
		note(frame[1:frameHeader], "version")
		note(frame[frameHeader:], d.Cmd)
		return out.String()
	})
}

// FuzzReplay feeds a log two frames of any bytes.
func FuzzReplay(f *testing.F) {
	change, snapshot := frames(f)
	for i := 2; i < len(change); i++ {
		f.Add(change[i-1], change[i])
		f.Add(snapshot[i-1], change[i])
		f.Add(change[i], snapshot[i])
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		_, err := replayed(a, b)
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, catalog.ErrVersion) {
			t.Fatal(err)
		}
	})
}
