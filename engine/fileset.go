package engine

import (
	"errors"
	"slices"
	"sync/atomic"

	"arbor/catalog"
	"arbor/engine/event"
)

// fileset is the files of a shard at one moment, oldest first. It does not
// change, but for what is worked out once, which the tail's turn guards.
type fileset struct {
	files []*file
	// marks are those of all files together.
	marks tombstones
	refs  atomic.Int64

	// links are the groups that reach across files; nil until worked out.
	links *links
	// targets are, for each file, its rows that some delete in marks names; nil
	// until worked out.
	targets [][]located
}

func newFileset(files []*file) *fileset {
	s := &fileset{files: files}
	s.refs.Store(1)
	for _, f := range files {
		f.refs.Add(1)
		s.marks.add(&f.marks)
	}
	s.marks.compact()
	return s
}

// replace is the set without the removed files and with the added one.
func (s *fileset) replace(removed []*file, added *file) *fileset {
	var files []*file
	for _, f := range s.files {
		if !slices.Contains(removed, f) {
			files = append(files, f)
		}
	}
	if added != nil {
		files = append(files, added)
	}
	return newFileset(files)
}

func (s *fileset) acquire() { s.refs.Add(1) }

// release lets go of the set; with the last one go its files, where no other set
// holds them.
func (s *fileset) release() error {
	if s.refs.Add(-1) != 0 {
		return nil
	}
	var errs []error
	for _, f := range s.files {
		if f.refs.Add(-1) == 0 {
			f.pairs.drop()
			f.groups.drop()
			f.filters.drop(f)
			errs = append(errs, f.reader.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *fileset) rows() (n int64) {
	for _, f := range s.files {
		n += int64(f.rows())
	}
	return n
}

func (s *fileset) bytes() (n int64) {
	for _, f := range s.files {
		n += f.reader.Size()
	}
	return n
}

// located is a row found by its ingest id.
type located struct {
	ordinal uint32
	id      catalog.IngestID
}

// locate finds the file's rows that bear one of the ids, which are ascending.
func (f *file) locate(ids []catalog.IngestID) ([]located, error) {
	found, err := f.reader.FindIDs(ids)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	rows := make([]located, len(found))
	for i, row := range found {
		rows[i].ordinal = row
		if rows[i].id, err = f.reader.IngestID(int(row)); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// deleted gives, for each file, the rows that some delete of the set names.
func (s *fileset) deleted() ([][]located, error) {
	if s.targets != nil || len(s.marks.deletes) == 0 {
		return s.targets, nil
	}
	targets, err := s.locate(allTargets(s.marks.deletes))
	if err == nil {
		s.targets = targets
	}
	return targets, err
}

// locate finds rows of all files by their ids, which are ascending.
func (s *fileset) locate(ids []catalog.IngestID) ([][]located, error) {
	rows := make([][]located, len(s.files))
	for i, f := range s.files {
		var err error
		if rows[i], err = f.locate(ids); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// allTargets are the ids that deletes name, ascending, each once.
func allTargets(deletes []event.Delete) []catalog.IngestID {
	var ids []catalog.IngestID
	for i := range deletes {
		ids = append(ids, deletes[i].Targets...)
	}
	return sortIDs(ids)
}

func sortIDs(ids []catalog.IngestID) []catalog.IngestID {
	slices.SortFunc(ids, catalog.IngestID.Compare)
	return slices.Compact(ids)
}
