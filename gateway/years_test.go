package gateway

import (
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

func TestYearsHaveFourDigits(t *testing.T) {
	old := rowsOf("old", sql.Schema{column("old", "at", types.DatetimeMaxPrecision), column("old", "day", types.Date)},
		sql.Row{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9, 2, 3, 0, 0, 0, 0, time.UTC)},
		sql.Row{time.Date(987, 12, 31, 1, 2, 3, 4000, time.UTC), time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)},
		sql.Row{time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(45, 1, 1, 0, 0, 0, 0, time.UTC)}, sql.Row{nil, nil})
	c := startServer(t, serverOptions{tables: []*testTable{old}}).conn()
	want := "0001-01-01 00:00:00.000000|0009-02-03\n0987-12-31 01:02:03.000004|1000-01-01\n2026-01-02 00:00:00.000000|0045-01-01\nNULL|NULL"
	mustQuery(t, c, `SELECT at, day FROM old`, want)
	mustQuery(t, c, `SELECT at, day FROM old WHERE 1 = ?`, want, 1)
}

func TestMaxConnectionsIsTrue(t *testing.T) {
	c := startServer(t, serverOptions{mysql: MySQLOptions{MaxConnections: 7}}).conn()
	mustQuery(t, c, `SELECT @@max_connections, @@global.max_connections`, "7|7")
	mustQuery(t, c, `SHOW VARIABLES LIKE 'max_connections'`, "max_connections|7")
}

func TestConnectionsLeaveFilesFree(t *testing.T) {
	for files, want := range map[int]int{200: 50, 1024: 256, 65536: 16384, 3: 1, 0: 1} {
		if got := connectionShare(files); got != want {
			t.Errorf("of %d files %d are for connections, want %d", files, got, want)
		}
	}
}
