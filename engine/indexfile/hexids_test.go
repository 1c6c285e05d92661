package indexfile

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

// slowParse is parseID, digit by digit.
func slowParse(id string) (b []byte, form Form) {
	digits := id
	form = FormHex
	switch len(id) {
	case 0:
		return nil, FormNone
	case 32:
	case 36:
		if id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
			return nil, FormText
		}
		digits, form = id[:8]+id[9:13]+id[14:18]+id[19:23]+id[24:], FormUUID
	default:
		return nil, FormText
	}
	b, err := hex.DecodeString(digits)
	lower, upper := strings.ContainsAny(digits, "abcdef"), strings.ContainsAny(digits, "ABCDEF")
	if err != nil || lower && upper {
		return nil, FormText
	}
	if upper {
		form++
	}
	return b, form
}

// TestHexIDs holds ids of all bytes at all places against a reading digit by digit,
// and what is written of them against what was read.
func TestHexIDs(t *testing.T) {
	for _, id := range []string{"0123abcd-ef01-4234-8567-89abcdef0123", "0123456789abcdef0123456789abcdef"} {
		for _, id := range []string{id, strings.ToUpper(id), strings.Map(func(r rune) rune {
			if r == '-' {
				return r
			}
			return '7'
		}, id)} {
			for at := range id {
				for c := range 256 {
					b := []byte(id)
					b[at] = byte(c)
					checkHexID(t, string(b))
				}
			}
		}
	}
}

func checkHexID(t *testing.T, id string) {
	t.Helper()
	var got [16]byte
	form := packID(&got, id)
	want, wantForm := slowParse(id)
	if form != wantForm || want != nil && !bytes.Equal(got[:], want) {
		t.Fatalf("%q is %x in form %d, want %x in form %d", id, got, form, want, wantForm)
	}
	if want == nil {
		return
	}
	if back := appendID([]byte("id "), form, &got); string(back) != "id "+id {
		t.Fatalf("%q is written %q", id, back)
	}
	if k := InsertKeyOf(id); string(k.AppendID(nil)) != id {
		t.Fatalf("key of %q is written %q", id, k.AppendID(nil))
	}
}

func BenchmarkHexIDs(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = randomUUID(r)
	}
	b.Run("parse", func(b *testing.B) {
		var sum uint64
		for i := range b.N {
			sum += InsertKeyOf(ids[i%len(ids)]).Lo
		}
	})
	b.Run("format", func(b *testing.B) {
		key := InsertKeyOf(ids[0])
		var dst []byte
		for range b.N {
			dst = key.AppendID(dst[:0])
		}
	})
}
