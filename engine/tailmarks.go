package engine

import (
	"slices"

	"arbor/catalog"
)

// targetsInForce are the ids that deletes in force name. They are kept, since each
// statement that meets a copy asks for them.
type targetsInForce struct {
	ids map[catalog.IngestID]struct{} // nil until worked out
	// marks is how many of the tail's marks are taken into account.
	marks int
}

// marksIn is how many of the tail's marks are in a view: they are in the order of their
// batches.
func (t *tail) marksIn(v *view) int {
	n, _ := slices.BinarySearchFunc(t.marks, len(v.logs), func(m batchMarks, batches int) int { return m.batch - batches })
	return n
}

// marksOf are the deletes and undos of the files and of the logged batches in a view,
// and the damaged ids of the files. What is in them is not the caller's.
func (t *tail) marksOf(v *view) tombstones {
	all := t.files.marks
	for i := range t.marks[:t.marksIn(v)] {
		all.deletes = slices.Concat(all.deletes, t.marks[i].deletes)
		all.undos = slices.Concat(all.undos, t.marks[i].undos)
	}
	return all
}

// targetsInForce are the ids that deletes in force in a view name. The caller has the
// turn for as long as it uses them.
func (t *tail) targetsInForce(v *view) map[catalog.IngestID]struct{} {
	known, n := &t.targets, t.marksIn(v)
	if known.ids == nil || n < known.marks || n > known.marks && t.anyUndone(n) {
		marks := t.marksOf(v)
		known.ids, known.marks = marks.inForce(catalog.MaxIngestID), n
		if known.ids == nil {
			known.ids = map[catalog.IngestID]struct{}{}
		}
	}
	for _, m := range t.marks[known.marks:n] {
		for i := range m.deletes {
			for _, id := range m.deletes[i].Targets {
				known.ids[id] = struct{}{}
			}
		}
	}
	known.marks = n
	return known.ids
}

// anyUndone reports whether the files or the first of the tail's marks undo a delete: one
// that comes after its undo, as a replayed one does, is not in force.
func (t *tail) anyUndone(marks int) bool {
	return len(t.files.marks.undos) > 0 || slices.ContainsFunc(t.marks[:marks], func(m batchMarks) bool { return len(m.undos) > 0 })
}
