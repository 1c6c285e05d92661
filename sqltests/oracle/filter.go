package oracle

import (
	"fmt"
	"math/big"
	"strings"

	"arbor/catalog"
	"arbor/engine/exec"
)

// truth is SQL's: no, unknown or yes, in that order, so that AND is the least
// and OR the greatest.
type truth int

const (
	no truth = iota
	unknown
	yes
)

// holds evaluates a filter for one row.
func holds(x *exec.Expr, columns []exec.Column, row []catalog.Value) truth {
	switch x.Op {
	case exec.OpAnd:
		t := yes
		for _, a := range x.Args {
			t = min(t, holds(a, columns, row))
		}
		return t
	case exec.OpOr:
		t := no
		for _, a := range x.Args {
			t = max(t, holds(a, columns, row))
		}
		return t
	case exec.OpNot:
		return yes - holds(x.Args[0], columns, row)
	case exec.OpIsNull:
		return truthOf(row[x.Column].Kind == catalog.KindNull)
	case exec.OpTrue:
		v := row[x.Column]
		switch v.Kind {
		case catalog.KindNull:
			return unknown
		case catalog.KindBool:
			return truthOf(v.Bool())
		}
		return truthOf(rational(v).Sign() != 0)
	case exec.OpPrefix:
		v := row[x.Column]
		if v.Kind == catalog.KindNull || x.Values[0].Kind == catalog.KindNull {
			return unknown
		}
		return truthOf(strings.HasPrefix(v.Text, x.Values[0].Text))
	case exec.OpLike:
		v := row[x.Column]
		if v.Kind == catalog.KindNull || x.Values[0].Kind == catalog.KindNull {
			return unknown
		}
		return truthOf(like([]rune(v.Text), []rune(x.Values[0].Text)))
	case exec.OpIn:
		t := no
		for _, want := range x.Values {
			t = max(t, compare(exec.OpEqual, TypeOf(columns[x.Column]), row[x.Column], want))
		}
		return t
	}
	return compare(x.Op, TypeOf(columns[x.Column]), row[x.Column], x.Values[0])
}

// like reports whether a text matches a pattern with %, _ and the escape \. It goes
// through the pattern with all the places of the text up to which it can have
// matched: trying one after the other takes for ever where there are many %.
func like(text, pattern []rune) bool {
	can := make([]bool, len(text)+1) // the pattern so far matches text[:i]
	can[0] = true
	for len(pattern) > 0 {
		c, any := pattern[0], pattern[0] == '_'
		pattern = pattern[1:]
		if c == '%' {
			for i := range text {
				can[i+1] = can[i+1] || can[i]
			}
			continue
		}
		if c == '\\' {
			c, pattern = pattern[0], pattern[1:]
		}
		for i := len(text); i > 0; i-- {
			can[i] = can[i-1] && (any || text[i-1] == c)
		}
		can[0] = false
	}
	return can[len(text)]
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// compare evaluates a comparison of a column's value with a constant.
func compare(op exec.Op, t catalog.Type, a, b catalog.Value) truth {
	if a.Kind == catalog.KindNull || b.Kind == catalog.KindNull {
		return unknown
	}
	var c int
	switch t {
	case catalog.TypeString, catalog.TypeJSON, catalog.TypeNull:
		c = strings.Compare(a.Text, b.Text)
	default:
		c = rational(a).Cmp(rational(b))
	}
	switch op {
	case exec.OpEqual:
		return truthOf(c == 0)
	case exec.OpLess:
		return truthOf(c < 0)
	case exec.OpLessEq:
		return truthOf(c <= 0)
	case exec.OpMore:
		return truthOf(c > 0)
	case exec.OpMoreEq:
		return truthOf(c >= 0)
	}
	panic(fmt.Sprintf("oracle: no such operator: %d", op))
}

// rational is the exact number that a value stands for.
func rational(v catalog.Value) *big.Rat {
	switch v.Kind {
	case catalog.KindBool, catalog.KindInt:
		return new(big.Rat).SetInt64(v.Int())
	case catalog.KindDouble:
		if r := new(big.Rat).SetFloat64(v.Double()); r != nil {
			return r
		}
	default:
		if r, ok := new(big.Rat).SetString(v.Text); ok {
			return r
		}
	}
	panic(fmt.Sprintf("oracle: not a number: %+v", v))
}
