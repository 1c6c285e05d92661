package indexfile

import (
	"bytes"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// Reader reads one file. Its methods may be called from many goroutines at
// once; row numbers outside [0, Rows) are the caller's mistake and panic.
// Strings and arrays that it gives out hold until Close unless a method says
// otherwise: they alias the mapped file.
//
// Any method that returns an error may return ErrCorrupt, with the file and the
// section, the first time it touches a section that is damaged, and then always.
type Reader struct {
	path    string
	file    vfs.File
	data    []byte
	version uint32
	// seal is the checksum of the footer as it was opened, which has those of all else.
	seal     uint64
	footer   footer
	sections []section
	columns  []columnSlot // by number

	times      lazy[times]
	timeRuns   lazy[TimeRuns]
	ingest     lazy[ingestIDs]
	inserts    lazy[insertIDs]
	users      lazy[users]
	duplicates lazy[[]uint32]
	groups     lazy[[]Group]
	cross      lazy[[]Cross]
	properties lazy[[]PropertyInfo]
	cursors    sync.Pool // of *Cursor, for Row

	kept    *Kept // nil for none
	decoded int64 // what is held decoded; see decodedParts
	used    atomic.Bool
	closed  atomic.Bool
}

// Close unmaps the file. Nothing that the Reader gave out may be touched after.
func (r *Reader) Close() error {
	r.closed.Store(true)
	if r.kept != nil {
		r.kept.forget(r)
	}
	return r.file.Close()
}

// Path is the file's name as it was opened.
func (r *Reader) Path() string { return r.path }

// Version is the version of the format that the file was written in.
func (r *Reader) Version() uint32 { return r.version }

// Rows is the number of rows.
func (r *Reader) Rows() int { return r.footer.rows }

// Size is the file's length in bytes.
func (r *Reader) Size() int64 { return int64(len(r.data)) }

// Content reads the file's bytes, for copying it as it is, and may be read at any place.
// It reads the file rather than the mapping, so that a disk that does not give them any
// more is an error.
func (r *Reader) Content() *io.SectionReader { return io.NewSectionReader(r.file, 0, r.Size()) }

// Meta is what the Builder was given, without Duplicates, Groups, Cross and
// Tombstones, which have methods of their own. Not to be changed.
func (r *Reader) Meta() Meta {
	m := r.footer.meta
	m.Duplicates, m.Groups, m.Cross, m.Tombstones = nil, nil, nil, nil
	return m
}

// Duplicates are the ordinals hidden under the default policy, ascending. Not
// to be changed.
func (r *Reader) Duplicates() ([]uint32, error) {
	v, err := r.duplicates.get(func() (*[]uint32, error) {
		var out []uint32
		err := r.decodePart(partDuplicates, func(d *decoder) { out = readDuplicates(d, r.footer.duplicates, r.Rows()) })
		holds[uint32](r, len(out))
		return &out, err
	})
	return deref(v), err
}

// Groups are the rows that may be copies of each other. Not to be changed.
func (r *Reader) Groups() ([]Group, error) {
	v, err := r.groups.get(func() (*[]Group, error) {
		var out []Group
		members := 0
		err := r.decodePart(partGroups, func(d *decoder) { out = readGroups(d, r.footer.groups, r.Rows()) })
		holds[Group](r, len(out))
		for i := range out {
			members += len(out[i].Members)
		}
		holds[Member](r, members)
		return &out, err
	})
	return deref(v), err
}

// Cross are the rows with copies in older files. Not to be changed.
func (r *Reader) Cross() ([]Cross, error) {
	v, err := r.cross.get(func() (*[]Cross, error) {
		var out []Cross
		err := r.decodePart(partCross, func(d *decoder) { out = readCross(d, r.footer.cross, r.Rows()) })
		holds[Cross](r, len(out))
		return &out, err
	})
	return deref(v), err
}

// Tombstones are the encoded deletes and undos. Not to be changed.
func (r *Reader) Tombstones() ([]byte, error) { return r.column(columnFile).part(partTombstones) }

// DuplicateCount, GroupCount and CrossCount are the lengths of the lists, known
// without reading them.
func (r *Reader) DuplicateCount() int { return r.footer.duplicates }

// GroupCount is the number of Groups.
func (r *Reader) GroupCount() int { return r.footer.groups }

// CrossCount is the number of Cross references.
func (r *Reader) CrossCount() int { return r.footer.cross }

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// decodePart decodes a part of the file to its end.
func (r *Reader) decodePart(kind partKind, decode func(*decoder)) error {
	b, err := r.column(columnFile).part(kind)
	if err != nil {
		return err
	}
	d := &decoder{bytes: b}
	decode(d)
	if wrong := d.end(); wrong != "" {
		return r.corrupt(kind.String(), wrong)
	}
	return nil
}

// packedPart gives a packed array with a value for each row.
func (r *Reader) packedPart(kind partKind, base uint64, width uint8) (packed, error) {
	b, err := r.column(columnFile).part(kind)
	if err == nil && len(b) != packedLen(r.Rows(), width) {
		err = r.corrupt(kind.String(), "length")
	}
	return packed{bytes: b, base: base, width: width}, err
}

func (r *Reader) timeColumn() (*times, error) {
	if t := r.times.value.Load(); t != nil {
		return t, nil
	}
	return r.times.get(func() (*times, error) {
		p, err := r.packedPart(partTimes, 0, r.footer.times.width)
		return &times{packed: p, info: r.footer.times}, err
	})
}

func (r *Reader) ingestColumn() (*ingestIDs, error) {
	if s := r.ingest.value.Load(); s != nil {
		return s, nil
	}
	return r.ingest.get(r.loadIngestIDs)
}

func (r *Reader) loadIngestIDs() (*ingestIDs, error) {
	info := r.footer.ingest
	s := &ingestIDs{info: info, edges: info.edges}
	if info.arrivals != nil {
		return s, r.loadArrivals(s)
	}
	var err error
	if s.indexes, err = r.packedPart(partIndexes, 0, info.indexWidth); err != nil {
		return nil, err
	}
	codesKind := partEdgeCodes
	if info.requests > 0 {
		codesKind = partRequestCodes
		b, err := r.column(columnFile).part(partRequests)
		if err != nil {
			return nil, err
		}
		if len(b) != 12*info.requests {
			return nil, r.corrupt(partRequests.String(), "length")
		}
		s.requestTimes, s.edges = view[uint64](b[:8*info.requests]), view[uint32](b[8*info.requests:])
	} else if s.times, err = r.packedPart(partIngestTimes, info.timeBase, info.timeWidth); err != nil {
		return nil, err
	}
	if s.codes, err = r.packedPart(codesKind, 0, info.codeWidth); err != nil {
		return nil, err
	}
	if s.codes.max(r.Rows()) >= uint64(len(s.edges)) && r.Rows() > 0 {
		return nil, r.corrupt(codesKind.String(), "code without an entry")
	}
	return s, nil
}

func (r *Reader) insertColumn() (*insertIDs, error) {
	if s := r.inserts.value.Load(); s != nil {
		return s, nil
	}
	return r.inserts.get(func() (*insertIDs, error) {
		b, err := r.column(columnFile).part(partPackedIDs)
		if err != nil {
			return nil, err
		}
		s := &insertIDs{insertInfo: r.footer.insert, packed: b, rest: r.column(columnInsertText)}
		if err := s.rest.load(); err != nil {
			return nil, err
		}
		return s, r.loadPackedIDs(s)
	})
}

func (r *Reader) userColumn() (*users, error) {
	r.use()
	if u := r.users.value.Load(); u != nil {
		return u, nil
	}
	return r.users.get(r.loadUsers)
}

func (r *Reader) loadUsers() (*users, error) {
	u := &users{}
	if err := r.decodePart(partRunLengths, func(d *decoder) { u.ends = readRunLengths(d, r.footer.users, r.Rows()) }); err != nil {
		return nil, err
	}
	holds[uint32](r, len(u.ends))
	c := r.column(columnDistinctID)
	if err := c.load(); err != nil {
		return nil, err
	}
	u.column = c
	if u.chunks = c.chunks; u.chunks == nil {
		u.chunks = &chunks{}
	}
	firsts, err := c.part(partFirsts)
	if err != nil {
		return nil, err
	}
	ok := false
	if u.firsts, ok = readTexts(firsts, u.chunks.len()); !ok {
		return nil, r.corrupt(r.partName(partFirsts, columnDistinctID), "offsets")
	}
	return u, nil
}

// IngestID is the physical identity of row i.
func (r *Reader) IngestID(i int) (catalog.IngestID, error) {
	s, err := r.ingestColumn()
	if err != nil {
		return catalog.IngestID{}, err
	}
	return s.at(i), nil
}

// Time is the raw time of row i, in microseconds since 1970 UTC.
func (r *Reader) Time(i int) (int64, error) {
	t, err := r.timeColumn()
	if err != nil {
		return 0, err
	}
	return t.at(i), nil
}

// ServerTime reports whether row i has the server's time for want of the client's.
func (r *Reader) ServerTime(i int) (bool, error) {
	c := r.column(columnServerTime)
	if err := c.load(); err != nil {
		return false, err
	}
	_, ok := c.slot(i)
	return ok, nil
}

// Event is the name of row i's event.
func (r *Reader) Event(i int) (string, error) {
	c := r.column(columnEvent)
	if err := c.load(); err != nil {
		return "", err
	}
	v, err := c.value(i, nil)
	return v.Text, err
}

// InsertKey stands for the insert id of row i in comparisons, without allocating
// where ids are packed.
func (r *Reader) InsertKey(i int) (InsertKey, error) {
	s, err := r.insertColumn()
	if err != nil {
		return InsertKey{}, err
	}
	slot, other := s.rest.slot(i)
	if !other {
		return s.key(i), nil
	}
	v, err := s.rest.value(slot, nil)
	return InsertKeyOf(v.Text), err
}

// InsertKeys puts the keys of the rows from lo on into keys.
func (r *Reader) InsertKeys(lo int, keys []InsertKey) error {
	s, err := r.insertColumn()
	if err != nil {
		return err
	}
	var last recent
	for i := range keys {
		slot, other := s.rest.slot(lo + i)
		if !other {
			keys[i] = s.key(lo + i)
			continue
		}
		v, err := s.rest.value(slot, &last)
		if err != nil {
			return err
		}
		keys[i] = InsertKeyOf(v.Text)
	}
	return nil
}

// InsertID is the insert id of row i; "" if it has none.
func (r *Reader) InsertID(i int) (string, error) {
	s, err := r.insertColumn()
	if err != nil {
		return "", err
	}
	slot, other := s.rest.slot(i)
	if !other {
		return string(s.append(nil, i)), nil
	}
	v, err := s.rest.value(slot, nil)
	return v.Text, err
}

// Users is the number of distinct distinct ids.
func (r *Reader) Users() int { return r.footer.users }

// User is the k-th user, in the order of distinct ids, with the rows [lo, hi).
// To walk all users, a Cursor is cheaper.
func (r *Reader) User(k int) (distinctID string, lo, hi int, err error) {
	var last recent
	return r.user(k, &last)
}

// user is User with what was looked at last.
func (r *Reader) user(k int, last *recent) (distinctID string, lo, hi int, err error) {
	u, err := r.userColumn()
	if err != nil {
		return "", 0, 0, err
	}
	v, err := u.column.value(k, last)
	if k > 0 {
		lo = int(u.ends[k-1])
	}
	return v.Text, lo, int(u.ends[k]), err
}

// UserOf is the number of the user of row i.
func (r *Reader) UserOf(i int) (int, error) {
	u, err := r.userColumn()
	if err != nil {
		return 0, err
	}
	return sort.Search(len(u.ends), func(k int) bool { return int(u.ends[k]) > i }), nil
}

// FindUser is the number of the first user at or after that distinct id, and
// whether it is that one.
func (r *Reader) FindUser(distinctID string) (k int, found bool, err error) {
	u, err := r.userColumn()
	if err != nil {
		return 0, false, err
	}
	n := sort.Search(u.chunks.len(), func(n int) bool { return u.firsts.at(n) > distinctID }) - 1
	if n < 0 {
		return 0, false, nil
	}
	c, err := u.column.fewOf(n)
	if err != nil {
		return 0, false, err
	}
	id := []byte(distinctID)
	at := sort.Search(len(c.ends), func(i int) bool { return bytes.Compare(c.at(c.first+i), id) >= 0 })
	k = c.first + at
	return k, at < len(c.ends) && bytes.Equal(c.at(k), id), nil
}

// UserRange is the rows [lo, hi) of a user; lo == hi if it has none here.
func (r *Reader) UserRange(distinctID string) (lo, hi int, err error) {
	k, found, err := r.FindUser(distinctID)
	if err != nil || !found {
		return 0, 0, err
	}
	u, err := r.userColumn()
	if err != nil {
		return 0, 0, err
	}
	if k > 0 {
		lo = int(u.ends[k-1])
	}
	return lo, int(u.ends[k]), nil
}

// TimeBounds are the least and the greatest raw time; 0, 0 without rows.
func (r *Reader) TimeBounds() (min, max int64) { return r.footer.times.least, r.footer.times.greatest }

// IngestBounds are the least and the greatest ingest id; zero without rows.
func (r *Reader) IngestBounds() (min, max catalog.IngestID) {
	return r.footer.ingest.least, r.footer.ingest.greatest
}

// property is the column of a property; nil if the file has none.
func (r *Reader) property(name string) *column {
	props := r.footer.columns[columnProperties-columnEvent:]
	i, ok := sort.Find(len(props), func(i int) int { return strings.Compare(name, props[i].name) })
	if !ok {
		return nil
	}
	return r.column(columnProperties + i)
}

// String names the reader for messages.
func (r *Reader) String() string { return fmt.Sprintf("indexed file %s", r.path) }
