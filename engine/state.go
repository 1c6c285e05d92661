package engine

import (
	"cmp"
	"context"
	"slices"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// rules are what beside the records decides who is visible.
type rules struct {
	policy catalog.Policy
	// asOf hides what came later; MaxIngestID is now.
	asOf catalog.IngestID
	// upTo is the greatest id that a truncation in force covers; zero for none.
	upTo catalog.IngestID
	// detail asks for the kinds and survivors of duplicates too.
	detail bool
}

// rulesFor are a shard's rules in a catalog. policy stands in for the
// catalog's if it is not nil.
func rulesFor(c *catalog.Catalog, k catalog.ShardKey, asOf catalog.IngestID, policy *catalog.Policy) rules {
	r := rules{asOf: asOf, policy: catalog.DefaultPolicy}
	if asOf.IsZero() {
		r.asOf = catalog.MaxIngestID
	}
	if p, ok := c.ProjectByID(k.Project); ok {
		r.policy = p.Policy(k.Day)
		for _, t := range p.Truncations {
			if !t.Undone && t.ID.Compare(r.asOf) <= 0 && t.UpTo.Compare(r.upTo) > 0 {
				r.upTo = t.UpTo
			}
		}
	}
	if policy != nil {
		r.policy = *policy
	}
	return r
}

// plain reports whether a file's own list of duplicates answers the rules.
func (r *rules) plain() bool {
	return r.policy == catalog.DefaultPolicy && r.asOf == catalog.MaxIngestID && r.upTo.IsZero() && !r.detail
}

// state says who in a view is visible under some rules. It does not change.
type state struct {
	files []marks // for each file of the view
	log   marks   // ordinals are the logged events' numbers in the view
	counts
}

// marks says who of one source is not visible.
type marks struct {
	// absent are records that nobody ever sees, ascending: physical repeats of
	// others, and quarantined ones.
	absent []uint32
	// repeats are those of absent that repeat a record that counts, ascending.
	repeats []uint32
	// gone are records that are deleted or that came later; nil for none.
	gone exec.Bitmap
	// hidden are duplicates, ascending. No record is in two of the three.
	hidden []uint32
	// why says, for each of hidden, why; nil unless the rules ask for detail.
	why []duplicate
}

// counts account for the records of a view, physical repeats once.
type counts struct {
	accepted, deleted, quarantined int64
	// retry and conflict are known only if the rules ask for detail.
	retry, conflict int64
}

func (c *counts) visible() int64 {
	return c.accepted - c.deleted - c.quarantined - c.retry - c.conflict
}

func (c *counts) add(o *counts) {
	c.accepted += o.accepted
	c.deleted += o.deleted
	c.quarantined += o.quarantined
	c.retry += o.retry
	c.conflict += o.conflict
}

// cachedState is a state that was worked out for the first batches of a tail.
type cachedState struct {
	batches int
	rules   rules
	state   *state
}

// maxCachedStates is how many states a tail remembers.
const maxCachedStates = 4

// state works out who is visible, or remembers it.
func (v *view) state(ctx context.Context, r rules) (*state, error) {
	if s, err := v.plainState(&r); s != nil || err != nil {
		return s, v.blame(err)
	}
	t := v.tail
	if err := t.take(ctx); err != nil {
		return nil, err
	}
	defer t.give()
	if err := t.extend(ctx, v); err != nil {
		return nil, v.blame(err)
	}
	for _, c := range t.states {
		if c.batches == len(v.logs) && c.rules == r {
			return c.state, nil
		}
	}
	s, err := reckon(v, r)
	if err != nil {
		return nil, v.blame(err)
	}
	if r.asOf == catalog.MaxIngestID {
		if len(t.states) == maxCachedStates {
			t.states = slices.Delete(t.states, 0, 1)
		}
		t.states = append(t.states, cachedState{len(v.logs), r, s})
	}
	return s, nil
}

// plainState is the state of what most shards are most of the time: one file,
// nothing logged, nothing special. The file's own list of duplicates says it
// all. It is nil for any other view.
func (v *view) plainState(r *rules) (*state, error) {
	if len(v.logs) > 0 || len(v.files.files) > 1 || !v.files.marks.empty() || !r.plain() {
		return nil, nil
	}
	s := &state{files: make([]marks, len(v.files.files))}
	for i, f := range v.files.files {
		hidden, err := f.reader.Duplicates()
		if err != nil {
			return nil, err
		}
		s.files[i].hidden = hidden
		s.accepted += int64(f.rows())
	}
	return s, nil
}

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
	steps := []func() error{k.quarantine, k.removeLater, k.removeDeleted, k.judgeAcross, k.judgeFiles}
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
	k.marks = k.view.files.marks
	k.marks.damaged = slices.Clone(k.marks.damaged)
	k.marks.addDamaged(t.damaged.damaged...)
	for i := range t.marks {
		if m := &t.marks[i]; m.batch < len(k.view.logs) {
			k.marks.deletes = slices.Concat(k.marks.deletes, m.deletes)
			k.marks.undos = slices.Concat(k.marks.undos, m.undos)
		}
	}
	k.targets = k.marks.inForce(k.rules.asOf)
}

// entries are the tail's that are in the view.
func (k *reckoning) entries() []entry { return k.view.tail.entries[:k.view.events] }

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
	for number, n := range k.entries() {
		if k.marks.isDamaged(n.id) {
			count(&k.log, member{id: n.id, payload: n.payload, time: n.time}, uint32(number))
		}
	}
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
	entries := k.entries()
	for number := range entries {
		id := entries[number].id
		if id.Compare(asOf) > 0 {
			k.remove(&k.log, number, len(entries), id, false)
		} else if id.Compare(upTo) <= 0 {
			k.remove(&k.log, number, len(entries), id, true)
		}
	}
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
	if len(k.targets) == 0 {
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
	entries := k.entries()
	for number := range entries {
		if _, ok := k.targets[entries[number].id]; ok {
			k.remove(&k.log, number, len(entries), entries[number].id, true)
		}
	}
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
		k.members = k.members[:0]
		for _, number := range g.entries {
			if int64(number) < k.view.events {
				k.members = append(k.members, t.member(number))
			}
		}
		if len(k.members) == 0 {
			continue // nothing of it is in this view yet
		}
		k.members = append(k.members, g.rows...)
		if g.link >= 0 {
			seen[g.link] = true
		}
		k.judge(g.keyed)
	}
	for i := range k.links.groups {
		if !seen[i] {
			k.members = append(k.members[:0], k.links.groups[i].members...)
			k.judge(k.links.groups[i].keyed)
		}
	}
	return nil
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
		key, err := f.reader.InsertKey(int(g.Members[0].Ordinal))
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
