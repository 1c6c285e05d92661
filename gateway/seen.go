package gateway

import (
	"arbor/catalog"
	"arbor/engine/event"
)

// seenProperties are the properties that a project's events came with, and the
// kinds of values that each had.
type seenProperties struct {
	names  []string
	kinds  []uint8 // a bit for each catalog.Kind
	places map[string]int32
	// ofKind are the places of the properties of the events' kinds, of which came
	// lists those that there were; lastPlaces are those of the last event without.
	ofKind     [][]int32
	came       []int
	lastPlaces []int32

	some []event.Property // scratch
}

// reset forgets all that was seen, and keeps the buffers.
func (s *seenProperties) reset() {
	clear(s.names)
	clear(s.places)
	for _, kind := range s.came {
		s.ofKind[kind] = s.ofKind[kind][:0]
	}
	clear(s.some[:cap(s.some)])
	s.names, s.kinds, s.came, s.lastPlaces = s.names[:0], s.kinds[:0], s.came[:0], s.lastPlaces[:0]
}

// add sees an event's properties, whose names must hold.
func (s *seenProperties) add(properties []event.Property, kind int) {
	var at []int32
	if kind > 0 {
		for len(s.ofKind) <= kind {
			s.ofKind = append(s.ofKind, nil)
		}
		if len(s.ofKind[kind]) == 0 && len(properties) > 0 {
			s.ofKind[kind] = s.find(properties, s.ofKind[kind])
			s.came = append(s.came, kind)
		}
		at = s.ofKind[kind]
	} else {
		if !s.areLast(properties) {
			s.lastPlaces = s.find(properties, s.lastPlaces[:0])
		}
		at = s.lastPlaces
	}
	for i := range at {
		s.kinds[at[i]] |= 1 << properties[i].Value.Kind
	}
}

// areLast reports whether the properties' names are those of lastPlaces.
func (s *seenProperties) areLast(properties []event.Property) bool {
	if len(properties) != len(s.lastPlaces) {
		return false
	}
	for i, at := range s.lastPlaces {
		if properties[i].Name != s.names[at] {
			return false
		}
	}
	return true
}

// find appends the places of the properties' names, and notes new ones.
func (s *seenProperties) find(properties []event.Property, places []int32) []int32 {
	if s.places == nil {
		s.places = make(map[string]int32)
	}
	for i := range properties {
		name := properties[i].Name
		at, ok := s.places[name]
		if !ok {
			at = int32(len(s.names))
			s.places[name] = at
			s.names, s.kinds = append(s.names, name), append(s.kinds, 0)
		}
		places = append(places, at)
	}
	return places
}

// needs is what the project has to observe of the properties: each name with the
// first of its kinds, in the order in which the names came, and then again with
// the others.
func (s *seenProperties) needs(project *catalog.Project) (needed []catalog.Observed) {
	left := s.kinds
	for {
		some := s.some[:0]
		var later []uint8
		for i, kinds := range left {
			if kinds == 0 {
				continue
			}
			kind := lowestKind(kinds)
			some = append(some, event.Property{Name: s.names[i], Value: catalog.Value{Kind: kind}})
			if rest := kinds &^ (1 << kind); rest != 0 {
				if later == nil {
					later = make([]uint8, len(left))
				}
				later[i] = rest
			}
		}
		s.some = some
		needed = append(needed, project.Needs(some)...)
		if later == nil {
			return needed
		}
		left = later
	}
}

// lowestKind is the least kind of the set.
func lowestKind(kinds uint8) catalog.Kind {
	for k := catalog.KindNull; ; k++ {
		if kinds&(1<<k) != 0 {
			return k
		}
	}
}
