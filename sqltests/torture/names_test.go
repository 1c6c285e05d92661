package torture

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/sqltests/oracle"
)

// givenNames are the records that were given a name: most that are appended, the others are
// as an older arbor logged them. A record that is sent again has the name that it had.
type givenNames struct {
	mu       sync.Mutex // guards what follows; tests append from several goroutines
	stream   dot.Stream
	next     uint64
	appends  int
	dots     map[string]dot.Dot // by the record
	records  map[dot.Dot]record
	acked    map[dot.Dot]bool
	compared int
}

// members counts those that gave names.
var members atomic.Uint64

// Append appends records, three times out of four under names.
func (m *member) Append(ctx context.Context, records [][]byte) error {
	all, err := m.names.give(records)
	if err != nil {
		return err
	}
	if all == nil {
		return m.Cluster.Append(ctx, records)
	}
	outcomes, err := m.engine.AppendNamed(ctx, all)
	if err != nil {
		return err
	}
	m.names.mu.Lock()
	defer m.names.mu.Unlock()
	for i, o := range outcomes {
		if o != dot.Stored {
			return fmt.Errorf("%w: %v is said to name other content", errWrong, all[i].Dot)
		}
		m.names.acked[all[i].Dot] = true
	}
	return nil
}

// give gives records their names; nil for those that get none.
func (n *givenNames) give(records [][]byte) ([]dot.Named, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.appends++; n.appends%4 == 0 {
		return nil, nil
	}
	if n.dots == nil {
		binary.BigEndian.PutUint64(n.stream[:], members.Add(1)) // a disk may have had another member
		n.dots, n.records, n.acked = map[string]dot.Dot{}, map[dot.Dot]record{}, map[dot.Dot]bool{}
	}
	all := []dot.Named{}
	for _, b := range records {
		d, known := n.dots[string(b)]
		if !known {
			n.next++
			d = dot.Dot{Stream: n.stream, Seq: n.next}
			var batch event.Batch
			if err := event.DecodeBatch(b, &batch); err != nil {
				return nil, err
			}
			n.dots[string(b)], n.records[d] = d, record{batch.Shard, b, oracle.Records(&batch)}
		}
		all = append(all, dot.Named{Dot: d, Record: b})
	}
	return all, nil
}

// compareNames: each name that was acknowledged is held, and what is held under a name
// is there, unless its project was purged.
func (m *member) compareNames(ctx context.Context, model *oracle.Model) error {
	held, lost, err := m.engine.Held(ctx)
	if err != nil || len(lost) > 0 {
		return fmt.Errorf("%w: held are %v, lost %v, %v", errWrong, held, lost, err)
	}
	for d := range m.names.acked {
		set := held[m.names.records[d].shard.Slot()]
		if !set.Contains(d) {
			return fmt.Errorf("%w: %v of shard %s was acknowledged and is not held", errWrong, d, m.names.records[d].shard)
		}
		m.names.compared++
	}
	there := map[string]bool{}
	for _, r := range model.Records() {
		there[oracleKey(r)] = true
	}
	for slot, set := range held {
		for d := range set.All() {
			rec, known := m.names.records[d]
			if !known && d.Stream != m.names.stream {
				continue
			}
			if !known || rec.shard.Slot() != slot {
				return fmt.Errorf("%w: %v is held in slot %s, and is not of it", errWrong, d, slot)
			}
			if _, exists := m.Catalog().ProjectByID(slot.Project); !exists {
				continue
			}
			for _, r := range rec.records {
				if !there[oracleKey(r)] {
					return fmt.Errorf("%w: %v is held, and one of its records is not there: %v", errWrong, d, r)
				}
			}
		}
	}
	return nil
}

// oracleKey tells records apart by shard and content.
func oracleKey(r oracle.Record) string {
	return r.Shard.String() + " " + oracle.Digest([]oracle.Record{r}).String()
}
