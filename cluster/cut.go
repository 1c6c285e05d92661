package cluster

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/cluster/replication"
	"arbor/engine/event"
)

// A cut of a cluster is what a backup copies: each bucket from one replica that holds all
// that was acknowledged before, as files. The member that makes the backup asks a plan of
// kind 4; whoever answers keeps its files open under a token, until it is told that they
// are no longer needed or hears nothing for cutLease, and gives pieces of them and their
// hashes.

// Limits of cuts.
const (
	// cutLease is how long a cut is kept for somebody who is silent.
	cutLease = 5 * time.Minute
	// cutKeepEvery is how often who needs a cut says so.
	cutKeepEvery = time.Minute
	// maxHeldCuts are kept at once for all who ask.
	maxHeldCuts = 16
	// cutPieceBytes is how much of a file is given at once.
	cutPieceBytes = 4 << 20
	// cutPieceShards are described in one piece of an answer.
	cutPieceShards = 128
)

// Errors of cuts.
var (
	// ErrCutGone: a member does not keep a cut any more, since it was started again or
	// heard nothing for long.
	ErrCutGone  = errors.New("the cut is no longer kept")
	errManyCuts = errors.New("member keeps as many cuts as it may")
)

// MemberCut is what one member gives of a cut. Its files can be read until the cut is
// released.
type MemberCut struct {
	Member string
	event.FileCut
}

// cutPiece is a piece of an answer, as JSON. One that names damage without a token says
// that no cut is kept for the sake of it.
type cutPiece struct {
	Token string
	event.FileCut
}

// Cut takes a cut of all buckets of all projects. near says which member gave a slot
// last, if one did: asked again, it gives the same files. A shard that is damaged on
// every replica is named, and no other is without it. release ends it.
func (m *Members) Cut(ctx context.Context, near func(catalog.Slot) (member string)) (cuts []MemberCut, release func(), err error) {
	c := m.catalogNow()
	last := map[protocol.Bucket]protocol.MemberID{}
	var buckets []protocol.Bucket
	var seen [protocol.Buckets]bool
	for i := range c.Projects {
		p := c.Projects[i]
		for slot := range p.Buckets {
			b := protocol.BucketOf(catalog.ShardKey{Project: p.ID, Bucket: slot})
			if id, ok := parseMemberID(near(catalog.Slot{Project: p.ID, Bucket: slot})); ok {
				last[b] = id
			}
			if !seen[b] {
				seen[b] = true
				buckets = append(buckets, b)
			}
		}
	}
	parts, damaged, err := m.askCut(ctx, c, true, buckets, last)
	if damaged && errors.Is(err, protocol.ErrIncomplete) {
		parts, _, err = m.askCut(ctx, c, false, buckets, last) // what is damaged is named then
	}
	if err != nil {
		return nil, nil, m.askError("what all hold together", err)
	}
	keeping, stop := context.WithCancel(m.ctx)
	var keepers sync.WaitGroup
	for _, p := range parts {
		cuts = append(cuts, p.open(ctx, m))
	}
	keepers.Go(func() { m.keepCuts(keeping, parts) }) // ends with keeping
	return cuts, sync.OnceFunc(func() {
		stop()
		keepers.Wait()
		for _, p := range parts {
			p.release(m)
		}
	}), nil
}

func (m *Members) catalogNow() *catalog.Catalog {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.catalog
}

// askCut has each bucket answered by one replica: strictly by one that has nothing
// damaged. It says whether one had.
func (m *Members) askCut(ctx context.Context, c *catalog.Catalog, strict bool, buckets []protocol.Bucket, last map[protocol.Bucket]protocol.MemberID) (parts []*cutPart, damaged bool, err error) {
	plan := append(newPlan(planCut, c), 0)
	if strict {
		plan[len(plan)-1] = 1
	}
	near := func(b protocol.Bucket) (protocol.MemberID, bool) { id, ok := last[b]; return id, ok }
	var harmed atomic.Bool
	answered, err := m.driver.QueryNear(ctx, plan, buckets, near, func() (replication.Part, error) { return &cutPart{harmed: &harmed}, nil })
	for _, p := range answered {
		parts = append(parts, p.(*cutPart))
	}
	return parts, harmed.Load(), err
}

// cutPart is a member's part of a cut.
type cutPart struct {
	member protocol.MemberID
	token  string
	cut    event.FileCut
	harmed *atomic.Bool // set when a replica has something damaged and keeps no cut
}

// Add takes a piece.
func (p *cutPart) Add(piece []byte) error {
	var got cutPiece
	if err := json.Unmarshal(piece, &got); err != nil {
		return fmt.Errorf("%w: piece of a cut: %w", replication.ErrElsewhere, err)
	}
	if got.Token == "" && len(got.Damaged) > 0 {
		p.harmed.Store(true)
		return fmt.Errorf("%w: shard %s is damaged there: %s", replication.ErrElsewhere, got.Damaged[0].Key, got.Damaged[0].Reason)
	}
	id, token, ok := splitToken(got.Token)
	if !ok || p.token != "" && p.token != token {
		return fmt.Errorf("%w: piece of a cut under %q", replication.ErrElsewhere, got.Token)
	}
	p.member, p.token = id, token
	p.cut.Catalog, p.cut.LogEnd = max(p.cut.Catalog, got.Catalog), max(p.cut.LogEnd, got.LogEnd)
	p.cut.Shards, p.cut.Damaged = append(p.cut.Shards, got.Shards...), append(p.cut.Damaged, got.Damaged...)
	return nil
}

// Drop leaves the cut to its lease: whoever has it may be slow.
func (p *cutPart) Drop() {}

// open gives the part with files that are read from the member that has them.
func (p *cutPart) open(ctx context.Context, m *Members) MemberCut {
	for i := range p.cut.Shards {
		files := p.cut.Shards[i].Files
		for j := range files {
			f := &files[j]
			f.Content = &remoteFile{ctx: ctx, members: m, part: p, path: f.Path, size: f.Size}
			f.Sum = func(ctx context.Context) (hash, quick string, err error) {
				b, err := m.askAboutCut(ctx, p, cutAsk{Sum: f.Path, Quick: true})
				hash, quick, _ = strings.Cut(string(b), " ")
				return hash, quick, err
			}
		}
	}
	return MemberCut{Member: p.member.String(), FileCut: p.cut}
}

// release tells the member that it is no longer needed; its lease ends it otherwise.
func (p *cutPart) release(m *Members) {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	if _, err := m.askAboutCut(ctx, p, cutAsk{End: true}); err != nil {
		m.o.Logger.Debug("a cut is left to its lease", "member", p.member, "error", err)
	}
}

// keepCuts says that cuts are needed, until ctx ends.
func (m *Members) keepCuts(ctx context.Context, parts []*cutPart) {
	ticker := time.NewTicker(cutKeepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, p := range parts {
			asking, cancel := context.WithTimeout(ctx, askWithin)
			if _, err := m.askAboutCut(asking, p, cutAsk{}); err != nil && ctx.Err() == nil {
				m.o.Logger.Warn("a member may give up the files of a backup under way", "member", p.member, "error", err)
			}
			cancel()
		}
	}
}

// remoteFile is a file of a cut on some member.
type remoteFile struct {
	ctx     context.Context // the cut's
	members *Members
	part    *cutPart
	path    string
	size    int64
}

// ReadAt reads piece by piece.
func (f *remoteFile) ReadAt(b []byte, at int64) (n int, err error) {
	for n < len(b) && at+int64(n) < f.size {
		want := min(len(b)-n, cutPieceBytes, int(min(f.size-at-int64(n), cutPieceBytes)))
		piece, err := f.members.askAboutCut(f.ctx, f.part, cutAsk{Read: f.path, At: at + int64(n), Bytes: want})
		if err != nil {
			return n, err
		}
		if len(piece) != want {
			return n, fmt.Errorf("%d bytes of %s at byte %d, asked were %d: %w", len(piece), f.path, at+int64(n), want, io.ErrUnexpectedEOF)
		}
		n += copy(b[n:], piece)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// cutAsk is a request about a cut, as JSON. Without a wish it keeps the cut.
type cutAsk struct {
	Token string
	End   bool   `json:",omitempty"`
	Sum   string `json:",omitempty"`
	// Quick asks for the quick sum behind the hash, which an older member leaves out.
	Quick bool   `json:",omitempty"`
	Read  string `json:",omitempty"`
	At    int64  `json:",omitempty"`
	Bytes int    `json:",omitempty"`
}

// askAboutCut asks the member that has a cut, which may be this one.
func (m *Members) askAboutCut(ctx context.Context, p *cutPart, a cutAsk) ([]byte, error) {
	a.Token = p.token
	request, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	if p.member == m.o.Member {
		return m.answerCut(ctx, m.o.Member, request)
	}
	peers := m.peers.Load()
	if peers == nil {
		return nil, errNotStarted
	}
	return (*peers).Call(ctx, p.member, callCut, request)
}

// splitToken takes a token of a piece apart: whose it is, and its name there.
func splitToken(text string) (id protocol.MemberID, token string, ok bool) {
	member, token, cut := strings.Cut(text, ".")
	id, ok = parseMemberID(member)
	return id, token, ok && cut && token != ""
}

func parseMemberID(text string) (id protocol.MemberID, ok bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	copy(id[:], b)
	return id, true
}
