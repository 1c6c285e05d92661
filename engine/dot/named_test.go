package dot

import (
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"testing"
)

// TestNameIsWhatItWas keeps the bytes: logs on disk have them.
func TestNameIsWhatItWas(t *testing.T) {
	d := Dot{stream(7), 300}
	const want = "646f7401" + "9f6d275e" + "07110000000000000000000000000007" + "2c01000000000000"
	got := hex.EncodeToString(AppendName(nil, d))
	if got != want {
		t.Errorf("name is %s, was %s", got, want)
	}
}

func TestNamesComeBack(t *testing.T) {
	for _, d := range []Dot{{stream(1), 1}, {stream(2), MaxSeq}, {Stream{}, 77}} {
		for _, record := range []string{"", "x", "dot"} {
			b := append(AppendName([]byte("before"), d), record...)[len("before"):]
			got, rest, err := CutName(b)
			if err != nil || got != d || string(rest) != record {
				t.Errorf("%v %q: %v %q, %v", d, record, got, rest, err)
			}
		}
	}
	for _, plain := range []string{"", "d", "do", "evb and so on"} {
		if d, rest, err := CutName([]byte(plain)); err != nil || !d.IsZero() || string(rest) != plain {
			t.Errorf("%q: %v %q, %v", plain, d, rest, err)
		}
	}
}

func TestDamagedNames(t *testing.T) {
	good := AppendName(nil, Dot{stream(1), 9})
	for i := len(nameMagic); i < len(good); i++ { // a name with another magic is a record, and damaged as one
		bad := slices.Clone(good)
		bad[i] ^= 0x10
		if _, _, err := CutName(bad); !errors.Is(err, ErrNameCorrupt) {
			t.Errorf("byte %d: %v", i, err)
		}
		if _, _, err := CutName(good[:i]); !errors.Is(err, ErrNameCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	newer := slices.Clone(good)
	newer[3] = nameVersion + 1
	sum := nameChecksum(newer)
	newer[4], newer[5], newer[6], newer[7] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
	if _, _, err := CutName(newer); !errors.Is(err, ErrVersion) {
		t.Errorf("newer version: %v", err)
	}
	for _, seq := range []uint64{0, math.MaxUint64} {
		if _, _, err := CutName(AppendName(nil, Dot{stream(1), seq})); !errors.Is(err, ErrNameCorrupt) {
			t.Errorf("number %d: %v", seq, err)
		}
	}
}

func FuzzCutName(f *testing.F) {
	f.Add(AppendName(nil, Dot{stream(1), 9}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, record, err := CutName(b)
		if err != nil || d.IsZero() {
			return
		}
		if again := append(AppendName(nil, d), record...); !slices.Equal(again, b) {
			t.Errorf("%x is also %x", b, again)
		}
	})
}
