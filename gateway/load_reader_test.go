package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readAllRows gives a file's rows of n fields each, as text.
func readAllRows(source io.Reader, f loadFormat, n int) (rows []string, err error) {
	r := newLoadReader(source, f)
	for more := true; more; {
		var fields []string
		for i := range n {
			if !r.next() {
				if i == 0 {
					return rows, r.err
				}
				fields = append(fields, "-")
				continue
			}
			if r.isNull {
				fields = append(fields, "NULL")
			} else {
				fields = append(fields, fmt.Sprintf("%q", r.field))
			}
		}
		tooLong := r.tooLong
		var cut bool
		more, cut = r.endRow()
		text := strings.Join(fields, " ")
		if cut {
			text += " cut"
		}
		if tooLong {
			text = "too long"
		}
		rows = append(rows, text)
	}
	return rows, r.err
}

// The rows below are what MariaDB 10.11 makes of the same files.
func TestLoadReader(t *testing.T) {
	plain := loadFormat{fieldEnd: []byte("\t"), rowEnd: []byte("\n"), enclosed: -1, escaped: '\\'}
	csv := loadFormat{fieldEnd: []byte(","), rowEnd: []byte("\n"), enclosed: '"', escaped: '\\'}
	doubled := loadFormat{fieldEnd: []byte(","), rowEnd: []byte("\r\n"), enclosed: '"', escaped: '"'}
	bare := loadFormat{fieldEnd: []byte("||"), rowEnd: []byte("END"), enclosed: '\'', escaped: -1}
	started := loadFormat{fieldEnd: []byte(","), rowEnd: []byte("\n"), rowStart: []byte("xxx"), enclosed: -1, escaped: '\\'}
	endless := loadFormat{fieldEnd: []byte(","), rowEnd: []byte(","), enclosed: -1, escaped: '\\'}
	for _, c := range []struct {
		name   string
		format loadFormat
		fields int
		file   string
		want   []string
	}{
		{"plain", plain, 2, "a\tb\nc\td\n", []string{`"a" "b"`, `"c" "d"`}},
		{"no end of the last row", plain, 2, "a\tb\nc\td", []string{`"a" "b"`, `"c" "d"`}},
		{"nothing", plain, 2, "", nil},
		{"empty row", plain, 2, "\n\n", []string{`"" -`, `"" -`}},
		{"few and many", plain, 2, "a\na\tb\tc\nd\te\n", []string{`"a" -`, `"a" "b" cut`, `"d" "e"`}},
		{"ends behind a field's end", plain, 2, "a\t", []string{`"a" -`}},
		{"escapes", plain, 1, `\0\b\n\r\t\Z\\\x` + "\n\\\t\\\n!\n", []string{`"\x00\b\n\r\t\x1a\\x"`, `"\t\n!"`}},
		{"null", plain, 3, "\\N\tNULL\t\\NN\n", []string{`NULL "NULL" "NN"`}},
		{"escape at the end", plain, 1, `a\`, []string{`"a\\"`}},
		{"enclosed", csv, 3, `"a,b","c` + "\n" + `d",e` + "\n", []string{`"a,b" "c\nd" "e"`}},
		{"quotes inside", csv, 2, `"a""b","c\"d"` + "\n" + `a"b,"a"b"` + "\n", []string{`"a\"b" "c\"d"`, `"a\"b" "a\"b"`}},
		{"never closed", csv, 2, `a,"b` + "\nc", []string{`"a" "\"b\nc"`}},
		{"null enclosed", csv, 4, `NULL,"NULL",\N,"\N"` + "\n", []string{`NULL "NULL" NULL NULL`}},
		{"empty enclosed", csv, 2, `"",""` + "\n", []string{`"" ""`}},
		{"doubled", doubled, 2, "\"a\"\"b\",\"c\r\nd\"\r\n\\n,e\nf\r\n", []string{`"a\"b" "c\r\nd"`, `"\\n" "e\nf"`}},
		{"long ends", bare, 2, "a|b||'c||d'ENDe||\\NEND", []string{`"a|b" "c||d"`, `"e" "\\N"`}},
		{"starts", started, 2, "xxxa,b\nnothing\nignored xxxc,d\n", []string{`"a" "b"`, `"c" "d"`}},
		{"one end for both", endless, 2, "a,b,c,d", []string{`"a" "b"`, `"c" "d"`}},
	} {
		for _, slow := range []bool{false, true} {
			var source io.Reader = strings.NewReader(c.file)
			if slow {
				source = iotest.OneByteReader(source)
			}
			got, err := readAllRows(source, c.format, c.fields)
			if err != nil || strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("%s: got %q, %v; want %q", c.name, got, err, c.want)
			}
		}
	}
}

func TestLoadReaderLimits(t *testing.T) {
	skipShort(t)
	f := loadFormat{fieldEnd: []byte(","), rowEnd: []byte("\n"), enclosed: -1, escaped: '\\'}
	long := func(n int) string { return strings.Repeat("x", n-2) + ",yz\nb,c\n" }
	for _, c := range []struct {
		bytes int
		first string
	}{{maxLoadRow, ""}, {maxLoadRow + 1, "too long"}, {20 * maxLoadRow, "too long"}} {
		rows, err := readAllRows(strings.NewReader(long(c.bytes)), f, 2)
		if err != nil || len(rows) != 2 || rows[1] != `"b" "c"` || (rows[0] == "too long") != (c.first != "") {
			t.Errorf("a row of %d bytes: got %d rows, the last %q, %v", c.bytes, len(rows), rows[len(rows)-1], err)
		}
	}
	r := newLoadReader(io.MultiReader(strings.NewReader("a,b\nc,"), iotest.ErrReader(io.ErrUnexpectedEOF)), f)
	for more := true; more; more, _ = r.endRow() {
		for r.next() {
		}
	}
	if !errors.Is(r.err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that breaks off: got %v", r.err)
	}
	r = newLoadReader(strings.NewReader(strings.Repeat("abc,def\n", 1<<20)), f)
	for more := true; more; more, _ = r.endRow() {
		for r.next() {
		}
	}
	if len(r.buffer) > loadBuffer || cap(r.field) > loadBuffer {
		t.Errorf("a long file is held: %d and %d bytes", len(r.buffer), cap(r.field))
	}
}

// What was written as LOAD DATA reads it comes back, however it is cut.
func FuzzLoadReader(f *testing.F) {
	f.Add("a\tb\nc\\\td", "\t", "\n", -1, int('\\'), 2)
	f.Add(`"a""b",NULL`+"\r\n", ",", "\r\n", int('"'), int('"'), 2)
	f.Add("xxa,b,xx", ",", ",", int('x'), -1, 3)
	f.Fuzz(func(t *testing.T, text, fieldEnd, rowEnd string, enclosed, escaped, fields int) {
		format := loadFormat{fieldEnd: []byte(fieldEnd), rowEnd: []byte(rowEnd), enclosed: max(enclosed, -1), escaped: max(escaped, -1)}
		if fieldEnd == "" || enclosed > 255 || escaped > 255 || fields < 1 || fields > 8 || len(text) > 1<<12 {
			return
		}
		whole, err := readAllRows(strings.NewReader(text), format, fields)
		if err != nil {
			t.Fatal(err)
		}
		cut, err := readAllRows(iotest.OneByteReader(strings.NewReader(text)), format, fields)
		if err != nil || strings.Join(whole, "\n") != strings.Join(cut, "\n") {
			t.Fatalf("as a whole %q, byte by byte %q, %v", whole, cut, err)
		}
		// A field escaped byte by byte is itself.
		if enclosed < 0 && format.escaped == '\\' && rowEnd == "\n" && fieldEnd == "\t" {
			var b bytes.Buffer
			for i := range len(text) {
				if c := text[i]; c == 0 {
					b.WriteString(`\0`)
				} else if strings.IndexByte("\\\t\nbnrtZ0N", c) >= 0 && !strings.ContainsRune("bnrtZ0N", rune(c)) {
					b.WriteByte('\\')
					b.WriteByte(c)
				} else {
					b.WriteByte(c)
				}
			}
			b.WriteString("\n")
			rows, err := readAllRows(&b, format, 1)
			if err != nil || len(rows) != 1 || rows[0] != fmt.Sprintf("%q", text) {
				t.Fatalf("%q came back as %q, %v", text, rows, err)
			}
		}
	})
}
