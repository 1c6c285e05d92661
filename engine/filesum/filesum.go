// Package filesum sums the bytes of a file, for whoever copies files and has to know that
// a copy is right.
//
// There are two sums. The hash is SHA-256: it names the bytes wherever they are kept, and
// anybody can reckon it with sha256sum. The quick one tells what a disk, a network or a
// store did to them, at a tenth of the cost:
//
//	quick   xxh3, 128 bits, of the xxh3, 128 bits each, of each piece of 16 KiB
//
// Nobody who means harm is held off by the quick sum, so nothing is named by it or
// restored by it. It is never on disk: whoever compares has reckoned both sides.
package filesum

import (
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/zeebo/xxh3"
)

// Sums are what bytes come to, in hexadecimal digits. Quick is empty where it is not
// known.
type Sums struct{ Hash, Quick string }

// Of reads all that there is, and sums it.
func Of(r io.Reader) (s Sums, n int64, err error) {
	h, q := sha256.New(), &Quick{}
	n, err = io.CopyBuffer(onlyWriter{io.MultiWriter(h, q)}, onlyReader{r}, make([]byte, 4*piece))
	return Sums{hex.EncodeToString(h.Sum(nil)), q.Sum()}, n, err
}

// onlyReader and onlyWriter keep CopyBuffer from going another way than by its buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// piece is what is hashed at once: one call over bytes that lie together is many times as
// fast as a hash that is fed.
const piece = 16 << 10

// Quick is a quick sum under way. Its zero value has seen nothing.
type Quick struct {
	part []byte // of a piece that is not whole yet
	sums xxh3.Hasher
}

var _ io.Writer = (*Quick)(nil)

// Write adds bytes. It gives no error.
func (q *Quick) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(q.part) == 0 && len(b) >= piece {
			q.add(b[:piece])
			b = b[piece:]
			continue
		}
		if q.part == nil {
			q.part = make([]byte, 0, piece)
		}
		k := min(piece-len(q.part), len(b))
		q.part, b = append(q.part, b[:k]...), b[k:]
		if len(q.part) == piece {
			q.add(q.part)
			q.part = q.part[:0]
		}
	}
	return n, nil
}

func (q *Quick) add(b []byte) {
	sum := xxh3.Hash128(b).Bytes()
	q.sums.Write(sum[:])
}

// Sum is the sum of all that was written. It is called once, at the end.
func (q *Quick) Sum() string {
	if len(q.part) > 0 {
		q.add(q.part)
	}
	sum := q.sums.Sum128().Bytes()
	return hex.EncodeToString(sum[:])
}
