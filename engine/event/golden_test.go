package event

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"arbor/catalog"
	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// goldenBatches are the batches of testdata/record.v1, by name.
func goldenBatches() map[string]*Batch {
	shard := catalog.ShardKey{Project: 7, Day: 20000, Bucket: 3}
	id := func(index uint32) catalog.IngestID {
		return catalog.IngestID{Time: 0x1817f5c8a9d2e400, Edge: 0xed6e0001, Index: index}
	}
	all := []Property{
		{Name: "$os", Value: catalog.String("iOS")},
		{Name: "amount", Value: catalog.Double(19.5)},
		{Name: "big", Value: catalog.Number("18446744073709551615")},
		{Name: "cart", Value: catalog.JSON(`{"items":[1,2,{"sku":"a-1"}],"gift":false}`)},
		{Name: "count", Value: catalog.Int(-300)},
		{Name: "empty", Value: catalog.String("")},
		{Name: "least", Value: catalog.Int(-1 << 63)},
		{Name: "new", Value: catalog.Bool(true)},
		{Name: "none", Value: catalog.Null},
		{Name: "old", Value: catalog.Bool(false)},
		{Name: "zero", Value: catalog.Int(0)},
	}
	return map[string]*Batch{
		"empty": {Shard: catalog.ShardKey{Project: 1<<32 - 1, Day: -1, Bucket: 1<<16 - 1}},
		"one": {Shard: shard, Events: []Event{
			{ID: id(5), Name: "bought", Time: start + 1_234_567, DistinctID: "Zoë", InsertID: "i-1", Properties: all},
		}},
		"several": {Shard: shard, Events: []Event{
			{ID: id(5), Name: "viewed", Time: start + 5000, DistinctID: "ann", InsertID: "i-1", Properties: all[:2]},
			{ID: id(6), Name: "viewed", Time: start, ServerTime: true, DistinctID: "ann", Properties: all[:2]},
			{ID: id(9), Name: "bought", Time: start + 7_000_001, DistinctID: "bob", InsertID: "i-2", Properties: all[1:2]},
			{ID: catalog.IngestID{Time: 1, Edge: 2, Index: 3}, Name: "viewed", Time: start + 9000, InsertID: "i-3", Properties: all[:2]},
			{ID: catalog.IngestID{Time: 1, Edge: 2, Index: 2}, Name: "amount", Time: start + 9000, InsertID: "i-4"},
		}},
		"deletes": {Shard: shard, Deletes: []Delete{
			{ID: id(0), Targets: []catalog.IngestID{{Time: 1}, {Time: 2}}}, {ID: id(1)},
		}, Undos: []Undo{{ID: id(2), Delete: catalog.IngestID{Time: 3}}}},
	}
}

// TestGolden prints records and canonical bytes byte by byte, and reads the
// records that stand in the file back: those of an older version must be read
// for ever, and canonical bytes never change.
func TestGolden(t *testing.T) {
	batches := goldenBatches()
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var name string
			d.ScanArgs(t, "batch", &name)
			b := batches[name]
			if b == nil {
				d.Fatalf(t, "there is no batch %s", name)
			}
			switch d.Cmd {
			case "record":
				if !d.Rewrite {
					checkOldRecord(t, d.Expected, b)
				}
				return dumpRecord(mustEncode(t, b))
			case "canonical":
				return dumpCanonical(b)
			}
			d.Fatalf(t, "there is no command %s", d.Cmd)
			return ""
		})
	})
}

func checkOldRecord(t *testing.T, dump string, want *Batch) {
	t.Helper()
	var rec []byte
	for line := range strings.Lines(dump) {
		_, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), "  ")
		some, err := hex.DecodeString(strings.ReplaceAll(rest[:min(len(rest), 48)], " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		rec = append(rec, some...)
	}
	var got Batch
	err := DecodeBatch(rec, &got)
	if diff := cmp.Diff(want, &got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("the file's bytes: %v (-want +got):\n%s", err, diff)
	}
}

// dumpCanonical gives the canonical bytes, fingerprints and digest of a batch.
func dumpCanonical(b *Batch) string {
	var out strings.Builder
	for i := range b.Events {
		e := &b.Events[i]
		hi, lo := PayloadHash(e)
		fmt.Fprintf(&out, "event %d:\n%s", i, hex.Dump(AppendCanonical(nil, e)))
		fmt.Fprintf(&out, "payload %016x%016x\n", hi, lo)
	}
	var d Digest
	d.AddBatch(b)
	fmt.Fprintf(&out, "digest %s\n", d)
	return out.String()
}

// canonicalReader reads canonical bytes back: that it can shows that no two
// events share them.
type canonicalReader []byte

func (r *canonicalReader) take(n int) []byte {
	b := (*r)[:n]
	*r = (*r)[n:]
	return b
}

func (r *canonicalReader) text() string {
	return string(r.take(int(binary.LittleEndian.Uint32(r.take(4)))))
}

func fromCanonical(b []byte) Event {
	r := canonicalReader(b)
	if r.take(1)[0] != 'E' {
		panic("no event")
	}
	e := Event{ID: catalog.IngestIDFromBytes(r.take(16)), Time: int64(binary.LittleEndian.Uint64(r.take(8)))}
	e.ServerTime = r.take(1)[0] == 1
	r.take(8)
	e.Name, e.DistinctID, e.InsertID = r.text(), r.text(), r.text()
	for range binary.LittleEndian.Uint32(r.take(4)) {
		p := Property{Name: r.text(), Value: catalog.Value{Kind: catalog.Kind(r.take(1)[0])}}
		switch p.Value.Kind {
		case catalog.KindNull:
		case catalog.KindBool, catalog.KindInt, catalog.KindDouble:
			p.Value.Bits = binary.LittleEndian.Uint64(r.take(8))
		default:
			p.Value.Text = r.text()
		}
		e.Properties = append(e.Properties, p)
	}
	if len(r) > 0 {
		panic("bytes are left over")
	}
	return e
}
