package catalog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// A catalog and a change are encoded alike:
//
//	┌──────┬─────────┬──────────┬─────────────────────────────┐
//	│ kind │ version │ fields … │ CRC32C of all before, 4 LE  │
//	│ 4    │ 1       │          │ 4                           │
//	└──────┴─────────┴──────────┴─────────────────────────────┘
//
// The kind is "arca" for a catalog and "arcc" for a change. Fields stand in the
// order in which the code functions name them, with nothing between them:
//
//	unsigned   varint, 7 bits a byte, the lowest first
//	signed     the same, zigzag
//	bool       one byte, 0 or 1
//	text       length as an unsigned, bytes
//	ingest id  16 bytes, big-endian
//	list       length as an unsigned, elements
//
// The checksum is read before the version, so that a damaged version is damage
// and not a newer one; it stays the last four bytes in every version.
const (
	catalogKind   = "arca"
	changeKind    = "arcc"
	formatVersion = 1
	sealSize      = len(catalogKind) + 1 + crc32.Size
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode gives the catalog's bytes. Equal catalogs have equal bytes.
func (c *Catalog) Encode() []byte {
	return encode(catalogKind, c.encodingVersion(), (*Catalog).code, c)
}

// DecodeCatalog reads what Encode wrote. The catalog does not alias b.
func DecodeCatalog(b []byte) (*Catalog, error) {
	c := &Catalog{}
	if err := decode(catalogKind, newestVersion, b, (*Catalog).code, c); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("catalog: %w: %w", ErrCorrupt, err)
	}
	c.names, c.suppressions = &names{}, c.newSuppressions()
	limit := c.MaxColumns()
	for _, p := range c.Projects {
		p.index = newColumnIndex(p.Columns, limit)
	}
	return c, nil
}

func encode[T any](kind string, version byte, code func(*T, *coder), v *T) []byte {
	k := &coder{buf: append([]byte(kind), version), version: version}
	code(v, k)
	return binary.LittleEndian.AppendUint32(k.buf, crc32.Checksum(k.buf, castagnoli))
}

func decode[T any](kind string, newest byte, b []byte, code func(*T, *coder), v *T) error {
	version, body, err := unseal(kind, newest, b)
	if err != nil {
		return err
	}
	k := &coder{buf: body, decoding: true, version: version}
	code(v, k)
	if k.err == nil && len(k.buf) > 0 {
		k.fail("%d bytes are left over", len(k.buf))
	}
	return k.err
}

// unseal checks kind, checksum and version and gives the version and the fields' bytes.
func unseal(kind string, newest byte, b []byte) (byte, []byte, error) {
	if len(b) < sealSize || string(b[:len(kind)]) != kind {
		return 0, nil, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, kind)
	}
	body, sum := b[:len(b)-crc32.Size], binary.LittleEndian.Uint32(b[len(b)-crc32.Size:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return 0, nil, fmt.Errorf("%w: checksum is %08x, should be %08x", ErrCorrupt, got, sum)
	}
	if v := body[len(kind)]; v < formatVersion || v > newest {
		return 0, nil, fmt.Errorf("%w: version %d, this arbor reads version %d", ErrVersion, v, newest)
	}
	return body[len(kind)], body[len(kind)+1:], nil
}

// coder writes a value's fields, or reads them into the value: one function
// names the fields for both directions, so that they cannot part. After an
// error it reads zeros.
type coder struct {
	buf      []byte // encoding: what was written; decoding: what is left
	decoding bool
	version  byte
	err      error
	// trace is told the name and length of each field; the goldens print them.
	trace func(field string, bytes int)
}

func (k *coder) fail(format string, args ...any) {
	if k.err == nil {
		k.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
	}
	k.buf = nil
}

// noted tells the trace that the bytes written since were the field.
func (k *coder) noted(field string, before int) {
	if k.trace != nil {
		k.trace(field, len(k.buf)-before)
	}
}

// unsigned codes any unsigned number; one that does not fit is corrupt.
func unsigned[T ~uint8 | ~uint16 | ~uint32 | ~uint64](k *coder, field string, v *T) {
	if !k.decoding {
		before := len(k.buf)
		k.buf = binary.AppendUvarint(k.buf, uint64(*v))
		k.noted(field, before)
		return
	}
	u, n := binary.Uvarint(k.buf)
	if n <= 0 || uint64(T(u)) != u {
		k.fail("%s is cut short or too great", field)
		return
	}
	*v, k.buf = T(u), k.buf[n:]
}

// signed codes any signed number.
func signed[T ~int32 | ~int64](k *coder, field string, v *T) {
	if !k.decoding {
		before := len(k.buf)
		k.buf = binary.AppendVarint(k.buf, int64(*v))
		k.noted(field, before)
		return
	}
	i, n := binary.Varint(k.buf)
	if n <= 0 || int64(T(i)) != i {
		k.fail("%s is cut short or too great", field)
		return
	}
	*v, k.buf = T(i), k.buf[n:]
}

func (k *coder) bool(field string, v *bool) {
	var b uint8
	if *v {
		b = 1
	}
	unsigned(k, field, &b)
	if b > 1 {
		k.fail("%s is %d, neither 0 nor 1", field, b)
	}
	*v = b == 1
}

// text codes a string or bytes of at most limit bytes.
func text[T ~string | ~[]byte](k *coder, field string, v *T, limit int) {
	if !k.decoding {
		before := len(k.buf)
		k.buf = binary.AppendUvarint(k.buf, uint64(len(*v)))
		k.buf = append(k.buf, *v...)
		k.noted(field, before)
		return
	}
	n := k.length(field, limit)
	if k.err != nil {
		return
	}
	if n > 0 {
		*v = T(strings.Clone(string(k.buf[:n])))
	}
	k.buf = k.buf[n:]
}

func (k *coder) ingestID(field string, v *IngestID) {
	if !k.decoding {
		before := len(k.buf)
		k.buf, _ = v.AppendBinary(k.buf)
		k.noted(field, before)
		return
	}
	if len(k.buf) < IngestIDSize {
		k.fail("%s is cut short", field)
		return
	}
	*v, k.buf = IngestIDFromBytes(k.buf), k.buf[IngestIDSize:]
}

// length reads the length of a text or list: no more than limit and than the
// bytes left, since each element takes at least one, so that damage cannot ask
// for memory.
func (k *coder) length(field string, limit int) int {
	var n uint64
	unsigned(k, field, &n)
	if k.err == nil && (n > uint64(limit) || n > uint64(len(k.buf))) {
		k.fail("%s has length %d, with %d bytes left and %d allowed", field, n, len(k.buf), limit)
	}
	if k.err != nil {
		return 0
	}
	return int(n)
}

// list codes a list of at most limit elements.
func list[T any](k *coder, field string, v *[]T, limit int, element func(*T, *coder)) {
	if k.decoding {
		n := k.length(field, limit)
		if n == 0 {
			return
		}
		*v = make([]T, 0, min(n, 64)) // grows as elements are truly there
		for range n {
			var e T
			element(&e, k)
			if k.err != nil {
				return
			}
			*v = append(*v, e)
		}
		return
	}
	n := uint64(len(*v))
	unsigned(k, field, &n)
	for i := range *v {
		element(&(*v)[i], k)
	}
}
