package protocol

import "slices"

// Mover ends the changes that are complete. It runs beside whoever leads the
// metadata, and may be forgotten at any time: new replicas repeat what they say.
type Mover struct {
	bug    bug
	synced map[Bucket]map[Replica]uint64
	since  map[Bucket]Moment
}

// NewMover knows of no report.
func NewMover() *Mover {
	return &Mover{synced: map[Bucket]map[Replica]uint64{}, since: map[Bucket]Moment{}}
}

// Synced takes a report.
func (m *Mover) Synced(s Synced) {
	if m.synced[s.Bucket] == nil {
		m.synced[s.Bucket] = map[Replica]uint64{}
	}
	m.synced[s.Bucket][s.From] = s.Epoch
}

// Due gives the commands that end changes, for the table in force.
func (m *Mover) Due(now Moment, p *Placement) (due []End) {
	for b := range p.Configs {
		bucket, c := Bucket(b), &p.Configs[b]
		if !c.Joint() {
			delete(m.synced, bucket)
			delete(m.since, bucket)
			continue
		}
		var synced []Replica
		for _, r := range c.New {
			if m.synced[bucket][r] == c.Epoch || m.bug == bugNoSyncBeforeFlip {
				synced = append(synced, r)
			}
		}
		if !majority(c.New, func(r Replica) bool { return slices.Contains(synced, r) }) {
			delete(m.since, bucket)
			continue
		}
		if _, ok := m.since[bucket]; !ok {
			m.since[bucket] = now
		}
		if len(synced) == len(c.New) || now-m.since[bucket] >= endWaits {
			due = append(due, End{bucket, c.Epoch, synced})
		}
	}
	return due
}
