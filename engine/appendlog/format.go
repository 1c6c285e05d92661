package appendlog

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// version is that of the segments we write, and the newest that we read. In all
// versions the header is 64 bytes, with magic, version and sum where they are now.
const version = 1

const (
	segmentMagic = "arborlog"
	groupMagic   = "\xa7grp"
	// groupStop ends a group with a byte that is not zero, so that a last sector
	// that was never written cannot look like one of zeros that was.
	groupStop = 0xff

	headerSize      = 64
	groupHeaderSize = 24
	groupOverhead   = groupHeaderSize + 1
	frameHeaderSize = 8

	minSegmentBytes = 2 * headerSize
	// maxFileBytes is more than any segment has.
	maxFileBytes = MaxSegmentBytes + MaxAppendBytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// randomSalt never fails: crypto/rand ends the process rather than be guessable.
func randomSalt() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// Segments are named by their id in twelve digits: enough for a million years of
// one a minute, and sorted by name they are in order.
const (
	nameDigits = 12
	nameSuffix = ".log"
	maxID      = 999_999_999_999
)

// SegmentName is the file name of a segment.
func SegmentName(id uint64) string { return fmt.Sprintf("%0*d%s", nameDigits, id, nameSuffix) }

// parseName is the inverse of SegmentName.
func parseName(name string) (id uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, nameSuffix)
	if !ok || len(digits) != nameDigits {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 10, 64)
	return id, err == nil && id > 0 && SegmentName(id) == name
}

// header is a segment's first 64 bytes.
type header struct {
	id      uint64
	created int64 // microseconds since 1970 UTC
	// previous is the newest segment before this one that holds groups, or 0,
	// and previousEnd the length of it that holds.
	previous, previousEnd uint64
	salt                  uint64
}

func (h *header) encode() []byte {
	b := make([]byte, 0, headerSize)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, h.id)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.created))
	b = binary.LittleEndian.AppendUint64(b, h.previous)
	b = binary.LittleEndian.AppendUint64(b, h.previousEnd)
	b = binary.LittleEndian.AppendUint64(b, h.salt)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, checksum(b))
}

// decodeHeader reads a header. With ErrCorrupt it returns what the bytes say all
// the same: Quarantine may find the groups by it.
func decodeHeader(b []byte) (h header, err error) {
	if len(b) < headerSize {
		return h, fmt.Errorf("header is cut short: %w", ErrCorrupt)
	}
	h = header{
		id:          binary.LittleEndian.Uint64(b[16:]),
		created:     int64(binary.LittleEndian.Uint64(b[24:])),
		previous:    binary.LittleEndian.Uint64(b[32:]),
		previousEnd: binary.LittleEndian.Uint64(b[40:]),
		salt:        binary.LittleEndian.Uint64(b[48:]),
	}
	switch found := binary.LittleEndian.Uint32(b[8:]); {
	case string(b[:8]) != segmentMagic:
		return h, fmt.Errorf("not a segment of a log: %w", ErrCorrupt)
	case checksum(b[:headerSize-4]) != binary.LittleEndian.Uint32(b[headerSize-4:]):
		return h, fmt.Errorf("checksum of the header does not match: %w", ErrCorrupt)
	case found > version:
		return h, fmt.Errorf("version %d, and %d is the newest known: %w", found, version, ErrVersion)
	case found == 0, !h.sound():
		return h, fmt.Errorf("header makes no sense: %w", ErrCorrupt)
	}
	return h, nil
}

// sound says whether the fields can be those of a segment.
func (h *header) sound() bool {
	if h.previous == 0 {
		return h.previousEnd == 0
	}
	return h.previous < h.id && h.previousEnd > headerSize && h.previousEnd <= maxFileBytes
}

// group is a group's header.
type group struct {
	body    uint32
	durable uint64
	frames  uint32
}

// size is the length of the whole group.
func (g group) size() int64 { return groupOverhead + int64(g.body) }

// layGroup appends a group's bytes with all but its checksums, for which the
// payloads' own are put down: all that can be done before its place is known,
// and all that needs the payloads.
func layGroup(b []byte, requests []*request) []byte {
	start := len(b)
	b = append(b, make([]byte, groupHeaderSize)...)
	frames := 0
	for _, r := range requests {
		for i, p := range r.payloads {
			head := r.head(i)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(head)+len(p)))
			b = binary.LittleEndian.AppendUint32(b, r.sums[i])
			b = append(append(b, head...), p...)
		}
		frames += len(r.payloads)
	}
	head := b[start:]
	copy(head, groupMagic)
	binary.LittleEndian.PutUint32(head[4:], uint32(len(head)-groupHeaderSize))
	binary.LittleEndian.PutUint32(head[16:], uint32(frames))
	return append(b, groupStop)
}

// stampGroup completes a group that layGroup has laid for its place: at offset at
// of the segment with this salt.
func stampGroup(b []byte, salt uint64, at int64) {
	binary.LittleEndian.PutUint64(b[8:], uint64(at))
	binary.LittleEndian.PutUint32(b[20:], groupSum(b, salt))
	for off := groupHeaderSize; off < len(b)-1; {
		f := b[off:]
		length := binary.LittleEndian.Uint32(f)
		payloadSum := binary.LittleEndian.Uint32(f[4:])
		binary.LittleEndian.PutUint32(f[4:], frameSum(salt, at+int64(off), length, payloadSum))
		off += frameHeaderSize + int(length)
	}
}

func groupSum(b []byte, salt uint64) uint32 {
	var s [8]byte
	binary.LittleEndian.PutUint64(s[:], salt)
	return crc32.Update(checksum(s[:]), castagnoli, b[:groupHeaderSize-4])
}

// frameSum covers a frame's salt, place, length and payload. The payload goes in
// by its checksum, which its caller has reckoned beside all others, on a
// processor of its own; what is left for the leader is a sum of 24 bytes.
func frameSum(salt uint64, at int64, length, payloadSum uint32) uint32 {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], salt)
	binary.LittleEndian.PutUint64(b[8:], uint64(at))
	binary.LittleEndian.PutUint32(b[16:], length)
	binary.LittleEndian.PutUint32(b[20:], payloadSum)
	return checksum(b[:])
}

// groupAt reads the header of a group that starts at offset at of a segment. It
// does not look at the body, which may be cut short.
func groupAt(data []byte, salt uint64, at int64) (g group, ok bool) {
	if at < 0 || at+groupHeaderSize > int64(len(data)) {
		return g, false
	}
	b := data[at:]
	g = group{
		body:    binary.LittleEndian.Uint32(b[4:]),
		durable: binary.LittleEndian.Uint64(b[8:]),
		frames:  binary.LittleEndian.Uint32(b[16:]),
	}
	ok = string(b[:4]) == groupMagic && groupSum(b, salt) == binary.LittleEndian.Uint32(b[20:]) &&
		g.durable == uint64(at)
	return g, ok
}

// frameAt reads the frame at offset at of a segment, whose groups end at limit.
func frameAt(data []byte, salt uint64, at, limit int64) (payload []byte, ok bool) {
	if at < 0 || limit > int64(len(data)) || limit-at < frameHeaderSize {
		return nil, false
	}
	length := binary.LittleEndian.Uint32(data[at:])
	if int64(length) > limit-at-frameHeaderSize {
		return nil, false
	}
	payload = data[at+frameHeaderSize:][:length]
	sum := binary.LittleEndian.Uint32(data[at+4:])
	return payload, sum == frameSum(salt, at, length, checksum(payload))
}

// nextGroup finds the first good group header after offset at, or -1.
func nextGroup(data []byte, salt uint64, at int64) int64 {
	for at++; at < int64(len(data)); at++ {
		i := bytes.Index(data[at:], []byte(groupMagic))
		if i < 0 {
			break
		}
		at += int64(i)
		if _, ok := groupAt(data, salt, at); ok {
			return at
		}
	}
	return -1
}

// frameIs says whether b is the frame that was written at a position.
func frameIs(b []byte, salt uint64, pos Position) bool {
	length := binary.LittleEndian.Uint32(b)
	return int64(length) == int64(pos.Length) && len(b) == frameHeaderSize+int(length) &&
		binary.LittleEndian.Uint32(b[4:]) == frameSum(salt, pos.Offset, length, checksum(b[frameHeaderSize:]))
}
