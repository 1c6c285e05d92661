package catalog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
)

// TestGolden prints each encoding byte by byte, and reads what stands in the
// file back: a file of an older version must be read for ever.
func TestGolden(t *testing.T) {
	changes := map[string]Change{}
	for _, change := range everyChange() {
		name := strings.TrimPrefix(fmt.Sprintf("%T", change), "catalog.")
		if _, ok := changes[name]; !ok {
			changes[name] = change
		}
	}
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "catalog" {
				want := shop(t)
				if old := fromDump(t, d.Expected); old != nil && !d.Rewrite {
					got, err := DecodeCatalog(old)
					if diff := cmp.Diff(want, got, same); diff != "" || err != nil {
						t.Errorf("%s: the file's bytes: %v (-want +got):\n%s", d.Pos, err, diff)
					}
				}
				return dump(catalogKind, want.encodingVersion(), (*Catalog).code, want)
			}
			want, ok := changes[d.Cmd]
			if !ok {
				d.Fatalf(t, "everyChange has no %s", d.Cmd)
			}
			delete(changes, d.Cmd)
			if old := fromDump(t, d.Expected); old != nil && !d.Rewrite {
				got, err := DecodeChange(old)
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("%s: the file's bytes: %v (-want +got):\n%s", d.Pos, err, diff)
				}
			}
			return dump(changeKind, formatVersion, codeChange, &want)
		})
	})
	for name := range changes {
		t.Errorf("no golden shows %s", name)
	}
}

// dump is an encoding with a line and a note for each field.
func dump[T any](kind string, version byte, code func(*T, *coder), v *T) string {
	b := encode(kind, version, code, v)
	var out strings.Builder
	at := 0
	note := func(field string, n int) {
		for first := true; n > 0 || first; first = false {
			some := min(n, 16)
			line := fmt.Sprintf("%04d  %-48s%s", at, fmt.Sprintf("% x", b[at:at+some]), field)
			out.WriteString(strings.TrimRight(line, " ") + "\n")
			at, n, field = at+some, n-some, ""
		}
	}
	note("kind", len(kind))
	note("format version", 1)
	code(v, &coder{trace: note, version: version})
	note("checksum", crc32.Size)
	return out.String()
}

// fromDump reads the bytes of a dump, or nil where there is none.
func fromDump(t *testing.T, text string) []byte {
	t.Helper()
	var b []byte
	for line := range strings.Lines(text) {
		_, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), "  ")
		some, err := hex.DecodeString(strings.ReplaceAll(rest[:min(len(rest), 48)], " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		b = append(b, some...)
	}
	return b
}

func TestEncodeGivesBackCatalog(t *testing.T) {
	c := &Catalog{}
	for _, change := range append([]Change{nil}, everyChange()...) {
		if change != nil {
			c = apply(t, c, change)
		}
		b := c.Encode()
		d, err := DecodeCatalog(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, d, same); diff != "" {
			t.Fatalf("after %#v (-want +got):\n%s", change, diff)
		}
		if string(d.Encode()) != string(b) {
			t.Fatalf("after %#v: encoded again, the bytes differ", change)
		}
		for _, p := range d.Projects {
			if p.lookup() == nil {
				t.Fatalf("project %q has no index", p.Name)
			}
		}
	}
}

func TestEncodeGivesBackChange(t *testing.T) {
	for _, change := range everyChange() {
		got, err := DecodeChange(EncodeChange(change))
		if diff := cmp.Diff(change, got); diff != "" || err != nil {
			t.Errorf("%T: %v (-want +got):\n%s", change, err, diff)
		}
	}
	// A pointer is a change too, and comes back as a value.
	got, err := DecodeChange(EncodeChange(&DropProject{ID: 1, At: 2}))
	if err != nil || got != (DropProject{ID: 1, At: 2}) {
		t.Errorf("got %#v, %v", got, err)
	}
}

// TestDecodedAliasesNothing: the bytes may be used again.
func TestDecodedAliasesNothing(t *testing.T) {
	b := shop(t).Encode()
	c, err := DecodeCatalog(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if diff := cmp.Diff(shop(t), c, same); diff != "" {
		t.Fatal(diff)
	}
}

func TestDamageIsFound(t *testing.T) {
	encodings := [][]byte{shop(t).Encode()}
	for _, change := range everyChange() {
		encodings = append(encodings, EncodeChange(change))
	}
	for i, b := range encodings {
		decode := func(b []byte) error {
			_, err := DecodeChange(b)
			if i == 0 {
				_, err = DecodeCatalog(b)
			}
			return err
		}
		for at := range b {
			for _, flip := range []byte{1, 0x80, 0xff} {
				b[at] ^= flip
				if err := decode(b); !errors.Is(err, ErrCorrupt) {
					t.Errorf("encoding %d, byte %d ^ %#x: %v", i, at, flip, err)
				}
				b[at] ^= flip
			}
			if err := decode(b[:at]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("encoding %d cut at %d: %v", i, at, err)
			}
		}
		if err := decode(append(b, 0)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("encoding %d with a byte more: %v", i, err)
		}
	}
}

// sealed gives fields kind, version and checksum.
func sealed(kind string, version byte, fields []byte) []byte {
	b := append(append([]byte(kind), version), fields...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func TestNewerVersionIsRefusedByName(t *testing.T) {
	_, err := DecodeCatalog(sealed(catalogKind, newestVersion+1, []byte("whatever comes")))
	if !errors.Is(err, ErrVersion) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), fmt.Sprintf("version %d", newestVersion+1)) {
		t.Errorf("catalog: %v", err)
	}
	_, err = DecodeChange(sealed(changeKind, 200, nil))
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "version 200") {
		t.Errorf("change: %v", err)
	}
}

// TestCatalogsThatCannotBe are refused although their checksums hold.
func TestCatalogsThatCannotBe(t *testing.T) {
	for name, spoil := range map[string]func(c *Catalog){
		"ids out of order":     func(c *Catalog) { c.Projects[0].ID = 2 },
		"id zero":              func(c *Catalog) { c.Projects[0].ID = 0 },
		"id not yet given":     func(c *Catalog) { c.NextProject = 2 },
		"no buckets":           func(c *Catalog) { c.Projects[0].Buckets = 0 },
		"too many buckets":     func(c *Catalog) { c.Projects[0].Buckets = MaxBuckets + 1 },
		"reserved name":        func(c *Catalog) { c.Projects[0].Name = "mysql" },
		"name twice":           func(c *Catalog) { c.Projects[1].DroppedAt = 0; c.Projects[1].Name = "SHOP" },
		"column name twice":    func(c *Catalog) { c.Projects[0].Columns[0].Name = "PLAN" },
		"property twice":       func(c *Catalog) { c.Projects[0].Columns[0].Property = "plan" },
		"fixed column":         func(c *Catalog) { c.Projects[0].Columns[0].Name = "time" },
		"nameless column":      func(c *Catalog) { c.Projects[0].Columns[0].Name = "" },
		"unknown type":         func(c *Catalog) { c.Projects[0].Columns[0].Type = 99 },
		"impossible precision": func(c *Catalog) { c.Projects[0].Columns[0].Precision = 99 },
		"unknown policy":       func(c *Catalog) { c.Projects[0].Policies[0].Policy.Missing = 9 },
		"policy backwards":     func(c *Catalog) { c.Projects[0].Policies[0].To = MinDay; c.Projects[0].Policies[0].From = 0 },
	} {
		c := shop(t)
		spoil(c)
		if _, err := DecodeCatalog(c.Encode()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDecodeCatalog feeds fields under a good checksum.
func FuzzDecodeCatalog(f *testing.F) {
	c := &Catalog{}
	for _, change := range everyChange() {
		c = apply(f, c, change)
		b := c.Encode()
		f.Add(b[len(catalogKind)+1 : len(b)-crc32.Size])
	}
	f.Fuzz(func(t *testing.T, fields []byte) {
		c, err := DecodeCatalog(sealed(catalogKind, formatVersion, fields))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again, err := DecodeCatalog(c.Encode())
		if diff := cmp.Diff(c, again, same); diff != "" || err != nil {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

// FuzzDecodeChange feeds fields under a good checksum, and applies what comes of
// them to a catalog, which must stay one.
func FuzzDecodeChange(f *testing.F) {
	for _, change := range everyChange() {
		b := EncodeChange(change)
		f.Add(b[len(changeKind)+1 : len(b)-crc32.Size])
	}
	base := shop(f)
	f.Fuzz(func(t *testing.T, fields []byte) {
		change, err := DecodeChange(sealed(changeKind, formatVersion, fields))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again, err := DecodeChange(EncodeChange(change))
		if diff := cmp.Diff(change, again); diff != "" || err != nil {
			t.Fatalf("%v\n%s", err, diff)
		}
		next, err := base.Apply(change)
		if err != nil {
			return
		}
		back, err := DecodeCatalog(next.Encode())
		if diff := cmp.Diff(next, back, same); diff != "" || err != nil {
			t.Fatalf("after %#v: %v\n%s", change, err, diff)
		}
	})
}
