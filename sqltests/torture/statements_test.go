package torture

import (
	"cmp"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"arbor/gateway"
	"arbor/sqltests/oracle"
	"arbor/sqltests/stack"
)

// TestStatements asks random questions with groups, with windows and with neither of a
// member, and of another gateway over the same data that leaves all to the SQL library, while
// the events go from the log into indexed files.
func TestStatements(t *testing.T) {
	count := *histories
	if testing.Short() {
		count /= 4
	}
	const perStore = 150 // statements to one store
	for round := 0; round*perStore < count; round++ {
		askStatements(t, *firstSeed+uint64(round), min(perStore, count-round*perStore))
	}
}

func askStatements(t *testing.T, seed uint64, count int) {
	s := stack.New(t)
	stock := gateway.New(gateway.Options{Cluster: s.Cluster, Logger: slog.New(slog.DiscardHandler), Now: s.Now, StockGroups: true})
	defer stock.Close()
	rng := rand.New(rand.NewPCG(seed, 4))
	s.Rows(t, "CREATE DATABASE shop")
	for _, q := range oracle.RandomEvents(rng, 200) {
		s.Rows(t, inShop(q))
	}
	s.Rows(t, "CREATE VIEW shop.v AS SELECT event, distinct_id, insert_id, time, n, d, b, s, j, m, t, properties, 0 AS _duplicate, 'x' AS _dup_kind, NULL AS _dup_of, time AS _ingested_at, time AS _time_raw FROM shop.events WHERE n IS NULL OR n < 10")
	statements := oracle.Statements{Rand: rng}
	for i := range count {
		switch i {
		case count / 3: // indexed, but for what comes now
			if err := s.Cluster.Index(t.Context(), 0, false); err != nil {
				t.Fatal(err)
			}
			for _, q := range oracle.RandomEvents(rng, 100)[1:] {
				s.Rows(t, inShop(q))
			}
		case 2 * count / 3:
			if err := s.Cluster.Index(t.Context(), 0, true); err != nil {
				t.Fatal(err)
			}
		}
		q := inShop(statements.Statement())
		got, failed := ask(s.Gateway, q)
		want, stockFailed := ask(stock, q)
		if stockFailed {
			continue // it may be over what it computes and nobody needs
		}
		if failed || !nearlyEqual(got, want) {
			t.Fatalf("-seed=%d, statement %d:\n%s\ngives\n%s\nthe SQL library gives\n%s", seed, i, q, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// inShop is a statement whose tables are those of shop.
func inShop(q string) string {
	return strings.NewReplacer("TABLE events ", "TABLE shop.events ", "INTO events ", "INTO shop.events ", "FROM events", "FROM shop.events", "FROM v", "FROM shop.v", "JOIN events", "JOIN shop.events", "JOIN v", "JOIN shop.v").Replace(q)
}

// ask gives the lines of an answer, in an order in which those with nearly equal
// numbers are beside each other.
func ask(g *gateway.Gateway, q string) (lines []string, failed bool) {
	r := httptest.NewRequest(http.MethodPost, "/query?format=csv&null=%5CN", strings.NewReader(q))
	r.RemoteAddr = "127.0.0.1:50000"
	r.SetBasicAuth("root", "")
	w := httptest.NewRecorder()
	g.HTTPHandler().ServeHTTP(w, r)
	lines = strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
	slices.SortFunc(lines, func(a, b string) int {
		// Texts of digits may be nearly equal numbers, and groups come in any order.
		return cmp.Or(strings.Compare(roughly(a), roughly(b)), strings.Compare(a, b))
	})
	return lines, w.Code != http.StatusOK
}

func roughly(line string) string {
	cells := strings.Split(line, ",")
	for i, c := range cells {
		if f, err := strconv.ParseFloat(c, 64); err == nil {
			cells[i] = strconv.FormatFloat(f, 'g', 8, 64)
		}
	}
	return strings.Join(cells, ",")
}

// nearlyEqual compares answers: floating-point numbers nearly, all else exactly.
func nearlyEqual(a, b []string) bool {
	return slices.EqualFunc(a, b, func(a, b string) bool {
		return slices.EqualFunc(strings.Split(a, ","), strings.Split(b, ","), func(a, b string) bool {
			if a == b {
				return true // and so are two that are infinite
			}
			x, err := strconv.ParseFloat(a, 64)
			y, also := strconv.ParseFloat(b, 64)
			if err != nil || also != nil || math.IsNaN(x) || math.IsNaN(y) {
				return a == "NaN" || b == "NaN"
			}
			return math.Abs(x-y) <= 1e-9*max(math.Abs(x), math.Abs(y), 1e-12)
		})
	})
}
