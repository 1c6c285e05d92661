package gateway

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// stockProvider is testProvider without arbor's functions.
type stockProvider struct{ *testProvider }

func (stockProvider) Function(*sql.Context, string, string) (sql.Function, bool) { return nil, false }

// TestFaultsOfTheLibrary shows each fault that a shield stands before, in the SQL
// library as it is. Where this test fails after an upgrade the library has
// learned better, and the shield may go.
func TestFaultsOfTheLibrary(t *testing.T) {
	quietLibraries()
	tables := map[string]*testTable{"words": words(), "numbers": numbers(2000), "names": rowsOf("names",
		sql.Schema{column("names", "a", types.LongText), column("names", "b", types.LongText)},
		sql.Row{"a_b", "x"}, sql.Row{"a,", "b"}, sql.Row{"a", ",b"}, sql.Row{nil, "x"}, sql.Row{"<nil>", "x"})}
	engine := sqle.NewDefault(stockProvider{&testProvider{names: []string{"test"}, tables: tables}})
	engine.Analyzer.Catalog.MySQLDb.SetPersister(&mysql_db.NoopPersister{})
	for _, fault := range []struct{ query, wrong string }{
		{`SELECT SUM(k='A'), SUM(k='a') FROM words`, "2|2"},
		{`SELECT k='a', COUNT(*) FROM words WHERE k IS NOT NULL GROUP BY k='A' ORDER BY 2`, "1|1 0|2"},
		{`SELECT GROUP_CONCAT(n, 'x') FROM words`, "1,2,4"},
		{`SELECT SUM(n) FROM (SELECT 9007199254740993 n UNION ALL SELECT 0) x`, "9.007199254740992e+15"},
		{`SELECT STD(n), VARIANCE(n) FROM words`, "1|2"},
		{`SELECT COUNT(DISTINCT a, b) FROM names`, "3"},
		{`SELECT COUNT(*) FROM (SELECT DISTINCT a FROM names) x`, "4"},
		{`SELECT a FROM names WHERE a IS NULL INTERSECT SELECT '<nil>'`, "NULL"},
		{`SELECT n FROM words WHERE n > 0 UNION ALL SELECT 3 ORDER BY 1 LIMIT 1 OFFSET 1`, "2"},
		{`SELECT a FROM names WHERE a LIKE 'a\\_b'`, ""},
		{`SELECT n, SUM(n) OVER (ORDER BY n DESC) FROM words WHERE n > 0 ORDER BY n`, "1|7 2|7 4|7"},
		{`SELECT COUNT(*) OVER (ORDER BY k, n) FROM words WHERE k = 'A'`, "2 2"},
		{`SELECT 9223372036854775807 + 1`, "-9223372036854775808"},
		{`SELECT GREATEST(9007199254740993, 0), LEAST(CAST('2026-01-02' AS DATETIME), '2026-01-01')`, "9007199254740992|0"},
		{`SELECT CAST(123 AS DECIMAL(2,1)), CAST(1.5 AS DECIMAL)`, "0.0|1.5"},
		{`SELECT COUNT(*) IN (0, 2000) FROM numbers WHERE RAND() < 0.5`, "1"},
		{`SELECT COUNT(DISTINCT r) FROM (SELECT RAND(3) r FROM numbers) x`, "1"},
	} {
		got, err := stockRows(engine, fault.query)
		if err != nil || got != fault.wrong {
			t.Errorf("%s: %q, %v; the fault was %q", fault.query, got, err, fault.wrong)
		}
	}
}

// stockRows runs a query and gives its rows, parted by spaces.
func stockRows(engine *sqle.Engine, query string) (string, error) {
	session := newSession("", sql.Client{User: "root", Address: "localhost"}, 1)
	session.SetCurrentDatabase("test")
	ctx := sql.NewContext(context.Background(), sql.WithSession(session))
	schema, iter, _, err := engine.Query(ctx, query)
	if err != nil {
		return "", err
	}
	defer iter.Close(ctx)
	var lines []string
	for {
		row, err := iter.Next(ctx)
		if err == io.EOF {
			return strings.Join(lines, " "), nil
		}
		if err != nil {
			return "", err
		}
		var line []string
		for i, v := range row {
			s, err := schema[i].Type.SQL(ctx, nil, v)
			if err != nil {
				return "", err
			}
			text := s.ToString()
			if s.IsNull() {
				text = "NULL"
			}
			line = append(line, fmt.Sprint(text))
		}
		lines = append(lines, strings.Join(line, "|"))
	}
}
