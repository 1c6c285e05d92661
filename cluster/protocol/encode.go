package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"arbor/engine/dot"
)

// A message is encoded so:
//
//	┌───────┬─────────┬──────┬──────────┬───────────────────────────┐
//	│ "arm" │ version │ kind │ fields … │ CRC32C of all before, LE  │
//	│ 3     │ 1       │ 1    │          │ 4                         │
//	└───────┴─────────┴──────┴──────────┴───────────────────────────┘
//
// Fields stand in the order in which the code functions name them: numbers as
// unsigned varints, bytes and lists with their length before them, ids and
// streams as their 16 bytes, sets as package dot has them.
const (
	messageMagic   = "arm"
	messageVersion = 1
	frameSize      = len(messageMagic) + 1 + 1 + crc32.Size

	// MaxMessageBytes is how long a message may be: as long as the longest record
	// and what stands around it. A transport's own limit must not be smaller.
	MaxMessageBytes = 80 << 20
)

// Errors of Decode.
var (
	// ErrCorrupt: the bytes are not a message, or were damaged on their way.
	ErrCorrupt = errors.New("message is corrupt")
	// ErrVersion: the message was sent by a newer arbor.
	ErrVersion = errors.New("message is of a newer version")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode gives the message's bytes.
func Encode(m Message) []byte {
	c := &coder{b: append(make([]byte, 0, 256+payload(m)), messageMagic...)}
	c.b = append(c.b, messageVersion, m.kind())
	m.code(c)
	return binary.LittleEndian.AppendUint32(c.b, crc32.Checksum(c.b, castagnoli))
}

// payload is about how many bytes a message brings, so that they are copied once.
func payload(m Message) (n int) {
	var batches []Batch
	switch m := m.(type) {
	case *AppendRequest:
		batches = m.Batches
	case *FetchReply:
		batches = m.Batches
	case *ScanRequest:
		return len(m.Plan)
	case *ScanReply:
		return len(m.Part)
	}
	for i := range batches {
		n += len(batches[i].Record) + 32
	}
	return n
}

// Decode reads what Encode wrote. Records, parts and plans alias b.
func Decode(b []byte) (Message, error) {
	if len(b) > MaxMessageBytes {
		return nil, fmt.Errorf("%w: it has %d bytes, more than %d", ErrCorrupt, len(b), MaxMessageBytes)
	}
	if len(b) < frameSize || string(b[:len(messageMagic)]) != messageMagic {
		return nil, fmt.Errorf("%w: %d bytes without its beginning", ErrCorrupt, len(b))
	}
	body, sum := b[:len(b)-crc32.Size], b[len(b)-crc32.Size:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrCorrupt)
	}
	version, kind := body[len(messageMagic)], body[len(messageMagic)+1]
	if version > messageVersion {
		return nil, fmt.Errorf("%w: %d, and this arbor knows %d", ErrVersion, version, messageVersion)
	}
	m := ofKind(kind)
	if version == 0 || m == nil {
		return nil, fmt.Errorf("%w: version %d, kind %d", ErrCorrupt, version, kind)
	}
	c := &coder{b: body[len(messageMagic)+2:], decoding: true}
	m.code(c)
	if c.broken || len(c.b) > 0 {
		return nil, fmt.Errorf("%w: kind %d, %d bytes left", ErrCorrupt, kind, len(c.b))
	}
	return m, nil
}

// coder writes fields to b or reads them from it.
type coder struct {
	b        []byte
	decoding bool
	broken   bool
}

func (c *coder) uint(v *uint64) {
	if !c.decoding {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	n := 0
	if *v, n = binary.Uvarint(c.b); n <= 0 || n > 1 && c.b[n-1] == 0 {
		c.fail()
		return
	}
	c.b = c.b[n:]
}

// small codes a number that must not be greater than most. What is encoded is not
// written to: others may read it.
func (c *coder) small(v, most uint64, set func(uint64)) {
	c.uint(&v)
	if !c.decoding {
		return
	}
	if c.broken || v > most {
		c.fail()
		return
	}
	set(v)
}

func (c *coder) fixed(b []byte) {
	if !c.decoding {
		c.b = append(c.b, b...)
		return
	}
	if len(c.b) < len(b) {
		c.fail()
		return
	}
	c.b = c.b[copy(b, c.b):]
}

func (c *coder) bool(v *bool) {
	n := uint64(0)
	if *v {
		n = 1
	}
	c.small(n, 1, func(n uint64) { *v = n == 1 })
}

func (c *coder) bytes(b *[]byte) {
	n := uint64(len(*b))
	c.uint(&n)
	if !c.decoding {
		c.b = append(c.b, *b...)
		return
	}
	if c.broken || n > uint64(len(c.b)) {
		c.fail()
		return
	}
	if *b = nil; n > 0 {
		*b = c.b[:n:n]
	}
	c.b = c.b[n:]
}

// list codes a list whose elements take at least size bytes each.
func list[T any](c *coder, l *[]T, size int, each func(*coder, *T)) {
	n := uint64(len(*l))
	c.uint(&n)
	if c.decoding {
		if c.broken || n > uint64(len(c.b)/size) {
			c.fail()
			return
		}
		*l = nil
		if n > 0 {
			*l = make([]T, n)
		}
	}
	for i := range *l {
		if each(c, &(*l)[i]); c.broken {
			return
		}
	}
}

func (c *coder) set(s *dot.Set) {
	if !c.decoding {
		c.b = s.Append(c.b)
		return
	}
	decoded, rest, err := dot.DecodeSet(c.b)
	if err != nil {
		c.fail()
		return
	}
	*s, c.b = decoded, rest
}

func (c *coder) fail() { c.broken, c.b = true, nil }

func (c *coder) call(v *Call) { c.fixed(v.Process[:]); c.uint(&v.Number) }

func (c *coder) bucket(v *Bucket) {
	c.small(uint64(*v), Buckets-1, func(n uint64) { *v = Bucket(n) })
}

func (c *coder) status(v *Status) {
	c.small(uint64(*v), uint64(Failed), func(n uint64) { *v = Status(n) })
}

func (c *coder) replica(v *Replica) {
	c.fixed(v.Member[:])
	c.small(uint64(v.Generation), 1<<32-1, func(n uint64) { v.Generation = uint32(n) })
}

func (c *coder) replicas(v *[]Replica) { list(c, v, 17, (*coder).replica) }

func (c *coder) config(v *Config) {
	c.uint(&v.Epoch)
	c.replicas(&v.Old)
	c.replicas(&v.New)
}

func (c *coder) batch(v *Batch) {
	c.fixed(v.Dot.Stream[:])
	c.uint(&v.Dot.Seq)
	if v.Dot.Seq == 0 || v.Dot.Seq > dot.MaxSeq {
		c.fail()
	}
	c.bytes(&v.Record)
}

func (c *coder) name(v *string) {
	b := []byte(*v)
	if c.bytes(&b); len(b) > MaxFileName {
		c.fail()
		return
	}
	*v = string(b)
}

func (c *coder) offer(v *FileOffer) {
	c.name(&v.Name)
	c.uint(&v.Bytes)
	c.set(&v.Dots)
}

func (c *coder) ask(v *Ask) {
	c.replica(&v.To)
	c.bucket(&v.Bucket)
	c.config(&v.Config)
}

func (c *coder) held(v *Held) {
	c.replica(&v.From)
	c.bucket(&v.Bucket)
	c.config(&v.Config)
	c.status(&v.Status)
	c.set(&v.Dots)
}

func (c *coder) line(v *SummaryLine) {
	c.bucket(&v.Bucket)
	c.uint(&v.Epoch)
	c.uint(&v.Hash)
}

func (c *coder) source(v *Source) {
	c.replica(&v.Replica)
	c.set(&v.Dots)
}

func (c *coder) scan(v *Scan) {
	c.ask(&v.Ask)
	c.set(&v.Required)
	list(c, &v.Sources, 19, (*coder).source)
}

func (c *coder) moved(v *Moved) {
	c.bucket(&v.Bucket)
	c.config(&v.Config)
}

func (m *AppendRequest) code(c *coder) {
	c.call(&m.Call)
	c.replica(&m.To)
	c.bucket(&m.Bucket)
	c.config(&m.Config)
	list(c, &m.Batches, 18, (*coder).batch)
}

func (m *AppendReply) code(c *coder) {
	c.call(&m.Call)
	c.replica(&m.From)
	c.bucket(&m.Bucket)
	c.config(&m.Config)
	c.status(&m.Status)
}

func (m *SetsRequest) code(c *coder) {
	c.call(&m.Call)
	c.bool(&m.All)
	list(c, &m.Asks, 21, (*coder).ask)
}

func (m *SetsReply) code(c *coder) {
	c.call(&m.Call)
	list(c, &m.Sets, 24, (*coder).held)
}

func (m *FetchRequest) code(c *coder) {
	c.call(&m.Call)
	c.bucket(&m.Bucket)
	c.set(&m.Want)
}

func (m *FetchReply) code(c *coder) {
	c.call(&m.Call)
	c.bucket(&m.Bucket)
	c.set(&m.Has)
	list(c, &m.Batches, 18, (*coder).batch)
	list(c, &m.Files, 4, (*coder).offer)
}

func (m *Summary) code(c *coder) {
	c.call(&m.Call)
	list(c, &m.Lines, 3, (*coder).line)
}

func (m *ScanRequest) code(c *coder) {
	c.call(&m.Call)
	list(c, &m.Scans, 24, (*coder).scan)
	c.bytes(&m.Plan)
}

func (m *ScanReply) code(c *coder) {
	c.call(&m.Call)
	c.status(&m.Status)
	list(c, &m.Moved, 4, (*coder).moved)
	c.bytes(&m.Part)
}

func (m *FileRequest) code(c *coder) {
	c.bucket(&m.Bucket)
	c.name(&m.Name)
}

func (m *Synced) code(c *coder) {
	c.replica(&m.From)
	c.bucket(&m.Bucket)
	c.uint(&m.Epoch)
}
