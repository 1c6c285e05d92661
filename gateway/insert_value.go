package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/exec"
)

// value converts what a statement gives for a column, which is not NULL, as
// MySQL in strict mode would: what does not fit is an error.
func (in *insertion) value(ctx *sql.Context, c *insertColumn, v any) (catalog.Value, error) {
	switch c.exec.Type {
	case catalog.TypeDatetime:
		return in.datetime(ctx, c, v)
	case catalog.TypeJSON:
		text, err := in.jsonOf(ctx, c, v)
		if err != nil {
			return catalog.Null, err
		}
		return jsonValue(text)
	case catalog.TypeBool, catalog.TypeInt, catalog.TypeDouble, catalog.TypeDecimal:
		return in.number(ctx, c, v)
	}
	return in.text(ctx, c, v)
}

func (in *insertion) text(ctx *sql.Context, c *insertColumn, v any) (catalog.Value, error) {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case []byte:
		s = string(v)
	case storedJSON:
		s = string(v)
	default:
		converted, _, err := stringType.Convert(ctx, v)
		if err != nil {
			return catalog.Null, err
		}
		s, _ = converted.(string)
	}
	return in.string(c, s)
}

// string is a text as it is.
func (in *insertion) string(c *insertColumn, s string) (catalog.Value, error) {
	if !utf8.ValidString(s) {
		return catalog.Null, refuse(erWrongFieldValue, "HY000", "Incorrect string value: '%s' for column '%s' at row %d", invalidUTF8(s), c.name, in.row)
	}
	// A text has no more characters than bytes.
	if t, ok := c.sqlType.(sql.StringType); ok && int64(len(s)) > t.MaxCharacterLength() && int64(utf8.RuneCountInString(s)) > t.MaxCharacterLength() {
		return catalog.Null, refuse(erDataTooLong, "22001", "Data too long for column '%s' at row %d", c.name, in.row)
	}
	return catalog.String(s), nil
}

// invalidUTF8 shows a string from its first invalid byte on, as MySQL does.
func invalidUTF8(s string) string {
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			s = s[i:]
			break
		}
	}
	const most = 6
	var b strings.Builder
	for i := 0; i < len(s) && i < most; i++ {
		if c := s[i]; c >= ' ' && c < utf8.RuneSelf {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "\\x%02X", c)
		}
	}
	if len(s) > most {
		b.WriteString("...")
	}
	return b.String()
}

// datetime converts to microseconds, or, for a property, to the text that its
// column shows.
func (in *insertion) datetime(ctx *sql.Context, c *insertColumn, v any) (catalog.Value, error) {
	wrong := func() (catalog.Value, error) {
		return catalog.Null, refuse(erWrongValue, "22007", "Incorrect datetime value: '%s' for column '%s' at row %d", shown(ctx, v), c.name, in.row)
	}
	if b, ok := v.([]byte); ok {
		v = string(b)
	}
	converted, _, err := datetimeType.Convert(ctx, v)
	at, ok := converted.(time.Time)
	if err != nil || !ok || at.Equal(types.ZeroTime) || at.Year() < 1 || at.Year() > 9999 {
		return wrong()
	}
	if c.exec.Source == exec.SourceProperty {
		return catalog.String(at.Format(datetimeLayout)), nil
	}
	return catalog.Int(at.UnixMicro()), nil
}

func (in *insertion) number(ctx *sql.Context, c *insertColumn, v any) (catalog.Value, error) {
	if b, ok := v.([]byte); ok {
		v = string(b)
	}
	var converted any
	var err error
	inRange := sql.InRange
	if s, ok := v.(string); ok && strings.TrimSpace(s) == "" {
		err = errNoNumber // which the stock types take for 0
	} else if rounding, ok := c.sqlType.(sql.RoundingNumberType); ok {
		converted, inRange, err = rounding.ConvertRound(ctx, v)
	} else {
		converted, inRange, err = c.sqlType.Convert(ctx, v)
	}
	switch {
	case inRange != sql.InRange, types.ErrConvertToDecimalLimit.Is(err), sql.ErrValueOutOfRange.Is(err):
		return catalog.Null, in.outOfRange(c)
	case err != nil || converted == nil:
		return catalog.Null, refuse(erWrongFieldValue, "HY000", "Incorrect %s value: '%s' for column '%s' at row %d", numberName(c.exec.Type), shown(ctx, v), c.name, in.row)
	}
	switch n := converted.(type) {
	case int8:
		if n != 0 && n != 1 {
			return catalog.Null, in.outOfRange(c)
		}
		return catalog.Bool(n == 1), nil
	case int64:
		return catalog.Int(n), nil
	case float64:
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return catalog.Null, in.outOfRange(c)
		}
		return catalog.Double(n), nil
	case *apd.Decimal:
		return catalog.Number(n.Text('f')), nil
	}
	return catalog.Null, fmt.Errorf("convert a value of column %s: unexpected %T", c.name, converted)
}

func (in *insertion) outOfRange(c *insertColumn) error {
	return refuse(erOutOfRange, "22003", "Out of range value for column '%s' at row %d", c.name, in.row)
}

var errNoNumber = errors.New("no number")

func numberName(t catalog.Type) string {
	switch t {
	case catalog.TypeDouble:
		return "double"
	case catalog.TypeDecimal:
		return "decimal"
	}
	return "integer"
}

// shown is a value for an error message.
func shown(ctx *sql.Context, v any) string {
	s, ok := v.(string)
	if !ok {
		converted, _, err := stringType.Convert(ctx, v)
		if s, ok = converted.(string); err != nil || !ok {
			s = fmt.Sprint(v)
		}
	}
	return strings.ToValidUTF8(clip(s), "?")
}

// jsonOf is the JSON text of a value.
func (in *insertion) jsonOf(ctx *sql.Context, c *insertColumn, v any) ([]byte, error) {
	var text []byte
	switch v := v.(type) {
	case string:
		text = []byte(v)
	case []byte:
		text = v
	case time.Time, types.Timespan:
		var err error
		if text, err = jsonDocumentText(ctx, types.JSONDocument{Val: v}); err != nil {
			return nil, err
		}
	default:
		converted, _, err := types.JSON.Convert(ctx, v)
		if err != nil {
			return nil, err
		}
		document, ok := converted.(sql.JSONWrapper)
		if !ok {
			return nil, fmt.Errorf("convert a value of column %s to JSON: unexpected %T", c.name, converted)
		}
		if text, err = jsonDocumentText(ctx, document); err != nil {
			return nil, err
		}
	}
	if !utf8.Valid(text) {
		return nil, refuse(erWrongFieldValue, "HY000", "Incorrect string value: '%s' for column '%s' at row %d", invalidUTF8(string(text)), c.name, in.row)
	}
	if !json.Valid(text) {
		return nil, refuse(erInvalidJSON, "22032", "Invalid JSON text: '%s' in value for column '%s' at row %d", clip(string(text)), c.name, in.row)
	}
	return text, nil
}

// properties reads a value of the column `properties`.
func (in *insertion) properties(ctx *sql.Context, v any) ([]catalog.Property, error) {
	c := &insertColumn{eventsColumn: propertiesColumn}
	text, err := in.jsonOf(ctx, c, v)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, refuse(erInvalidJSON, "22032", "Invalid JSON value for column 'properties' at row %d: want an object, such as '{\"plan\": \"pro\"}'", in.row)
	}
	all := make([]catalog.Property, 0, len(members))
	for name, raw := range members {
		value, err := jsonValue(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, catalog.Property{Name: name, Value: value})
	}
	return all, nil
}
