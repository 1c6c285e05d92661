package catalog

import (
	"fmt"
	"strings"
	"unicode"
)

// Key says which parts of an event make its logical key, beside project, user,
// UTC day and insert id.
type Key uint8

// The keys. The numbers are on disk: append only.
const (
	KeyDay   Key = 0 // and the event's name: the default
	KeyExact Key = 1 // and the event's name and its time to the millisecond
	KeyID    Key = 2 // nothing more: the rule of the 2019 post
)

// Survivor says which copy of an event queries see.
type Survivor uint8

// The survivors: the copy with the smallest or with the greatest ingest id.
const (
	SurvivorFirst Survivor = 0
	SurvivorLast  Survivor = 1
)

// Conflict says what becomes of a copy whose payload differs from the survivor's.
type Conflict uint8

// MARK hides it as a duplicate of kind "conflict"; KEEP leaves the survivor of
// each distinct payload visible, as if the payload were part of the key.
const (
	ConflictMark Conflict = 0
	ConflictKeep Conflict = 1
)

// Missing says what identifies an event that was sent without an insert id.
type Missing uint8

// NONE: such an event is never a duplicate. CONTENT: its name, time, user and
// properties stand in for the insert id.
const (
	MissingNone    Missing = 0
	MissingContent Missing = 1
)

// Policy is a project's rule of dedupe. It decides what queries see, never
// what is stored, so a change is retroactive and costs no rewriting.
type Policy struct {
	Disabled bool
	Key      Key
	Survivor Survivor
	Conflict Conflict
	Missing  Missing
}

// DefaultPolicy is what a new project has.
var DefaultPolicy = Policy{}

// PolicyRule is a policy for whole UTC days of event time, From ≤ day ≤ To.
// Of the rules that hold a day the last one added decides.
type PolicyRule struct {
	Version uint64 // the catalog version that added it
	From    Day
	To      Day
	Policy  Policy
}

// The days that bound a rule without a beginning or an end.
const (
	MinDay Day = -1 << 31
	MaxDay Day = 1<<31 - 1
)

// The words of a policy's text, by number.
var (
	keyNames      = []string{"DAY", "EXACT", "ID"}
	survivorNames = []string{"FIRST", "LAST"}
	conflictNames = []string{"MARK", "KEEP"}
	missingNames  = []string{"NONE", "CONTENT"}
)

// String is the policy in full, in the form that ParsePolicy reads:
//
//	ENABLED=on KEY=DAY SURVIVOR=FIRST CONFLICT=MARK MISSING=NONE
func (p Policy) String() string {
	enabled := "on"
	if p.Disabled {
		enabled = "off"
	}
	return fmt.Sprintf("ENABLED=%s KEY=%s SURVIVOR=%s CONFLICT=%s MISSING=%s", enabled,
		word(keyNames, uint8(p.Key)), word(survivorNames, uint8(p.Survivor)),
		word(conflictNames, uint8(p.Conflict)), word(missingNames, uint8(p.Missing)))
}

func word(names []string, n uint8) string {
	if int(n) < len(names) {
		return names[n]
	}
	return fmt.Sprint(n)
}

// valid reports whether every part is one that this version knows.
func (p Policy) valid() bool {
	return p.Key <= KeyID && p.Survivor <= SurvivorLast && p.Conflict <= ConflictKeep && p.Missing <= MissingContent
}

// ParsePolicy reads a policy's text: NAME=value parts in any order and case,
// parted by white space or commas. A part that is left out has its default, so
// that the empty text is DefaultPolicy.
func ParsePolicy(text string) (Policy, error) {
	var p Policy
	seen := map[string]bool{}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		name, value, ok := strings.Cut(strings.ToUpper(part), "=")
		if !ok {
			return Policy{}, fmt.Errorf("%w: %q is not NAME=value, such as KEY=DAY", ErrPolicy, clip(part))
		}
		if seen[name] {
			return Policy{}, fmt.Errorf("%w: %s is given twice", ErrPolicy, clip(name))
		}
		seen[name] = true
		if err := p.set(name, value); err != nil {
			return Policy{}, err
		}
	}
	return p, nil
}

func (p *Policy) set(name, value string) error {
	var n uint8
	var err error
	switch name {
	case "ENABLED":
		switch value {
		case "ON", "TRUE", "1":
			p.Disabled = false
		case "OFF", "FALSE", "0":
			p.Disabled = true
		default:
			err = fmt.Errorf("%w: ENABLED=%s: want on or off", ErrPolicy, clip(value))
		}
	case "KEY":
		n, err = number(name, keyNames, value)
		p.Key = Key(n)
	case "SURVIVOR":
		n, err = number(name, survivorNames, value)
		p.Survivor = Survivor(n)
	case "CONFLICT":
		n, err = number(name, conflictNames, value)
		p.Conflict = Conflict(n)
	case "MISSING":
		n, err = number(name, missingNames, value)
		p.Missing = Missing(n)
	default:
		err = fmt.Errorf("%w: no part is named %s: want ENABLED, KEY, SURVIVOR, CONFLICT or MISSING", ErrPolicy, clip(name))
	}
	return err
}

func number(name string, names []string, value string) (uint8, error) {
	for i, n := range names {
		if n == value {
			return uint8(i), nil
		}
	}
	return 0, fmt.Errorf("%w: %s=%s: want %s", ErrPolicy, name, clip(value), strings.Join(names, " or "))
}
