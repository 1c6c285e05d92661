package gateway

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// Intervals of several units, such as '1:30' HOUR_MINUTE.

// compoundInterval reads the number of an interval of several units, such as '1:30'
// HOUR_MINUTE, as a number of the smallest of them.
func compoundInterval(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	text, _, err := types.Text.Convert(ctx, v[0])
	s, ok := text.(string)
	unit, ok2 := v[1].(string)
	c, ok3 := compoundUnits[unit]
	if err != nil || !ok || !ok2 || !ok3 {
		return nil, nil
	}
	if d, ok := v[0].(*apd.Decimal); ok {
		s = d.Text('f')
	}
	negative := strings.HasPrefix(strings.TrimSpace(s), "-")
	fields := strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if len(fields) > len(c.sizes) {
		return nil, nil
	}
	sizes := c.sizes[len(c.sizes)-len(fields):]
	total := int64(0)
	for i, f := range fields {
		n := int64(0)
		if last := i == len(fields)-1; last && c.fraction {
			f = (f + "000000")[:max(6, len(f))]
			if len(f) > 6 {
				f = f[:6]
			}
		}
		if _, err := fmt.Sscan(strings.TrimLeft(f, "0")+"|", &n); err != nil && strings.Trim(f, "0") != "" {
			return nil, nil
		}
		total += n * sizes[i]
	}
	if negative {
		total = -total
	}
	return total, nil
}

// intervalFunction is the function into which the number of such an interval is
// rewritten.
const intervalFunction = "arbor_interval"

// compoundUnit is a unit of intervals that is made of several.
type compoundUnit struct {
	smallest string
	sizes    []int64 // of the units, in the smallest
	fraction bool    // the smallest is microseconds, and counts as a fraction
}

var compoundUnits = map[string]compoundUnit{
	"YEAR_MONTH":         {"MONTH", []int64{12, 1}, false},
	"DAY_HOUR":           {"HOUR", []int64{24, 1}, false},
	"DAY_MINUTE":         {"MINUTE", []int64{1440, 60, 1}, false},
	"DAY_SECOND":         {"SECOND", []int64{86400, 3600, 60, 1}, false},
	"HOUR_MINUTE":        {"MINUTE", []int64{60, 1}, false},
	"HOUR_SECOND":        {"SECOND", []int64{3600, 60, 1}, false},
	"MINUTE_SECOND":      {"SECOND", []int64{60, 1}, false},
	"DAY_MICROSECOND":    {"MICROSECOND", []int64{86400e6, 3600e6, 60e6, 1e6, 1}, true},
	"HOUR_MICROSECOND":   {"MICROSECOND", []int64{3600e6, 60e6, 1e6, 1}, true},
	"MINUTE_MICROSECOND": {"MICROSECOND", []int64{60e6, 1e6, 1}, true},
	"SECOND_MICROSECOND": {"MICROSECOND", []int64{1e6, 1}, true},
}
