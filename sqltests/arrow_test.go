package sqltests

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
)

// arrowShape is the shape of storage on which every query of the SQL files is asked in
// Arrow besides, and compared with the text of MySQL's answer.
const arrowShape = "indexed"

// reads are the statements that may be asked again, since they change nothing.
var reads = regexp.MustCompile(`(?i)^\s*(SELECT|WITH|SHOW|DESCRIBE|DESC|VALUES|TABLE|\()`)

// compareArrow asks a statement in Arrow and in CSV, as the session's user and in its
// database, and compares the answers. What a session has set it has not: then both are
// refused alike.
func (r *runner) compareArrow(t *testing.T, s *session, statement string) {
	t.Helper()
	if !reads.MatchString(statement) {
		return
	}
	const null = "NULL in CSV"
	ask := func(parameters string) *httptest.ResponseRecorder {
		target := "/query?database=" + url.QueryEscape(s.database) + "&" + parameters
		q := httptest.NewRequest(http.MethodPost, target, strings.NewReader(statement))
		q.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		r.member.gateway.HTTPHandler().ServeHTTP(w, q)
		return w
	}
	text := func() (int, []string) {
		w := ask("format=csv&null=" + url.QueryEscape(null))
		if w.Code != http.StatusOK {
			return w.Code, nil
		}
		reader := csv.NewReader(w.Body)
		reader.FieldsPerRecord = -1
		records, err := reader.ReadAll()
		if err != nil {
			t.Fatalf("%s: CSV: %v", statement, err)
		}
		var lines []string
		for _, record := range records[1:] {
			lines = append(lines, strings.Join(withoutZeros(record), "|"))
		}
		slices.Sort(lines)
		return w.Code, lines
	}
	code, want := text()
	w := ask("format=arrow")
	if w.Code != code {
		t.Errorf("%s: status %d in Arrow, %d in CSV: %s", statement, w.Code, code, w.Body)
		return
	}
	if code != http.StatusOK {
		return
	}
	got, err := arrowLines(w.Body.Bytes(), null)
	if err != nil {
		t.Errorf("%s: Arrow: %v", statement, err)
		return
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "\r\n", "\n") // which reading CSV does
	}
	slices.Sort(got)
	r.arrow++
	if slices.Equal(want, got) {
		return
	}
	if _, again := text(); !slices.Equal(again, want) {
		return // it differs each time
	}
	t.Errorf("%s:\nin Arrow %q\nin CSV   %q", statement, got, want)
}

// arrowLines are the rows of a stream as MySQL's client prints them.
func arrowLines(stream []byte, null string) (lines []string, err error) {
	reader, err := ipc.NewReader(bytes.NewReader(stream))
	if err != nil {
		return nil, err
	}
	defer reader.Release()
	for reader.Next() {
		record := reader.Record()
		for row := range int(record.NumRows()) {
			fields := make([]string, record.NumCols())
			for i, c := range record.Columns() {
				if c.IsNull(row) || c.DataType().ID() == arrow.NULL {
					fields[i] = null
					continue
				}
				fields[i] = arrowText(record.Schema().Field(i), c, row)
			}
			lines = append(lines, strings.Join(withoutZeros(fields), "|"))
		}
	}
	return lines, reader.Err()
}

func arrowText(f arrow.Field, a arrow.Array, row int) string {
	kind, _ := f.Metadata.GetValue("mysql.type")
	switch a := a.(type) {
	case *array.Dictionary:
		return a.Dictionary().(*array.String).Value(a.GetValueIndex(row))
	case *array.String:
		return a.Value(row)
	case *array.Binary:
		return string(a.Value(row))
	case *array.Float32:
		return strconv.FormatFloat(float64(a.Value(row)), 'g', -1, 32)
	case *array.Float64:
		return strconv.FormatFloat(a.Value(row), 'g', -1, 64)
	case *array.Decimal128:
		scale := a.DataType().(*arrow.Decimal128Type).Scale
		return a.Value(row).ToString(scale)
	case *array.Decimal256:
		scale := a.DataType().(*arrow.Decimal256Type).Scale
		return a.Value(row).ToString(scale)
	case *array.Date32:
		return a.Value(row).ToTime().Format(time.DateOnly)
	case *array.Timestamp:
		at, layout := a.Value(row).ToTime(arrow.Microsecond), time.DateTime
		if _, digits, ok := strings.Cut(kind, "("); ok {
			n, _ := strconv.Atoi(strings.TrimSuffix(digits, ")"))
			layout += "." + strings.Repeat("0", n)
		}
		return at.Format(layout)
	case *array.Duration:
		d := time.Duration(a.Value(row)) * time.Microsecond
		sign := ""
		if d < 0 {
			sign, d = "-", -d
		}
		text := fmt.Sprintf("%s%02d:%02d:%02d", sign, d/time.Hour, d/time.Minute%60, d/time.Second%60)
		if rest := d % time.Second; rest > 0 {
			text += fmt.Sprintf(".%06d", rest/time.Microsecond)
		}
		return text
	}
	return a.ValueStr(row)
}

// decimals are numbers with a point. How many zeros they end with follows from the
// type in Arrow, and in the text from the value, where the type is not known better.
var decimals = regexp.MustCompile(`^-?\d+\.\d*$`)

func withoutZeros(fields []string) []string {
	for i, f := range fields {
		if decimals.MatchString(f) {
			fields[i] = strings.TrimSuffix(strings.TrimRight(f, "0"), ".")
		}
	}
	return fields
}
