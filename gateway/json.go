package gateway

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
)

// storedJSON is a JSON value as its text, byte for byte as it is stored: it goes
// to the client unchanged, and is taken apart only for functions that look into
// it. There integers of 64 bits stay exact; longer numbers become doubles, as in
// MySQL.
type storedJSON string

var (
	_ types.JSONBytes = storedJSON("")
	_ driver.Valuer   = storedJSON("")
)

// Clone is the same value, since it cannot change.
func (j storedJSON) Clone(context.Context) sql.JSONWrapper { return j }

// GetBytes is the text.
func (j storedJSON) GetBytes(context.Context) ([]byte, error) { return []byte(j), nil }

// String is the text.
func (j storedJSON) String() string { return string(j) }

// Value is the text.
func (j storedJSON) Value() (driver.Value, error) { return string(j), nil }

// ToInterface takes the value apart.
func (j storedJSON) ToInterface(context.Context) (any, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(j)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("stored JSON: %w", err)
	}
	return exactNumbers(v), nil
}

// exactNumbers replaces the numbers of a decoded value by Go's.
func exactNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return i
		}
		if u, err := strconv.ParseUint(string(v), 10, 64); err == nil {
			return u
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		if d, _, err := apd.NewFromString(string(v)); err == nil {
			return d
		}
		return string(v)
	case map[string]any:
		for k, e := range v {
			v[k] = exactNumbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = exactNumbers(e)
		}
	}
	return v
}

// jsonValue is the value of valid JSON text, exactly: numbers keep their digits,
// arrays and objects their text without white space.
func jsonValue(text []byte) (catalog.Value, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return catalog.Null, fmt.Errorf("empty JSON text")
	}
	switch text[0] {
	case 'n':
		return catalog.Null, nil
	case 't', 'f':
		return catalog.Bool(text[0] == 't'), nil
	case '"':
		var s string
		err := json.Unmarshal(text, &s)
		return catalog.String(s), err
	case '{', '[':
		var compact bytes.Buffer
		err := json.Compact(&compact, text)
		return catalog.JSON(compact.String()), err
	}
	return catalog.Number(string(text)), nil
}
