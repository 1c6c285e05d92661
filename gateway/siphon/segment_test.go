package siphon

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

var testSalt = salt{1, 2, 3, 4, 5, 6, 7, 8}

func testRequest(i int, body string) Request {
	return Request{Stamp: Stamp{Time: 1_790_000_000_000_000_000 + uint64(i), Edge: 0xabcd1234}, Status: 200, Method: "POST", URI: "/import?strict=1",
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Basic eDo="}}, Body: []byte(body)}
}

func encode(r Request, salt salt) []byte {
	b := appendHead(nil, r.Stamp, r.Method, r.URI, r.Header)
	body := len(b)
	b = append(b, r.Body...)
	finish(b, body, r.Status)
	seal(b, salt)
	return b
}

func testSegment(sealed bool, requests ...Request) []byte {
	b := segmentHeader(testSalt)
	for _, r := range requests {
		b = append(b, encode(r, testSalt)...)
	}
	if sealed {
		b = append(b, encode(Request{Method: trailerMethod}, testSalt)...)
	}
	return b
}

// read collects what a segment gives.
func read(b []byte, torn bool) (all []Request, err error) {
	err = readSegment(b, torn, func(r Request) error { all = append(all, r); return nil })
	return all, err
}

func TestSegmentGolden(t *testing.T) {
	r := testRequest(1, `[{"event":"a"}]`)
	r.Header = http.Header{"Content-Type": {"application/json"}}
	got := dump(testSegment(true, r))
	name := filepath.Join("testdata", "segment.golden")
	if *rewrite {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("bytes of a segment (-golden +now):\n%s", diff)
	}
}

// dump shows a segment of one request, field by field.
func dump(b []byte) string {
	var out strings.Builder
	take := func(n int, note string) []byte {
		part := b[:n]
		b = b[n:]
		fmt.Fprintf(&out, "%-72x %s\n", part, note)
		return part
	}
	text := func(note string) { n := int(take(1, note+": length")[0]); take(n, note) }
	take(12, "magic")
	take(4, "version")
	take(8, "salt")
	take(8, "salt again")
	for len(b) > 0 {
		take(4, "record: magic")
		take(4, "size")
		take(4, "sum")
		take(8, "time")
		take(4, "edge")
		take(2, "status")
		text("method")
		text("URI")
		n := take(1, "headers")[0]
		for range n {
			text("name")
			text("value")
		}
		size := take(4, "body: length")
		take(int(size[0]), "body")
	}
	return out.String()
}

func TestSegmentGivesRequestsBack(t *testing.T) {
	want := []Request{testRequest(1, "one"), testRequest(2, ""), testRequest(3, strings.Repeat("x", 100_000)), testRequest(4, recordMagic)}
	want[1].Body, want[1].Header, want[1].Status = []byte{}, http.Header{}, 400
	for _, sealed := range []bool{true, false} {
		got, err := read(testSegment(sealed, want...), !sealed)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sealed %v: requests differ (-want +got):\n%s", sealed, diff)
		}
	}
}

// TestSegmentDamage flips every byte and cuts at every place: no request comes
// back changed, those before the damage all come, and damage of a sealed segment
// is told.
func TestSegmentDamage(t *testing.T) {
	requests := []Request{testRequest(1, "first"), testRequest(2, "second"), testRequest(3, "third")}
	whole := testSegment(true, requests...)
	known := func(r Request) bool {
		for _, k := range requests {
			if cmp.Equal(k, r) {
				return true
			}
		}
		return false
	}
	for at := range whole {
		b := bytes.Clone(whole)
		b[at] ^= 0x40
		got, err := read(b, false)
		for _, r := range got {
			if !known(r) {
				t.Fatalf("flip at %d: a request that nobody sent: %+v", at, r)
			}
		}
		if err == nil {
			t.Fatalf("flip at %d: no error", at)
		}
		if at >= len(segmentMagic)+4 && len(got) < 2 {
			t.Fatalf("flip at %d: %d requests came, the other two are whole", at, len(got))
		}
	}
	for n := range whole {
		got, err := read(whole[:n], true)
		if err != nil {
			t.Fatalf("cut to %d: %v: an interrupted write is no damage", n, err)
		}
		if _, err := read(whole[:n], false); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d: error %v for a segment that was sealed", n, err)
		}
		if !cmp.Equal(got, requests[:len(got)]) && len(got) > 0 {
			t.Fatalf("cut to %d: other requests", n)
		}
		whole3 := len(testSegment(false, requests...))
		if n >= whole3 && len(got) != 3 {
			t.Fatalf("cut to %d: %d requests, all three are there", n, len(got))
		}
	}
}

// TestBodyThatLooksLikeARecord puts a record into a body, as somebody would who
// hopes that the reader comes across it.
func TestBodyThatLooksLikeARecord(t *testing.T) {
	forged := testRequest(9, "forged")
	whole := testSegment(true, testRequest(1, string(encode(forged, salt{}))), testRequest(2, "second"))
	whole[segmentHead+5] ^= 1 // the first record's size
	got, err := read(whole, false)
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("error %v, want damage", err)
	}
	if len(got) != 1 || string(got[0].Body) != "second" {
		t.Errorf("got %+v, want the second request alone", got)
	}
}

func TestNewerSegmentIsRefused(t *testing.T) {
	b := testSegment(true)
	b[len(segmentMagic)]++
	if _, err := read(b, false); err == nil || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("error %v, want one that names the version", err)
	}
}

func TestNames(t *testing.T) {
	began := time.Date(2026, 11, 28, 23, 5, 1, 42, time.UTC)
	name := segmentName(began, 0xab, 7)
	if name != "20261128T230501.000000042Z-000000ab-000007" {
		t.Errorf("name %s", name)
	}
	for suffix, wantSealed := range map[string]bool{sealedSuffix: true, tornSuffix: true, openSuffix: false} {
		got, sealed, ok := parseName(name + suffix)
		if !ok || sealed != wantSealed || !got.Equal(began) {
			t.Errorf("%s: %v %v %v", name+suffix, got, sealed, ok)
		}
	}
	for _, other := range []string{"LOCK", "x.siphon", name, name + ".tmp", "20261128T230501Z-ab-1.siphon"} {
		if _, _, ok := parseName(other); ok {
			t.Errorf("%s counts as a segment", other)
		}
	}
}

func FuzzSegment(f *testing.F) {
	f.Add(testSegment(true, testRequest(1, "a"), testRequest(2, "b")))
	f.Add(testSegment(false, testRequest(1, recordMagic+"\x10\x00\x00\x00")))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = readSegment(b, true, func(r Request) error {
			if again, _, err := decodeRecord(encode(r, testSalt), testSalt); err != nil || !cmp.Equal(again, r) {
				t.Fatalf("a request that was read is not the same when written: %v", err)
			}
			return nil
		})
	})
}
