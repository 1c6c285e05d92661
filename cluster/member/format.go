package member

import (
	"arbor/catalog"
	"arbor/cluster/consensus"
)

// The versions of what members say to each other and keep. Each has what the one before
// it has. What an older member does not know is not agreed on before all know it, so that
// members can be brought to a new arbor one after the other.
const (
	// formatQuorum is the first with write quorums of projects, and with erasures that take
	// rows of mutable tables.
	formatQuorum = 2
	// formatMeasured is the first with fragments that are measured.
	formatMeasured = 3
	// formatRates is the first with the settings scrub_whole_every and move_rate.
	formatRates = 4
	// format is the newest that this arbor knows.
	format = formatRates
)

func (m *Member) format() uint32 {
	if m.o.Format > 0 {
		return m.o.Format
	}
	return format
}

// formatOf is the version that a catalog needs.
func formatOf(c *catalog.Catalog) uint32 {
	if c.HasWriteQuorum() || c.HasErasedRows() {
		return formatQuorum
	}
	return 0
}

// mustKnow refuses what a member does not know, and says what that one would do.
func mustKnow(s *consensus.State, format uint32, would string) error {
	for _, o := range s.Present() {
		if o.Format < format {
			return refused("member %s runs arbor %s, which %s: bring it to this release first", o.ID, o.Release, would)
		}
	}
	return nil
}

// mayChange refuses a change of the catalog that a member would not understand, or that
// would have writes refused.
func mayChange(s *consensus.State, change catalog.Change) error {
	switch c := change.(type) {
	case catalog.BeginErasure:
		return mustKnow(s, formatQuorum, "would keep the user's rows of mutable tables")
	case catalog.SetWriteQuorum:
		if err := mustKnow(s, formatQuorum, "knows no write quorums"); err != nil {
			return err
		}
		if copies := min(replicasOf(s), len(eligible(s))); int(c.Members) > copies {
			return refused("each event is on %d members, so %d cannot be waited for: add members, or set the setting %s", copies, c.Members, catalog.SettingReplicas)
		}
	case catalog.SetSetting:
		if c.Name == catalog.SettingMoveRate || c.Name == catalog.SettingScrubWholeEvery {
			if err := mustKnow(s, formatRates, "has no setting "+c.Name); err != nil {
				return err
			}
		}
		next, err := s.Catalog.Apply(c)
		if err != nil || next.Replicas() == s.Catalog.Replicas() {
			return nil // what is wrong with it is said where it is applied
		}
		copies := next.Replicas()
		if copies == 0 {
			copies = automaticReplicas
		}
		for _, p := range next.Projects {
			if p.DroppedAt == 0 && int(p.WriteQuorum) > copies {
				return refused("events of project %s are acknowledged when %d members have them: CALL arbor.set_write_quorum('%s', %d) first", p.Name, p.WriteQuorum, p.Name, copies)
			}
		}
	}
	return nil
}
