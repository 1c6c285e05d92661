package members

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"arbor/cluster"
	"arbor/cluster/protocol"
	"arbor/engine"
	"arbor/engine/exec"
	"arbor/sqltests/stack"
)

// olderEngine refuses fragments that are measured, as an arbor before them does.
type olderEngine struct {
	*engine.Engine
	older *atomic.Bool
}

func (e olderEngine) ExecutePartial(ctx context.Context, f *exec.Fragment, yield func([]byte) error) (exec.ScanStats, error) {
	if _, err := exec.DecodeFragment(exec.AppendFragment(nil, f)); err != nil || f.Measured && e.older.Load() {
		return exec.ScanStats{}, fmt.Errorf("%w: %w", exec.ErrVersion, err)
	}
	return e.Engine.ExecutePartial(ctx, f, yield)
}

// TestExplainAnalyzeOfMembers: what EXPLAIN ANALYZE says was skipped, and why, is the same
// for one member and for three, whose partials carry it; and while one of them is older it
// says that it does not know.
func TestExplainAnalyzeOfMembers(t *testing.T) {
	var older atomic.Bool
	var plans [2][]string
	analyze := func(m *stack.GroupMember, query string) string {
		return strings.Join(m.Rows(t, "EXPLAIN ANALYZE "+query), "\n")
	}
	queries := []string{
		"SELECT text, COUNT(*), SUM(n) FROM shop.events WHERE n >= 5 GROUP BY text",
		"SELECT insert_id, n FROM shop.events WHERE n BETWEEN 10 AND 620",
		"SELECT insert_id, n FROM shop.events ORDER BY insert_id LIMIT 3",
	}
	differs := regexp.MustCompile(`[0-9.]+ ms|bytes[a-z ]*: [0-9]+|, of the log: [0-9]+|, of logged events in memory: [0-9]+|partials.*`)
	for i, members := range []int{1, 3} {
		g := stack.NewGroup(t, stack.GroupOptions{Members: members, Replicas: min(members, 2), Slots: 4, Far: true,
			Engine:   func(_ protocol.MemberID, e *engine.Engine) cluster.Engine { return olderEngine{e, &older} },
			Measures: func() bool { return !older.Load() }})
		first := g.Members[0]
		token := first.Project(t, "shop")
		first.Stack.Import(t, token, events(0, 600))
		first.Stack.Import(t, token, events(0, 50)) // copies that are indexed with their events
		for _, m := range g.Members {
			if err := m.Cluster.Index(t.Context(), 0, true); err != nil {
				t.Fatal(err)
			}
		}
		first.Stack.Import(t, token, events(20, 50)) // and late ones
		first.Stack.Import(t, token, events(600, 640))
		for _, q := range queries {
			text := analyze(first, q)
			for _, want := range []string{`as duplicates: 80,`, `duplicates skipped by their file's list: 50, found by fingerprint: 30`,
				`bytes read of files: [1-9]`, `of the log: 0, of logged events in memory: [1-9]`, `blocks, 0 rows; files without a row looked at: 0 of 4`,
				`time of workers: [0-9.]+ ms to find out who is visible, [0-9]+\.[0-9]*[1-9][0-9]* ms at the rows`} {
				if !regexp.MustCompile(want).MatchString(text) {
					t.Errorf("%d members: %s\nlacks %s:\n%s", members, q, want, text)
				}
			}
			if got := regexp.MustCompile(`partials of members: [2-9], bytes: [1-9]`).MatchString(text); got != (members > 1) {
				t.Errorf("%d members: partials: %t\n%s", members, got, text)
			}
			plans[i] = append(plans[i], differs.ReplaceAllString(text, "…"))
		}
		if members == 1 {
			continue
		}
		older.Store(true)
		for _, q := range queries {
			text := analyze(first, q)
			if !strings.Contains(text, "the rest is not known of 1 scans") || !strings.Contains(text, "as duplicates: 80,") || strings.Contains(text, "bytes read") {
				t.Errorf("one member is older: %s\n%s", q, text)
			}
		}
	}
	for i := range queries {
		three := regexp.MustCompile(`\n[^\n]*├─ …\n`).ReplaceAllString(plans[1][i], "\n") // the line of partials
		if one := plans[0][i]; one != three {
			t.Errorf("%s\none member:\n%s\nthree:\n%s", queries[i], one, three)
		}
	}
}
