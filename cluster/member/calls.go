package member

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"arbor/cluster/consensus"
	"arbor/cluster/peer"
	"arbor/cluster/protocol"
)

// The calls that members answer each other.
const (
	callCommand = "metadata.command" // a command, for the leader
	callApplied = "metadata.applied" // which version of the metadata is in force there?
	callSynced  = "placement.synced" // a replica has caught up, for the leader
	callAdmin   = "admin"            // an operator's wish, for the leader
	callHello   = "member.hello"     // a member that knows no leader has started
	callBoot    = "member.boot"      // how often is it known that the caller has started?
)

func (m *Member) answerCommand(ctx context.Context, _ MemberID, command []byte) ([]byte, error) {
	group, err := m.ready()
	if err != nil {
		return nil, err
	}
	return group.Handle(ctx, command), nil
}

func (m *Member) answerApplied(context.Context, MemberID, []byte) ([]byte, error) {
	group, err := m.ready()
	if err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint64(nil, group.Applied()), nil
}

func (m *Member) askApplied(ctx context.Context, id MemberID) (uint64, error) {
	b, err := m.node.Call(ctx, id, callApplied, nil)
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("member %s says its version in %d bytes", id, len(b))
	}
	return binary.LittleEndian.Uint64(b), nil
}

// Synced takes that a replica has caught up to whoever leads. It does not wait;
// what gets lost is said again.
func (m *Member) Synced(s protocol.Synced) {
	group := m.group.Load()
	if group == nil {
		return
	}
	if group.Leads() {
		m.planner.synced(s)
		return
	}
	m.planner.tell(s)
}

// sendSynced tells the leader.
func (m *Member) sendSynced(ctx context.Context, reports []protocol.Synced) error {
	leader, ok := m.group.Load().Leader()
	if !ok || leader == m.identity.id {
		return consensus.ErrNoLeader
	}
	_, err := m.node.Call(ctx, leader, callSynced, encodeReports(reports))
	return err
}

// reportBytes is a replica, a bucket and an epoch.
const reportBytes = 16 + 4 + 2 + 8

func encodeReports(reports []protocol.Synced) []byte {
	b := make([]byte, 0, reportBytes*len(reports))
	for _, s := range reports {
		b = append(b, s.From.Member[:]...)
		b = binary.LittleEndian.AppendUint32(b, s.From.Generation)
		b = binary.LittleEndian.AppendUint16(b, uint16(s.Bucket))
		b = binary.LittleEndian.AppendUint64(b, s.Epoch)
	}
	return b
}

var errReports = errors.New("reports of replicas cannot be read")

// answerSynced takes reports about the caller's own replicas.
func (m *Member) answerSynced(_ context.Context, from MemberID, b []byte) ([]byte, error) {
	if len(b)%reportBytes != 0 || len(b) > 2*reportBytes*protocol.Buckets {
		return nil, errReports
	}
	for ; len(b) > 0; b = b[reportBytes:] {
		s := protocol.Synced{Bucket: protocol.Bucket(binary.LittleEndian.Uint16(b[20:])), Epoch: binary.LittleEndian.Uint64(b[22:])}
		copy(s.From.Member[:], b)
		s.From.Generation = binary.LittleEndian.Uint32(b[16:])
		if s.From.Member == from && s.Bucket < protocol.Buckets {
			m.planner.synced(s)
		}
	}
	return nil, nil
}

// announcement is what a member says of itself when it starts.
func (m *Member) announcement() consensus.Announce {
	p := m.o.Place
	return consensus.Announce{Member: consensus.Member{
		ID: m.identity.id, Addresses: p.Addresses, Zone: p.Zone, Roles: p.Roles, Session: m.session, Boot: m.identity.Boot, Release: m.o.Release, Format: m.format(),
	}}
}

// answerHello announces a member in its name: its address may be another than the
// leader knows, so that the leader cannot reach it before.
func (m *Member) answerHello(ctx context.Context, from MemberID, b []byte) ([]byte, error) {
	group, err := m.ready()
	if err != nil {
		return nil, err
	}
	var a consensus.Announce
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, err
	}
	a.Member.ID = from
	ctx, cancel := context.WithTimeout(ctx, helloWithin)
	defer cancel()
	switch _, err := group.Apply(ctx, a); {
	case errors.Is(err, consensus.ErrStaleBoot):
		return []byte{helloStale}, nil
	case errors.Is(err, consensus.ErrRemoved):
		return []byte{helloRemoved}, nil
	default:
		return nil, err
	}
}

// The answers to hello, beside none.
const (
	helloStale   = 1
	helloRemoved = 2
)

// helloWithin bounds the answer to a hello.
const helloWithin = 3 * time.Second

// hello says to the members that are known that this one has started. It gives the
// reason for which this process may not go on, if one of them knows it. Who is
// refused by all that answer was removed, and was not there to hear of it.
func (m *Member) hello(ctx context.Context) error {
	b, err := json.Marshal(m.announcement())
	if err != nil {
		return err
	}
	answered, refusals := 0, 0
	for _, id := range m.known() {
		if id == m.identity.id {
			continue
		}
		within, cancel := context.WithTimeout(ctx, helloWithin)
		answer, err := m.node.Call(within, id, callHello, b)
		cancel()
		switch {
		case len(answer) > 0 && answer[0] == helloStale:
			return consensus.ErrStaleBoot
		case len(answer) > 0 && answer[0] == helloRemoved:
			return consensus.ErrRemoved
		case errors.Is(err, peer.ErrRefused):
			refusals++
		case err == nil:
			answered++
		}
	}
	if answered == 0 && refusals > 0 {
		return consensus.ErrRemoved
	}
	return nil
}
