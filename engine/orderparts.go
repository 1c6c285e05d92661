package engine

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sort"
	"strings"

	"arbor/catalog"
	"arbor/engine/exec"
)

// All rows in an order by time, or by user, are sorted part by part: the days of an order
// by time follow each other, and in every file the rows of a user are together and come
// before those of the next. So no more is held than a part, and the first rows come
// before the last were read.

// partRows is about how many rows a part has, unless one day or user has more, and
// partRowsOfFile how many of each file it has at least on average: to begin to read one
// has a price.
const (
	partRows       = 1 << 18
	partRowsOfFile = 1 << 11
)

// span is the part of a sorted scan that is worked on: rows of users in a range.
type span struct {
	// logs says that the logged events are meant, of all users, and no files.
	logs bool
	// rows are those of each file.
	rows map[*file]exec.Run
}

// sortByDays sorts the rows of an order by time.
func (s *scan) sortByDays(ctx context.Context, o *ordering, yield func(*exec.Batch) error) error {
	all := s.views
	defer func() { s.views = all }()
	for lo := 0; lo < len(all); {
		hi, rows := lo, int64(0)
		for hi < len(all) && (rows < o.partRows() || all[hi].shard.key.Day == all[hi-1].shard.key.Day) {
			rows += all[hi].files.rows() + all[hi].events
			hi++
		}
		s.views = all[lo:hi]
		if enough, err := s.sortPart(ctx, o, nil, yield); err != nil || enough {
			return err
		}
		lo = hi
	}
	return nil
}

// sortByUsers sorts the rows of an order by user; between are the users whose rows begin
// a part.
func (s *scan) sortByUsers(ctx context.Context, o *ordering, between []string, yield func(*exec.Batch) error) error {
	for _, v := range s.views {
		st, err := s.stateOf(ctx, v)
		if err != nil {
			return err
		}
		if s.states == nil {
			s.states = map[*view]*state{}
		}
		s.states[v] = st
	}
	cuts, err := s.userParts(between)
	if err != nil {
		return err
	}
	s.span = &span{logs: true}
	if err := s.work(ctx); err != nil {
		return err
	}
	logged, err := o.mergeSorted(0)
	if err != nil {
		return err
	}
	loggedHeld := o.held
	o.lists, o.held = nil, 0
	descending := s.fragment.Order[0].Descending
	sorted := s.sortPart
	if o.merging = o.mergesUsers(); o.merging {
		sorted = s.mergePart
	}
	for i := range len(between) + 1 {
		at := i
		if descending {
			at = len(between) - i
		}
		s.span = &span{rows: map[*file]exec.Run{}}
		for f, c := range cuts {
			s.span.rows[f] = exec.Run{Lo: c[at], Hi: c[at+1]}
		}
		n := len(logged)
		if i < len(between) {
			n = o.before(logged, between, i)
		}
		if enough, err := sorted(ctx, o, logged[:n], yield); err != nil || enough {
			return err
		}
		logged = logged[n:]
	}
	return s.plan.Take(-loggedHeld)
}

// before is how many sorted rows are of part i or an earlier one, which is not the last.
func (o *ordering) before(rows []sortedRow, between []string, i int) int {
	descending := o.scan.fragment.Order[0].Descending
	if !descending {
		end := exec.AppendSortKey(nil, catalog.String(between[i]), o.types[0], false)
		return sort.Search(len(rows), func(k int) bool { return bytes.Compare(rows[k].key, end) >= 0 })
	}
	last := exec.AppendSortKey(nil, catalog.String(between[len(between)-1-i]), o.types[0], true)
	return sort.Search(len(rows), func(k int) bool {
		return bytes.Compare(rows[k].key[:min(len(last), len(rows[k].key))], last) > 0
	})
}

// sortPart gives the rows of the views, or of the span of them, with some that were sorted
// before, in order. It says whether there are as many as were asked for.
func (s *scan) sortPart(ctx context.Context, o *ordering, sorted []sortedRow, yield func(*exec.Batch) error) (enough bool, err error) {
	if err := s.work(ctx); err != nil {
		return false, err
	}
	if len(sorted) > 0 {
		o.lists = append(o.lists, sorted)
	}
	left := int64(0)
	if s.fragment.Limit > 0 {
		left = s.fragment.Limit - s.stats.RowsGiven
	}
	rows, err := o.mergeSorted(left)
	if err != nil {
		return false, err
	}
	if err := o.give(rows, s.giveAnswer(ctx, yield)); err != nil {
		return false, err
	}
	held := o.held
	o.lists, o.held = nil, 0
	return left > 0 && int64(len(rows)) == left, s.plan.Take(-held)
}

// partRows is how many rows a part has.
func (o *ordering) partRows() int64 {
	if o.scan.engine.opts.SortedRows > 0 {
		return int64(o.scan.engine.opts.SortedRows)
	}
	return max(partRows, int64(o.scan.stats.Files)*partRowsOfFile)
}

// parts reports whether rows may be given before all were sorted: with no function to
// compute, nothing can fail for which others would do it again from the beginning.
func (o *ordering) parts() bool { return o.top == 0 && len(o.scan.fragment.Computed) == 0 }

// byUser reports whether the first column of the order is the user, and all of them are
// asked for.
func (o *ordering) byUser() bool {
	return o.scan.bounds.Users == nil && o.columns[0] < len(o.scan.fragment.Columns) &&
		o.scan.fragment.Columns[o.columns[0]].Source == exec.SourceDistinctID
}

// betweenUsers are the users whose rows begin a part, ascending, going by a sample of the
// files' users; none if all rows are one part.
func (s *scan) betweenUsers(rows int64) ([]string, error) {
	type sampled struct {
		user string
		rows int64
	}
	const samples = 64 // of a part
	var all []sampled
	for _, v := range s.views {
		for _, f := range v.files.files {
			n := min((int64(f.rows())*samples+rows-1)/rows, int64(f.rows()))
			for i := range n {
				k, err := f.reader.UserOf(int(i * int64(f.rows()) / n))
				if err != nil {
					return nil, v.blame(err)
				}
				user, _, _, err := f.reader.User(k)
				if err != nil {
					return nil, v.blame(err)
				}
				all = append(all, sampled{strings.Clone(user), int64(f.rows()) / n})
			}
		}
	}
	slices.SortFunc(all, func(a, b sampled) int { return cmp.Compare(a.user, b.user) })
	var between []string
	part := int64(0)
	for _, x := range all {
		if part >= rows && (len(between) == 0 || between[len(between)-1] != x.user) {
			between, part = append(between, x.user), 0
		}
		part += x.rows
	}
	return between, nil
}

// userParts are where the rows of each part begin in each file, and the end.
func (s *scan) userParts(between []string) (map[*file][]int, error) {
	cuts := map[*file][]int{}
	for _, v := range s.views {
		for _, f := range v.files.files {
			c := make([]int, 1, len(between)+2)
			for _, user := range between {
				k, _, err := f.reader.FindUser(user)
				if err != nil {
					return nil, v.blame(err)
				}
				at := f.rows()
				if k < f.reader.Users() {
					if _, at, _, err = f.reader.User(k); err != nil {
						return nil, v.blame(err)
					}
				}
				c = append(c, at)
			}
			cuts[f] = append(c, f.rows())
		}
	}
	return cuts, nil
}
