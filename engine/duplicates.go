package engine

import (
	"cmp"
	"slices"
	"strings"

	"arbor/catalog"
)

// Who is visible is decided in groups: the records of a shard with one distinct
// id and insert id or, without an insert id, with one content. That is coarser
// than any policy's key, so the groups are found once, when files are built and
// when logged batches are first looked at, and every policy is answered from
// them without reading columns.

// place is where a record is: a row of one of the view's files, or an event of
// its logs.
type place struct {
	source  int32 // the file's number in its fileset, or inLog
	ordinal uint32
}

// inLog is the source of events that are in no file yet. It is greater than
// every file's number, so that of physical repeats the one in a file stays.
const inLog = 1<<31 - 1

// fingerprint is event.PayloadHash; inside a group of one file it may be a
// class number in place of it.
type fingerprint struct{ hi, lo uint64 }

// member is a record of a group, with all that policies ask about.
type member struct {
	id      catalog.IngestID
	payload fingerprint
	name    string
	time    int64
	at      place
}

// The kinds of duplicates.
type kind uint8

const (
	kindRetry    kind = 1 // says what its survivor says
	kindConflict kind = 2 // says something else
)

func (k kind) String() string {
	if k == kindRetry {
		return "retry"
	}
	return "conflict"
}

// duplicate is a record hidden by its survivor.
type duplicate struct {
	ordinal uint32
	kind    kind
	of      catalog.IngestID
}

// dropRepeats sorts a group by ingest id and keeps one record of each id; of the
// others, which are physical repeats, it tells repeat.
func dropRepeats(members []member, repeat func(*member)) []member {
	slices.SortFunc(members, func(a, b member) int {
		if c := a.id.Compare(b.id); c != 0 {
			return c
		}
		if c := cmp.Compare(a.at.source, b.at.source); c != 0 {
			return c
		}
		return cmp.Compare(a.at.ordinal, b.at.ordinal)
	})
	kept := members[:0]
	for i := range members {
		if n := len(kept); n > 0 && kept[n-1].id == members[i].id {
			repeat(&members[i])
			continue
		}
		kept = append(kept, members[i])
	}
	return kept
}

// judge says which records of a group the policy hides. All are present and none
// is a repeat; keyed says that they have an insert id. The group's order changes.
func judge(members []member, keyed bool, p catalog.Policy, hide func(m *member, survivor *member, k kind)) {
	if len(members) < 2 || p.Disabled || !keyed && p.Missing == catalog.MissingNone {
		return
	}
	if len(members) == 2 {
		judgePair(members, keyed, p, hide)
		return
	}
	key := func(a, b *member) int { return keyOrder(a, b, keyed, &p) }
	slices.SortFunc(members, func(a, b member) int {
		if c := key(&a, &b); c != 0 {
			return c
		}
		// Equal ids are damaged rows; their order only has to be always the same.
		return cmp.Or(a.id.Compare(b.id), cmp.Compare(a.at.ordinal, b.at.ordinal))
	})
	for lo := 0; lo < len(members); {
		hi := lo + 1
		for hi < len(members) && key(&members[lo], &members[hi]) == 0 {
			hi++
		}
		hideAllButOne(members[lo:hi], p.Survivor, hide)
		lo = hi
	}
}

// judgePair is judge for the group that nearly all groups are.
func judgePair(members []member, keyed bool, p catalog.Policy, hide func(m *member, survivor *member, k kind)) {
	if keyOrder(&members[0], &members[1], keyed, &p) != 0 {
		return
	}
	if cmp.Or(members[0].id.Compare(members[1].id), cmp.Compare(members[0].at.ordinal, members[1].at.ordinal)) > 0 {
		members[0], members[1] = members[1], members[0]
	}
	hideAllButOne(members, p.Survivor, hide)
}

// hideAllButOne hides the records of one logical key, which are in the order of
// their ingest ids.
func hideAllButOne(same []member, s catalog.Survivor, hide func(m *member, survivor *member, k kind)) {
	survivor := 0
	if s == catalog.SurvivorLast {
		survivor = len(same) - 1
	}
	for i := range same {
		switch {
		case i == survivor:
		case same[i].payload == same[survivor].payload:
			hide(&same[i], &same[survivor], kindRetry)
		default:
			hide(&same[i], &same[survivor], kindConflict)
		}
	}
}

// keyOrder orders the records of a group by what the policy's key adds to it, so
// that those with one logical key compare equal. Without an insert id the
// group's content is the key.
func keyOrder(a, b *member, keyed bool, p *catalog.Policy) int {
	if !keyed {
		return 0
	}
	if p.Key != catalog.KeyID {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
	}
	if p.Key == catalog.KeyExact {
		if c := cmp.Compare(millisecond(a.time), millisecond(b.time)); c != 0 {
			return c
		}
	}
	if p.Conflict == catalog.ConflictKeep {
		return cmp.Or(cmp.Compare(a.payload.hi, b.payload.hi), cmp.Compare(a.payload.lo, b.payload.lo))
	}
	return 0
}

// millisecond is the whole millisecond that a moment falls into.
func millisecond(t int64) int64 {
	m := t / catalog.Millisecond
	if t%catalog.Millisecond < 0 {
		m--
	}
	return m
}
