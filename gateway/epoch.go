package gateway

import (
	"encoding/binary"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// epoch is a moment as a whole number of units since 1970, as programs ask for it:
//
//	CAST(UNIX_TIMESTAMP(time) * 1000 AS SIGNED)
//
// The SQL library makes three decimals of each row for that.
type epoch struct {
	field int   // of the row
	unit  int64 // in microseconds
}

// epochOf reads such an expression, nil if it is another one.
func epochOf(e sql.Expression) *epoch {
	c, ok := e.(*expression.Convert)
	if !ok || hidden(c, "castToType").String() != expression.ConvertToSigned {
		return nil
	}
	unit := int64(microSecond)
	child := c.Child
	if a, ok := arithmeticOf(child); ok && a.Op == "*" {
		of, factor := a.LeftChild, a.RightChild
		if _, literal := of.(*expression.Literal); literal {
			of, factor = factor, of
		}
		l, ok := factor.(*expression.Literal)
		if !ok {
			return nil
		}
		n, ok := asInteger(l.Val)
		if !ok || n != 1 && n != 1000 && n != microSecond {
			return nil
		}
		child, unit = of, microSecond/n
	}
	u, ok := child.(*unixTimestamp)
	if !ok {
		return nil
	}
	f, ok := u.Date.(*expression.GetField)
	if !ok || f.Type(nil) != datetimeType {
		return nil
	}
	return &epoch{field: f.Index(), unit: unit}
}

func arithmeticOf(e sql.Expression) (*expression.Arithmetic, bool) {
	if c, ok := e.(*checkedArithmetic); ok {
		return c.Arithmetic, true
	}
	a, ok := e.(*expression.Arithmetic)
	return a, ok
}

// at is the number for a moment in UTC, rounded; 0 for moments that have none.
func (p *epoch) at(micros int64) int64 {
	if micros > function.MaxUnixTimeMicroSecs || micros < microSecond {
		return 0
	}
	switch p.unit { // to divide by a constant costs less
	case microSecond:
		return (micros + microSecond/2) / microSecond
	case microSecond / 1000:
		return (micros + microSecond/2000) / (microSecond / 1000)
	}
	return (micros + p.unit/2) / p.unit
}

// epochs appends the numbers of a column of moments; nil where that is not what the
// client gets.
func (e *rowEncoder) epochs(p *epoch, moments *array.Timestamp, t sql.Type) packetAppender {
	if t != types.Int64 {
		return nil
	}
	zone, err := function.SessionTimeZone(e.ctx)
	if err != nil {
		return nil
	}
	offset, ok := zoneOffset(zone)
	if !ok {
		return nil
	}
	values, behind := moments.TimestampValues(), offset.Microseconds()
	number := func(row int) int64 { return p.at(int64(values[row]) - behind) }
	if e.binary {
		return e.orNull(moments, func(dst []byte, row int) ([]byte, error) {
			return binary.LittleEndian.AppendUint64(dst, uint64(number(row))), nil
		})
	}
	return e.orNull(moments, func(dst []byte, row int) ([]byte, error) {
		return appendInteger(dst, number(row)), nil
	})
}
