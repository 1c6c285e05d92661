package indexfile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// The reference is a plain list of rows: what any method of a Reader gives is
// compared with what the list says.

// equalRows treats nil and empty properties alike.
var equalRows = cmpopts.EquateEmpty()

// write makes a file of rows.
func write(t testing.TB, fs vfs.FS, name string, rows []Row, m Meta) {
	t.Helper()
	writeForm(t, fs, name, rows, m, newest)
}

// fileForm says how a test's file is written.
type fileForm struct {
	maxColumns int // of properties
	version    uint32
	short      bool // encodes the shortest columns, too
	maxEntries int  // of a dictionary; 0 is the usual
}

var newest = fileForm{maxColumns: MaxColumns, version: Version}

// forms are those that everything is tried with.
var forms = []fileForm{newest, {maxColumns: MaxColumns, version: Version, short: true}, {maxColumns: MaxColumns, version: 1}}

// writeForm makes a file in a form.
func writeForm(t testing.TB, fs vfs.FS, name string, rows []Row, m Meta, f fileForm) {
	t.Helper()
	b := NewBuilder(BuilderOptions{Rows: len(rows), Version: f.version, Short: f.short})
	b.maxColumns = f.maxColumns
	for i := range rows {
		if err := b.Add(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if b.Rows() != len(rows) {
		t.Fatalf("builder has %d rows, want %d", b.Rows(), len(rows))
	}
	if err := b.Write(fs, ".", name, m); err != nil {
		t.Fatal(err)
	}
}

// built makes a file of rows and opens it.
func built(t testing.TB, rows []Row, m Meta) *Reader {
	t.Helper()
	return builtForm(t, rows, m, newest)
}

func builtForm(t testing.TB, rows []Row, m Meta, f fileForm) *Reader {
	t.Helper()
	fs := vfs.NewMem()
	writeForm(t, fs, "file", rows, m, f)
	r, err := Open(fs, "file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func sortRows(rows []Row) {
	slices.SortStableFunc(rows, func(a, b Row) int { return a.Compare(&b) })
}

// checkAll compares everything that a reader gives with the rows. It returns an
// error, not to stop a test that damages files.
func checkAll(r *Reader, rows []Row) error {
	if r.Rows() != len(rows) {
		return fmt.Errorf("%d rows, want %d", r.Rows(), len(rows))
	}
	for _, check := range []func(*Reader, []Row) error{checkRows, checkEncoder, checkScalars, checkUsers, checkArrays, checkProperties} {
		if err := check(r, rows); err != nil {
			return err
		}
	}
	return nil
}

func checkRows(r *Reader, rows []Row) error {
	c := r.Cursor()
	var got Row
	for i := range rows {
		if err := c.Row(i, &got); err != nil {
			return err
		}
		if !sameRow(&got, &rows[i]) {
			return fmt.Errorf("cursor, row %d: %s", i, cmp.Diff(rows[i], got, equalRows))
		}
	}
	for i := len(rows) - 1; i >= 0; i -= 1 + i/97 {
		if err := r.Row(i, &got); err != nil {
			return err
		}
		if !sameRow(&got, &rows[i]) {
			return fmt.Errorf("row %d: %s", i, cmp.Diff(rows[i], got, equalRows))
		}
		json, err := r.PropertiesJSON(i, nil)
		if want := appendProperties(nil, rows[i].Properties); err != nil || string(json) != string(want) {
			return orDiff(err, "properties of row %d: %s, want %s", i, json, want)
		}
	}
	return nil
}

// checkEncoder compares what an Encoder makes of each row's properties, with room
// for the forms of all dictionaries, of some, and of none, and with rows left out.
func checkEncoder(r *Reader, rows []Row) error {
	for skip, room := range []int{maxForms, 100, 0} {
		encode := func(dst []byte, p *catalog.Property) []byte {
			return appendProperties(append(dst, p.Name...), []catalog.Property{*p})
		}
		e := r.Cursor().Encoder(encode)
		e.room = room
		for i := 0; i < len(rows); i += 1 + skip*(i%3) {
			var want []byte
			for k := range rows[i].Properties {
				want = encode(want, &rows[i].Properties[k])
			}
			var head Row
			key, err := e.Head(i, &head)
			head.Properties = rows[i].Properties
			if err != nil || !sameRow(&head, &rows[i]) || key != InsertKeyOf(rows[i].InsertID) {
				return orDiff(err, "head of row %d, key %v: %s", i, key, cmp.Diff(rows[i], head, equalRows))
			}
			got, n, err := e.Append(nil, i)
			if err != nil || n != len(rows[i].Properties) || string(got) != string(want) {
				return orDiff(err, "row %d, room for %d: %d properties %q, want %d %q", i, room, n, got, len(rows[i].Properties), want)
			}
		}
	}
	return nil
}

func sameRow(a, b *Row) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Time == b.Time && a.ServerTime == b.ServerTime &&
		a.DistinctID == b.DistinctID && a.InsertID == b.InsertID && slices.Equal(a.Properties, b.Properties)
}

// orDiff is err if there is one, else a difference.
func orDiff(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, args...)
}

func checkScalars(r *Reader, rows []Row) error {
	var least, greatest catalog.IngestID
	var first, last int64
	for i := range rows {
		row := &rows[i]
		if id, err := r.IngestID(i); err != nil || id != row.ID {
			return orDiff(err, "ingest id %d: %s, want %s", i, id, row.ID)
		}
		if v, err := r.Time(i); err != nil || v != row.Time {
			return orDiff(err, "time %d: %d, want %d", i, v, row.Time)
		}
		if v, err := r.ServerTime(i); err != nil || v != row.ServerTime {
			return orDiff(err, "server time %d: %v", i, v)
		}
		if v, err := r.Event(i); err != nil || v != row.Name {
			return orDiff(err, "event %d: %q, want %q", i, v, row.Name)
		}
		if v, err := r.InsertID(i); err != nil || v != row.InsertID {
			return orDiff(err, "insert id %d: %q, want %q", i, v, row.InsertID)
		}
		if v, err := r.InsertKey(i); err != nil || v != InsertKeyOf(row.InsertID) {
			return orDiff(err, "insert key %d: %v, want %v", i, v, InsertKeyOf(row.InsertID))
		}
		if i == 0 || row.ID.Compare(least) < 0 {
			least = row.ID
		}
		if i == 0 || row.ID.Compare(greatest) > 0 {
			greatest = row.ID
		}
		if i == 0 || row.Time < first {
			first = row.Time
		}
		if i == 0 || row.Time > last {
			last = row.Time
		}
		if err := checkTimeZone(r, i, row.Time); err != nil {
			return err
		}
	}
	if a, b := r.IngestBounds(); a != least || b != greatest {
		return fmt.Errorf("ingest bounds %s %s, want %s %s", a, b, least, greatest)
	}
	if a, b := r.TimeBounds(); a != first || b != last {
		return fmt.Errorf("time bounds %d %d, want %d %d", a, b, first, last)
	}
	return nil
}

func checkTimeZone(r *Reader, i int, at int64) error {
	a, b, err := r.BlockTime(i / BlockRows)
	if err != nil || at < a || at > b {
		return orDiff(err, "time %d of row %d out of its block's %d..%d", at, i, a, b)
	}
	return nil
}

func checkUsers(r *Reader, rows []Row) error {
	k := 0
	c := r.Cursor()
	for lo := 0; lo < len(rows); k++ {
		hi := lo
		for hi < len(rows) && rows[hi].DistinctID == rows[lo].DistinctID {
			if of, err := r.UserOf(hi); err != nil || of != k {
				return orDiff(err, "row %d is of user %d, want %d", hi, of, k)
			}
			hi++
		}
		want := rows[lo].DistinctID
		if k >= r.Users() {
			return fmt.Errorf("%d users, want more", r.Users())
		}
		for _, user := range []func(int) (string, int, int, error){r.User, c.User} {
			if id, a, b, err := user(k); err != nil || id != want || a != lo || b != hi {
				return orDiff(err, "user %d: %q %d %d, want %q %d %d", k, id, a, b, want, lo, hi)
			}
		}
		if a, b, err := r.UserRange(want); err != nil || a != lo || b != hi {
			return orDiff(err, "range of %q: %d %d, want %d %d", want, a, b, lo, hi)
		}
		if at, found, err := r.FindUser(want + "\x00"); err != nil || at != k+1 || found && (hi == len(rows) || rows[hi].DistinctID != want+"\x00") {
			return orDiff(err, "after %q: user %d %v, want %d", want, at, found, k+1)
		}
		lo = hi
	}
	if r.Users() != k {
		return fmt.Errorf("%d users, want %d", r.Users(), k)
	}
	if a, b, err := r.UserRange("nobody of this name"); err != nil || a != b {
		return orDiff(err, "range of nobody: %d %d", a, b)
	}
	return nil
}

// windows are the ranges of rows for which arrays are compared.
func windows(n int) [][2]int {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	out := [][2]int{{0, n}, {0, 0}, {n, n}, {n / 2, n / 2}}
	for range 3 {
		lo := r.IntN(n + 1)
		out = append(out, [2]int{lo, min(n, lo+r.IntN(3000))})
	}
	return out
}

// columnTypes are the types that arrays are asked for in.
var columnTypes = []typeKey{{t: catalog.TypeNull}, {t: catalog.TypeBool}, {t: catalog.TypeInt}, {t: catalog.TypeDouble},
	{t: catalog.TypeString}, {t: catalog.TypeJSON}, {t: catalog.TypeDatetime}, {t: catalog.TypeDecimal, precision: 10, scale: 2}, {t: catalog.TypeDecimal, precision: 38, scale: 0}}

// cell is an element of an array: its text, or nil for null.
func cell(a arrow.Array, i int) *string {
	if a.IsNull(i) {
		return nil
	}
	var s string
	switch a := a.(type) {
	case *array.Dictionary:
		s = a.Dictionary().(*array.String).Value(a.GetValueIndex(i))
	case *array.String:
		s = a.Value(i)
	case *array.Boolean:
		s = fmt.Sprint(a.Value(i))
	case *array.Int64:
		s = fmt.Sprint(a.Value(i))
	case *array.Float64:
		s = fmt.Sprint(a.Value(i))
	case *array.Timestamp:
		s = fmt.Sprint(int64(a.Value(i)))
	default:
		s = fmt.Sprintf("%T", a)
	}
	return &s
}

// cellOf is what an array should hold for a value that catalog.Convert gave.
func cellOf(v catalog.Value, ok bool) *string {
	if !ok {
		return nil
	}
	s := v.Text
	switch v.Kind {
	case catalog.KindBool:
		s = fmt.Sprint(v.Bool())
	case catalog.KindInt:
		s = fmt.Sprint(v.Int())
	case catalog.KindDouble:
		s = fmt.Sprint(v.Double())
	}
	return &s
}

func checkArray(what string, a arrow.Array, err error, lo, hi int, want func(i int) *string) error {
	if err != nil {
		return err
	}
	if a.Len() != hi-lo {
		return fmt.Errorf("%s of [%d, %d): %d elements", what, lo, hi, a.Len())
	}
	nulls := 0
	for i := lo; i < hi; i++ {
		got, want := cell(a, i-lo), want(i)
		if want == nil {
			nulls++
		}
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			return fmt.Errorf("%s of [%d, %d): row %d is %s, want %s", what, lo, hi, i, show(got), show(want))
		}
	}
	if a.NullN() != nulls {
		return fmt.Errorf("%s of [%d, %d): %d nulls, want %d", what, lo, hi, a.NullN(), nulls)
	}
	a.Release()
	return nil
}

func show(s *string) string {
	if s == nil {
		return "null"
	}
	return fmt.Sprintf("%q", *s)
}

func checkArrays(r *Reader, rows []Row) error {
	str := func(f func(*Row) (string, bool)) func(i int) *string {
		return func(i int) *string {
			if s, ok := f(&rows[i]); ok {
				return &s
			}
			return nil
		}
	}
	for _, w := range windows(len(rows)) {
		lo, hi := w[0], w[1]
		for _, c := range []struct {
			what string
			get  func(lo, hi int) (arrow.Array, error)
			want func(*Row) (string, bool)
		}{
			{"event", r.EventArray, func(row *Row) (string, bool) { return row.Name, true }},
			{"time", r.TimeArray, func(row *Row) (string, bool) { return fmt.Sprint(row.Time), true }},
			{"raw time", r.TimeRawArray, func(row *Row) (string, bool) { return fmt.Sprint(row.Time), !row.ServerTime }},
			{"distinct id", r.DistinctIDArray, func(row *Row) (string, bool) { return row.DistinctID, true }},
			{"insert id", r.InsertIDArray, func(row *Row) (string, bool) { return row.InsertID, row.InsertID != "" }},
			{"ingest id", r.IngestIDArray, func(row *Row) (string, bool) { return row.ID.String(), true }},
			{"ingested at", r.IngestedAtArray, func(row *Row) (string, bool) { return fmt.Sprint(row.ID.Time / 1000), true }},
			{"properties", r.PropertiesArray, func(row *Row) (string, bool) { return string(appendProperties(nil, row.Properties)), true }},
		} {
			a, err := c.get(lo, hi)
			if err := checkArray(c.what, a, err, lo, hi, str(c.want)); err != nil {
				return err
			}
		}
	}
	return checkObjects(r, rows)
}

// checkObjects compares objects of one property, of all that there are and of one that
// there is not.
func checkObjects(r *Reader, rows []Row) error {
	names := map[string]bool{"no such property": true, "": true}
	for i := range rows {
		for _, p := range rows[i].Properties {
			names[p.Name] = true
		}
	}
	for name := range names {
		whole := name == "" || r.property(name) == nil && !r.column(columnOthers).empty()
		object := func(i int) *string {
			s := string(appendProperties(nil, rows[i].Properties))
			if whole {
				return &s
			}
			for _, p := range rows[i].Properties {
				if p.Name == name {
					s := string(appendProperties(nil, []catalog.Property{p}))
					return &s
				}
			}
			return nil
		}
		for _, w := range windows(len(rows)) {
			a, err := r.PropertyObjectArray(name, w[0], w[1])
			if err := checkArray("object of "+name, a, err, w[0], w[1], object); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkProperties(r *Reader, rows []Row) error {
	infos := map[string]*PropertyInfo{}
	values := map[string][]catalog.Value{} // by row; kind 255 where absent
	const absent = 255
	for i := range rows {
		for _, p := range rows[i].Properties {
			if infos[p.Name] == nil {
				infos[p.Name] = &PropertyInfo{Name: p.Name}
				values[p.Name] = make([]catalog.Value, len(rows))
				for j := range rows {
					values[p.Name][j].Kind = absent
				}
			}
			infos[p.Name].Kinds[p.Value.Kind]++
			values[p.Name][i] = p.Value
		}
	}
	others := map[int]bool{}
	for name, want := range infos {
		info, ok := r.Property(name)
		if !ok {
			info = *want
			for i, v := range values[name] {
				if v.Kind != absent {
					others[i] = true
				}
			}
		}
		if want.Kinds != info.Kinds {
			return fmt.Errorf("property %q: %v, want %v", info.Name, info, want)
		}
		for _, key := range columnTypes {
			if err := checkProperty(r, info.Name, key, values[info.Name]); err != nil {
				return fmt.Errorf("property %q (%s) as %v: %w", info.Name, info.Encoding, key, err)
			}
		}
	}
	if len(others) != r.OtherProperties() {
		return fmt.Errorf("%d rows with other properties, want %d", r.OtherProperties(), len(others))
	}
	for _, info := range r.Properties() {
		if infos[info.Name] == nil {
			return fmt.Errorf("property %q is not in any row", info.Name)
		}
	}
	missing := make([]catalog.Value, len(rows))
	return checkProperty(r, "no such property", columnTypes[4], missing)
}

func checkProperty(r *Reader, name string, key typeKey, values []catalog.Value) error {
	convert := func(i int) (catalog.Value, bool) {
		if values[i].Kind > catalog.KindJSON {
			return catalog.Value{}, false
		}
		return catalog.Convert(values[i], key.t, key.precision, key.scale)
	}
	for _, w := range windows(len(values)) {
		a, err := r.PropertyArray(name, key.t, key.precision, key.scale, w[0], w[1])
		if err := checkArray("array", a, err, w[0], w[1], func(i int) *string { return cellOf(convert(i)) }); err != nil {
			return err
		}
	}
	for b := range r.Blocks() {
		rng, err := r.BlockRange(b, name, key.t, key.precision, key.scale)
		if err != nil {
			return err
		}
		for i := b * BlockRows; rng.Known && i < min((b+1)*BlockRows, len(values)); i++ {
			v, ok := convert(i)
			if !ok {
				continue
			}
			if rng.Empty || compareTyped(key.t, rng.Min, v) > 0 || compareTyped(key.t, v, rng.Max) > 0 {
				return fmt.Errorf("row %d: %v is out of the range %v of its block", i, v, rng)
			}
		}
	}
	return nil
}

// random rows, of every shape that a file must hold

// shape is what one random file looks like.
type shape struct {
	rows, users, requests int
	columns               []func(*rand.Rand) (catalog.Value, bool)
	insertID              func(*rand.Rand) string
	unit                  int64
	inTurn                bool  // rows come about in the order of their times
	ofUser                []int // of each column: in so many rows of 1,000 its value is the user's
}

// valueShapes are properties of different habits.
var valueShapes = []func(*rand.Rand) (catalog.Value, bool){
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.String(fmt.Sprint("v", r.IntN(5))), true },
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.String("constant"), true },
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.String("constant"), r.IntN(2) == 0 },
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.Null, r.IntN(30) == 0 },
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.Int(int64(r.IntN(300))), r.IntN(3) > 0 },
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.Int(int64(r.Uint64())), true },
	func(r *rand.Rand) (catalog.Value, bool) {
		return catalog.Int(1_700_000_000 + int64(r.IntN(1<<30))), r.IntN(4) > 0
	},
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.Int(int64(r.IntN(1 << 40))), r.IntN(40) == 0 },
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.Double(r.NormFloat64()), true },
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.Double(r.NormFloat64()), r.IntN(2) == 0 },
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.Bool(r.IntN(2) == 0), r.IntN(5) > 0 },
	func(r *rand.Rand) (catalog.Value, bool) { // prices
		cents := r.IntN(100_000)
		if cents%100 == 0 {
			return catalog.Int(int64(cents / 100)), true
		}
		return catalog.Double(float64(cents) / 100), true
	},
	func(r *rand.Rand) (catalog.Value, bool) {
		return catalog.Double(float64(r.IntN(1<<30)) / 1000), r.IntN(2) == 0
	},
	func(r *rand.Rand) (catalog.Value, bool) { // every row another number of either kind
		if r.IntN(3) == 0 {
			return catalog.Int(int64(r.Uint64())), true
		}
		return catalog.Double(r.Float64()), r.IntN(2) == 0
	},
	func(r *rand.Rand) (catalog.Value, bool) { return anyValue(r), true },
	func(r *rand.Rand) (catalog.Value, bool) { return anyValue(r), r.IntN(50) == 0 },
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.String(randomText(r, 60)), true },
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.String(randomText(r, 30)), r.IntN(3) == 0 },
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.String(fmt.Sprintf("%d", r.IntN(2000))), true },
	func(r *rand.Rand) (catalog.Value, bool) {
		return catalog.JSON(fmt.Sprintf(`{"a":[%d,"%s"]}`, r.IntN(10), randomText(r, 3))), r.IntN(2) == 0
	},
	func(r *rand.Rand) (catalog.Value, bool) {
		return catalog.Number(fmt.Sprintf("%d.%d0", r.IntN(90), r.IntN(10))), true
	},
	func(r *rand.Rand) (catalog.Value, bool) { return catalog.String("rare"), r.IntN(3000) == 0 },
	func(r *rand.Rand) (catalog.Value, bool) {
		return catalog.String("2026-01-02T03:04:05Z"), r.IntN(3) == 0
	},
}

func anyValue(r *rand.Rand) catalog.Value {
	switch r.IntN(8) {
	case 0:
		return catalog.Null
	case 1:
		return catalog.Bool(r.IntN(2) == 0)
	case 2:
		return catalog.Int(int64(r.IntN(20)))
	case 3:
		return catalog.Double(float64(r.IntN(20)) / 4)
	case 4:
		return catalog.Number([]string{"1.0", "1e400", "-0", "123456789012345678901234567890", "1e2"}[r.IntN(5)])
	case 5:
		return catalog.JSON([]string{"[]", "{}", `[1,2]`, `{"k":null}`}[r.IntN(4)])
	case 6:
		return catalog.String(randomText(r, 12))
	default:
		return catalog.String([]string{"", "\x00", "1", "true", "null", "é", "2026-05-05", strings.Repeat("x", 300)}[r.IntN(8)])
	}
}

func randomText(r *rand.Rand, max int) string {
	b := make([]byte, r.IntN(max+1))
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789 \x00\""[r.IntN(40-1)]
	}
	return string(b)
}

func randomUUID4(r *rand.Rand) string {
	id := []byte(randomUUID(r))
	id[14], id[19] = '4', "89ab"[r.IntN(4)]
	return string(id)
}

func randomUUID(r *rand.Rand) string {
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", r.Uint32(), r.Uint32()&0xffff, r.Uint32()&0xffff, r.Uint32()&0xffff, r.Uint64()&(1<<48-1))
}

// plainInsertShapes are the habits of one client each.
var plainInsertShapes = []func(*rand.Rand) string{
	randomUUID,
	func(r *rand.Rand) string { return "" },
	func(r *rand.Rand) string { return strings.ToUpper(randomUUID(r)) },
	func(r *rand.Rand) string { return strings.ReplaceAll(randomUUID(r), "-", "") },
	func(r *rand.Rand) string { return randomText(r, 36) },
	func(r *rand.Rand) string { return fmt.Sprint("id-", r.IntN(50)) },
}

// mixedInsertShape is a UUID but for one in some.
func mixedInsertShape(some int) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		if r.IntN(some) > 0 {
			return randomUUID(r)
		}
		return plainInsertShapes[r.IntN(len(plainInsertShapes))](r)
	}
}

var insertShapes = append(plainInsertShapes, mixedInsertShape(10), mixedInsertShape(2),
	randomUUID4,
	func(r *rand.Rand) string {
		if r.IntN(60) == 0 {
			return randomUUID(r)
		}
		return randomUUID4(r)
	},
	func(r *rand.Rand) string { return strings.ToUpper(strings.ReplaceAll(randomUUID4(r), "-", "")) })

func randomShape(r *rand.Rand, rows int) shape {
	s := shape{rows: rows, users: 1 + r.IntN(1+rows), requests: 1 + r.IntN(1+rows), insertID: insertShapes[r.IntN(len(insertShapes))],
		unit: []int64{1, 1000, 1_000_000, 37}[r.IntN(4)], inTurn: r.IntN(2) == 0}
	for range r.IntN(len(valueShapes) + 6) {
		s.columns = append(s.columns, valueShapes[r.IntN(len(valueShapes))])
		s.ofUser = append(s.ofUser, []int{0, 1000, 980}[r.IntN(3)])
	}
	return s
}

func (s shape) make(r *rand.Rand) []Row {
	rows := make([]Row, s.rows)
	base := int64(r.IntN(40_000)) * catalog.DayMicros
	if r.IntN(10) == 0 {
		base = -base
	}
	base -= base % s.unit
	type ofUser struct {
		v  catalog.Value
		ok bool
	}
	users := map[string]ofUser{}
	perRequest := 1 + r.IntN(200)
	for i := range rows {
		row := &rows[i]
		request := uint64(r.IntN(s.requests))
		row.ID = catalog.IngestID{Time: 1_700_000_000_000_000_000 + request*request*1_000_003, Edge: uint32(request%3) * 0x1000_0001, Index: uint32(r.IntN(2000))}
		row.Name = fmt.Sprint("event ", r.IntN(30))
		row.Time = base + r.Int64N(catalog.DayMicros/s.unit)*s.unit
		if s.inTurn {
			// Some late, and most not.
			at := uint64(i / perRequest)
			row.ID = catalog.IngestID{Time: 1_700_000_000_000_000_000 + (at^1)*1_000_000_007, Edge: uint32(at % 3), Index: uint32(i % perRequest)}
			part := catalog.DayMicros / s.unit / int64(s.rows+50)
			if r.IntN(20) > 0 {
				row.Time = base + (int64(i)*part+r.Int64N(30*part+1))*s.unit
			}
		}
		row.ServerTime = r.IntN(100) == 0
		row.DistinctID = fmt.Sprint("user ", r.IntN(s.users))
		if r.IntN(200) == 0 {
			row.DistinctID = ""
		}
		row.InsertID = s.insertID(r)
		for k, column := range s.columns {
			v, ok := column(r)
			if s.ofUser[k] > 0 && r.IntN(1000) < s.ofUser[k] {
				// What is known of a user is the same in the next row, too.
				key := fmt.Sprint(k, row.DistinctID)
				known, met := users[key]
				if met && known.ok {
					v, ok = known.v, known.ok
				} else {
					users[key] = ofUser{v, ok}
				}
			}
			if ok {
				row.Properties = append(row.Properties, catalog.Property{Name: fmt.Sprintf("p%02d", k), Value: v})
			}
		}
	}
	sortRows(rows)
	return rows
}
