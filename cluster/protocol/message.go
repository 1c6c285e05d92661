package protocol

import "arbor/engine/dot"

// Message is what members send to each other. The types below are all there are.
type Message interface {
	kind() byte
	code(*coder)
}

// Call names a request, so that a reply finds it: the stream of the process that
// asks, which no earlier or later process of the same member shares, and a
// number.
type Call struct {
	Process dot.Stream
	Number  uint64
}

// Status is how a replica takes a request about a bucket.
type Status byte

// The statuses. All but OK are refusals, and each says what helps.
const (
	// OK: it was done, at the epoch of the reply's config.
	OK Status = 1 + iota
	// Stale: the replica is at a later epoch. Ask again under the config that the
	// reply has.
	Stale
	// NotHere: the replica that was asked, under its generation, is not there or
	// is no member at that epoch.
	NotHere
	// Full: the disk has no room.
	Full
	// Conflict: a dot is known, and names other content; or two configs have one
	// epoch. Somebody should look at it.
	Conflict
	// NotReady: the replica does not have what is needed yet.
	NotReady
	// Working: the scan goes on.
	Working
	// Failed: the scan ended with an error.
	Failed
)

// AppendRequest asks a replica to make batches durable.
type AppendRequest struct {
	Call    Call
	To      Replica
	Bucket  Bucket
	Config  Config
	Batches []Batch
}

// AppendReply says what became of all the batches of a request together. OK
// means that they are synced and that the replica was at the epoch of Config
// before and after.
type AppendReply struct {
	Call   Call
	From   Replica
	Bucket Bucket
	Config Config
	Status Status
}

// SetsRequest asks a member which dots its replicas of some buckets have.
type SetsRequest struct {
	Call Call
	// All asks for the streams that are folded, too.
	All  bool
	Asks []Ask
}

// Ask is one bucket of a request.
type Ask struct {
	To     Replica
	Bucket Bucket
	Config Config
}

// SetsReply gives the sets, each at the epoch of its config, which is durable.
type SetsReply struct {
	Call Call
	Sets []Held
}

// Held is what a replica has of a bucket, with OK, or why it does not say.
type Held struct {
	From   Replica
	Bucket Bucket
	Config Config
	Status Status
	Dots   dot.Set
}

// FetchRequest asks a member for batches. Any member may be asked, whatever the
// epoch: batches never change.
type FetchRequest struct {
	Call   Call
	Bucket Bucket
	Want   dot.Set
}

// FetchReply gives some of the batches, and offers files that have others. Has says
// how much of what was wanted the replica has, so that who gets fewer asks again and
// who gets none asks elsewhere.
type FetchReply struct {
	Call    Call
	Bucket  Bucket
	Has     dot.Set
	Batches []Batch
	Files   []FileOffer
}

// FileRequest asks for the bytes of a file that a FetchReply offered. It is sent
// beside the messages, as the request of a stream of pieces, and goes to
// Storage.ReadFile.
type FileRequest struct {
	Bucket Bucket
	Name   string
}

// Summary says, unasked, how a member's buckets are, so that peers see which
// differ. Only buckets that both hold are in it.
type Summary struct {
	Call  Call
	Lines []SummaryLine
}

// SummaryLine is a bucket and the hash of its set of dots.
type SummaryLine struct {
	Bucket Bucket
	Epoch  uint64
	Hash   uint64
}

// ScanRequest asks a member to execute a plan over buckets as soon as it has
// what is required of each. The answer is one part over all of them.
type ScanRequest struct {
	Call  Call
	Scans []Scan
	Plan  []byte
}

// Scan is one bucket of a request. Sources say who has what the replica lacks.
type Scan struct {
	Ask      Ask
	Required dot.Set
	Sources  []Source
}

// Source says that a replica has some dots.
type Source struct {
	Replica Replica
	Dots    dot.Set
}

// ScanReply is a part, whole, with OK; or Working, now and then, while it is
// made; or why there is none, with the configs to learn from.
type ScanReply struct {
	Call   Call
	Status Status
	Moved  []Moved
	Part   []byte
}

// Moved tells the config of a bucket.
type Moved struct {
	Bucket Bucket
	Config Config
}

// Synced tells the mover that a new replica of a joint config has all that a
// fenced majority of the old ones had.
type Synced struct {
	From   Replica
	Bucket Bucket
	Epoch  uint64
}

func (*AppendRequest) kind() byte { return 1 }
func (*AppendReply) kind() byte   { return 2 }
func (*SetsRequest) kind() byte   { return 3 }
func (*SetsReply) kind() byte     { return 4 }
func (*FetchRequest) kind() byte  { return 5 }
func (*FetchReply) kind() byte    { return 6 }
func (*Summary) kind() byte       { return 7 }
func (*ScanRequest) kind() byte   { return 8 }
func (*ScanReply) kind() byte     { return 9 }
func (*Synced) kind() byte        { return 10 }
func (*FileRequest) kind() byte   { return 11 }

// ofKind gives an empty message of a kind, or nil.
func ofKind(kind byte) Message {
	switch kind {
	case 1:
		return &AppendRequest{}
	case 2:
		return &AppendReply{}
	case 3:
		return &SetsRequest{}
	case 4:
		return &SetsReply{}
	case 5:
		return &FetchRequest{}
	case 6:
		return &FetchReply{}
	case 7:
		return &Summary{}
	case 8:
		return &ScanRequest{}
	case 9:
		return &ScanReply{}
	case 10:
		return &Synced{}
	case 11:
		return &FileRequest{}
	}
	return nil
}
