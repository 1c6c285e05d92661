package appendlog

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"arbor/engine/vfs"

	"github.com/cockroachdb/datadriven"
)

// TestGolden shows the bytes of segments, with a note per field. The commands:
//
//	append    one payload a line, all in one call
//	rotate
//	close     closes the log; the next command opens it again
//	dump      the bytes of a segment, e.g. dump segment=2
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, file string) {
		m := vfs.NewMem()
		opts := options(m)
		opts.salt = rand.New(rand.NewPCG(1, 2)).Uint64
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		opts.now = func() time.Time { at = at.Add(time.Minute); return at }
		var l *Log
		datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
			if l == nil {
				l, _ = open(t, opts)
			}
			switch d.Cmd {
			case "append":
				var b strings.Builder
				for _, pos := range add(t, l, strings.Split(strings.TrimSuffix(d.Input, "\n"), "\n")...) {
					fmt.Fprintf(&b, "segment %d offset %d length %d\n", pos.Segment, pos.Offset, pos.Length)
				}
				return b.String()
			case "rotate":
				must(t, l.Rotate(t.Context()))
			case "close":
				must(t, l.Close())
				l = nil
			case "dump":
				var id int
				d.ScanArgs(t, "segment", &id)
				return dump(imageOf(t, m)[SegmentName(uint64(id))])
			default:
				d.Fatalf(t, "unknown command %q", d.Cmd)
			}
			return ""
		})
	})
}

// dumper writes bytes field by field.
type dumper struct {
	strings.Builder
	b  []byte
	at int
}

// field writes the next n bytes, sixteen to a line, with a note on the first.
func (d *dumper) field(n int, note string, args ...any) {
	note = fmt.Sprintf(note, args...)
	for line := range (n + 15) / 16 {
		part := d.b[d.at : d.at+min(16, n-16*line)]
		fmt.Fprintln(d, strings.TrimRight(fmt.Sprintf("%04x  %-47x  %s", d.at, string(part), note), " "))
		d.at += len(part)
		note = ""
	}
}

func (d *dumper) u32(name string) uint32 {
	v := binary.LittleEndian.Uint32(d.b[d.at:])
	d.field(4, "%s %d", name, v)
	return v
}

func (d *dumper) u64(name string) {
	d.field(8, "%s %d", name, binary.LittleEndian.Uint64(d.b[d.at:]))
}

func dump(b []byte) string {
	d := &dumper{b: b}
	d.field(8, "magic %q", b[:8])
	d.u32("version")
	d.u32("unused")
	d.u64("segment id")
	d.field(8, "created %s", time.UnixMicro(int64(binary.LittleEndian.Uint64(b[24:]))).UTC().Format(time.RFC3339Nano))
	d.u64("previous segment")
	d.u64("its end")
	d.field(8, "salt")
	d.u32("unused")
	d.field(4, "checksum of the header")
	for d.at < len(b) {
		d.field(4, "group: magic %q", b[d.at:d.at+4])
		end := int(d.u32("bytes of its frames"))
		d.u64("durable end")
		if d.u32("frames") == 0 {
			d.field(4, "checksum of the group's header; no frames: the log was closed")
		} else {
			d.field(4, "checksum of the group's header")
		}
		for end += d.at; d.at < end; {
			n := d.u32("frame: length")
			d.field(4, "checksum of the frame")
			d.field(int(n), "payload %q", b[d.at:d.at+int(n)])
		}
		d.field(1, "stop")
	}
	return d.String()
}
