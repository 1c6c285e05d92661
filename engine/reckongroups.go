package engine

import (
	"cmp"
	"slices"

	"arbor/catalog"
	"arbor/engine/indexfile"
)

// judgeAcross judges the groups that are not inside one file: those with logged
// events, and those that reach across files.
func (k *reckoning) judgeAcross() (err error) {
	if k.links, err = k.view.files.linked(); err != nil {
		return err
	}
	seen := make([]bool, len(k.links.groups))
	t := k.view.tail
	for i := range t.groups {
		g := &t.groups[i]
		if k.judgeLogged(g) && g.link >= 0 {
			seen[g.link] = true
		}
	}
	for i := range k.links.groups {
		if !seen[i] {
			k.members = append(k.members[:0], k.links.groups[i].members...)
			k.judge(k.links.groups[i].keyed)
		}
	}
	return nil
}

// judgeLogged judges a group of the tail, unless nothing of it is in the view yet.
func (k *reckoning) judgeLogged(g *tailGroup) bool {
	k.members = k.members[:0]
	for _, number := range g.entries {
		if int64(number) < k.view.events {
			k.members = append(k.members, k.view.tail.member(number))
		}
	}
	if len(k.members) == 0 {
		return false
	}
	k.members = append(k.members, g.rows...)
	k.judge(g.keyed)
	return true
}

// judge judges the group in members.
func (k *reckoning) judge(keyed bool) {
	for i := range k.members {
		if at := k.members[i].at; at.source != inLog {
			k.reached[at.source] = append(k.reached[at.source], at.ordinal)
		}
	}
	alive := k.members
	if len(k.marks.damaged) > 0 {
		alive = slices.DeleteFunc(alive, func(m member) bool { return k.marks.isDamaged(m.id) })
	}
	alive = dropRepeats(alive, func(m *member) {
		of := k.marksOf(m.at)
		of.absent = append(of.absent, m.at.ordinal)
		of.repeats = append(of.repeats, m.at.ordinal)
		if of.gone == nil || !of.gone.Has(int(m.at.ordinal)) {
			k.accepted--
			return
		}
		// It was counted as deleted, or not at all, like the record it repeats.
		of.gone.Unset(int(m.at.ordinal))
		if m.id.Compare(k.rules.asOf) <= 0 {
			k.accepted--
			k.deleted--
		}
	})
	alive = slices.DeleteFunc(alive, func(m member) bool {
		gone := k.marksOf(m.at).gone
		return gone != nil && gone.Has(int(m.at.ordinal))
	})
	judge(alive, keyed, k.rules.policy, k.hide)
}

func (k *reckoning) marksOf(p place) *marks {
	if p.source == inLog {
		return &k.log
	}
	return &k.files[p.source]
}

func (k *reckoning) hide(m, survivor *member, why kind) {
	if why == kindRetry {
		k.retry++
	} else {
		k.conflict++
	}
	d := duplicate{m.at.ordinal, why, survivor.id}
	if m.at.source == inLog {
		k.logged = append(k.logged, d)
	} else {
		k.found[m.at.source] = append(k.found[m.at.source], d)
	}
}

// judgeFiles judges the groups inside files.
func (k *reckoning) judgeFiles() error {
	for i, f := range k.view.files.files {
		slices.Sort(k.reached[i])
		if k.rules.policy.Disabled && !k.rules.detail {
			continue
		}
		var err error
		if k.rules.policy == catalog.DefaultPolicy && !k.rules.detail && k.files[i].gone == nil && len(k.marks.damaged) == 0 {
			err = k.takeOwn(i, f)
		} else {
			err = k.judgeOwn(i, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeOwn takes the file's own list of duplicates, but for rows in groups that
// reach beyond the file.
func (k *reckoning) takeOwn(i int, f *file) error {
	own, err := f.reader.Duplicates()
	if err != nil {
		return err
	}
	k.files[i].hidden = merge(own, k.reached[i], k.found[i])
	k.found[i] = nil
	return nil
}

// merge is own without reached, and with found.
func merge(own, reached []uint32, found []duplicate) []uint32 {
	if len(reached) == 0 && len(found) == 0 {
		return own
	}
	sortDuplicates(found)
	out := make([]uint32, 0, len(own)+len(found))
	for len(own) > 0 || len(found) > 0 {
		if len(found) > 0 && (len(own) == 0 || found[0].ordinal <= own[0]) {
			out = append(out, found[0].ordinal) // own may name it too, and then reached does
			found = found[1:]
			continue
		}
		at, isReached := slices.BinarySearch(reached, own[0])
		if reached = reached[at:]; !isReached {
			out = append(out, own[0])
		}
		own = own[1:]
	}
	return out
}

// judgeOwn judges the groups of a file that do not reach beyond it.
func (k *reckoning) judgeOwn(i int, f *file) error {
	groups, err := f.reader.Groups()
	if err != nil {
		return err
	}
	rows := f.reader.Cursor() // in which insert ids that are texts are cheap
	for _, g := range groups {
		if _, reached := slices.BinarySearch(k.reached[i], g.Members[0].Ordinal); reached {
			continue
		}
		k.members = k.members[:0]
		for _, m := range g.Members {
			loaded, err := f.member(place{int32(i), m.Ordinal}, m.Class)
			if err != nil {
				return err
			}
			k.members = append(k.members, loaded)
		}
		key, err := rows.InsertKey(int(g.Members[0].Ordinal))
		if err != nil {
			return err
		}
		reached := k.reached[i]
		k.judge(key.Form != indexfile.FormNone)
		k.reached[i] = reached // the group is inside the file
	}
	return nil
}

// member is a row as a member of a group of its file, in which class stands for
// its payload.
func (f *file) member(at place, class uint32) (m member, err error) {
	row := int(at.ordinal)
	m = member{payload: fingerprint{lo: uint64(class)}, at: at}
	if m.id, err = f.reader.IngestID(row); err != nil {
		return m, err
	}
	if m.time, err = f.reader.Time(row); err != nil {
		return m, err
	}
	m.name, err = f.reader.Event(row)
	return m, err
}

// finish sorts what was found.
func (k *reckoning) finish() {
	for i := range k.files {
		if k.files[i].hidden == nil {
			k.files[i].take(k.found[i], k.rules.detail)
		}
		k.files[i].hidden = k.view.files.files[i].hidden.same(k.files[i].hidden)
		slices.Sort(k.files[i].absent)
		slices.Sort(k.files[i].repeats)
	}
	k.log.take(k.logged, k.rules.detail)
	slices.Sort(k.log.absent)
	slices.Sort(k.log.repeats)
	if !k.rules.detail {
		k.retry, k.conflict = 0, 0
	}
}

func (m *marks) take(found []duplicate, detail bool) {
	sortDuplicates(found)
	m.hidden = make([]uint32, len(found))
	for i := range found {
		m.hidden[i] = found[i].ordinal
	}
	if detail {
		m.why = found
	}
}

func sortDuplicates(d []duplicate) {
	slices.SortFunc(d, func(a, b duplicate) int { return cmp.Compare(a.ordinal, b.ordinal) })
}
