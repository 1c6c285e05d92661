package track

import (
	"cmp"
	"slices"
	"strings"

	"arbor/catalog"
)

// SDKs send the same few lists of properties again and again, with their keys in
// the same order. So the decoder remembers, in a tree, in which orders keys came:
// a key that comes where it came before is recognised by comparing bytes, and
// when an object ends where one ended before, its properties' names, their order
// and what each means are known. Objects that do not fit into the tree are read
// key by key.

// Limits of the tree, which is thrown away before the next request when one is
// reached.
const (
	maxNodes     = 4096
	maxNodeBytes = 1 << 20 // of keys
	maxDepth     = 300     // keys of an object; an event has at most 255 properties
	maxBranches  = 16      // keys that are known to follow the same ones
	maxKinds     = 1024
	maxNames     = 32 // events' names that objects of one form come with
)

// outlines is the tree.
type outlines struct {
	root  node
	nodes int
	bytes int
	kinds int
}

// node is a key behind others, or, the root, the place before any.
type node struct {
	// raw is the key in the text, from its quote to where its value starts.
	raw string
	// name is the key; it holds as long as the tree.
	name string
	// place is how many keys are before it in the object.
	place  int
	parent *node
	// next are the keys that came behind it, likely the one of the last time.
	next   []*node
	likely *node
	// form is that of the objects that end here, once there was one.
	form *form
}

// form is what objects with the same keys in the same order have in common.
type form struct {
	// names are the properties', sorted; places are where in the object the
	// values are. Of a key that is there twice the last one counts.
	names  []string
	places []int
	// given are the places of what is not a property; -1 where there is none.
	given struct{ time, distinctID, insertID, token int }
	// kinds are those that came; last is the one of the last time.
	kinds []kind
	last  kind
}

// kind is an event's name and its properties' names.
type kind struct {
	name   string
	number int
}

// full reports whether the tree has reached a limit.
func (o *outlines) full() bool {
	return o.nodes >= maxNodes || o.bytes >= maxNodeBytes || o.kinds >= maxKinds
}

// match gives the known key that b starts with and that follows n, or nil.
func (n *node) match(b []byte) *node {
	if c := n.likely; c != nil && len(b) >= len(c.raw) && string(b[:len(c.raw)]) == c.raw {
		return c
	}
	for _, c := range n.next {
		if len(b) >= len(c.raw) && string(b[:len(c.raw)]) == c.raw {
			n.likely = c
			return c
		}
	}
	return nil
}

// learn reads the key at which the scanner stands, behind those of n, and adds it
// to the tree. It gives nil, with the scanner anywhere, where the tree takes no
// more or the key is no good.
func (o *outlines) learn(n *node, s *scanner) *node {
	place := 0
	if n.parent != nil {
		place = n.place + 1
	}
	if o.full() || place >= maxDepth || len(n.next) >= maxBranches {
		return nil
	}
	start := s.i
	if !s.expect('"', "a key in quotes") {
		return nil
	}
	key, valid := s.str()
	if !valid || !s.expect(':', "':'") {
		return nil
	}
	s.peek()
	raw := strings.Clone(string(s.b[start:s.i]))
	c := &node{raw: raw, name: strings.Clone(key), place: place, parent: n}
	n.next, n.likely = append(n.next, c), c
	o.nodes++
	o.bytes += len(c.raw) + len(c.name)
	s.i = start
	return c
}

// formOf gives the form of the objects that end at n.
func (n *node) formOf() *form {
	if n.form != nil {
		return n.form
	}
	f := &form{}
	f.given.time, f.given.distinctID, f.given.insertID, f.given.token = -1, -1, -1, -1
	var properties []*node
	for c := n; c.parent != nil; c = c.parent { // from the last on, which counts
		switch c.name {
		case keyTime:
			keepLast(&f.given.time, c.place)
		case keyDistinctID:
			keepLast(&f.given.distinctID, c.place)
		case keyInsertID:
			keepLast(&f.given.insertID, c.place)
		case keyToken:
			keepLast(&f.given.token, c.place)
		default:
			properties = append(properties, c)
		}
	}
	slices.SortStableFunc(properties, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
	for i, c := range properties {
		if i > 0 && properties[i-1].name == c.name {
			continue
		}
		f.names, f.places = append(f.names, c.name), append(f.places, c.place)
	}
	n.form = f
	return f
}

func keepLast(place *int, at int) {
	if *place < 0 {
		*place = at
	}
}

// kindOf gives the kind of the form's events of that name, whose number is 0 when
// there are too many.
func (o *outlines) kindOf(f *form, name string) kind {
	if f.last.name == name && f.last.number > 0 {
		return f.last
	}
	for i := range f.kinds {
		if f.kinds[i].name == name {
			f.last = f.kinds[i]
			return f.last
		}
	}
	if o.kinds >= maxKinds || len(f.kinds) >= maxNames {
		return kind{name: name}
	}
	o.kinds++
	o.bytes += len(name)
	f.last = kind{strings.Clone(name), o.kinds}
	f.kinds = append(f.kinds, f.last)
	return f.last
}

// valueAt is the value at a place, null where there is none.
func valueAt(values []catalog.Value, place int) catalog.Value {
	if place < 0 {
		return catalog.Null
	}
	return values[place]
}
