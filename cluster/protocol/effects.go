package protocol

import (
	"time"

	"arbor/engine/dot"
)

// Effects is what a machine wants done. A driver carries everything out in any
// order, and gives each task's end to Holder.Complete once. Messages may be
// lost; tasks may not.
type Effects struct {
	Messages []Envelope
	Tasks    []Task
	Written  []Written
	Answered []Answered
	// Synced are for the mover, beside whoever leads the metadata.
	Synced []Synced
	// Learnt are configs that a message brought and the process did not know.
	Learnt []Moved
	// Alarms are what cannot be, in words: somebody has to look.
	Alarms []string
	// Broken says that the disk cannot be believed any more: the process has to
	// end, and the member's generation with it.
	Broken error
}

// Envelope is a message and whom it is for.
type Envelope struct {
	To      MemberID
	Message Message
}

// Task is work for the disk. One of the pointers is set.
type Task struct {
	Number uint64
	Bucket Bucket
	Append []Batch
	Save   *Record
	Fetch  *dot.Set
	Adopt  *Adoption
	Scan   *ScanTask
	Drop   bool
}

// Adoption is a file that another member offers: Storage.Adopt is given a
// ReadFile that asks that member.
type Adoption struct {
	From MemberID
	File FileOffer
}

// ScanTask is a plan and the buckets that it goes over, and whose request it is.
type ScanTask struct {
	From    MemberID
	Call    Call
	Buckets []Bucket
	Plan    []byte
}

// Result is how a task ended.
type Result struct {
	Err      error
	Outcomes []Outcome // of Append
	Fetched  Fetched   // of Fetch
	Dots     dot.Set   // of Adopt
	Part     []byte    // of Scan
}

// Record is what a replica keeps in the Ledger of one bucket: the identity under
// which it holds it, the config it has learnt, and the last epoch at which it had
// caught up. A zero Generation means that it holds nothing of the bucket.
type Record struct {
	Generation uint32
	Synced     uint64
	Config     Config
}

// Written says how a write ended: durable on its quorums, or an error, after
// which the batches may or may not be stored.
type Written struct {
	ID  uint64
	Err error
}

// Answered says how a query ended. Parts are in the order of their least bucket.
type Answered struct {
	ID    uint64
	Parts [][]byte
	Err   error
}

// send adds a message.
func (e *Effects) send(to MemberID, m Message) {
	e.Messages = append(e.Messages, Envelope{to, m})
}

// Moment is a time on the process's own monotonic clock. No machine compares
// moments of two processes.
type Moment = time.Duration
