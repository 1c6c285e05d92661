package indexfile

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// TestGolden prints the bytes of small files with a note per field. The input
// is a row a line: ingest id as time/edge/index, event, time in microseconds (a
// leading ~ for the server's), distinct id, insert id (- for none), then
// name=value, the value as JSON.
func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/format", func(t *testing.T, d *datadriven.TestData) string {
		fs := vfs.NewMem()
		form := newest
		if d.HasArg("v1") {
			form.version = 1
		}
		form.short = d.HasArg("short")
		writeForm(t, fs, "file", parseRows(t, d.Input), goldenMeta(d), form)
		r, err := Open(fs, "file")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		switch d.Cmd {
		case "bytes":
			return dump(t, r)
		case "sections":
			var out strings.Builder
			for _, s := range r.Sections() {
				fmt.Fprintf(&out, "%s: %s, %d bytes, %d decoded, %d values\n", s.Name, s.Encoding, s.Bytes, s.Raw, s.Rows)
			}
			for _, p := range r.Properties() {
				fmt.Fprintf(&out, "%s: %s, %d distinct\n", p.Name, p.Encoding, p.Distinct)
			}
			return out.String()
		}
		d.Fatalf(t, "unknown command %q", d.Cmd)
		return ""
	})
}

func goldenMeta(d *datadriven.TestData) Meta {
	m := Meta{Shard: catalog.ShardKey{Project: 3, Day: 20_759, Bucket: 1}, CreatedBy: "arbor test"}
	if d.HasArg("meta") {
		m.Sources, m.Replaces, m.Digest, m.LogCut = []string{"log/7"}, []string{"old-1"}, [3]uint64{3, 0xaa, 0xbb}, []byte{9, 8}
		m.Duplicates = []uint32{1}
		m.Groups = []Group{{Members: []Member{{Ordinal: 0}, {Ordinal: 1}}}}
		m.Cross = []Cross{{Ordinal: 2, File: "old-2", Other: 5, Same: true}}
		m.Tombstones = []byte("tombs")
	}
	return m
}

func parseRows(t *testing.T, input string) []Row {
	var rows []Row
	for _, line := range strings.Split(input, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		var row Row
		if _, err := fmt.Sscanf(f[0], "%d/%d/%d", &row.ID.Time, &row.ID.Edge, &row.ID.Index); err != nil {
			t.Fatalf("%q: %v", f[0], err)
		}
		row.Name, row.DistinctID, row.InsertID = f[1], f[3], f[4]
		row.ServerTime = strings.HasPrefix(f[2], "~")
		row.Time, _ = strconv.ParseInt(strings.TrimPrefix(f[2], "~"), 10, 64)
		if row.InsertID == "-" {
			row.InsertID = ""
		}
		for _, p := range f[5:] {
			name, value, _ := strings.Cut(p, "=")
			row.Properties = append(row.Properties, catalog.Property{Name: name, Value: parseValue(value)})
		}
		slices.SortFunc(row.Properties, func(a, b catalog.Property) int { return strings.Compare(a.Name, b.Name) })
		rows = append(rows, row)
	}
	return rows
}

func parseValue(s string) catalog.Value {
	switch {
	case s == "null":
		return catalog.Null
	case s == "true" || s == "false":
		return catalog.Bool(s == "true")
	case strings.HasPrefix(s, `"`):
		return catalog.String(strings.Trim(s, `"`))
	case strings.HasPrefix(s, "[") || strings.HasPrefix(s, "{"):
		return catalog.JSON(s)
	}
	return catalog.Number(s)
}

// dump is every byte of a file with what it means.
func dump(t *testing.T, r *Reader) string {
	var out strings.Builder
	line := func(at int, b []byte, note string, args ...any) {
		for first := true; first || len(b) > 0; first = false {
			n := min(16, len(b))
			if first {
				fmt.Fprintf(&out, "%04x  %-32x  %s\n", at, b[:n], fmt.Sprintf(note, args...))
			} else {
				fmt.Fprintf(&out, "%04x  %x\n", at, b[:n])
			}
			at, b = at+n, b[n:]
		}
	}
	h := r.data
	out.WriteString("header\n")
	line(0, h[:8], "magic")
	line(8, h[8:12], "version %d", r.version)
	line(12, h[12:16], "the same with all bits flipped")
	line(16, h[16:headerSize], "zero")
	at := headerSize
	for i := range r.sections {
		s := &r.sections[i]
		at = int(align(int64(at), sectionAlign))
		fmt.Fprintf(&out, "section at %04x: %s, %s, %d bytes", at, r.partName(s.info.kind, s.info.column), encodingNames[s.info.encoding], s.info.stored)
		b, err := r.sectionBytes(i)
		if err != nil {
			t.Fatal(err)
		}
		if s.info.encoding != encodingRaw {
			fmt.Fprintf(&out, ", decoded %d:", len(b))
		}
		out.WriteByte('\n')
		if s.info.kind == partPool {
			from := 0
			for _, p := range r.footer.pooled {
				from = int(align(int64(from), poolAlign))
				line(from, b[from:from+p.raw], "%s", r.partName(p.kind, p.column))
				from += p.raw
			}
		} else {
			line(0, b, "%s", r.partName(s.info.kind, s.info.column))
		}
		at += int(s.info.stored)
	}
	plain, end, err := r.openTrailer(r.data)
	if err != nil {
		t.Fatal(err)
	}
	trailer := r.data[len(r.data)-trailerSize:]
	fmt.Fprintf(&out, "footer at %04x: %s, decoded %d:\n", end, encodingNames[trailer[16]], len(plain))
	f := footer{version: r.version}
	d := &decoder{bytes: plain}
	d.note = func(from, to int, field, value string) { line(from, plain[from:to], "%s: %s", field, value) }
	if wrong := f.decode(d); wrong != "" {
		t.Fatal(wrong)
	}
	at = len(r.data) - trailerSize
	fmt.Fprintf(&out, "trailer at %04x\n", at)
	for _, field := range []struct {
		from, to int
		note     string
	}{{0, 8, "where the footer starts"}, {8, 12, "its length"}, {12, 16, "its length decoded"}, {16, 20, "its encoding"},
		{20, 24, "zero"}, {24, 32, "checksum of footer and trailer"}, {32, 40, "magic"}} {
		line(at+field.from, trailer[field.from:field.to], "%s", field.note)
	}
	return out.String()
}

var rewriteFile = flag.Bool("rewrite-file", false, "write testdata/v2.idx anew; only before version 2 is out")

// TestVersion1 reads a file that was written when the format was young.
func TestVersion1(t *testing.T) {
	rows := version1Rows(1700)
	r, err := Open(vfs.OS(), "testdata/v1.idx")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := checkAll(r, rows); err != nil {
		t.Fatal(err)
	}
	if r.OtherProperties() != 2 {
		t.Errorf("%d rows with other properties", r.OtherProperties())
	}
	checkMetaEqual(t, r, version1Meta())
}

// TestVersion2 reads a file with everything that version 2 brought.
func TestVersion2(t *testing.T) {
	rows, meta := version2Rows(1700), version1Meta()
	for i := 0; i+1 < len(rows); i += 50 {
		if a, b := &rows[i], &rows[i+1]; a.DistinctID == b.DistinctID && a.InsertID != "" && b.InsertID != "" {
			b.InsertID = a.InsertID
			meta.Groups = append(meta.Groups, Group{Members: []Member{{Ordinal: uint32(i)}, {Ordinal: uint32(i + 1)}}})
		}
	}
	if *rewriteFile {
		writeForm(t, vfs.OS(), "v2.idx", rows, meta, fileForm{maxColumns: 12, version: 2, short: true})
		if err := os.Rename("v2.idx", "testdata/v2.idx"); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open(vfs.OS(), "testdata/v2.idx")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := checkAll(r, rows); err != nil {
		t.Fatal(err)
	}
	checkMetaEqual(t, r, meta)
	met := map[coding]bool{}
	for i := range r.footer.columns {
		met[r.footer.columns[i].coding] = true
	}
	if r.footer.ingest.arrivals == nil || r.footer.insert.shared == 0 || !r.footer.insert.repeats || len(met) != len(codingNames) || r.OtherProperties() == 0 {
		t.Errorf("not everything is in it: %+v, %+v, %v", r.footer.ingest, r.footer.insert, met)
	}
}

// version1Rows is a file with every layout and placement in few rows; it does
// not depend on math/rand.
func version1Rows(rowCount int) []Row {
	state := uint64(1)
	next := func(n uint64) uint64 {
		state = state*6364136223846793005 + 1442695040888963407
		return (state >> 33) % n
	}
	var rows []Row
	for i := range uint64(rowCount) {
		row := Row{ID: catalog.IngestID{Time: 1_780_000_000_000_000_000 + i/50*1e9, Edge: 7, Index: uint32(i % 50)},
			Name: fmt.Sprint("event ", next(4)), Time: 1_780_000_000_000_000 + int64(i)*1000, ServerTime: i%100 == 3,
			DistinctID: fmt.Sprintf("user-%03d", next(60)), InsertID: fmt.Sprintf("%08x-0000-4000-8000-%012x", i, next(1<<40))}
		if i%40 == 7 {
			row.InsertID = ""
		}
		add := func(name string, v catalog.Value) {
			row.Properties = append(row.Properties, catalog.Property{Name: name, Value: v})
		}
		add("a constant", catalog.String("yes"))
		if i%2 == 0 {
			add("b codes", catalog.String(fmt.Sprint("value ", next(9))))
		}
		add("c integers", catalog.Int(int64(i*next(1<<30))))
		add("d doubles", catalog.Double(float64(next(1<<40))/1024))
		if i%3 > 0 {
			add("e texts", catalog.String(fmt.Sprint("a text like no other, ", i*next(1<<40))))
		}
		switch i % 70 {
		case 1:
			add("f sparse", catalog.Bool(true))
		case 2:
			add("f sparse", catalog.Null)
		case 3:
			add("f sparse", catalog.Number("1.50"))
		case 4:
			add("f sparse", catalog.JSON(`{"k":[1]}`))
		}
		if i == 1111 || i == 1400 {
			add("g other", catalog.Double(0.5))
			add("h other", catalog.String("beyond the columns"))
		}
		rows = append(rows, row)
	}
	sortRows(rows)
	return rows
}

// version2Rows is a file with every coding in few rows, if short columns are
// encoded, too.
func version2Rows(rowCount int) []Row {
	rows := version1Rows(rowCount)
	for i := range rows {
		row := &rows[i]
		user := int(row.DistinctID[len(row.DistinctID)-1] - '0')
		row.Properties = append(row.Properties, catalog.Property{Name: "i user", Value: catalog.String(fmt.Sprint("of user ", user))})
		run := i / 13
		row.Properties = append(row.Properties, catalog.Property{Name: "j run", Value: catalog.Int(int64(run * run * 1000))})
		row.Properties = append(row.Properties, catalog.Property{Name: "k price", Value: catalog.Double(float64(i*i%9973) / 100)})
		if i%3 == 1 {
			row.Properties = append(row.Properties, catalog.Property{Name: "l either", Value: catalog.Double(float64(i) / 8)})
		} else if i%3 == 2 {
			row.Properties = append(row.Properties, catalog.Property{Name: "l either", Value: catalog.Int(int64(i))})
		}
		if user%2 == 0 {
			row.Properties = append(row.Properties, catalog.Property{Name: "m some users", Value: catalog.Double(float64(user) + 0.5)})
		}
	}
	return rows
}

func version1Meta() Meta {
	return Meta{Shard: catalog.ShardKey{Project: 9, Day: 20_602, Bucket: 2}, Sources: []string{"log/1", "log/2"}, Digest: [3]uint64{1700, 1, 2},
		Duplicates: []uint32{}, Tombstones: []byte("opaque"), LogCut: []byte("cut"), CreatedBy: "arbor 0",
		Cross: []Cross{{Ordinal: 0, File: "x", Other: 3}, {Ordinal: 0, File: "y", Other: 1, Same: true}, {Ordinal: 9, File: "x", Other: 2}}}
}
