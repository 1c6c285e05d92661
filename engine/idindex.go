package engine

import (
	"sort"

	"arbor/catalog"
)

// idIndex finds logged events by ingest id. Events of one request share its time
// and edge, and stand in a shard's log by ascending index, so that a batch is
// nearly always one run, which costs one look for all of its events.
type idIndex struct {
	entries *entries
	runs    []idRun
	heads   hashtable // the first run of each request
	crowded hashtable // entries of requests with more runs than are looked through
	// open is set when the next entry may go on with the last run.
	open bool
}

// idRun is entries one after the other, with the ids of one request, ascending.
type idRun struct {
	first, count uint32
	// alone says that the request has no earlier run, next is its next one, 0 if
	// there is none: run 0 is nobody's next.
	alone bool
	next  uint32
	// crowded is set in a request's first run when it has entries in the table.
	crowded bool
}

// maxIDRuns is how many runs of a request are looked through; what comes after
// them has a slot in a table for each event.
const maxIDRuns = 4

func requestHash(id catalog.IngestID) uint64 {
	return mixHash(id.Time*0x9e3779b97f4a7c15 ^ uint64(id.Edge)<<32)
}

// add takes the entry of that number, which is the newest, and gives the first
// earlier one of the same id, if there is one.
func (x *idIndex) add(number uint32) (other uint32, found bool) {
	id := x.entries.at(number).id
	if x.open {
		r := &x.runs[len(x.runs)-1]
		last := x.entries.at(number - 1).id
		if last.Time == id.Time && last.Edge == id.Edge && last.Index < id.Index {
			if !r.alone {
				other, found = x.look(id)
			}
			r.count++
			return other, found
		}
	}
	x.open = true
	run := uint32(len(x.runs))
	head, more := x.heads.find(requestHash(id), run, func(o uint32) bool { return x.isOf(o, id) })
	if !more {
		x.runs = append(x.runs, idRun{first: number, count: 1, alone: true})
		return 0, false
	}
	other, found = x.look(id)
	last, length := head, 1
	for x.runs[last].next != 0 {
		last, length = x.runs[last].next, length+1
	}
	if length == maxIDRuns {
		x.open, x.runs[head].crowded = false, true
		x.crowded.find(idHash(id), number, func(o uint32) bool { return x.entries.at(o).id == id })
		return other, found
	}
	x.runs = append(x.runs, idRun{first: number, count: 1})
	x.runs[last].next = run
	return other, found
}

// isOf reports whether a run is of the id's request.
func (x *idIndex) isOf(run uint32, id catalog.IngestID) bool {
	of := x.entries.at(x.runs[run].first).id
	return of.Time == id.Time && of.Edge == id.Edge
}

// look is the first entry that bears the id, and whether there is one.
func (x *idIndex) look(id catalog.IngestID) (number uint32, found bool) {
	run, found := x.heads.look(requestHash(id), func(o uint32) bool { return x.isOf(o, id) })
	if !found {
		return 0, false
	}
	crowded := x.runs[run].crowded
	for {
		r := &x.runs[run]
		at := uint32(sort.Search(int(r.count), func(i int) bool { return x.entries.at(r.first+uint32(i)).id.Index >= id.Index }))
		if at < r.count && x.entries.at(r.first+at).id.Index == id.Index {
			return r.first + at, true
		}
		if r.next == 0 {
			break
		}
		run = r.next
	}
	if !crowded {
		return 0, false
	}
	return x.crowded.look(idHash(id), func(o uint32) bool { return x.entries.at(o).id == id })
}
