package catalog

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
