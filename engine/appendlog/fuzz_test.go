package appendlog

import (
	"encoding/binary"
	"errors"
	"testing"

	"arbor/engine/vfs"
)

func restampHeader(b []byte) {
	binary.LittleEndian.PutUint32(b[headerSize-4:], checksum(b[:headerSize-4]))
}

// restamp makes all checksums right that can be, so that the fuzzer comes past
// them and at what they protect.
func restamp(b []byte) {
	if len(b) < headerSize {
		return
	}
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint64(b[16:], 1)
	restampHeader(b)
	h, _ := decodeHeader(b)
	for at := int64(headerSize); at+groupOverhead <= int64(len(b)); {
		copy(b[at:], groupMagic)
		binary.LittleEndian.PutUint64(b[at+8:], uint64(at))
		binary.LittleEndian.PutUint32(b[at+20:], groupSum(b[at:], h.salt))
		end := at + groupOverhead + int64(binary.LittleEndian.Uint32(b[at+4:]))
		if end > int64(len(b)) {
			return
		}
		for f := at + groupHeaderSize; f+frameHeaderSize < end; {
			payload, _ := frameAt(b, h.salt, f, end-1)
			if payload == nil {
				break
			}
			length := uint32(len(payload))
			binary.LittleEndian.PutUint32(b[f+4:], frameSum(h.salt, f, length, checksum(payload)))
			f += frameHeaderSize + int64(length)
		}
		at = end
	}
}

// FuzzReadSegment opens a log of one segment that holds whatever the fuzzer
// finds, with its checksums put right and without. It opens or says why not;
// what it replays can be read again at its position; and in quarantine it opens
// all the same and replays no less.
func FuzzReadSegment(f *testing.F) {
	m := vfs.NewMem()
	opts := fixed(options(m))
	opts.SegmentBytes = 1 << 20
	l, err := Open(opts, new(content).replay)
	must(f, err)
	add(f, l, "a", "", "ccc")
	add(f, l, string(make([]byte, 700)))
	add(f, l, groupMagic)
	must(f, l.Close())
	whole := imageOf(f, m)[SegmentName(1)]
	for _, length := range []int{0, headerSize - 1, headerSize, headerSize + 30, 200, len(whole) - 26, len(whole) - 1, len(whole)} {
		f.Add(whole[:length], true)
		f.Add(whole[:length], false)
	}
	f.Fuzz(func(t *testing.T, b []byte, right bool) {
		if right {
			restamp(b)
		}
		opts := options(image{SegmentName(1): b}.disk(t))
		c := new(content)
		l, err := Open(opts, c.replay)
		if err != nil {
			if errors.Is(err, ErrVersion) {
				return
			}
			wantErr(t, err, ErrCorrupt)
			opts.Quarantine = true
			before := len(c.payloads)
			l, c = open(t, opts)
			if len(c.payloads) < before {
				t.Fatalf("quarantine replays %d payloads, and without it there were %d", len(c.payloads), before)
			}
		}
		for i, pos := range c.positions {
			got, err := l.ReadAt(pos, nil)
			must(t, err)
			if string(got) != c.payloads[i] {
				t.Fatalf("at %v: replayed %q, read %q", pos, c.payloads[i], got)
			}
		}
		if pos := add(t, l, "more"); pos[0].Segment > 2 {
			t.Fatalf("appended at %v", pos)
		}
		must(t, l.Close())
		_, again := open(t, opts)
		if len(again.payloads) != len(c.payloads)+1 {
			t.Fatalf("%d payloads, then one more, then %d", len(c.payloads), len(again.payloads))
		}
	})
}
