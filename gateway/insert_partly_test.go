package gateway

import (
	"errors"
	"fmt"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/cluster"
)

// TestPartly: of an INSERT that was stored in part nobody is told that nothing of it was,
// nor to send all of it again.
func TestPartly(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{fmt.Errorf("append: %w: %w", cluster.ErrUnavailable, cluster.ErrFull), 1021,
			"Disk full: the server's disk is full, and it stores nothing until there is room. The first 5 rows are stored; send those behind them again"},
		{fmt.Errorf("append: %w", cluster.ErrUnavailable), 1030,
			"Got error from storage engine: it is unavailable. The first 5 rows are stored; send those behind them again"},
		{refuse(erWrongValue, "HY000", "Incorrect value at row 6"), erWrongValue, "Incorrect value at row 6 (the first 5 rows are stored)"},
	} {
		err := partly(c.err, 5)
		if got := sql.CastSQLError(err); got.Num != c.code || got.Message != c.want {
			t.Errorf("%v: got %d %q, want %d %q", c.err, got.Num, got.Message, c.code, c.want)
		}
	}
	if errors.Is(partly(cluster.ErrFull, 1), cluster.ErrFull) {
		t.Error("the text for clients would be that of an error of which nothing was stored")
	}
}
