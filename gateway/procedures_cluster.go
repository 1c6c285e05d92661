package gateway

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/cluster"
)

// The procedures by which an operator changes the cluster, through any member. All
// of them want SUPER.

// clusterProcedures are what CALL arbor.… does to the cluster.
func (g *Gateway) clusterProcedures() []procedure {
	const force = "force"
	one := func(do func(*sql.Context, cluster.Control, string) error) func(*sql.Context, string) (sql.RowIter, error) {
		return func(ctx *sql.Context, id string) (sql.RowIter, error) {
			return nil, g.control(ctx, func(c cluster.Control) error { return do(ctx, c, id) })
		}
	}
	two := func(do func(*sql.Context, cluster.Control, string, string) error) func(*sql.Context, string, string) (sql.RowIter, error) {
		return func(ctx *sql.Context, id, how string) (sql.RowIter, error) {
			return nil, g.control(ctx, func(c cluster.Control) error { return do(ctx, c, id, how) })
		}
	}
	forced := func(how string) (bool, error) {
		if !strings.EqualFold(strings.TrimSpace(how), force) {
			return false, refuse(erWrongArguments, stateGeneral, "'%s' is not understood: want 'force', or leave it out", clip(how))
		}
		return true, nil
	}
	super := sql.PrivilegeType_Super
	return []procedure{
		{"add_member", "", "make a token by which one new member joins within a day, and say how",
			super, addMemberSchema, func(ctx *sql.Context) (sql.RowIter, error) { return g.callAddMember(ctx, "24h") }},
		{"add_member", "valid_for", "the same for another time, such as '30m'",
			super, addMemberSchema, g.callAddMember},
		{"drain", "member", "move all that a member has to others; arbor.members says how much it still has; the beginning of an id is enough",
			super, nil, one(func(ctx *sql.Context, c cluster.Control, id string) error { return c.Drain(ctx, id, false) })},
		{"drain", "member, how", "the same with 'force': also if too few members are left for all copies",
			super, nil, two(func(ctx *sql.Context, c cluster.Control, id, how string) error {
				yes, err := forced(how)
				if err != nil {
					return err
				}
				return c.Drain(ctx, id, yes)
			})},
		{"undrain", "member", "take a drain back",
			super, nil, one(func(ctx *sql.Context, c cluster.Control, id string) error { return c.Restore(ctx, id) })},
		{"remove", "member", "end the membership of a member that has nothing any more; its id is never used again",
			super, nil, one(func(ctx *sql.Context, c cluster.Control, id string) error { return c.Remove(ctx, id, false) })},
		{"remove", "member, how", "the same with 'force': also of a member that still has something, as far as others have a majority of the copies",
			super, nil, two(func(ctx *sql.Context, c cluster.Control, id, how string) error {
				yes, err := forced(how)
				if err != nil {
					return err
				}
				return c.Remove(ctx, id, yes)
			})},
		{"replace", "member, by", "drain a member, dead or alive, whose part another one that is up will take",
			super, nil, two(func(ctx *sql.Context, c cluster.Control, id, by string) error { return c.Replace(ctx, id, by) })},
		{"rebalance", "", "look now at who should have what, and say how many buckets are to move",
			super, rebalanceSchema, g.callRebalance},
		{"transfer_leader", "", "let another member lead the metadata",
			super, nil, func(ctx *sql.Context) (sql.RowIter, error) {
				return nil, g.control(ctx, func(c cluster.Control) error { return c.TransferLeader(ctx, "") })
			}},
		{"transfer_leader", "member", "let that member lead the metadata",
			super, nil, one(func(ctx *sql.Context, c cluster.Control, id string) error { return c.TransferLeader(ctx, id) })},
		{"kill_query", "connection", "end the statement of a connection to this member, as KILL QUERY does",
			super, nil, g.callKillQuery},
	}
}

var (
	addMemberSchema = answerSchema(systemColumn{"token", stringType, ""}, systemColumn{"expires_at", datetimeType, ""}, systemColumn{"command", stringType, ""})
	rebalanceSchema = answerSchema(systemColumn{"buckets_to_move", countType, ""})
)

// control does something to the cluster for who may.
func (g *Gateway) control(ctx *sql.Context, do func(cluster.Control) error) error {
	if err := requirePrivilege(ctx, "", sql.PrivilegeType_Super); err != nil {
		return err
	}
	c := g.cluster.Control()
	if c == nil {
		return refuse(erWrongArguments, stateGeneral, "this server is not a member of a cluster; start it with --peer HOST:PORT to begin one")
	}
	err := do(c)
	if errors.Is(err, cluster.ErrRefused) {
		return refuse(erWrongArguments, stateGeneral, "%s", err)
	}
	return err
}

func (g *Gateway) callAddMember(ctx *sql.Context, validFor string) (rows sql.RowIter, err error) {
	d, err := time.ParseDuration(validFor)
	if err != nil || d < time.Minute || d > MaxTokenAge {
		return nil, refuse(erWrongArguments, stateGeneral, "add_member: want a time from 1m to %s, not '%s'", MaxTokenAge, clip(validFor))
	}
	err = g.control(ctx, func(c cluster.Control) error {
		token, err := c.JoinToken(ctx, d)
		if err != nil {
			return err
		}
		members, err := c.Members()
		if err != nil {
			return err
		}
		var at []string
		for _, m := range members {
			if m.Alive && len(m.Addresses) > 0 {
				at = append(at, m.Addresses[0])
			}
		}
		rows = sql.RowsToRowIter(sql.Row{token, g.now().Add(d).UTC(), "arbor serve --peer HOST:PORT --join " + strings.Join(at, ",") + " --token " + token})
		return nil
	})
	return rows, err
}

// MaxTokenAge is how long a join token can be valid.
const MaxTokenAge = 30 * 24 * time.Hour

func (g *Gateway) callRebalance(ctx *sql.Context) (rows sql.RowIter, err error) {
	err = g.control(ctx, func(c cluster.Control) error {
		n, err := c.Rebalance(ctx)
		rows = sql.RowsToRowIter(sql.Row{int64(n)})
		return err
	})
	return rows, err
}

func (g *Gateway) callKillQuery(ctx *sql.Context, connection string) (sql.RowIter, error) {
	if err := requirePrivilege(ctx, "", sql.PrivilegeType_Super); err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(strings.TrimSpace(connection), 10, 32)
	if err == nil {
		for _, p := range ctx.ProcessList.Processes() {
			if p.Connection == uint32(id) {
				ctx.ProcessList.Kill(uint32(id))
				return nil, nil
			}
		}
	}
	return nil, refuse(codeUnknownThread, stateGeneral, "Unknown thread id: %s", clip(connection))
}

// memberColumns are those of arbor.members.
var memberColumns = []systemColumn{
	{"id", nameType, "the member's id, which is never used again"},
	{"address", stringType, "where other members reach it"},
	{"mysql", stringType, "where MySQL clients reach it, as it says"},
	{"http", stringType, "where HTTP clients reach it, as it says"},
	{"zone", nameType, "replicas of an event are in different zones, as far as there are enough"},
	{"role", kindType, "gateway, storage or both"},
	{"standing", kindType, "admitted, draining or removed"},
	{"alive", flagType, "1 if it seems to be up"},
	{"leader", flagType, "1 if it leads the metadata"},
	{"votes", flagType, "1 if it votes on the metadata"},
	{"self", flagType, "1 for the member that answers"},
	{"buckets", countType, "of the 1024 that events are in, how many it has or gets"},
	{"starts", countType, "how often it started"},
	{"generation", countType, "goes up when it lost something it had on disk"},
	{"release", stringType, "the arbor that it runs"},
}

func memberRows(_ *sql.Context, g *Gateway) ([]sql.Row, error) {
	c := g.cluster.Control()
	if c == nil {
		return nil, nil
	}
	members, err := c.Members()
	var rows []sql.Row
	for _, m := range members {
		rows = append(rows, sql.Row{m.ID, strings.Join(m.Addresses, ","), orNull(m.MySQL), orNull(m.HTTP), orNull(m.Zone), m.Role, m.Standing,
			flag(m.Alive), flag(m.Leader), flag(m.Votes), flag(m.Self), int64(m.Buckets), int64(m.Boot), int64(m.Generation), m.Release})
	}
	return rows, err
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// replicaColumns are those of arbor.replicas.
var replicaColumns = []systemColumn{
	{"bucket", countType, "a virtual bucket, of which each event is in one"},
	{"member", nameType, "who holds it"},
	{"state", kindType, "settled; while the bucket is on its way: stays, leaves or arrives"},
	{"epoch", countType, "counts the changes of the bucket's replicas"},
	{"generation", countType, "under which the member holds it"},
	{"alive", flagType, "1 if the member seems to be up"},
}

func replicaRows(_ *sql.Context, g *Gateway) ([]sql.Row, error) {
	c := g.cluster.Control()
	if c == nil {
		return nil, nil
	}
	replicas, err := c.Replicas()
	var rows []sql.Row
	for _, r := range replicas {
		rows = append(rows, sql.Row{int64(r.Bucket), r.Member, r.State, int64(r.Epoch), int64(r.Generation), flag(r.Alive)})
	}
	return rows, err
}

// moveRows are the rows of arbor.jobs about the whole cluster.
func moveRows(g *Gateway, columns []systemColumn) ([]sql.Row, error) {
	c := g.cluster.Control()
	if c == nil {
		return nil, nil
	}
	jobs, err := c.Jobs()
	var rows []sql.Row
	for _, j := range jobs {
		row := make(sql.Row, len(columns))
		for i, column := range columns {
			switch column.name {
			case "kind":
				row[i] = j.Kind
			case "state":
				row[i] = "running"
			case "progress":
				row[i] = j.Progress
			case "message":
				row[i] = j.Message
			}
		}
		rows = append(rows, row)
	}
	return rows, err
}
