package engine

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
)

func someTombstones() *tombstones {
	id := func(n uint64) catalog.IngestID { return catalog.IngestID{Time: n, Edge: 5, Index: 6} }
	t := &tombstones{
		deletes: []event.Delete{{ID: id(1), Targets: []catalog.IngestID{id(7), id(8)}}, {ID: id(2), Targets: nil}, {ID: id(3), Targets: []catalog.IngestID{id(9)}}},
		undos:   []event.Undo{{ID: id(4), Delete: id(1)}},
	}
	t.addDamaged(id(20), id(10), id(20))
	return t
}

func TestTombstones(t *testing.T) {
	marks := someTombstones()
	encoded := marks.encode()
	back, err := decodeTombstones(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.encode(), encoded) || back.digest() != marks.digest() {
		t.Errorf("%+v came back as %+v", marks, back)
	}
	for cut := range encoded {
		if _, err := decodeTombstones(encoded[:cut]); err == nil && cut > 0 {
			t.Errorf("the first %d of %d bytes are tombstones too", cut, len(encoded))
		}
	}
	if _, err := decodeTombstones([]byte{tombstonesVersion + 1}); !errors.Is(err, event.ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
	if n := len(marks.damaged); n != 2 || marks.damaged[0].Time != 10 {
		t.Errorf("damaged ids are %v", marks.damaged)
	}
	at := func(n uint64) catalog.IngestID { return catalog.IngestID{Time: n, Edge: 9} }
	for _, tt := range []struct {
		asOf catalog.IngestID
		want int
	}{{catalog.IngestID{}, 0}, {at(1), 2}, {at(3), 3}, {at(4), 1}, {catalog.MaxIngestID, 1}} {
		if got := len(marks.inForce(tt.asOf)); got != tt.want {
			t.Errorf("as of %s %d events are deleted, want %d", tt.asOf, got, tt.want)
		}
	}
	whole := marks.digest()
	marks.add(someTombstones())
	if dropped := marks.compact(); dropped != whole || marks.digest() != whole {
		t.Errorf("compact dropped %s and left %s of twice %s", dropped, marks.digest(), whole)
	}
}

func FuzzDecodeTombstones(f *testing.F) {
	f.Add(someTombstones().encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		marks, err := decodeTombstones(b)
		if err != nil || marks.empty() {
			return
		}
		back, err := decodeTombstones(marks.encode())
		if err != nil || !bytes.Equal(back.encode(), marks.encode()) {
			t.Fatalf("%+v came back as %+v, %v", marks, back, err)
		}
	})
}

func TestCut(t *testing.T) {
	r := logRef{segment: 7, offset: 100, length: 50}
	c := r.end()
	for _, tt := range []struct {
		segment uint64
		offset  int64
		covered bool
	}{{6, 9999, true}, {7, 64, true}, {7, 100, true}, {7, 158, false}, {8, 64, false}} {
		if got := c.covers(appendlog.Position{Segment: tt.segment, Offset: tt.offset}); got != tt.covered {
			t.Errorf("batch at %d of segment %d is covered: %v", tt.offset, tt.segment, got)
		}
	}
	for _, dots := range []dot.Set{{}, dot.Of(dot.Dot{Stream: dot.Stream{7}, Seq: 5}, dot.Dot{Stream: dot.Stream{8}, Seq: 1})} {
		b := encodeCut(c, &dots)
		back, also, err := decodeCut(b)
		if err != nil || back != c || !also.Equal(&dots) {
			t.Errorf("%v with %v came back as %v with %v, %v", c, dots, back, also, err)
		}
		for i := range b {
			if _, _, err := decodeCut(b[:i]); err == nil {
				t.Errorf("a cut that is cut at %d decodes", i)
			}
		}
		if _, _, err := decodeCut(append(b, 0)); err == nil {
			t.Error("a cut with a byte too many decodes")
		}
	}
	if _, _, err := decodeCut([]byte{cutVersionNamed + 1}); !errors.Is(err, event.ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
	dots := dot.Of(dot.Dot{Stream: dot.Stream{7}, Seq: 5})
	const plain, named = "0100000000000000070000000000000096", "0200000000000000070000000000000096" + "0101" + "07000000000000000000000000000000" + "010400"
	if got := hex.EncodeToString(encodeCut(c, &dot.Set{})); got != plain {
		t.Errorf("version 1 is %s, was %s", got, plain)
	}
	if got := hex.EncodeToString(encodeCut(c, &dots)); got != named {
		t.Errorf("version 2 is %s, was %s", got, named)
	}
}

func TestFileName(t *testing.T) {
	n := fileName{sequence: 1_794_182_400_000_000, random: 0xab12}
	if n.String() != "1794182400000000-0000ab12.idx" {
		t.Errorf("name is %s", n)
	}
	if back, ok := parseFileName(n.String()); !ok || back != n {
		t.Errorf("%s came back as %v", n, back)
	}
	for _, s := range []string{"", "1794182400000000-0000ab12.idx.new", "1794182400000000-0000AB12.idx", "+794182400000000-0000ab12.idx", "1794182400000000_0000ab12.idx"} {
		if n, ok := parseFileName(s); ok {
			t.Errorf("%q is %v", s, n)
		}
	}
}
