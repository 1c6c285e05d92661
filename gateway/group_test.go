package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/engine/exec"
	"arbor/sqltests/oracle"
)

// stockGroups is the world asked through an engine that pushes no groups.
func (w *sqlWorld) stockGroups() *sqlWorld {
	w.t.Helper()
	e, err := newSQLEngine(sqlEngineOptions{
		Provider: w.gateway.newProvider(), Parser: w.gateway.parserOverride(), Builder: w.gateway, Grants: w.gateway, Logger: w.gateway.logger,
		StockGroups: true,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	other := &sqlWorld{t: w.t, gateway: w.gateway, engine: e, model: w.model, now: w.now}
	other.session = newSession("test", sql.Client{User: "root", Address: "localhost"}, 2)
	return other
}

// sameAnswers compares answers: doubles nearly, decimals by value.
func sameAnswers(a, b [][]string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		for j := range a[i] {
			if !sameValue(a[i][j], b[i][j]) {
				return false
			}
		}
	}
	return true
}

func sameValue(a, b string) bool {
	if a == b || a == "NaN" || b == "NaN" { // of infinities, where the exact sum has none
		return true
	}
	x, err := strconv.ParseFloat(a, 64)
	y, also := strconv.ParseFloat(b, 64)
	return err == nil && also == nil && math.Abs(x-y) <= 1e-9*max(math.Abs(x), math.Abs(y), 1e-12)
}

// sortedAnswer brings rows into an order in which nearly equal doubles are beside
// each other, if not in that of the statement.
func sortedAnswer(rows [][]string) [][]string {
	rounded := func(r []string) string {
		parts := make([]string, len(r))
		for i, v := range r {
			parts[i] = v
			if f, err := strconv.ParseFloat(v, 64); err == nil {
				parts[i] = strconv.FormatFloat(f, 'g', 8, 64)
			}
		}
		return strings.Join(parts, "|")
	}
	out := slices.Clone(rows)
	slices.SortStableFunc(out, func(a, b []string) int {
		return cmp.Or(strings.Compare(rounded(a), rounded(b)), slices.Compare(a, b)) // doubles that differ in the ninth digit are not equal
	})
	return out
}

func TestPushedGroupsChangeNoAnswer(t *testing.T) {
	rounds := 600
	if testing.Short() {
		rounds = 200
	}
	w := newSQLWorld(t)
	seed := rand.Uint64()
	if s := testSeed(); s != 0 {
		seed = s
	}
	r := rand.New(rand.NewPCG(seed, 1))
	w.fillRandomly(r, 120)
	w.must("CREATE VIEW v AS SELECT event, distinct_id, insert_id, time, n, d, b, s, j, m, t, properties, 0 AS _duplicate, 'x' AS _dup_kind, NULL AS _dup_of, time AS _ingested_at, time AS _time_raw FROM events WHERE n IS NULL OR n < 10")
	stock := w.stockGroups()
	for _, x := range []*sqlWorld{w, stock} {
		x.must("USE shop", "SET sql_mode = ''", "SET time_zone = '+00:00'")
	}
	s := oracle.Statements{Rand: r}
	pushed, failed, fallbacks := 0, 0, 0
	w.gateway.onFallback = func(why error) {
		fallbacks++
		if testing.Verbose() {
			t.Log(why)
		}
	}
	for i := range rounds {
		if i == rounds/2 {
			for _, x := range []*sqlWorld{w, stock} {
				x.must("SET time_zone = '-05:00'")
			}
		}
		q := s.Statement()
		want, wantErr := stock.answer(q)
		got, err := w.answer(q)
		if err == nil && wantErr != nil {
			failed++ // the SQL library may stumble over what it computes and nobody needs
			continue
		}
		if (err == nil) != (wantErr == nil) {
			t.Errorf("seed %d round %d: %s\npushed: %v\nstock: %v", seed, i, q, err, wantErr)
			continue
		}
		if err != nil {
			failed++
			continue
		}
		if g, p := sortedAnswer(got), sortedAnswer(want); !sameAnswers(g, p) {
			t.Errorf("seed %d round %d: %s\npushed gives %d rows, stock %d:\n%s\n---\n%s", seed, i, q, len(g), len(p), lines(g), lines(p))
		}
		if w.pushes(q) {
			pushed++
		} else if testing.Verbose() {
			t.Log("not pushed: ", q)
		}
	}
	t.Logf("of %d statements %d were pushed, %d of them given back, %d failed", rounds, pushed, fallbacks, failed)
}

func lines(rows [][]string) string {
	var out []string
	for _, r := range rows {
		out = append(out, strings.Join(r, "|"))
	}
	return strings.Join(out, "\n")
}

// answer is the answer to a query. The SQL library panics for some values.
func (w *sqlWorld) answer(q string) (rows [][]string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	_, rows, err = w.query(q)
	return rows, err
}

// pushes reports whether a statement's groups are pushed.
func (w *sqlWorld) pushes(q string) bool {
	_, rows, err := w.query("EXPLAIN FORMAT=TREE " + q)
	return err == nil && strings.Contains(lines(rows), "Pushed")
}

func testSeed() uint64 {
	n, _ := strconv.ParseUint(os.Getenv("ARBOR_GROUP_SEED"), 10, 64)
	return n
}

// Limits are MySQL's errors, and what fails where the data is begins again with
// the SQL library's rows, once.
func TestPushedGroupErrors(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "ALTER TABLE events ADD COLUMN price DECIMAL(10, 2)",
		`INSERT INTO events (event, time, distinct_id, properties) VALUES
		 ('Purchase', '2026-01-10', 'ann', '{"price": 25, "s": "[1]", "n": 1}'), ('Purchase', '2026-01-11', 'bob', '{"price": 17.5, "s": "no", "n": 2}'),
		 ('x', '2026-01-12', 'cid', '{"s": "no", "n": 9223372036854775807}')`)
	w.want("SELECT COUNT(*), MEDIAN(price), PERCENTILE_DISC(price, 0.9) FROM events WHERE event = 'Purchase'", "2 21.25 25.00")
	var why []error
	w.gateway.onFallback = func(err error) { why = append(why, err) }
	w.want("SELECT SUM(n + 1) FROM events WHERE n < 5", "5")
	w.want("SELECT JSON_EXTRACT(s, '$[0]') AS a, COUNT(*) FROM events WHERE event = 'Purchase' AND distinct_id = 'ann' GROUP BY a", "1 1")
	fallbacks := len(why)
	w.refused("SELECT SUM(n + 1) FROM events", 1690)
	if len(why) != fallbacks+1 || !errors.Is(why[fallbacks], exec.ErrFunction) {
		t.Errorf("the error was not left to the SQL library: %v", why)
	}

	e, err := newSQLEngine(sqlEngineOptions{
		Provider: w.gateway.newProvider(), Parser: w.gateway.parserOverride(), Builder: w.gateway, Grants: w.gateway, Logger: w.gateway.logger,
		Limits: queryLimits{Groups: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	few := &sqlWorld{t: w.t, gateway: w.gateway, engine: e, model: w.model, now: w.now}
	few.session = newSession("test", sql.Client{User: "root", Address: "localhost"}, 2)
	few.must("USE shop")
	few.want("SELECT COUNT(*) FROM (SELECT event FROM events GROUP BY event) x", "2")
	for _, q := range []string{
		"SELECT distinct_id, COUNT(*) FROM events GROUP BY distinct_id", "SELECT DISTINCT distinct_id, event FROM events",
		"SELECT c, COUNT(*) FROM (SELECT COUNT(*) AS c FROM events GROUP BY distinct_id) x GROUP BY c",
	} {
		few.refused(q, codeCapacity, "more than 2 groups", "WHERE")
	}
	// The groups that a GROUP_CONCAT is made of are not asked for.
	for where, want := range map[string]string{"event = 'Purchase'": "annPurchase,bobPurchase", "TRUE": "annPurchase,bobPurchase,cidx"} {
		few.want("SELECT GROUP_CONCAT(distinct_id, event ORDER BY distinct_id) FROM events WHERE "+where, want)
	}
}

// A client that goes away ends what was pushed for it.
func TestPushedGroupsEndWithTheStatement(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop", "INSERT INTO events (event, time) VALUES ('a', '2026-01-10')")
	ctx := w.context()
	cancelled, cancel := context.WithCancel(ctx.Context)
	cancel()
	_, iter, _, err := w.engine.gms.Query(ctx.WithContext(cancelled), "SELECT event, COUNT(*) FROM events GROUP BY event")
	if err != nil {
		t.Fatal(err)
	}
	if row, err := iter.Next(ctx.WithContext(cancelled)); !errors.Is(err, context.Canceled) {
		t.Errorf("gives %v, %v", row, err)
	}
	if err := iter.Close(ctx); err != nil {
		t.Error(err)
	}
}

// likeStock compares the answer to a query, in any order, with that of another world that
// makes it row by row, and gives the query's plan.
func (w *sqlWorld) likeStock(stock *sqlWorld, query string) (plan string) {
	w.t.Helper()
	want, err := stock.answer(query)
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	got, err := w.answer(query)
	if err != nil {
		w.t.Errorf("%s: %v", query, err)
		return ""
	}
	if g, p := sortedAnswer(got), sortedAnswer(want); !sameAnswers(g, p) {
		w.t.Errorf("%s gives %d rows\n%s\nand row by row %d\n%s", query, len(g), lines(g), len(p), lines(p))
	}
	_, rows, err := w.query("EXPLAIN FORMAT=TREE " + query)
	if err != nil {
		w.t.Fatal(err)
	}
	return lines(rows)
}
