package exec

// Steps are the events of a file that meet conditions, in the order of users and of
// time: what behavioural functions step through, without the rows between. Whoever
// asks the same of a day again reads these alone. They are not changed once they are
// made, and may be used from many goroutines.
type Steps struct {
	dictionary *Dictionary
	least      int64
	// users are the codes of those who have some, one for each run of events, and
	// places where the runs of each stepUsers users begin.
	users  []uint32
	places []uint32
	// events are each the time since the least, the conditions that are met, and
	// whether it is the last of its run.
	events []uint64
}

const (
	// MaxStepConditions is how many conditions an event of Steps has at most.
	MaxStepConditions = 20
	stepLast          = 1 << MaxStepConditions
	stepShift         = MaxStepConditions + 1
	maxStepTime       = 1<<(64-stepShift) - 1
	// stepUsers is how many runs lie between two places.
	stepUsers = 256
)

// ByConditions reports whether the functions look at no events but those that meet
// conditions, and at no more of these than Steps have.
func (b *Behaviours) ByConditions() bool { return !b.all && len(b.conditions) <= MaxStepConditions }

// NewSteps begins the steps of a file whose first and last moment and whose dictionary of
// users are given; nil if they are too far apart.
func NewSteps(d *Dictionary, least, greatest int64) *Steps {
	if span := uint64(greatest) - uint64(least); span > maxStepTime {
		return nil
	}
	return &Steps{dictionary: d, least: least}
}

// MaskBytes says which conditions each entry of the one column meets that all of them
// look at, as a text; ok is false if they look at others, or if one of the entries is
// null in the column's type. entries are a vector of them, and one null behind them; nil
// asks for the column alone.
func (w *BehaviourRows) MaskBytes(r *Rows, entries *Vector) (text string, column int, ok bool, err error) {
	column = w.conditionColumn(r.plan.Fragment)
	if column < 0 || entries == nil {
		return "", column, column >= 0, nil
	}
	for i := range entries.Rows - 1 {
		if entries.isNull(i) {
			return "", column, false, nil
		}
	}
	masks, err := w.entryMasks(r, column, entries.Dictionary)
	if err != nil {
		return "", column, false, err
	}
	out := make([]byte, 0, 3*len(masks))
	for _, m := range masks {
		out = append(out, byte(m), byte(m>>8), byte(m>>16))
	}
	return string(out), column, true, nil
}

// Bytes is what they take.
func (s *Steps) Bytes() int64 {
	return 8*int64(cap(s.events)) + 4*int64(cap(s.users)) + 4*int64(cap(s.places))
}

// Users is how many runs of events there are.
func (s *Steps) Users() int { return len(s.users) }

// note adds a user's rows that match.
func (s *Steps) note(code, lo, hi int, matches Bitmap, masks rowMasks, times *Vector) {
	if len(s.users)%stepUsers == 0 {
		s.places = append(s.places, uint32(len(s.events)))
	}
	s.users = append(s.users, uint32(code))
	for at := lo >> 6; at<<6 < hi; at++ {
		for word := matches.wordBetween(at, lo, hi); word != 0; word &= word - 1 {
			row := at*64 + trailing(word)
			s.events = append(s.events, uint64(times.momentOf(row)-s.least)<<stepShift|masks.of(row))
		}
	}
	s.events[len(s.events)-1] |= stepLast
}

// SeeAll notes that all users of a dictionary have events, unless one of them is null.
func (b *Behaviours) SeeAll(d *Dictionary) (done bool, err error) {
	set, err := b.plan.domains[b.user].entries(d)
	if err != nil || set == nil {
		return false, err
	}
	eachWord(set, func(first uint32, word uint64) {
		for seen := b.seen[first:]; word != 0; word &= word - 1 {
			if at := trailing(word); seen[at] == userUnseen {
				seen[at] = userSeen
			}
		}
	})
	return true, nil
}

// StepKept steps through the runs [lo, hi) of steps, of which lo is a multiple of
// stepUsers or all. Users of other runs may be stepped through meanwhile: those of two
// runs may be one.
func (w *BehaviourRows) StepKept(r *Rows, s *Steps, lo, hi int) error {
	b := w.of
	numbers, err := r.translated(b.user, s.dictionary)
	if err != nil || lo >= hi {
		return err
	}
	events := s.events[s.places[lo/stepUsers]:]
	f, _ := b.functions[0].(*funnel)
	plain := f != nil && f.plain() && len(b.functions) == 1
	for _, code := range s.users[lo:hi] {
		n := 1
		for events[n-1]&stepLast == 0 {
			n++
		}
		run := events[:n]
		events = events[n:]
		user := numbers[code]
		if b.seen[user] == userDone {
			continue
		}
		b.seen[user] = userSeen
		state := b.states[int(user)*b.words:][:b.words:b.words]
		if plain {
			if f.stepEvents(state, run, s.least) {
				b.seen[user] = userDone
			}
			continue
		}
		wants := b.wants(state)
		for i := 0; i < n && wants != 0; i++ {
			if mask := run[i] & (stepLast - 1); mask&wants != 0 {
				b.step(state, s.least+int64(run[i]>>stepShift), mask)
				wants = b.wants(state)
			}
		}
		if wants == 0 {
			b.seen[user] = userDone
		}
	}
	return nil
}

// Cut divides the runs of users among n.
func (s *Steps) Cut(n int) []int {
	cuts := []int{0}
	for i := 1; i < n; i++ {
		at := len(s.users) * i / n / stepUsers * stepUsers
		// A user whose rows were looked at in two parts has two runs.
		for at > 0 && at < len(s.users) && s.users[at] == s.users[at-1] {
			at = min(at+stepUsers, len(s.users))
		}
		cuts = append(cuts, max(at, cuts[i-1]))
	}
	return append(cuts, len(s.users))
}
