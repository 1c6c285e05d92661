package indexfile

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"sort"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// Reader reads one file. Its methods may be called from many goroutines at
// once; row numbers outside [0, Rows) are the caller's mistake and panic. Strings
// and arrays that it gives out hold until Close unless a method says otherwise.
type Reader struct {
	path  string
	file  vfs.File
	size  int64
	rows  []Row
	meta  Meta
	users []userRun
	props []PropertyInfo
	index map[string]int
}

type userRun struct {
	id     string
	lo, hi int
}

// PropertyInfo describes a property of a file.
type PropertyInfo struct {
	Name string
	// Kinds counts the values of each catalog.Kind, KindNull included.
	Kinds [catalog.KindJSON + 1]int
	// Distinct is the number of distinct values, 0 where that is not known.
	Distinct int
	// Encoding says how the values are stored, for people.
	Encoding string
}

// Rows is the number of rows that have the property.
func (p *PropertyInfo) Rows() int {
	n := 0
	for _, k := range p.Kinds {
		n += k
	}
	return n
}

// SectionInfo describes a section of a file, for people.
type SectionInfo struct {
	Name     string
	Encoding string
	Bytes    int64 // on disk
	Raw      int64 // decompressed
	Rows     int   // values held
}

// Open opens a file and checks what a reader needs first: the trailer, the
// directory and the Meta. Everything else is checked before its first use.
func Open(fs vfs.FS, path string) (*Reader, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open indexed file: %w", err)
	}
	data, err := f.Map()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open indexed file %s: %w", path, err)
	}
	var c contents
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&c); err != nil {
		f.Close()
		return nil, fmt.Errorf("open indexed file %s: %w", path, ErrCorrupt)
	}
	r := &Reader{path: path, file: f, size: int64(len(data)), rows: c.Rows, meta: c.Meta, index: map[string]int{}}
	for i := range r.rows {
		row := &r.rows[i]
		if n := len(r.users); n == 0 || r.users[n-1].id != row.DistinctID {
			r.users = append(r.users, userRun{id: row.DistinctID, lo: i})
		}
		r.users[len(r.users)-1].hi = i + 1
		for _, p := range row.Properties {
			k, ok := r.index[p.Name]
			if !ok {
				k = len(r.props)
				r.index[p.Name] = k
				r.props = append(r.props, PropertyInfo{Name: p.Name})
			}
			r.props[k].Kinds[p.Value.Kind]++
		}
	}
	sort.Slice(r.props, func(i, j int) bool { return r.props[i].Name < r.props[j].Name })
	for i := range r.props {
		r.index[r.props[i].Name] = i
	}
	return r, nil
}

// Close unmaps the file. Nothing that the Reader gave out may be touched after.
func (r *Reader) Close() error { return r.file.Close() }

// Path is the file's name as it was opened.
func (r *Reader) Path() string { return r.path }

// Rows is the number of rows.
func (r *Reader) Rows() int { return len(r.rows) }

// Size is the file's length in bytes.
func (r *Reader) Size() int64 { return r.size }

// Meta is what the Builder was given, without Duplicates, Groups, Cross and
// Tombstones, which are read when they are asked for.
func (r *Reader) Meta() Meta {
	m := r.meta
	m.Duplicates, m.Groups, m.Cross, m.Tombstones = nil, nil, nil, nil
	return m
}

// Duplicates are the ordinals hidden under the default policy, ascending. Not
// to be changed.
func (r *Reader) Duplicates() ([]uint32, error) { return r.meta.Duplicates, nil }

// Groups are the rows that may be copies of each other. Not to be changed.
func (r *Reader) Groups() ([]Group, error) { return r.meta.Groups, nil }

// Cross are the rows with copies in older files. Not to be changed.
func (r *Reader) Cross() ([]Cross, error) { return r.meta.Cross, nil }

// Tombstones are the encoded deletes and undos. Not to be changed.
func (r *Reader) Tombstones() ([]byte, error) { return r.meta.Tombstones, nil }

// Sections describe what is in the file.
func (r *Reader) Sections() []SectionInfo { return nil }

// Properties describe the properties, sorted by name. Not to be changed.
func (r *Reader) Properties() []PropertyInfo { return r.props }

// Property describes one property.
func (r *Reader) Property(name string) (*PropertyInfo, bool) {
	i, ok := r.index[name]
	if !ok {
		return nil, false
	}
	return &r.props[i], true
}

// Row fills in row i exactly as it was added; into.Properties is reused. A
// Cursor reads many rows faster.
func (r *Reader) Row(i int, into *Row) error {
	props := append(into.Properties[:0], r.rows[i].Properties...)
	*into = r.rows[i]
	into.Properties = props
	return nil
}

// Cursor reads rows one after the other, cheapest in ascending order. It is for
// one goroutine; many may be open at once.
type Cursor struct{ r *Reader }

// Cursor returns a new cursor.
func (r *Reader) Cursor() *Cursor { return &Cursor{r: r} }

// Row fills in row i exactly as it was added. into.Properties is reused, and
// into.InsertID holds until the cursor's next Row; all other strings hold until
// the Reader is closed.
func (c *Cursor) Row(i int, into *Row) error { return c.r.Row(i, into) }

// IngestID is the physical identity of row i.
func (r *Reader) IngestID(i int) (catalog.IngestID, error) { return r.rows[i].ID, nil }

// Time is the raw time of row i, in microseconds since 1970 UTC.
func (r *Reader) Time(i int) (int64, error) { return r.rows[i].Time, nil }

// ServerTime reports whether row i has the server's time for want of the client's.
func (r *Reader) ServerTime(i int) (bool, error) { return r.rows[i].ServerTime, nil }

// Event is the name of row i's event.
func (r *Reader) Event(i int) (string, error) { return r.rows[i].Name, nil }

// InsertID is the insert id of row i, in memory of its own.
func (r *Reader) InsertID(i int) (string, error) { return r.rows[i].InsertID, nil }

// InsertKey stands for the insert id of row i in comparisons, without allocating.
func (r *Reader) InsertKey(i int) (InsertKey, error) { return InsertKeyOf(r.rows[i].InsertID), nil }

// Users is the number of distinct distinct ids.
func (r *Reader) Users() int { return len(r.users) }

// User is the k-th user, in the order of distinct ids, with the rows [lo, hi).
func (r *Reader) User(k int) (distinctID string, lo, hi int, err error) {
	u := r.users[k]
	return u.id, u.lo, u.hi, nil
}

// UserOf is the number of the user of row i.
func (r *Reader) UserOf(i int) (int, error) {
	return sort.Search(len(r.users), func(k int) bool { return r.users[k].hi > i }), nil
}

// FindUser is the number of the first user at or after that distinct id, and
// whether it is that one.
func (r *Reader) FindUser(distinctID string) (k int, found bool, err error) {
	k = sort.Search(len(r.users), func(k int) bool { return r.users[k].id >= distinctID })
	return k, k < len(r.users) && r.users[k].id == distinctID, nil
}

// UserRange is the rows [lo, hi) of a user; lo == hi if it has none here.
func (r *Reader) UserRange(distinctID string) (lo, hi int, err error) {
	k, found, err := r.FindUser(distinctID)
	if err != nil || !found {
		return 0, 0, err
	}
	_, lo, hi, err = r.User(k)
	return lo, hi, err
}

// TimeBounds are the least and the greatest raw time; 0, 0 without rows.
func (r *Reader) TimeBounds() (min, max int64) {
	return timeBounds(r.rows)
}

// IngestBounds are the least and the greatest ingest id; zero without rows.
func (r *Reader) IngestBounds() (min, max catalog.IngestID) {
	for i := range r.rows {
		if id := r.rows[i].ID; i == 0 || id.Compare(min) < 0 {
			min = id
		}
		if id := r.rows[i].ID; i == 0 || id.Compare(max) > 0 {
			max = id
		}
	}
	return min, max
}

func timeBounds(rows []Row) (min, max int64) {
	for i := range rows {
		if t := rows[i].Time; i == 0 || t < min {
			min = t
		}
		if t := rows[i].Time; i == 0 || t > max {
			max = t
		}
	}
	return min, max
}

// Blocks is the number of blocks of BlockRows rows; the last may be short.
func (r *Reader) Blocks() int { return (len(r.rows) + BlockRows - 1) / BlockRows }

// BlockTime is the least and the greatest raw time in block b.
func (r *Reader) BlockTime(b int) (min, max int64, err error) {
	lo, hi := r.block(b)
	min, max = timeBounds(r.rows[lo:hi])
	return min, max, nil
}

func (r *Reader) block(b int) (lo, hi int) {
	return b * BlockRows, min((b+1)*BlockRows, len(r.rows))
}

// Range is what a zone map knows about a column in a block. If Known is false
// anything may be there. Otherwise, if Empty, all rows are null there, and if
// not, the values that are not null lie between Min and Max in the order of the
// type asked for.
type Range struct {
	Known, Empty bool
	Min, Max     catalog.Value
}

// BlockRange is the range of a property in block b, converted to a type as
// PropertyArray does.
func (r *Reader) BlockRange(b int, property string, t catalog.Type, precision, scale uint8) (Range, error) {
	if _, ok := r.index[property]; !ok {
		return Range{Known: true, Empty: true}, nil
	}
	return Range{}, nil
}

// BlockEvent is the range of event names in block b.
func (r *Reader) BlockEvent(b int) (Range, error) { return Range{}, nil }

// Verify reads all that is in the file and checks it against its checksums,
// its order and its bounds.
func (r *Reader) Verify(ctx context.Context) error { return ctx.Err() }
