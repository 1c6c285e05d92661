package dot

import (
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
)

// Interval is the sequence numbers from Lo on and before Hi.
type Interval struct{ Lo, Hi uint64 }

// Range is what a set has of one stream: intervals in ascending order that
// neither overlap nor touch.
type Range struct {
	Stream    Stream
	Intervals []Interval
}

// Set is a set of dots, kept as intervals. The zero value is the empty set. A
// set has one owner: its methods that change it may not be called at once with
// any other. Copying the struct does not copy the set; Clone does.
type Set struct {
	ranges []Range // by stream, each with at least one interval
}

// Of is the set of the given dots.
func Of(dots ...Dot) Set {
	var s Set
	for _, d := range dots {
		s.Add(d)
	}
	return s
}

// IsEmpty says whether the set has no dot.
func (s *Set) IsEmpty() bool { return len(s.ranges) == 0 }

// Ranges are the set's intervals by stream. They are the set's own: read only.
func (s *Set) Ranges() []Range { return s.ranges }

// Len is how many dots the set has.
func (s *Set) Len() (n uint64) {
	for _, r := range s.ranges {
		for _, i := range r.Intervals {
			n += i.Hi - i.Lo
		}
	}
	return n
}

// Contains says whether the set has d.
func (s *Set) Contains(d Dot) bool {
	at, found := s.find(d.Stream)
	if !found {
		return false
	}
	is := s.ranges[at].Intervals
	i := sort.Search(len(is), func(i int) bool { return is[i].Hi > d.Seq })
	return i < len(is) && is[i].Lo <= d.Seq
}

// Add puts d into the set and says whether it was new. A sequence number of 0
// or beyond MaxSeq names nothing and is not added.
func (s *Set) Add(d Dot) bool {
	if s.Contains(d) {
		return false
	}
	return s.AddInterval(d.Stream, Interval{d.Seq, d.Seq + 1})
}

// AddInterval puts an interval of a stream into the set and says whether it was
// a valid one.
func (s *Set) AddInterval(stream Stream, in Interval) bool {
	if in.Lo == 0 || in.Lo >= in.Hi {
		return false
	}
	at, found := s.find(stream)
	if !found {
		s.ranges = slices.Insert(s.ranges, at, Range{Stream: stream})
	}
	s.ranges[at].Intervals = insert(s.ranges[at].Intervals, in)
	return true
}

// insert puts one interval into sorted ones, and melts it with those it touches.
func insert(is []Interval, in Interval) []Interval {
	from := sort.Search(len(is), func(i int) bool { return is[i].Hi >= in.Lo })
	to := from
	for to < len(is) && is[to].Lo <= in.Hi {
		in.Lo, in.Hi = min(in.Lo, is[to].Lo), max(in.Hi, is[to].Hi)
		to++
	}
	return slices.Replace(is, from, to, in)
}

// AddSet puts all of o into the set.
func (s *Set) AddSet(o *Set) {
	for _, r := range o.ranges {
		for _, in := range r.Intervals {
			s.AddInterval(r.Stream, in)
		}
	}
}

// Minus is what s has and o does not.
func (s *Set) Minus(o *Set) Set {
	var left Set
	for _, r := range s.ranges {
		kept := r.Intervals
		if at, found := o.find(r.Stream); found {
			kept = subtract(r.Intervals, o.ranges[at].Intervals)
		}
		if len(kept) > 0 {
			left.ranges = append(left.ranges, Range{r.Stream, slices.Clone(kept)})
		}
	}
	return left
}

// And is what both sets have.
func (s *Set) And(o *Set) Set {
	rest := s.Minus(o)
	return s.Minus(&rest)
}

// Without is the set without some streams.
func (s *Set) Without(drop func(Stream) bool) Set {
	var left Set
	for _, r := range s.ranges {
		if !drop(r.Stream) {
			left.ranges = append(left.ranges, Range{r.Stream, slices.Clone(r.Intervals)})
		}
	}
	return left
}

// subtract is what a covers and b does not.
func subtract(a, b []Interval) (left []Interval) {
	for _, in := range a {
		for len(b) > 0 && b[0].Hi <= in.Lo {
			b = b[1:]
		}
		lo := in.Lo
		for _, hole := range b {
			if hole.Lo >= in.Hi {
				break
			}
			if lo < hole.Lo {
				left = append(left, Interval{lo, hole.Lo})
			}
			lo = hole.Hi
		}
		if lo < in.Hi {
			left = append(left, Interval{lo, in.Hi})
		}
	}
	return left
}

// Includes says whether s has all of o.
func (s *Set) Includes(o *Set) bool {
	missing := o.Minus(s)
	return missing.IsEmpty()
}

// Equal says whether both sets have the same dots.
func (s *Set) Equal(o *Set) bool {
	return slices.EqualFunc(s.ranges, o.ranges, func(a, b Range) bool {
		return a.Stream == b.Stream && slices.Equal(a.Intervals, b.Intervals)
	})
}

// Clone is a copy that shares nothing with s.
func (s *Set) Clone() Set { return s.Without(func(Stream) bool { return false }) }

// All gives the dots in order. There may be more than anybody wants to see:
// an interval from the network can name 2⁶⁴ of them.
func (s *Set) All() iter.Seq[Dot] {
	return func(yield func(Dot) bool) {
		for _, r := range s.ranges {
			for _, in := range r.Intervals {
				for seq := in.Lo; seq < in.Hi; seq++ {
					if !yield(Dot{r.Stream, seq}) {
						return
					}
				}
			}
		}
	}
}

// Hash is 64 bits that equal sets share and different ones, almost certainly,
// do not.
func (s *Set) Hash() uint64 { return hashOf(s.Append(nil)) }

// String shows the set with its streams shortened, as abcd:1-7,9.
func (s Set) String() string {
	var b strings.Builder
	for i, r := range s.ranges {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%x:", r.Stream[:2])
		for j, in := range r.Intervals {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprint(&b, in.Lo)
			if in.Hi > in.Lo+1 {
				fmt.Fprintf(&b, "-%d", in.Hi-1)
			}
		}
	}
	return b.String()
}

func (s *Set) find(stream Stream) (int, bool) {
	return slices.BinarySearchFunc(s.ranges, stream, func(r Range, to Stream) int { return r.Stream.Compare(to) })
}
