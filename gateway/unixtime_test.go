package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// TestUnixTimestamp holds UNIX_TIMESTAMP against the SQL library's own.
func TestUnixTimestamp(t *testing.T) {
	w := newSQLWorld(t)
	for _, zone := range []string{"+00:00", "UTC", "SYSTEM", "+05:30", "-08:00", "Europe/Berlin"} {
		w.must("SET time_zone = '" + zone + "'")
		ctx := w.context()
		for _, typ := range []sql.Type{datetimeType, types.Datetime, types.Timestamp, types.Date} {
			for _, moment := range []time.Time{
				time.Date(2026, 7, 1, 12, 30, 15, 123_456_000, time.UTC), time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
				time.Date(1970, 1, 1, 6, 0, 0, 500_000_000, time.UTC), time.Date(1960, 5, 5, 0, 0, 0, 0, time.UTC),
				time.Date(3500, 1, 1, 0, 0, 0, 0, time.UTC),
			} {
				e, err := newUnixTimestamp(ctx, expression.NewLiteral(moment, typ))
				if err != nil {
					t.Fatal(err)
				}
				own, ok := e.(*unixTimestamp)
				if !ok {
					continue // the library's
				}
				stock := sql.Expression(own.UnixTimestamp)
				if typ == types.Timestamp { // which the library takes for one in UTC, and a session sees by its clocks
					if stock, err = function.NewUnixTimestamp(ctx, expression.NewLiteral(moment, types.Datetime)); err != nil {
						t.Fatal(err)
					}
				}
				want, wantErr := stock.Eval(ctx, nil)
				got, gotErr := own.Eval(ctx, nil)
				if wantErr != nil || gotErr != nil {
					t.Fatal(wantErr, gotErr)
				}
				if w, g := fmt.Sprint(want), fmt.Sprint(got); w != g {
					t.Errorf("%s as %s in %s: %s, want %s", moment, typ, zone, g, w)
				}
			}
		}
	}
	ctx := w.context()
	e, err := newUnixTimestamp(ctx, expression.NewLiteral(nil, datetimeType))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := e.Eval(ctx, nil); v != nil || err != nil {
		t.Errorf("of NULL: %v, %v", v, err)
	}
}

func BenchmarkUnixTimestamp(b *testing.B) {
	ctx := newSQLWorld(b).context()
	e, err := newUnixTimestamp(ctx, expression.NewLiteral(time.Date(2026, 7, 1, 12, 30, 15, 0, time.UTC), datetimeType))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.Eval(ctx, nil); err != nil {
			b.Fatal(err)
		}
	}
}
