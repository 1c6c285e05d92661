package engine

import (
	"cmp"
	"slices"

	"arbor/engine/event"
	"arbor/engine/indexfile"
)

// links are the groups that reach across the files of a set. Each file's Cross
// table says which of its rows have copies in files that were there when it was
// built; since a shard's files are built one after the other, every pair of
// files is spoken of by the younger one.
type links struct {
	groups []group
	// of finds a row's group.
	of map[place]int32
}

// group is rows of several files that some policy may take for copies.
type group struct {
	members []member
	keyed   bool
}

// linked works out the set's links.
func (s *fileset) linked() (*links, error) {
	if s.links != nil {
		return s.links, nil
	}
	l := &links{of: map[place]int32{}}
	if len(s.files) > 1 {
		if err := s.link(l); err != nil {
			return nil, err
		}
	}
	s.links = l
	return l, nil
}

func (s *fileset) link(l *links) error {
	numbers := map[string]int32{}
	for i, f := range s.files {
		numbers[f.name.String()] = int32(i)
	}
	joined := joiner{parent: map[place]place{}}
	for i, f := range s.files {
		cross, err := f.reader.Cross()
		if err != nil {
			return err
		}
		for _, c := range cross {
			j, ok := numbers[c.File]
			if !ok {
				continue // replaced since; whoever replaced it speaks of this pair
			}
			mine, err := s.head(place{int32(i), c.Ordinal})
			if err != nil {
				return err
			}
			other, err := s.head(place{j, c.Other})
			if err != nil {
				return err
			}
			joined.join(mine, other)
		}
	}
	groups := s.groupReader()
	for _, heads := range joined.sets() {
		g, err := groups.load(heads)
		if err != nil {
			return err
		}
		for _, m := range g.members {
			l.of[m.at] = int32(len(l.groups))
		}
		l.groups = append(l.groups, g)
	}
	return nil
}

// groupReader reads groups, cheapest in the order of their rows: a cursor has at hand
// what it decoded for the row before. It is for one goroutine.
type groupReader struct {
	files   []*file
	cursors []*cursor // of the files, nil where none was needed yet
}

func (s *fileset) groupReader() *groupReader {
	return &groupReader{s.files, make([]*cursor, len(s.files))}
}

// load reads the rows that heads stand for.
func (r *groupReader) load(heads []place) (group, error) {
	var g group
	for _, h := range heads {
		f := r.files[h.source]
		ordinals, err := f.copiesOf(h.ordinal)
		if err != nil {
			return g, err
		}
		c := r.cursors[h.source]
		if c == nil {
			c = f.cursor()
			r.cursors[h.source] = c
		}
		for _, o := range ordinals {
			e, err := c.event(int(o))
			if err != nil {
				return g, err
			}
			g.keyed = e.InsertID != ""
			g.members = append(g.members, memberOf(e, place{h.source, o}))
		}
	}
	return g, nil
}

// memberOf is what a group keeps of an event. Its name is the event's, which
// must hold for as long.
func memberOf(e *event.Event, at place) member {
	hi, lo := event.PayloadHash(e)
	return member{id: e.ID, payload: fingerprint{hi, lo}, name: e.Name, time: e.Time, at: at}
}

// head is the row that stands for a row and its copies in its file.
func (s *fileset) head(p place) (place, error) {
	ordinals, err := s.files[p.source].copiesOf(p.ordinal)
	if err != nil {
		return p, err
	}
	return place{p.source, ordinals[0]}, nil
}

// copiesOf are the rows of the file's group that a row is in, in the order of
// their ingest ids, or the row alone.
func (f *file) copiesOf(ordinal uint32) ([]uint32, error) {
	index, err := f.groupIndex()
	if err != nil {
		return nil, err
	}
	at, found := slices.BinarySearchFunc(index.rows, ordinal, func(r groupRow, o uint32) int { return cmp.Compare(r.ordinal, o) })
	if !found {
		return []uint32{ordinal}, nil
	}
	members := index.groups[index.rows[at].group].Members
	ordinals := make([]uint32, len(members))
	for i, m := range members {
		ordinals[i] = m.Ordinal
	}
	return ordinals, nil
}

// groupIndex finds a row's group in its file's table.
type groupIndex struct {
	groups []indexfile.Group
	rows   []groupRow // by ordinal
}

type groupRow struct{ ordinal, group uint32 }

func (f *file) groupIndex() (*groupIndex, error) {
	if x := f.index.Load(); x != nil {
		return x, nil
	}
	groups, err := f.reader.Groups()
	if err != nil {
		return nil, err
	}
	x := &groupIndex{groups: groups}
	for g := range groups {
		for _, m := range groups[g].Members {
			x.rows = append(x.rows, groupRow{m.Ordinal, uint32(g)})
		}
	}
	slices.SortFunc(x.rows, func(a, b groupRow) int { return cmp.Compare(a.ordinal, b.ordinal) })
	f.index.Store(x) // two may work it out at once; both come to the same
	return x, nil
}

// joiner unites places into sets.
type joiner struct{ parent map[place]place }

func (j *joiner) find(p place) place {
	up, ok := j.parent[p]
	if !ok || up == p {
		j.parent[p] = p
		return p
	}
	root := j.find(up)
	j.parent[p] = root
	return root
}

func (j *joiner) join(a, b place) {
	a, b = j.find(a), j.find(b)
	if a == b {
		return
	}
	if b.before(a) {
		a, b = b, a
	}
	j.parent[b] = a
}

func (p place) before(o place) bool {
	return p.source < o.source || p.source == o.source && p.ordinal < o.ordinal
}

// sets are the united places, in the order of their first ones.
func (j *joiner) sets() [][]place {
	of := map[place][]place{}
	for p := range j.parent {
		root := j.find(p)
		of[root] = append(of[root], p)
	}
	sets := make([][]place, 0, len(of))
	for _, set := range of {
		slices.SortFunc(set, func(a, b place) int {
			return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.ordinal, b.ordinal))
		})
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(a, b []place) int {
		return cmp.Or(cmp.Compare(a[0].source, b[0].source), cmp.Compare(a[0].ordinal, b[0].ordinal))
	})
	return sets
}
