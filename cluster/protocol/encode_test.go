package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"arbor/engine/dot"
)

// messages are one of each kind, with every field set.
func messages() []Message {
	s := dot.Stream{1, 15: 2}
	call := Call{s, 300}
	a, b := Replica{MemberID{0xaa}, 1}, Replica{MemberID{0xbb}, 200}
	config := Config{Epoch: 7, Old: []Replica{a}, New: []Replica{a, b}}
	batches := []Batch{{dot.Dot{Stream: s, Seq: 1}, []byte("record")}, {dot.Dot{Stream: s, Seq: 2}, []byte("another")}}
	dots := dot.Of(batches[0].Dot, batches[1].Dot)
	ask := Ask{b, 1023, config}
	return []Message{
		&AppendRequest{call, b, 1, config, batches},
		&AppendReply{call, b, 1, config, Stale},
		&SetsRequest{call, true, []Ask{ask, ask}},
		&SetsReply{call, []Held{{b, 1, config, OK, dots}}},
		&FetchRequest{call, 2, dots},
		&FetchReply{call, 2, dots, batches, []FileOffer{{"a file", 300, dots}, {"b", 0, dot.Set{}}}},
		&Summary{call, []SummaryLine{{3, 7, 0xfedcba9876543210}}},
		&ScanRequest{call, []Scan{{ask, dots, []Source{{a, dots}}}}, []byte("plan")},
		&ScanReply{call, NotReady, []Moved{{4, config}}, []byte("part")},
		&Synced{b, 5, 7},
		&FileRequest{6, "a file"},
	}
}

// compareSets compares sets of dots by what they hold.
var compareSets = cmp.Options{cmp.Comparer(func(a, b dot.Set) bool { return a.Equal(&b) }), cmpopts.EquateEmpty()}

func TestMessagesComeBack(t *testing.T) {
	kinds := map[byte]bool{}
	for _, m := range messages() {
		kinds[m.kind()] = true
		for _, x := range []Message{m, ofKind(m.kind())} { // and the empty one
			if x != m && (x.kind() == 2 || x.kind() == 9) {
				continue // a reply without a status is none
			}
			got, err := Decode(Encode(x))
			if err != nil {
				t.Fatalf("%T: %v", x, err)
			}
			if d := cmp.Diff(x, got, compareSets); d != "" {
				t.Errorf("%T: %s", x, d)
			}
		}
	}
	for kind := range byte(255) {
		if m := ofKind(kind); (m != nil) != kinds[kind] || m != nil && m.kind() != kind {
			t.Errorf("kind %d: %T, in the table %v", kind, m, kinds[kind])
		}
	}
}

// TestDamageIsSeen changes every byte of every message, and cuts it everywhere.
func TestDamageIsSeen(t *testing.T) {
	for _, m := range messages() {
		good := Encode(m)
		for i := range good {
			bad := slices.Clone(good)
			bad[i] ^= 0x10
			if _, err := Decode(bad); err == nil {
				t.Errorf("%T: byte %d was changed, and nobody saw", m, i)
			}
			if _, err := Decode(good[:i]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%T cut at %d: %v", m, i, err)
			}
		}
	}
}

// reseal gives a body its checksum.
func reseal(body []byte) []byte {
	return binary.LittleEndian.AppendUint32(slices.Clone(body), crc32.Checksum(body, castagnoli))
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		body string
		want error
	}{
		{"arm\x02\x01", ErrVersion},
		{"arm\x00\x01", ErrCorrupt},
		{"arm\x01\x0c", ErrCorrupt}, // no such kind
		{"arm\x01\x0b\x01\x81\x08" + strings.Repeat("n", MaxFileName+1), ErrCorrupt},
		{"arm\x01\x01", ErrCorrupt}, // without its fields
		{"arx\x01\x0a" + strings.Repeat("\x00", 19), ErrCorrupt},
		{"arm\x01\x0a" + strings.Repeat("\x00", 16) + "\x00\x80\x08\x00", ErrCorrupt}, // bucket 1024
		{"arm\x01\x0a" + strings.Repeat("\x00", 20), ErrCorrupt},                      // one byte too many
	} {
		if m, err := Decode(reseal([]byte(c.body))); !errors.Is(err, c.want) {
			t.Errorf("%x: %v, %v", c.body, m, err)
		}
	}
	if _, err := Decode(reseal([]byte("arm\x01\x0a" + strings.Repeat("\x00", 16) + "\x00\xff\x07\x00"))); err != nil {
		t.Errorf("bucket 1023: %v", err)
	}
	if _, err := Decode(reseal([]byte("arm\x01\x0b\x01\x80\x08" + strings.Repeat("n", MaxFileName)))); err != nil {
		t.Errorf("the longest name: %v", err)
	}
	if _, err := Decode(make([]byte, MaxMessageBytes+1)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("one byte too long: %v", err)
	}
}

// TestGoldenMessages keeps the encoding: a member a release behind reads it.
func TestGoldenMessages(t *testing.T) {
	var b strings.Builder
	for _, m := range messages() {
		fmt.Fprintf(&b, "%T %+v\n", m, m)
		for row := range slices.Chunk(Encode(m), 32) {
			fmt.Fprintf(&b, "  %x\n", row)
		}
	}
	const file = "testdata/messages.v1"
	if *rewrite {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Fatal(d)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range messages() {
		b := Encode(m)
		f.Add(b[:len(b)-crc32.Size])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := reseal(body)
		m, err := Decode(b)
		if err != nil {
			return
		}
		if again := Encode(m); !bytes.Equal(again, b) {
			t.Fatalf("%x is also %x", b, again)
		}
	})
}
