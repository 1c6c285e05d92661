package gateway

import (
	"strconv"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
)

// unixTimestamp is UNIX_TIMESTAMP of a moment. The SQL library's own looks for the
// session's time zone among the machine's files for each value, and so takes a
// thousand times as long as the rest of it; here a zone that is an offset is read
// as such. What it gives is the library's.
type unixTimestamp struct {
	*function.UnixTimestamp
}

func newUnixTimestamp(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
	e, err := function.NewUnixTimestamp(ctx, args...)
	if err != nil {
		return nil, err
	}
	if u, ok := e.(*function.UnixTimestamp); ok && u.Date != nil && (types.IsDatetimeType(u.Date.Type(ctx)) || u.Date.Type(ctx).Type() == sqltypes.Timestamp) {
		return &unixTimestamp{u}, nil
	}
	return e, nil
}

// WithChildren replaces the argument.
func (u *unixTimestamp) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	return newUnixTimestamp(ctx, children...)
}

// Eval gives the seconds since 1970, with the digits that the type has.
func (u *unixTimestamp) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	zone, err := function.SessionTimeZone(ctx)
	if err != nil {
		return nil, err
	}
	offset, fixed := zoneOffset(zone)
	stamp := u.Date.Type(ctx).Type() == sqltypes.Timestamp // which the library takes for one in UTC
	if !fixed && !stamp {
		return u.UnixTimestamp.Eval(ctx, row)
	}
	v, err := u.Date.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	t, ok := v.(time.Time)
	if !ok {
		return u.UnixTimestamp.Eval(ctx, row)
	}
	if place, known := zoneNamed(zone); !fixed && known {
		offset = t.Sub(momentIn(t, place))
	}
	result := u.Type(ctx)
	micros := t.Add(-offset).UnixMicro()
	switch d, decimal := result.(sql.DecimalType); {
	case micros > function.MaxUnixTimeMicroSecs:
		return int64(0), nil
	case micros < time.Second.Microseconds():
		return result.Zero(), nil
	case decimal:
		for range 6 - int(d.Scale()) {
			micros /= 10
		}
		return apd.New(micros, -int32(d.Scale())), nil
	}
	return micros / time.Second.Microseconds(), nil
}

// zoneOffset reads a time zone that is UTC or an offset from it, as +02:00.
func zoneOffset(zone string) (time.Duration, bool) {
	if zone == "UTC" {
		return 0, true
	}
	if len(zone) != len("+02:00") || zone[3] != ':' || zone[0] != '+' && zone[0] != '-' {
		return 0, false
	}
	hours, err := strconv.ParseUint(zone[1:3], 10, 8)
	minutes, err2 := strconv.ParseUint(zone[4:], 10, 8)
	if err != nil || err2 != nil || hours > 14 || minutes > 59 {
		return 0, false
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if zone[0] == '-' {
		offset = -offset
	}
	return offset, true
}
