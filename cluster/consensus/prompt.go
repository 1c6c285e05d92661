package consensus

import "github.com/hashicorp/raft"

// prompt is a transport through which a member can be told to stand for
// election at once. A member that is the only voter need not wait for a leader
// who might still be there: so one member alone leads a millisecond after it
// started, with the timeouts of a cluster.
type prompt struct {
	raft.Transport
	in   chan raft.RPC
	done chan struct{}
}

func newPrompt(inner raft.Transport) *prompt {
	p := &prompt{Transport: inner, in: make(chan raft.RPC), done: make(chan struct{})}
	go p.pass()
	return p
}

// pass hands on what comes in. It ends when the prompt is stopped.
func (p *prompt) pass() {
	for {
		select {
		case rpc := <-p.Transport.Consumer():
			select {
			case p.in <- rpc:
			case <-p.done:
				return
			}
		case <-p.done:
			return
		}
	}
}

func (p *prompt) stop() { close(p.done) }

// Consumer gives what the member is asked.
func (p *prompt) Consumer() <-chan raft.RPC { return p.in }

// RequestPreVote asks whether a vote could be won; all our transports can.
func (p *prompt) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if t, ok := p.Transport.(raft.WithPreVote); ok {
		return t.RequestPreVote(id, target, args, resp)
	}
	return raft.ErrTransportShutdown
}

// stand has the member stand for election.
func (p *prompt) stand(id raft.ServerID) {
	answered := make(chan raft.RPCResponse, 1)
	rpc := raft.RPC{
		Command:  &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: []byte(id)}},
		RespChan: answered,
	}
	select {
	case p.in <- rpc:
	case <-p.done:
	}
}
