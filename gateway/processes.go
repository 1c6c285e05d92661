package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
)

// errNotConnected says that a statement came from a client that is gone.
var errNotConnected = errors.New("the client is not connected")

// processes are the clients and what runs for each: SHOW PROCESSLIST shows them,
// KILL ends them. The SQL library's own has one statement for each client, and
// panics where a cursor stays open beside another statement.
type processes struct {
	// mu guards clients and what they hold.
	mu      sync.Mutex
	clients map[uint32]*client
}

// client is a connection, and the statements and other work that run for it, the
// newest last.
type client struct {
	shown sql.Process
	work  []*work
}

// work is something that KILL can end.
type work struct {
	pid    uint64 // 0 for what is no statement
	query  string
	began  time.Time
	cancel context.CancelFunc
}

var _ sql.ProcessList = (*processes)(nil)

func newProcesses() *processes { return &processes{clients: make(map[uint32]*client)} }

// Processes are the clients, by their ids.
func (p *processes) Processes() []sql.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]sql.Process, 0, len(p.clients))
	for _, c := range p.clients {
		shown := c.shown
		for _, w := range c.work {
			if w.pid != 0 {
				shown.Command, shown.Query, shown.QueryPid, shown.StartedAt = sql.ProcessCommandQuery, w.query, w.pid, w.began
			}
		}
		list = append(list, shown)
	}
	slices.SortFunc(list, func(a, b sql.Process) int { return int(a.Connection) - int(b.Connection) })
	return list
}

// AddConnection notes a client that has not logged in yet.
func (p *processes) AddConnection(id uint32, address string) {
	sql.StatusVariables.IncrementGlobal("Threads_connected", 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients[id] = &client{shown: sql.Process{Connection: id, Command: sql.ProcessCommandConnect, Host: address,
		User: "unauthenticated user", StartedAt: time.Now()}}
}

// ConnectionReady notes who a client is, and its database.
func (p *processes) ConnectionReady(s sql.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.clients[s.ID()]
	if c == nil {
		c = &client{}
		p.clients[s.ID()] = c
	}
	c.shown = sql.Process{Connection: s.ID(), Command: sql.ProcessCommandSleep, Host: s.Client().Address,
		User: s.Client().User, StartedAt: time.Now(), Database: s.GetCurrentDatabase()}
}

// RemoveConnection forgets a client and ends what runs for it.
func (p *processes) RemoveConnection(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.clients[id]
	if c == nil {
		return
	}
	sql.StatusVariables.IncrementGlobal("Threads_connected", -1)
	for _, w := range c.work {
		w.cancel()
	}
	delete(p.clients, id)
}

// BeginQuery notes a statement. The context it gives ends with KILL.
func (p *processes) BeginQuery(ctx *sql.Context, query string) (*sql.Context, error) {
	if ctx.IsInterpreted() {
		return ctx, nil
	}
	sql.StatusVariables.IncrementGlobal("Threads_running", 1)
	return p.begin(ctx, &work{pid: ctx.Pid(), query: query, began: time.Now()})
}

// EndQuery forgets a statement.
func (p *processes) EndQuery(ctx *sql.Context) {
	if ctx.IsInterpreted() {
		return
	}
	sql.StatusVariables.IncrementGlobal("Threads_running", -1)
	p.end(ctx, ctx.Pid())
}

// BeginOperation notes other work for a client.
func (p *processes) BeginOperation(ctx *sql.Context) (*sql.Context, error) {
	if ctx.IsInterpreted() {
		return ctx, nil
	}
	return p.begin(ctx, &work{began: time.Now()})
}

// EndOperation forgets it.
func (p *processes) EndOperation(ctx *sql.Context) {
	if !ctx.IsInterpreted() {
		p.end(ctx, 0)
	}
}

func (p *processes) begin(ctx *sql.Context, w *work) (*sql.Context, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.clients[ctx.Session.ID()]
	if c == nil {
		return nil, errNotConnected
	}
	below, cancel := context.WithCancel(ctx.Context)
	w.cancel = cancel
	c.work = append(c.work, w)
	return ctx.WithContext(below), nil
}

// end forgets the newest work of that process id.
func (p *processes) end(ctx *sql.Context, pid uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.clients[ctx.Session.ID()]
	if c == nil {
		return
	}
	for i := len(c.work) - 1; i >= 0; i-- {
		if c.work[i].pid == pid {
			c.work[i].cancel()
			c.work = slices.Delete(c.work, i, i+1)
			break
		}
	}
	c.shown.StartedAt = time.Now()
}

// Kill ends what runs for a client.
func (p *processes) Kill(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.clients[id]; c != nil {
		for _, w := range c.work {
			w.cancel()
		}
	}
}

// The progress of a statement's tables is not kept.

func (p *processes) UpdateTableProgress(uint64, string, int64)             {}
func (p *processes) UpdatePartitionProgress(uint64, string, string, int64) {}
func (p *processes) AddTableProgress(uint64, string, int64)                {}
func (p *processes) AddPartitionProgress(uint64, string, string, int64)    {}
func (p *processes) RemoveTableProgress(uint64, string)                    {}
func (p *processes) RemovePartitionProgress(uint64, string, string)        {}
