package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"

	"arbor/cluster/protocol"
)

var _ protocol.Transport = (*Node)(nil)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func id(n byte) MemberID { return MemberID{0: n, 15: n} }

// pair are members of one cluster on loopback.
type pair struct {
	t       *testing.T
	trust   *Trust
	mu      sync.Mutex
	at      map[MemberID][]string
	removed map[MemberID]bool
}

func newPair(t *testing.T) *pair {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	trust, err := NewTrust(id(99))
	if err != nil {
		t.Fatal(err)
	}
	return &pair{t: t, trust: trust, at: map[MemberID][]string{}, removed: map[MemberID]bool{}}
}

func (p *pair) serve(n byte, change func(*Options)) *Node {
	p.t.Helper()
	identity, err := p.trust.NewIdentity(id(n))
	if err != nil {
		p.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	o := Options{Identity: identity, Listener: l, Logger: quiet,
		Addresses: func(m MemberID) []string { p.mu.Lock(); defer p.mu.Unlock(); return p.at[m] },
		Allow:     func(m MemberID) bool { p.mu.Lock(); defer p.mu.Unlock(); return !p.removed[m] },
	}
	if change != nil {
		change(&o)
	}
	node, err := Serve(o)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.at[id(n)] = []string{l.Addr().String()}
	p.mu.Unlock()
	p.t.Cleanup(func() {
		if err := node.Close(); err != nil {
			p.t.Error(err)
		}
	})
	return node
}

func TestCallsAndStreams(t *testing.T) {
	p := newPair(t)
	p.serve(1, func(o *Options) {
		o.Calls = map[string]Call{
			"echo": func(_ context.Context, from MemberID, b []byte) ([]byte, error) { return append(from[:1:1], b...), nil },
			"fail": func(context.Context, MemberID, []byte) ([]byte, error) { return nil, errors.New("no such shard") },
			"wait": func(ctx context.Context, _ MemberID, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
		}
		o.Streams = map[string]Stream{"count": func(_ context.Context, _ MemberID, b []byte, send func([]byte) error) error {
			for i := range b[0] {
				if err := send([]byte{i}); err != nil {
					return err
				}
			}
			return nil
		}}
	})
	two := p.serve(2, nil)
	ctx := t.Context()
	if got, err := two.Call(ctx, id(1), "echo", []byte("hello")); err != nil || string(got) != "\x02hello" {
		t.Fatalf("%q, %v", got, err)
	}
	big := bytes.Repeat([]byte("x"), 8<<20)
	if got, err := two.Call(ctx, id(1), "echo", big); err != nil || len(got) != len(big)+1 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	var remote *RemoteError
	if _, err := two.Call(ctx, id(1), "fail", nil); !errors.As(err, &remote) || remote.Text != "no such shard" || remote.Member != id(1) {
		t.Errorf("fail: %v", err)
	}
	if _, err := two.Call(ctx, id(1), "nothing", nil); !errors.Is(err, ErrNoMethod) {
		t.Errorf("an unknown call: %v", err)
	}
	if _, err := two.Call(ctx, id(7), "echo", nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("an unknown member: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := two.Call(short, id(1), "wait", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("past its deadline: %v", err)
	}
	var got []byte
	if err := two.Stream(ctx, id(1), "count", []byte{5}, func(b []byte) error { got = append(got, b...); return nil }); err != nil || string(got) != "\x00\x01\x02\x03\x04" {
		t.Errorf("stream: %v, %v", got, err)
	}
	enough := errors.New("enough")
	if err := two.Stream(ctx, id(1), "count", []byte{200}, func([]byte) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("stream that is left: %v", err)
	}
	// Whoever was removed is out, with the connection that it has.
	p.mu.Lock()
	p.removed[id(2)] = true
	p.mu.Unlock()
	if _, err := two.Call(ctx, id(1), "echo", nil); !errors.Is(err, ErrRefused) {
		t.Errorf("a removed member: %v", err)
	}
}

func TestMessagesComeFromWhoSentThem(t *testing.T) {
	p := newPair(t)
	got := make(chan string, 100)
	p.serve(1, func(o *Options) {
		o.Receive = func(from MemberID, b []byte) { got <- fmt.Sprintf("%d %s", from[0], b) }
	})
	two := p.serve(2, nil)
	for i := range 50 {
		two.Send(id(1), fmt.Appendf(nil, "message %d", i))
	}
	for i := range 50 {
		if m := <-got; m != fmt.Sprintf("2 message %d", i) {
			t.Fatalf("got %q as number %d", m, i)
		}
	}
	two.Send(id(8), []byte("nobody"))
}

func TestQueueDropsWhatFindsNoRoom(t *testing.T) {
	q := newQueue()
	half := make([]byte, maxQueuedBytes/2)
	for range 3 {
		q.put(half)
	}
	if q.dropped != 1 || len(q.messages) != 2 {
		t.Fatalf("%d dropped, %d wait", q.dropped, len(q.messages))
	}
	q.take()
	q.put(half)
	if q.dropped != 1 {
		t.Fatal("there was room")
	}
}

func TestRaftOverTheSamePort(t *testing.T) {
	p := newPair(t)
	one, two := p.serve(1, nil), p.serve(2, nil)
	transport := func(n *Node) *raft.NetworkTransport {
		tr := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: n.RaftLayer(), MaxPool: 2, Timeout: 5 * time.Second})
		t.Cleanup(func() { tr.CloseStreams(); _ = tr.Close() })
		return tr
	}
	a, b := transport(one), transport(two)
	if string(a.LocalAddr()) != id(1).String() {
		t.Fatal(a.LocalAddr())
	}
	go func() {
		rpc := <-b.Consumer()
		rpc.Respond(&raft.RequestVoteResponse{Term: 7, Granted: true}, nil)
	}()
	var answer raft.RequestVoteResponse
	if err := a.RequestVote(raft.ServerID(id(2).String()), raft.ServerAddress(id(2).String()), &raft.RequestVoteRequest{Term: 7}, &answer); err != nil || !answer.Granted {
		t.Fatal(err, answer)
	}
}

func TestJoinByToken(t *testing.T) {
	p := newPair(t)
	token := p.trust.NewToken()
	used := false
	one := p.serve(1, func(o *Options) {
		o.Calls = map[string]Call{"hello": func(_ context.Context, from MemberID, _ []byte) ([]byte, error) { return from[:], nil }}
		o.Join = func(_ context.Context, r *JoinRequest) (*JoinAnswer, error) {
			if used || !bytes.Equal(r.Secret, token.Secret[:]) || r.Cluster != id(99) {
				return nil, errors.New("join token was used")
			}
			used = true
			der, err := p.trust.Sign(r.ID, r.Public)
			return &JoinAnswer{Certificate: der, Members: p2(p)}, err
		}
	})
	address := one.o.Listener.Addr().String()
	text := token.String()
	parsed, err := ParseToken(text + "\n")
	if err != nil || parsed != token {
		t.Fatal(err)
	}
	other, err := NewTrust(id(99))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Join(t.Context(), address, other.NewToken(), id(3), nil); err == nil || used {
		t.Fatal("a member of another cluster was believed")
	}
	identity, answer, err := Join(t.Context(), address, parsed, id(3), []byte("zone a"))
	if err != nil || len(answer.Members) != 1 {
		t.Fatal(err, answer)
	}
	if _, _, err := Join(t.Context(), address, parsed, id(4), nil); err == nil {
		t.Fatal("a token was used twice")
	}
	three := p.serve(3, func(o *Options) { o.Identity = identity })
	if got, err := three.Call(t.Context(), id(1), "hello", nil); err != nil || MemberID(got) != id(3) {
		t.Fatal(got, err)
	}
}

func p2(p *pair) map[string][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := map[string][]string{}
	for member, at := range p.at {
		m[member.String()] = at
	}
	return m
}

func TestStrangersAreRefused(t *testing.T) {
	p := newPair(t)
	p.serve(1, func(o *Options) {
		o.Calls = map[string]Call{"echo": func(_ context.Context, _ MemberID, b []byte) ([]byte, error) { return b, nil }}
	})
	theirs := &pair{t: t, at: p.at, removed: map[MemberID]bool{}}
	var err error
	if theirs.trust, err = NewTrust(id(99)); err != nil {
		t.Fatal(err)
	}
	stranger := theirs.serve(2, nil)
	if _, err := stranger.Call(t.Context(), id(1), "echo", nil); !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrRefused) {
		t.Errorf("of another cluster: %v", err)
	}
	// A member that answers for another is not believed.
	three := p.serve(3, nil)
	p.mu.Lock()
	p.at[id(4)] = p.at[id(1)]
	p.mu.Unlock()
	if _, err := three.Call(t.Context(), id(4), "echo", nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("one member for another: %v", err)
	}
}

func TestTokensThatAreNone(t *testing.T) {
	trust, err := NewTrust(id(9))
	if err != nil {
		t.Fatal(err)
	}
	token := trust.NewToken()
	text := token.String()
	for i := range text {
		flipped := text[:i] + string(rune(text[i]^1)) + text[i+1:]
		if k, err := ParseToken(flipped); err == nil && k != token {
			t.Errorf("character %d is another, and was not seen", i)
		} else if err != nil && strings.Contains(err.Error(), text[10:30]) {
			t.Error("the error tells the token")
		}
		if _, err := ParseToken(text[:i]); !errors.Is(err, ErrToken) {
			t.Errorf("cut after %d: %v", i, err)
		}
	}
}
