package catalog

import "fmt"

// stageVersion is the first version of a catalog's encoding that has a stage. A catalog
// without one is written in the version before.
const stageVersion = 3

func (c *Catalog) codeStage(k *coder) {
	if k.decoding {
		c.Stage = &Stage{}
	}
	s := c.Stage
	unsigned(k, "stage from", &s.From)
	unsigned(k, "stage to", &s.To)
	list(k, "canaries", &s.Members, MaxCanaries, (*MemberKey).code)
	signed(k, "since", &s.Since)
	signed(k, "until", &s.Until)
	unsigned(k, "state", &s.State)
	signed(k, "stopped at", &s.StoppedAt)
	text(k, "reason", &s.Reason, maxStageReason)
}

func (m *MemberKey) code(k *coder) { k.bytes("member", m[:]) }

func (c *Catalog) validateStage() error {
	if s := c.Stage; s != nil && (s.State > StageRollingBack || len(s.Members) == 0 || s.To == 0) {
		return fmt.Errorf("a stage of version %d on %d members has the state %d", s.To, len(s.Members), s.State)
	}
	return nil
}

func (BeginStage) kind() uint8    { return kindBeginStage }
func (StopStage) kind() uint8     { return kindStopStage }
func (PromoteStage) kind() uint8  { return kindPromoteStage }
func (RollBackStage) kind() uint8 { return kindRollBackStage }
func (RolledBack) kind() uint8    { return kindRolledBack }

func (b BeginStage) code(k *coder) Change {
	unsigned(k, "stage to", &b.To)
	list(k, "canaries", &b.Members, MaxCanaries, (*MemberKey).code)
	signed(k, "since", &b.Since)
	signed(k, "until", &b.Until)
	return b
}

func (s StopStage) code(k *coder) Change {
	signed(k, "since", &s.Since)
	signed(k, "at", &s.At)
	text(k, "reason", &s.Reason, maxStageReason)
	return s
}

func (p PromoteStage) code(k *coder) Change {
	signed(k, "since", &p.Since)
	return p
}

func (r RollBackStage) code(k *coder) Change {
	signed(k, "since", &r.Since)
	return r
}

func (r RolledBack) code(k *coder) Change {
	signed(k, "since", &r.Since)
	r.Member.code(k)
	return r
}
