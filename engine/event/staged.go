package event

import (
	"fmt"
	"slices"

	"arbor/catalog"
)

// Staged is what a canary has made by a staged version.
type Staged struct {
	Shards []StagedShard
	// Trouble says what went wrong while files of the staged version were built, empty if
	// nothing did.
	Trouble string
}

// StagedShard is a shard that has files of a staged version.
type StagedShard struct {
	Shard catalog.ShardKey
	// Batches is a hash of the names of all batches that the shard has, 0 if one of them
	// has no name.
	Batches uint64
	// Files are those of the staged version.
	Files []string
	// Damaged is why the shard cannot be read, empty if it can.
	Damaged string
}

// Sample is what is read of a shard: its holding, with the digest of the records as the
// rows say, and the answers of fixed questions.
type Sample struct {
	Holding
	// Answers are hashes of the answers of Questions, in their order; none for a project
	// that nobody sees.
	Answers []uint64
}

// Questions are what a Sample answers.
var Questions = []string{
	"the count, the users and the bounds of time", "the events by name", "the properties", "the last events", "all copies",
}

// Differs says in what two samples of the same batches differ, empty if in nothing, or if
// they are not of the same batches. Answers are compared under one catalog alone.
func (s *Sample) Differs(o *Sample) string {
	if !s.Agrees(&o.Holding) {
		return fmt.Sprintf("records and visibility: %s against %s", s.Content, o.Content)
	}
	if s.Shard != o.Shard || s.Batches != o.Batches || s.Catalog != o.Catalog || slices.Equal(s.Answers, o.Answers) {
		return ""
	}
	for i := range min(len(s.Answers), len(o.Answers), len(Questions)) {
		if s.Answers[i] != o.Answers[i] {
			return "the answer about " + Questions[i]
		}
	}
	return fmt.Sprintf("%d answers against %d", len(s.Answers), len(o.Answers))
}

// String says what there is.
func (c Content) String() string {
	return fmt.Sprintf("%s, %d hidden, %d accepted, %d deleted, %d quarantined", c.Records, c.Hidden.Count, c.Accepted, c.Deleted, c.Quarantined)
}
