package indexfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// fileBytes are those of a file with rows.
func fileBytes(t testing.TB, rows []Row, m Meta) []byte {
	fs := vfs.NewMem()
	write(t, fs, "file", rows, m)
	return mapped(t, fs)
}

func mapped(t testing.TB, fs vfs.FS) []byte {
	f, err := fs.Open("file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := f.Map()
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), data...)
}

// openBytes opens a file of these bytes.
func openBytes(data []byte) (*Reader, error) {
	fs := vfs.NewMem()
	f, err := fs.Create("file")
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return Open(fs, "file")
}

// TestEveryByteDamaged changes every byte of a file once, in turn. Whatever is
// read afterwards is right, or ErrCorrupt; and Verify always finds it.
func TestEveryByteDamaged(t *testing.T) {
	skipShort(t)
	for name, file := range map[string]struct {
		rows []Row
		form fileForm
	}{"short": {version1Rows(260), newest}, "coded": {version2Rows(130), fileForm{maxColumns: MaxColumns, version: Version, short: true}}} {
		t.Run(name, func(t *testing.T) { everyByte(t, file.rows, file.form) })
	}
}

func everyByte(t *testing.T, rows []Row, form fileForm) {
	meta := version1Meta()
	meta.Duplicates = []uint32{4, 17}
	fs := vfs.NewMem()
	writeForm(t, fs, "file", rows, meta, form)
	data := mapped(t, fs)
	harmless := 0
	for at := range data {
		flip := byte(1) << (at % 8)
		if at%3 == 0 {
			flip = 0xff
		}
		data[at] ^= flip
		r, err := openBytes(data)
		if err == nil {
			if err = checkMetaAndAll(r, rows, meta); err == nil {
				harmless++
			}
			if err := r.Verify(t.Context()); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d of %d: verify: %v", at, len(data), err)
			}
			r.Close()
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d of %d: %v", at, len(data), err)
		}
		data[at] ^= flip
	}
	if harmless > sectionAlign*30 {
		t.Errorf("%d of %d bytes are not missed; only padding should not be", harmless, len(data))
	}
}

// TestArrivalsDamaged changes bytes here and there in a file whose rows came in
// about the order of their times, copies among them.
func TestArrivalsDamaged(t *testing.T) {
	rows := inTurnRows(2500)
	groups := withCopies(rand.New(rand.NewPCG(3, 4)), rows)
	data := fileBytes(t, rows, Meta{Groups: groups})
	if r, err := openBytes(data); err != nil || r.footer.ingest.arrivals == nil || r.footer.insert.shared == 0 || !r.footer.insert.repeats {
		t.Fatalf("no arrivals: %v", err)
	}
	step := 211
	if testing.Short() {
		step *= 5
	}
	for at := 0; at < len(data); at += step {
		data[at] ^= 1 << (at % 8)
		r, err := openBytes(data)
		if err == nil {
			err = errors.Join(checkRows(r, rows), checkScalars(r, rows))
			if damage := r.Verify(t.Context()); !errors.Is(damage, ErrCorrupt) {
				t.Fatalf("byte %d of %d: verify: %v", at, len(data), damage)
			}
			r.Close()
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d of %d: %v", at, len(data), err)
		}
		data[at] ^= 1 << (at % 8)
	}
}

// inTurnRows come about in the order of their times, some late, with UUIDs of
// version 4.
func inTurnRows(n int) []Row {
	r := rand.New(rand.NewPCG(1, 2))
	rows := make([]Row, n)
	for i := range rows {
		t := int64(i)*1000 + r.Int64N(20_000)
		if i%40 == 0 {
			t = r.Int64N(int64(n) * 1000)
		}
		rows[i] = Row{ID: catalog.IngestID{Time: uint64(1e18 + i/100*1e9), Edge: uint32(i / 100 % 2), Index: uint32(i % 100)}, Name: "e",
			Time: t, DistinctID: fmt.Sprint("user ", r.IntN(100)), InsertID: randomUUID4(r)}
	}
	sortRows(rows)
	return rows
}

// checkMetaAndAll is checkAll with the rest of the file.
func checkMetaAndAll(r *Reader, rows []Row, m Meta) error {
	if err := checkAll(r, rows); err != nil {
		return err
	}
	got := r.Meta()
	var err [4]error
	got.Duplicates, err[0] = r.Duplicates()
	got.Groups, err[1] = r.Groups()
	got.Cross, err[2] = r.Cross()
	got.Tombstones, err[3] = r.Tombstones()
	if err := errors.Join(err[:]...); err != nil {
		return err
	}
	if diff := cmp.Diff(m, got, equalRows); diff != "" {
		return errors.New(diff)
	}
	return nil
}

// TestTruncated cuts a file at every length.
func TestTruncated(t *testing.T) {
	data := fileBytes(t, version1Rows(30), version1Meta())
	for n := range data {
		if _, err := openBytes(data[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
	if _, err := openBytes(append(data, 0)); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a byte too many: %v", err)
	}
}

func TestNewerVersion(t *testing.T) {
	data := fileBytes(t, version1Rows(30), version1Meta())
	binary.LittleEndian.PutUint32(data[8:], Version+1)
	if _, err := openBytes(data); !errors.Is(err, ErrCorrupt) {
		t.Errorf("version without its complement: %v", err)
	}
	binary.LittleEndian.PutUint32(data[12:], ^uint32(Version+1))
	if _, err := openBytes(data); !errors.Is(err, ErrVersion) || errors.Is(err, ErrCorrupt) {
		t.Errorf("newer version: %v", err)
	}
}

// mutate applies changes of three bytes each to content: where, modulo its
// length, and what is added to the byte there.
func mutate(content, changes []byte) {
	for i := 0; i+3 <= len(changes) && len(content) > 0; i += 3 {
		at := int(binary.LittleEndian.Uint16(changes[i:])) % len(content)
		content[at] += changes[i+2]
	}
}

// resealed changes the decoded bytes of one section, or of the footer, and makes
// a file of it whose checksums are right: what a reader must still survive.
func resealed(data []byte, section int, changes []byte) []byte {
	r, err := openBytes(data)
	if err != nil {
		return data
	}
	f := r.footer
	f.sections = append([]sectionInfo(nil), f.sections...)
	out := append([]byte(nil), data[:headerSize]...)
	pad := func() { out = append(out, make([]byte, align(int64(len(out)), sectionAlign)-int64(len(out)))...) }
	for i := range r.sections {
		b, err := r.sectionBytes(i)
		if err != nil {
			return data
		}
		b = append([]byte(nil), b...)
		if i == section {
			mutate(b, changes)
		}
		f.sections[i].encoding, f.sections[i].stored, f.sections[i].raw = encodingRaw, int64(len(b)), int64(len(b))
		f.sections[i].checksum = xxh3.Hash(b)
		pad()
		out = append(out, b...)
	}
	plain := f.append(nil)
	if section >= len(r.sections) {
		mutate(plain, changes)
	}
	pad()
	start := len(out)
	out = append(out, plain...)
	out = binary.LittleEndian.AppendUint64(out, uint64(start))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(plain)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(plain)))
	out = append(out, make([]byte, 8)...)
	out = binary.LittleEndian.AppendUint64(out, xxh3.Hash(out[start:]))
	return append(out, trailerMagic...)
}

// exercise calls everything that a reader has. It returns what must never be:
// an error of another kind than those of damage.
func exercise(t testing.TB, r *Reader) error {
	defer r.Close()
	var errs []error
	did := func(err error) { errs = append(errs, err) }
	r.Meta()
	r.Sections()
	_, err := r.Duplicates()
	did(err)
	_, err = r.Groups()
	did(err)
	_, err = r.Cross()
	did(err)
	_, err = r.Tombstones()
	did(err)
	_, _, err = r.UserRange("user-030")
	did(err)
	if r.Rows() > 10_000 {
		return nil // a few bytes may say a billion rows, and mean it
	}
	did(r.Verify(t.Context()))
	c := r.Cursor()
	var row Row
	for i := range r.Rows() {
		did(c.Row(i, &row))
		if i%50 == 0 {
			did(r.Row(i, &row))
			_, err = r.InsertKey(i)
			did(err)
		}
	}
	for k := range r.Users() {
		_, _, _, err := r.User(k)
		did(err)
	}
	hi := min(r.Rows(), 300)
	for _, p := range append([]PropertyInfo{{Name: "none"}}, r.Properties()...) {
		for _, key := range columnTypes {
			a, err := r.PropertyArray(p.Name, key.t, key.precision, key.scale, hi/3, hi)
			did(err)
			for i := 0; err == nil && i < a.Len(); i++ {
				cell(a, i)
			}
			for b := range r.Blocks() {
				_, err := r.BlockRange(b, p.Name, key.t, key.precision, key.scale)
				did(err)
			}
		}
	}
	for _, array := range []func(lo, hi int) (arrow.Array, error){r.EventArray, r.TimeRawArray, r.DistinctIDArray,
		r.InsertIDArray, r.IngestIDArray, r.IngestedAtArray, r.PropertiesArray} {
		_, err := array(0, hi)
		did(err)
	}
	for _, err := range errs {
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrLimit) {
			return err
		}
	}
	return nil
}

// FuzzOpen reads any bytes as a file.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{})
	f.Add(fileBytes(f, nil, Meta{}))
	f.Add(fileBytes(f, version1Rows(40), version1Meta()))
	coded := vfs.NewMem()
	writeForm(f, coded, "file", version2Rows(60), version1Meta(), fileForm{maxColumns: MaxColumns, version: Version, short: true})
	f.Add(mapped(f, coded))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := openBytes(data)
		if err == nil {
			err = exercise(t, r)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
	})
}

// FuzzResealed reads files that are wrong but whose checksums are right.
func FuzzResealed(f *testing.F) {
	seeds := [][]byte{fileBytes(f, version1Rows(40), fuzzMeta()), fileBytes(f, version1Rows(1200), fuzzMeta())}
	for _, form := range []fileForm{{maxColumns: 2, version: Version}, {maxColumns: MaxColumns, version: Version, short: true}, {maxColumns: 2, version: 1}} {
		fs := vfs.NewMem()
		writeForm(f, fs, "file", version2Rows(120), fuzzMeta(), form)
		seeds = append(seeds, mapped(f, fs))
	}
	arriving := vfs.NewMem()
	rows := inTurnRows(2500)
	groups := withCopies(rand.New(rand.NewPCG(3, 4)), rows)
	write(f, arriving, "file", rows, Meta{Groups: groups})
	seeds = append(seeds, mapped(f, arriving))
	for section := range uint8(30) {
		f.Add(uint8(0), section, []byte{1, 0, 7, 90, 0, 255})
		f.Add(uint8(1), section, []byte{3, 0, 1, 200, 1, 128, 50, 50, 50})
		f.Add(uint8(2), section, []byte{0, 2, 1})
		f.Add(uint8(3), section, []byte{0, 0, 1, 9, 0, 255, 77, 0, 3})
		f.Add(uint8(4), section, []byte{5, 0, 130, 1, 1, 16})
		f.Add(uint8(5), section, []byte{1, 0, 200, 90, 0, 3, 7, 1, 129})
	}
	f.Fuzz(func(t *testing.T, file, section uint8, changes []byte) {
		r, err := openBytes(resealed(seeds[int(file)%len(seeds)], int(section)%32, changes))
		if err == nil {
			err = exercise(t, r)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

func fuzzMeta() Meta {
	m := version1Meta()
	m.Duplicates = []uint32{3, 4, 20}
	m.Groups = []Group{{Members: []Member{{Ordinal: 1}, {Ordinal: 2}}}, {Members: []Member{{Ordinal: 9}, {Ordinal: 5, Class: 1}, {Ordinal: 30}}}}
	m.Sources = append(m.Sources, fmt.Sprint(catalog.DefaultPolicy))
	return m
}
