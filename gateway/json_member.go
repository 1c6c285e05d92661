package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
)

// x MEMBER OF (array), which the SQL library's grammar does not know: its text calls a
// function instead.

// memberFunction is that function.
const memberFunction = "arbor_member"

// Its value says whether the second argument, an array, has the first, or is the first.
var memberKind = &plainKind{name: memberFunction, least: 2, most: 2, typ: ofType(types.Int64),
	shown: func(args []string) string { return args[0] + " member of (" + args[1] + ")" },
	eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
		all, ok, err := comparableJSON(ctx, v[1])
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, mysql.NewSQLError(codeInvalidJSON, "22032", "Invalid JSON text in argument 2 to function member of: '%s'", clip(fmt.Sprint(printedValue(v[1]))))
		}
		one := numberedValue(v[0])
		if w, isJSON := v[0].(sql.JSONWrapper); isJSON {
			if one, _, err = comparableJSON(ctx, w); err != nil {
				return nil, err
			}
		}
		list, isList := all.([]any)
		if !isList {
			list = []any{all}
		}
		for _, e := range list {
			if reflect.DeepEqual(e, one) {
				return int64(1), nil
			}
		}
		return int64(0), nil
	}}

// codeInvalidJSON is MySQL's ER_INVALID_JSON_TEXT_IN_PARAM.
const codeInvalidJSON = 3141

// comparableJSON is a JSON value, or a text of one, in which equal values are the same.
func comparableJSON(ctx *sql.Context, v any) (any, bool, error) {
	switch v := v.(type) {
	case sql.JSONWrapper:
		plain, err := v.ToInterface(ctx)
		return numbered(plain), true, err
	case string:
		d := json.NewDecoder(strings.NewReader(v))
		d.UseNumber()
		var plain any
		if d.Decode(&plain) != nil {
			return nil, false, nil
		}
		_, err := d.Token()
		return numbered(plain), err == io.EOF, nil
	}
	return nil, false, nil
}

// numberedValue is a value of SQL as it would be in JSON.
func numberedValue(v any) any {
	switch v := numbered(v).(type) {
	case bool, float64, string:
		return v
	}
	return printedValue(v)
}
