package exec

import (
	"cmp"
	"fmt"
	"slices"

	"arbor/catalog"
)

// Behaviours computes behavioural functions for each user of a fragment whose one
// key is the distinct id and whose aggregates are all behavioural. A state for
// each user is stepped through the user's events in the order (time, ingest id):
// a day after the other, since a day's events are together, and in a day as its
// one file has them. A day with several sources is collected first, and sorted.
//
// Several workers may step at once through events of different users.
type Behaviours struct {
	plan      *Plan
	functions []Behaviour
	user      int
	time      int
	ingestID  int
	// conditions are the columns of all functions' conditions, and offsets where
	// those of each function begin.
	conditions []int
	offsets    []int
	// all says that events which meet no condition count too.
	all bool

	words  int // of a user's states together
	states []int64
	// seen says what is known of users, in one byte each, which stays in a near
	// cache while the states do not.
	seen []uint8

	collected []collectedEvent
}

// What is known of a user.
const (
	userUnseen = 0
	userSeen   = 1 // there are events
	userDone   = 2 // and no event changes the states any more
)

type collectedEvent struct {
	user uint32
	mask uint64
	time int64
	id   string
}

// NewBehaviours prepares the functions of a plan's fragment; nil if it is not one
// of that kind.
func NewBehaviours(p *Plan) (*Behaviours, error) {
	f := p.Fragment
	g := f.Group
	if g == nil || len(g.Keys) != 1 || g.Keys[0] >= len(f.Columns) || f.Columns[g.Keys[0]].Source != SourceDistinctID || len(g.Aggregates) == 0 {
		return nil, nil
	}
	b := &Behaviours{plan: p, user: g.Keys[0]}
	for i := range g.Aggregates {
		a := &g.Aggregates[i]
		if a.Op != AggBehaviour {
			return nil, nil
		}
		function, err := behaviourOf(a)
		if err != nil {
			return nil, fmt.Errorf("aggregate %d: %w", i, err)
		}
		if i > 0 && (a.Args[0] != b.time || a.Args[1] != b.ingestID) {
			return nil, nil
		}
		b.time, b.ingestID = a.Args[0], a.Args[1]
		b.functions = append(b.functions, function)
		b.offsets = append(b.offsets, len(b.conditions))
		b.conditions = append(b.conditions, a.Args[2:]...)
		b.words += function.Words()
		b.all = b.all || !function.Skips()
	}
	if len(b.conditions) > 64 || b.time >= len(f.Columns) || f.Columns[b.time].Source != SourceTime ||
		b.ingestID >= len(f.Columns) || f.Columns[b.ingestID].Source != SourceIngestID {
		return nil, nil
	}
	return b, nil
}

// behaviourOf is the function of an aggregate.
func behaviourOf(a *Aggregate) (Behaviour, error) {
	if len(a.Params) == 0 || a.Params[0].Kind != catalog.KindString {
		return nil, fmt.Errorf("%w: a behavioural function without a name", ErrFragment)
	}
	return NewBehaviour(a.Params[0].Text, a.Params[1:], len(a.Args)-2)
}

// Know makes room for the users of a dictionary.
func (b *Behaviours) Know(d *Dictionary) error {
	if _, err := b.plan.domains[b.user].translate(d); err != nil {
		return err
	}
	return b.room()
}

// room makes room for all users of the domain. Nobody may be stepping.
func (b *Behaviours) room() error {
	n := b.plan.domains[b.user].Len()
	if n <= len(b.seen) {
		return nil
	}
	n = max(n, 2*len(b.seen))
	return b.plan.take(grow(&b.states, n*b.words) + grow(&b.seen, n))
}

// BehaviourRows is what a worker keeps to step through events.
type BehaviourRows struct {
	of      *Behaviours
	said    []uint8
	masks   []uint64 // by code of the dictionary with the id of
	maskOf  any
	matches Bitmap
	truth   [][]uint8 // of each condition, by number of its value
	steps   *Steps    // that the rows are made, in place of being stepped through
}

// MakeSteps has Step make steps of rows in place of stepping through them; nil ends that.
func (w *BehaviourRows) MakeSteps(s *Steps) { w.steps = s }

// NewRows makes what a worker keeps.
func (b *Behaviours) NewRows() *BehaviourRows { return &BehaviourRows{of: b} }

// Step steps through rows of a file, which are in the order (distinct id, time,
// ingest id), and of which those in selected are meant; nil is all. allSeen says
// that each user among the rows has events that are meant.
//
// It goes from user to user. Of most users' events few can still change a state,
// as the others meet no condition that it waits for: only of those that can the
// time is looked at.
func (w *BehaviourRows) Step(r *Rows, selected Bitmap, allSeen bool) error {
	b := w.of
	v := &r.vectors[b.user]
	dictionary := v.Dictionary
	if dictionary == nil {
		if v.ends == nil || v.dictionary == nil {
			return fmt.Errorf("%w: users are not in runs", ErrArray)
		}
		dictionary = v.dictionary
	}
	numbers, err := r.translated(b.user, dictionary)
	if err != nil {
		return err
	}
	masks, err := w.match(r, selected)
	if err != nil {
		return err
	}
	times := &r.vectors[b.time]
	if times.at == nil {
		if err := times.need(); err != nil {
			return err
		}
	}
	allSeen = allSeen || selected == nil
	step := w.stepUser
	if f, ok := b.functions[0].(*funnel); ok && f.plain() && len(b.functions) == 1 {
		step = func(user uint32, lo, hi int, masks rowMasks, times *Vector) bool {
			return f.stepRows(b.states[int(user)*b.words:][:b.words:b.words], w.matches, lo, hi, masks, times)
		}
	}
	code := v.runOf(0)
	for row := 0; row < r.n; code++ {
		end := min(int(v.ends[code])-v.base, r.n)
		user := numbers[code]
		switch known := b.seen[user]; {
		case w.steps != nil:
			if w.matches.any(row, end) {
				w.steps.note(code, row, end, w.matches, masks, times)
			}
		case known == userDone:
		case w.matches.any(row, end):
			b.seen[user] = userSeen
			if step(user, row, end, masks, times) {
				b.seen[user] = userDone
			}
		case known == userUnseen && (allSeen || selected.any(row, end)):
			b.seen[user] = userSeen
		}
		row = end
	}
	return nil
}

// stepUser steps through a user's events among the rows [lo, hi), and reports
// whether no event changes the states any more.
func (w *BehaviourRows) stepUser(user uint32, lo, hi int, masks rowMasks, times *Vector) (done bool) {
	b := w.of
	state := b.states[int(user)*b.words:][:b.words:b.words]
	wants := b.wants(state)
	for at := lo >> 6; at<<6 < hi && wants != 0; at++ {
		for word := w.matches.wordBetween(at, lo, hi); word != 0; word &= word - 1 {
			row := at*64 + trailing(word)
			mask := masks.of(row)
			if mask&wants == 0 && !b.all {
				continue
			}
			b.step(state, times.momentOf(row), mask)
			if wants = b.wants(state); wants == 0 {
				break
			}
		}
	}
	return wants == 0
}

// wants are the conditions of events that can change the states of a user.
func (b *Behaviours) wants(state []int64) uint64 {
	if len(b.functions) > 1 {
		return ^uint64(0)
	}
	return b.functions[0].Wants(state)
}

// step takes an event into the states of a user.
func (b *Behaviours) step(state []int64, time int64, mask uint64) {
	if len(b.functions) == 1 {
		b.functions[0].Step(state, time, mask)
		return
	}
	for i, f := range b.functions {
		own := mask >> b.offsets[i] & conditionMask(f.Conditions())
		if own != 0 || !f.Skips() {
			f.Step(state[:f.Words()], time, own)
		}
		state = state[f.Words():]
	}
}

// Collect takes rows of one of a day's several sources, in any order. Nobody else
// may use the Behaviours meanwhile.
func (w *BehaviourRows) Collect(r *Rows, selected Bitmap) error {
	b := w.of
	users := make([]uint32, r.n)
	if err := r.ids(b.user, 0, users); err != nil {
		return err
	}
	if err := b.room(); err != nil {
		return err
	}
	for row, user := range users {
		if selected == nil || selected.Has(row) {
			b.seen[user] = max(b.seen[user], userSeen)
		}
	}
	masks, err := w.match(r, selected)
	if err != nil {
		return err
	}
	before := cap(b.collected)
	for i, word := range w.matches {
		for ; word != 0; word &= word - 1 {
			row := i*64 + trailing(word)
			time, err := r.value(b.time, row)
			if err != nil {
				return err
			}
			id, err := r.value(b.ingestID, row)
			if err != nil {
				return err
			}
			b.collected = append(b.collected, collectedEvent{users[row], masks.of(row), time.Int(), string([]byte(id.Text))})
		}
	}
	return b.plan.take(int64(cap(b.collected)-before) * (sizeOf[collectedEvent]() + 32))
}

// EndDay steps through what was collected of a day.
func (b *Behaviours) EndDay() {
	slices.SortFunc(b.collected, func(x, y collectedEvent) int {
		return cmp.Or(cmp.Compare(x.user, y.user), cmp.Compare(x.time, y.time), cmp.Compare(x.id, y.id))
	})
	for i := range b.collected {
		e := &b.collected[i]
		b.step(b.states[int(e.user)*b.words:][:b.words:b.words], e.time, e.mask)
	}
	b.collected = b.collected[:0]
}

// Answer gives a row for each user: the distinct id, unless keys are hidden, and
// the functions' values, as Grouper.Answer does.
func (b *Behaviours) Answer(yield func(*Batch) error) error {
	g, err := NewGrouper(b.plan)
	if err != nil {
		return err
	}
	if err := g.room(len(b.seen) + 1); err != nil {
		return err
	}
	at := 0
	for i, f := range b.functions {
		g.tables[i] = &behaviourStates{plan: b.plan, function: f, states: b.states, words: b.words, at: at}
		at += f.Words()
	}
	for user, seen := range b.seen {
		g.rows[user+1] = int64(min(seen, userSeen))
	}
	if err := g.checkGroups(); err != nil {
		return err
	}
	return g.Answer(yield)
}
