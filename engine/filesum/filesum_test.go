package filesum

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// TestSums: both sums are of the bytes alone, however they come, and every changed, missing
// or added byte changes both.
func TestSums(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 100, piece - 1, piece, piece + 1, 3 * piece, 3*piece + 77} {
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(random.Uint32())
		}
		want, n, err := Of(bytes.NewReader(content))
		if hash := sha256.Sum256(content); err != nil || n != int64(size) || want.Hash != hex.EncodeToString(hash[:]) || len(want.Quick) != 32 {
			t.Fatalf("%d bytes: %v after %d, %v", size, want, n, err)
		}
		if got, _, err := Of(iotest.HalfReader(bytes.NewReader(content))); err != nil || got != want {
			t.Errorf("%d bytes that came in small pieces: %v, %v, want %v", size, got, err, want)
		}
		var q Quick
		for rest := content; len(rest) > 0; {
			k := min(1+random.IntN(2*piece), len(rest))
			q.Write(rest[:k])
			rest = rest[k:]
		}
		if got := q.Sum(); got != want.Quick {
			t.Errorf("%d bytes that were written in pieces: %s, want %s", size, got, want.Quick)
		}
		differs := func(what string, changed []byte) {
			t.Helper()
			if got, _, _ := Of(bytes.NewReader(changed)); got.Hash == want.Hash || got.Quick == want.Quick {
				t.Errorf("%d bytes, %s: %v as before", size, what, got)
			}
		}
		for range min(size, 20) {
			at := random.IntN(size)
			content[at] ^= 1 << (at % 8)
			differs("a bit flipped", content)
			content[at] ^= 1 << (at % 8)
		}
		if size > 0 {
			differs("cut", content[:size-1])
		}
		if size >= 2*piece {
			swapped := bytes.Clone(content)
			copy(swapped, content[piece:2*piece])
			copy(swapped[piece:], content[:piece])
			differs("two pieces swapped", swapped)
		}
		differs("a zero added", append(bytes.Clone(content), 0))
	}
}

// BenchmarkQuick is the quick sum beside the hash.
func BenchmarkQuick(b *testing.B) {
	content := make([]byte, 4<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		var q Quick
		q.Write(content)
		q.Sum()
	}
}

// BenchmarkHash is SHA-256 and the quick sum together.
func BenchmarkHash(b *testing.B) {
	content := make([]byte, 4<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, _, err := Of(bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
	}
}
