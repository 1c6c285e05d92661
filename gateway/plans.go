package gateway

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/catalog"
)

// A client that asks the same question again, as dashboards do, gets the plan of
// the last time: to read the text and to plan it, through a view, costs more than
// most answers. A connection keeps its own plans only, so that no plan is ever in
// use twice, and it runs one only where all is as it was when the plan was made:
//
//   - the text, to the byte, and the session's database; of an INSERT whose rows are
//     read beside its plan, what stands before them, and the kinds of values that the
//     first has
//   - every variable of the session: a change of one forgets all plans
//   - the variables of all sessions: they are numbered by their changes
//   - the catalog, with its projects, columns and views: it is the same value
//   - the client's privileges: the library numbers them by their changes
//
// Whether a plan means the same a second time is for keepable and keptNodes to
// say. Who may read a table is asked again when the plan runs, as for any other.

// Limits of the plans that are kept.
const (
	// MaxKeptPlans is how many plans a connection keeps.
	MaxKeptPlans = 32
	// MaxKeptText is how long a statement is at most whose plan is kept, in bytes.
	MaxKeptText = 8 << 10
	// MaxKeptInAll is how many plans all connections of a server keep.
	MaxKeptInAll = 4096
)

// planKey says which statement a plan is of.
type planKey struct {
	text string
	// kinds are those of the first row's values, for an INSERT of rows that are read
	// beside the plan; empty for other statements.
	kinds string
}

// keptPlan is the plan of a SELECT or INSERT, with what it depends on.
type keptPlan struct {
	planKey
	database   string
	catalog    *catalog.Catalog
	privileges uint64
	globals    uint64

	statement sqlparser.Statement
	node      sql.Node
	flags     *sql.QueryFlags
	// insert is what an INSERT does, once its plan has been used again.
	insert *keptInsert
	// answer is what a SELECT asks of those who hold the data, nil if it does more.
	answer *keptAnswer
}

// keptAnswer is the answer that a plan is, so that it need not be found anew how the plan
// can be asked where the data is. It depends on what the plan depends on.
type keptAnswer struct {
	scan answerScan
	// reads are the tables that it reads, each of which asks for a privilege.
	reads []*plan.ResolvedTable
}

// keptPlans are a connection's. One statement at a time uses them.
type keptPlans struct {
	server *planServer
	// owner is the session for which the plans were made.
	owner *session
	// plans are in the order of their last use, the newest first.
	plans []*keptPlan
	// making is the plan that is being made, if it may be kept, and reads are the tables
	// that it was found to read.
	making *keptPlan
	reads  []*plan.ResolvedTable
	// using is the plan of before that the statement uses, nil for none.
	using *keptPlan
	// pushed is set when the statement is answered where the data is, or its rows are
	// read beside the plan. Others take longer than their plans, and their nodes keep
	// more.
	pushed bool
}

// planServer is what the connections of a server have in common.
type planServer struct {
	gateway *Gateway
	grants  *grants
	kept    atomic.Int64
	// globals counts the changes of variables of all sessions.
	globals *atomic.Uint64
	// reused counts the statements that got a plan of before, and answers those of them
	// that asked for its answer again.
	reused, answers atomic.Int64
}

// begin is called before each statement of the session.
func (k *keptPlans) begin(s *session) {
	if k.owner != s {
		k.forget()
	}
	k.owner, k.making, k.using, k.pushed, s.plans = s, nil, nil, false, k
	k.reads = nil
}

// find gives the plan of a statement, nil if there is none, and begins a new one.
func (k *keptPlans) find(ctx *sql.Context, key planKey) *keptPlan {
	if k.server.gateway == nil || len(key.text) > MaxKeptText {
		return nil
	}
	now := &keptPlan{planKey: key, database: ctx.GetCurrentDatabase(), catalog: k.server.gateway.catalogFor(ctx), globals: k.server.globals.Load()}
	var ok bool
	if now.privileges, ok = k.server.grants.version(ctx); !ok {
		return nil
	}
	for i, p := range k.plans {
		if p.planKey != key || p.database != now.database {
			continue
		}
		k.plans = slices.Delete(k.plans, i, i+1)
		if p.catalog == now.catalog && p.privileges == now.privileges && p.globals == now.globals {
			k.plans = slices.Insert(k.plans, 0, p)
			k.server.reused.Add(1)
			k.using = p
			return p
		}
		k.server.kept.Add(-1)
		break
	}
	k.making = now
	return nil
}

// planned is told of the first node of every plan, before it runs.
func (k *keptPlans) planned(ctx *sql.Context, n sql.Node) {
	if k.making == nil || k.making.node != nil {
		return
	}
	if ctx.Session.WarningCount() > 0 || !keptNodes(ctx, n) {
		k.making = nil // warnings would have to be given again
		return
	}
	k.making.node = n
}

// notePushed notes that the plan has no more part in the statement than it must.
func notePushed(ctx *sql.Context) {
	if s := sessionOf(ctx); s != nil && s.plans != nil {
		s.plans.pushed = true
	}
}

// read notes a table that the plan that is being made reads.
func (k *keptPlans) read(n *plan.ResolvedTable) {
	if k != nil && k.making != nil {
		k.reads = append(k.reads, n)
	}
}

// answered notes that the plan that is being made is an answer.
func (k *keptPlans) answered(s *answerScan) {
	if k != nil && k.making != nil && s.answer.again {
		k.making.answer = &keptAnswer{scan: *s}
	}
}

// answerOf is the answer that a plan of before is, nil if n is not that plan.
func (k *keptPlans) answerOf(n sql.Node) *keptAnswer {
	if k == nil || k.using == nil || k.using.node != n {
		return nil
	}
	return k.using.answer
}

// drop forgets the plan that the statement uses, whose nodes keep what they need once.
func (k *keptPlans) drop() {
	if k == nil || k.using == nil {
		return
	}
	if i := slices.Index(k.plans, k.using); i >= 0 {
		k.plans = slices.Delete(k.plans, i, i+1)
		k.server.kept.Add(-1)
	}
	k.using = nil
}

// spoil has the plan that is being made not kept.
func (k *keptPlans) spoil() {
	if k != nil {
		k.making = nil
	}
}

// keep keeps the plan that was made, after its statement has ended well.
func (k *keptPlans) keep(stmt sqlparser.Statement, flags *sql.QueryFlags) {
	p := k.making
	k.making = nil
	if p == nil || p.node == nil || !k.pushed || p.kinds == "" && !keepable(stmt) {
		return
	}
	p.text = strings.Clone(p.text) // an INSERT's is the beginning of a text that may be long
	p.statement, p.flags = stmt, flags
	if p.answer != nil {
		p.answer.reads = k.reads
	}
	if len(k.plans) >= MaxKeptPlans || k.server.kept.Add(1) > MaxKeptInAll {
		if len(k.plans) < MaxKeptPlans {
			k.server.kept.Add(-1)
		}
		if len(k.plans) == 0 {
			return
		}
		k.plans = k.plans[:len(k.plans)-1]
	}
	k.plans = slices.Insert(k.plans, 0, p)
}

// forget forgets all plans.
func (k *keptPlans) forget() {
	k.server.kept.Add(-int64(len(k.plans)))
	clear(k.plans)
	k.plans, k.making, k.using = k.plans[:0], nil, nil
}
