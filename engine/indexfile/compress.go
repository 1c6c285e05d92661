package indexfile

import (
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// encodings of a section or a chunk. The numbers are on disk: append only.
const (
	encodingRaw  = 0
	encodingZstd = 1
)

var encodingNames = [...]string{encodingRaw: "raw", encodingZstd: "zstd"}

// zstdWindow bounds the memory that reading or writing a frame takes.
const zstdWindow = 4 << 20

// zstdEncoder gives the encoder of sections and chunks, zstdQuick that of
// distinct ids: they are in every file, and trying harder gains nothing on them.
var (
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedDefault) })
	zstdQuick   = sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedFastest) })
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxFileBytes))
		if err != nil {
			panic(err) // the options are constants
		}
		return d
	})
)

func newEncoder(level zstd.EncoderLevel) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(2), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true),
		zstd.WithSingleSegment(true)) // so that each frame says how long it is
	if err != nil {
		panic(err) // the options are constants
	}
	return e
}

// minCompressed and maxCompressed are the lengths between which compressing is
// tried. The latter bounds what reading a section allocates.
const (
	minCompressed = 128
	maxCompressed = 64 << 20
)

// compress appends b to dst, compressed if that saves an eighth.
func compress(e *zstd.Encoder, dst, b []byte) ([]byte, uint8) {
	if len(b) >= minCompressed && len(b) <= maxCompressed {
		out := e.EncodeAll(b, dst)
		if n := len(out) - len(dst); n < len(b)-len(b)/8 {
			return out, encodingZstd
		}
	}
	return append(dst, b...), encodingRaw
}

var errFrame = errors.New("compressed data does not have the length it should")

// decompress gives the n bytes that b holds in an encoding: b itself, or new
// memory aligned for every array.
func decompress(b []byte, encoding uint8, n int) ([]byte, error) {
	return decompressInto(nil, b, encoding, n)
}

// decompressInto is decompress that uses memory again, if there is enough.
func decompressInto(dst, b []byte, encoding uint8, n int) ([]byte, error) {
	if encoding == encodingRaw {
		if len(b) != n {
			return nil, errFrame
		}
		return b, nil
	}
	// A frame says how long it is before anything is allocated for it.
	var h zstd.Header
	if err := h.Decode(b); err != nil || !h.HasFCS || h.FrameContentSize != uint64(n) || h.Skippable || n > maxCompressed {
		return nil, errFrame
	}
	if cap(dst) < n {
		dst = aligned(n)
	}
	out, err := zstdDecoder().DecodeAll(b, dst[:0])
	if err != nil || len(out) != n {
		return nil, errFrame
	}
	return out, nil
}
