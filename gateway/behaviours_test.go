package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/transform"

	"arbor/catalog"
	"arbor/engine/exec"
)

// The events that a function keeps count against the statement's memory, and are
// given back when the statement ends.
func TestBehavioursAreCounted(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{numbers(100_000)}, limits: queryLimits{Memory: 1 << 20}}).conn()
	failing(t, c, "SELECT SESSIONS(i, 10) FROM numbers", codeCapacity, "Memory capacity of 1048576 bytes")
	failing(t, c, "SELECT WINDOW_FUNNEL(i, 10, i % 2 = 0, i % 2 = 1) FROM numbers GROUP BY i % 3", codeCapacity, "Memory capacity of 1048576 bytes")
	for range 3 {
		mustQuery(t, c, "SELECT SESSIONS(i, 10) FROM numbers WHERE i % 10000 = 7", "10")
	}
	// only events that meet a condition are kept, and RETENTION keeps none
	mustQuery(t, c, "SELECT WINDOW_FUNNEL(i, 10, i = 5, i = 77777, i = 9), RETENTION(i = 5, i = 6, i < 0) FROM numbers", "1|3")
}

// execAggregate says in a fragment's words what a call is, so that it can be
// computed where the events are.
func TestExecAggregate(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "ALTER TABLE events ADD COLUMN utm TEXT")
	for _, tt := range []struct{ call, want string }{
		{"WINDOW_FUNNEL(60, 'strict_order', event = 'a', utm = 'b')", "17 [window_funnel 60 strict_order] [events.time events._ingest_id (events.event = 'a') (events.utm = 'b')]"},
		{"RETENTION(event = 'a', event = 'b')", "17 [retention] [events.time events._ingest_id (events.event = 'a') (events.event = 'b')]"},
		{"SEQUENCE_MATCH('(?1)', event = 'a')", "17 [sequence_match (?1)] [events.time events._ingest_id (events.event = 'a')]"},
		{"SEQUENCE_COUNT('(?1)', event = 'a')", "17 [sequence_count (?1)] [events.time events._ingest_id (events.event = 'a')]"},
		{"SESSIONS(1.5)", "17 [sessions 1.5] [events.time events._ingest_id]"},
		{"SESSION_SECONDS(60 * 30)", "17 [session_seconds 1800] [events.time events._ingest_id]"},
		{"FIRST_TOUCH(utm)", "15 [] [events.utm events.time events._ingest_id]"},
		{"LAST_TOUCH(utm)", "16 [] [events.utm events.time events._ingest_id]"},
		{"SESSIONS(time, 60)", "17 [sessions 60] [events.time events._ingest_id]"},
	} {
		ctx := w.context()
		node, err := w.engine.gms.AnalyzeQuery(ctx, "SELECT distinct_id, "+tt.call+" FROM events GROUP BY distinct_id")
		if err != nil {
			t.Errorf("%s: %v", tt.call, err)
			continue
		}
		var got []string
		transform.InspectExpressions(ctx, node, func(_ *sql.Context, e sql.Expression) bool {
			if a, ok := e.(interface {
				execAggregate() (exec.AggregateOp, []catalog.Value, []sql.Expression)
			}); ok {
				op, params, args := a.execAggregate()
				got = append(got, fmt.Sprint(op, " ", valueTexts(params), " ", args))
			}
			return true
		})
		if got := slices.Compact(got); len(got) != 1 || strings.ReplaceAll(got[0], "shop.", "") != tt.want {
			t.Errorf("%s is %q, want %q", tt.call, got, tt.want)
		}
	}
}

func valueTexts(values []catalog.Value) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = strings.Trim(string(v.AppendJSON(nil)), `"`)
	}
	return texts
}
