package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// A plan is what members execute for each other:
//
//	┌─────────┬──────┬─────────────────┬────────┐
//	│ version │ kind │ catalog version │ body … │
//	│ 1       │ 1    │ uvarint         │        │
//	└─────────┴──────┴─────────────────┴────────┘
//
// Whoever executes it first has a catalog of that version or a later one. The body:
//
//	1  a fragment, without buckets; the answer is a partial
//	2  records, each with its length before it; the answer is how many of their events
//	   are hidden as duplicates, a uvarint
//	3  the name of a table of Describe; the answer is its rows, as tables
//	4  1 if damage is to be an error, or 0; the answer is a cut of the buckets' files,
//	   which the member keeps for who asked
//	5  an erasure's id, as JSON; the answer is what it is going to remove, as JSON
const (
	planVersion    = 1
	planFragment   = 1
	planDuplicates = 2
	planDescribe   = 3
	planCut        = 4
	planErasure    = 5
)

// errPlan: a plan cannot be read.
var errPlan = errors.New("bad plan")

func newPlan(kind byte, c *catalog.Catalog) []byte {
	return binary.AppendUvarint([]byte{planVersion, kind}, c.Version)
}

// Scan executes a plan over buckets.
func (m *Members) Scan(ctx context.Context, buckets []protocol.Bucket, plan []byte, send func([]byte) error) error {
	if len(plan) < 3 || plan[0] == 0 {
		return fmt.Errorf("%w: %d bytes", errPlan, len(plan))
	}
	if plan[0] > planVersion {
		return fmt.Errorf("plan of version %d, this arbor knows %d", plan[0], planVersion)
	}
	version, n := binary.Uvarint(plan[2:])
	if n <= 0 {
		return fmt.Errorf("%w: it has no version", errPlan)
	}
	c, err := m.await(ctx, func(c *catalog.Catalog) bool { return c.Version >= version })
	if err != nil {
		return err
	}
	mine := map[protocol.Bucket]bool{}
	for _, b := range buckets {
		mine[b] = true
	}
	switch body := plan[2+n:]; plan[1] {
	case planFragment:
		return m.executeFragment(ctx, c, mine, body, send)
	case planDuplicates:
		return m.countDuplicates(ctx, mine, body, send)
	case planDescribe:
		return m.describeBuckets(ctx, mine, string(body), send)
	case planErasure:
		return m.countErased(ctx, body, send)
	case planCut:
		if len(body) != 1 {
			return fmt.Errorf("%w: a cut with %d bytes", errPlan, len(body))
		}
		return m.cutBuckets(ctx, mine, body[0] == 1, send)
	}
	return fmt.Errorf("%w: kind %d", errPlan, plan[1])
}

func (m *Members) executeFragment(ctx context.Context, c *catalog.Catalog, mine map[protocol.Bucket]bool, body []byte, send func([]byte) error) error {
	f, err := exec.DecodeFragment(body)
	if err != nil {
		return err
	}
	f.Buckets = []uint16{}
	if p, ok := c.ProjectByID(f.Project); ok {
		for slot := range p.Buckets {
			if mine[protocol.BucketOf(catalog.ShardKey{Project: p.ID, Bucket: slot})] {
				f.Buckets = append(f.Buckets, slot)
			}
		}
	}
	_, err = m.o.Engine.ExecutePartial(ctx, f, send)
	return err
}

func (m *Members) countDuplicates(ctx context.Context, mine map[protocol.Bucket]bool, body []byte, send func([]byte) error) error {
	var records [][]byte
	for len(body) > 0 {
		n, w := binary.Uvarint(body)
		if w <= 0 || n > uint64(len(body)-w) {
			return fmt.Errorf("%w: %d bytes of records are left", errPlan, len(body))
		}
		record := body[w : w+int(n)]
		body = body[w+int(n):]
		shard, err := event.ShardOf(record)
		if err != nil {
			return err
		}
		if mine[protocol.BucketOf(shard)] {
			records = append(records, record)
		}
	}
	n, err := m.o.Engine.Duplicates(ctx, records)
	if err != nil {
		return err
	}
	return send(binary.AppendUvarint(nil, uint64(n)))
}

// The errors that every replica would answer a plan with, by their codes.
var faultCodes = []struct {
	code byte
	err  error
}{
	{1, exec.ErrMemory}, {2, exec.ErrGroups}, {3, exec.ErrFragment}, {4, exec.ErrFunction}, {5, exec.ErrBehaviour}, {6, exec.ErrArray}, {7, errPlan},
}

// faults carry those errors between members: a code and the text.
type faults struct{}

// Encode gives an error's code and text.
func (faults) Encode(err error) ([]byte, bool) {
	for _, f := range faultCodes {
		if errors.Is(err, f.err) {
			return append([]byte{f.code}, err.Error()...), true
		}
	}
	return nil, false
}

// Decode gives an error of that text.
func (faults) Decode(b []byte) error {
	if len(b) == 0 {
		return errPlan
	}
	e := &remoteFault{text: string(b[1:])}
	for _, f := range faultCodes {
		if f.code == b[0] {
			e.kind = f.err
		}
	}
	return e
}

// remoteFault is an error that came from another member.
type remoteFault struct {
	text string
	kind error
}

// Error is the text that it had there.
func (e *remoteFault) Error() string { return e.text }

// Unwrap is which of the known errors it is.
func (e *remoteFault) Unwrap() error { return e.kind }
