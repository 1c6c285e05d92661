package event

import "arbor/catalog"

// AlarmUnrepaired is the kind of alarms about shards that nobody can repair. A repair
// takes it back.
const AlarmUnrepaired = "unrepaired"

// Repaired says what the repair of a damaged shard came to.
type Repaired struct {
	Shard catalog.ShardKey
	// Damaged are the files that were set aside, and "log" if what was logged could not
	// be read.
	Damaged []string
	// From are the members whose files stand for them now.
	From []string
}
