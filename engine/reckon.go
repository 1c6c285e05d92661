package engine

import (
	"slices"

	"arbor/catalog"
	"arbor/engine/exec"
)

// reckoning works a state out. The caller has the tail's turn.
type reckoning struct {
	*state
	view    *view
	rules   rules
	marks   tombstones // of the files and of the logged batches in the view
	targets map[catalog.IngestID]struct{}
	links   *links
	// reached are, for each file, the rows in groups that reach beyond it.
	reached [][]uint32
	found   [][]duplicate // for each file
	logged  []duplicate
	members []member // scratch
}

func reckon(v *view, r rules) (*state, error) {
	n := len(v.files.files)
	k := &reckoning{state: &state{files: make([]marks, n)}, view: v, rules: r, reached: make([][]uint32, n), found: make([][]duplicate, n)}
	k.accepted = v.events + v.files.rows()
	k.gatherMarks()
	steps := []func() error{k.quarantine, k.removeErased, k.removeLater, k.removeDeleted, k.judgeAcross, k.judgeFiles}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	k.finish()
	return k.state, nil
}

// gatherMarks collects the deletes and damaged ids of all that the view holds.
func (k *reckoning) gatherMarks() {
	t := k.view.tail
	k.marks = t.marksOf(k.view)
	k.marks.damaged = slices.Clone(k.marks.damaged)
	k.marks.addDamaged(t.damaged.damaged...)
	if k.rules.asOf == catalog.MaxIngestID {
		k.targets = t.targetsInForce(k.view)
	} else {
		k.targets = k.marks.inForce(k.rules.asOf)
	}
}

// eachLogged calls do with each of the view's logged events.
func (k *reckoning) eachLogged(do func(number int, n *entry)) {
	for number := range int(k.view.events) {
		do(number, k.view.tail.entries.at(uint32(number)))
	}
}

// quarantine makes the records of damaged ids absent, and counts each once.
func (k *reckoning) quarantine() error {
	if len(k.marks.damaged) == 0 {
		return nil
	}
	type form struct {
		id      catalog.IngestID
		payload fingerprint
		time    int64
	}
	forms := map[form]bool{}
	count := func(of *marks, m member, ordinal uint32) {
		of.absent = append(of.absent, ordinal)
		f := form{m.id, m.payload, m.time}
		switch {
		case forms[f]:
			k.accepted--
			of.repeats = append(of.repeats, ordinal)
		case m.id.Compare(k.rules.asOf) > 0:
			k.accepted-- // not there yet
		default:
			k.quarantined++
		}
		forms[f] = true
	}
	rows, err := k.view.files.locate(k.marks.damaged)
	if err != nil {
		return err
	}
	for i, f := range k.view.files.files {
		c := f.cursor()
		for _, r := range rows[i] {
			e, err := c.event(int(r.ordinal))
			if err != nil {
				return err
			}
			count(&k.files[i], memberOf(e, place{}), r.ordinal)
		}
	}
	k.eachLogged(func(number int, n *entry) {
		if k.marks.isDamaged(n.id) {
			count(&k.log, member{id: n.id, payload: n.payload, time: n.time}, uint32(number))
		}
	})
	return nil
}

// removeLater removes what came after the moment asked for, and what a
// truncation covers.
func (k *reckoning) removeLater() error {
	asOf, upTo := k.rules.asOf, k.rules.upTo
	for i, f := range k.view.files.files {
		if f.rows() == 0 || f.maxID.Compare(asOf) <= 0 && f.minID.Compare(upTo) > 0 {
			continue
		}
		if m := &k.files[i]; m.gone == nil && f.maxID.Compare(upTo) <= 0 && f.maxID.Compare(asOf) <= 0 && len(k.marks.damaged) == 0 {
			m.gone = exec.NewBitmap(f.rows())
			m.gone.Fill(f.rows())
			k.deleted += int64(f.rows())
			continue
		}
		for row := range f.rows() {
			id, err := f.reader.IngestID(row)
			if err != nil {
				return err
			}
			if id.Compare(asOf) > 0 {
				k.remove(&k.files[i], row, f.rows(), id, false)
			} else if id.Compare(upTo) <= 0 {
				k.remove(&k.files[i], row, f.rows(), id, true)
			}
		}
	}
	if asOf == catalog.MaxIngestID && upTo.IsZero() {
		return nil
	}
	k.eachLogged(func(number int, n *entry) {
		if n.id.Compare(asOf) > 0 {
			k.remove(&k.log, number, int(k.view.events), n.id, false)
		} else if n.id.Compare(upTo) <= 0 {
			k.remove(&k.log, number, int(k.view.events), n.id, true)
		}
	})
	return nil
}

// remove marks a record as gone, unless it is so already or is quarantined.
func (k *reckoning) remove(m *marks, ordinal, of int, id catalog.IngestID, deleted bool) {
	if m.gone == nil {
		m.gone = exec.NewBitmap(of)
	}
	if m.gone.Has(ordinal) || k.marks.isDamaged(id) {
		return
	}
	m.gone.Set(ordinal)
	if deleted {
		k.deleted++
	} else {
		k.accepted--
	}
}

// removeDeleted removes what deletes in force name.
func (k *reckoning) removeDeleted() error {
	if len(k.targets) == 0 || k.rules.stored {
		return nil
	}
	fromFiles, err := k.view.files.deleted()
	if err != nil {
		return err
	}
	k.removeTargets(fromFiles)
	for i := range k.view.tail.marks {
		if m := &k.view.tail.marks[i]; m.batch < len(k.view.logs) {
			k.removeTargets(m.targets)
		}
	}
	k.eachLogged(func(number int, n *entry) {
		if _, ok := k.targets[n.id]; ok {
			k.remove(&k.log, number, int(k.view.events), n.id, true)
		}
	})
	return nil
}

func (k *reckoning) removeTargets(rows [][]located) {
	for i := range rows {
		for _, r := range rows[i] {
			if _, ok := k.targets[r.id]; ok {
				k.remove(&k.files[i], int(r.ordinal), k.view.files.files[i].rows(), r.id, true)
			}
		}
	}
}
