package gateway

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	stockjson "github.com/dolthub/go-mysql-server/sql/expression/function/json"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
)

// JSON_EXTRACT by paths with [ or *. The SQL library finds nothing by $**.a, or an empty array,
// fails where $.a[*] finds an empty one, and knows neither [last] nor [1 to 3]. Plain paths
// are left to it, since they are read from properties one by one.

// maxJSONPaths bounds the paths of one JSON_EXTRACT.
const maxJSONPaths = 1000

// jsonLeg is a step of a path.
type jsonLeg struct {
	kind     jsonLegKind
	key      string
	from, to jsonPlace
}

type jsonLegKind uint8

const (
	legMember   jsonLegKind = iota // .key
	legMembers                     // .*
	legElement                     // [1]
	legRange                       // [1 to 3]
	legElements                    // [*]
	legDeep                        // **
)

// jsonPlace is a place in an array, counted from its beginning or back from its last element.
type jsonPlace struct {
	n    int
	last bool
}

func (p jsonPlace) in(length int) int {
	if p.last {
		return length - 1 - p.n
	}
	return p.n
}

// jsonPath is a path, and whether it may lead to several places.
type jsonPath struct {
	legs []jsonLeg
	many bool
}

// maxDeepLegs bounds the ** of a path, each of which looks at all there is below a value.
const maxDeepLegs = 3

// jsonPathParser reads a path.
type jsonPathParser struct {
	text string
	at   int
}

func (p *jsonPathParser) failed() error {
	return mysql.NewSQLError(codeInvalidPath, "42000", "Invalid JSON path expression. The error is around character position %d.", p.at)
}

func (p *jsonPathParser) space() {
	for p.at < len(p.text) && isSpace(p.text[p.at]) {
		p.at++
	}
}

// take takes a text, with space before it.
func (p *jsonPathParser) take(want string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.at:], want) {
		return false
	}
	p.at += len(want)
	return true
}

func parseJSONPath(text string) (path jsonPath, err error) {
	p := &jsonPathParser{text: text}
	if !p.take("$") {
		return path, p.failed()
	}
	deep := 0
	for {
		var leg jsonLeg
		switch {
		case p.take("**"):
			leg.kind = legDeep
			if deep++; deep > maxDeepLegs {
				return path, notSupported("a JSON path may have %d ** at most", maxDeepLegs)
			}
		case p.take("."):
			if leg, err = p.member(); err != nil {
				return path, err
			}
		case p.take("["):
			if leg, err = p.element(); err != nil {
				return path, err
			}
		default:
			if p.space(); p.at < len(text) || len(path.legs) > 0 && path.legs[len(path.legs)-1].kind == legDeep {
				return path, p.failed()
			}
			return path, nil
		}
		path.many = path.many || leg.kind == legMembers || leg.kind == legRange || leg.kind == legElements || leg.kind == legDeep
		path.legs = append(path.legs, leg)
	}
}

// member reads what stands behind a point.
func (p *jsonPathParser) member() (jsonLeg, error) {
	if p.take("*") {
		return jsonLeg{kind: legMembers}, nil
	}
	p.space()
	if p.at < len(p.text) && p.text[p.at] == '"' {
		end := p.at + 1
		for end < len(p.text) && p.text[end] != '"' {
			if p.text[end] == '\\' {
				end++
			}
			end++
		}
		var key string
		if end >= len(p.text) || json.Unmarshal([]byte(p.text[p.at:end+1]), &key) != nil {
			return jsonLeg{}, p.failed()
		}
		p.at = end + 1
		return jsonLeg{key: key}, nil
	}
	start := p.at
	for p.at < len(p.text) && inName(lower(p.text[p.at])) {
		p.at++
	}
	if p.at == start {
		return jsonLeg{}, p.failed()
	}
	return jsonLeg{key: p.text[start:p.at]}, nil
}

// element reads what stands in brackets.
func (p *jsonPathParser) element() (leg jsonLeg, err error) {
	leg.kind = legElement
	if p.take("*") {
		leg.kind = legElements
	} else {
		if leg.from, err = p.place(); err != nil {
			return leg, err
		}
		if p.take("to") {
			leg.kind = legRange
			if leg.to, err = p.place(); err != nil {
				return leg, err
			}
		}
	}
	if !p.take("]") {
		return leg, p.failed()
	}
	return leg, nil
}

func (p *jsonPathParser) place() (place jsonPlace, err error) {
	place.last = p.take("last")
	if place.last && !p.take("-") {
		return place, nil
	}
	p.space()
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	if place.n, err = strconv.Atoi(p.text[start:p.at]); err != nil || place.n > 1<<31 {
		return place, p.failed()
	}
	return place, nil
}

// find gives what is at the places that a path leads to, in their order.
func (p jsonPath) find(doc any) []any { return findJSON(doc, p.legs, nil) }

func findJSON(doc any, legs []jsonLeg, found []any) []any {
	if len(legs) == 0 {
		return append(found, doc)
	}
	leg, rest := legs[0], legs[1:]
	list, isList := doc.([]any)
	object, isObject := doc.(map[string]any)
	switch leg.kind {
	case legMember:
		if v, ok := object[leg.key]; ok {
			return findJSON(v, rest, found)
		}
	case legMembers:
		for _, k := range jsonKeys(object) {
			found = findJSON(object[k], rest, found)
		}
	case legElements:
		for _, v := range list {
			found = findJSON(v, rest, found)
		}
	case legElement, legRange:
		if !isList {
			list = []any{doc} // what is no array is like one of itself
		}
		from, to := leg.from.in(len(list)), leg.from.in(len(list))
		if leg.kind == legRange {
			to = leg.to.in(len(list))
		}
		if from < 0 && leg.kind == legElement {
			return found
		}
		for i := max(from, 0); i <= min(to, len(list)-1); i++ {
			found = findJSON(list[i], rest, found)
		}
	case legDeep:
		found = findJSON(doc, rest, found)
		if isObject {
			for _, k := range jsonKeys(object) {
				found = findJSON(object[k], legs, found)
			}
		}
		for _, v := range list {
			if _, inner := v.([]any); !inner && !isJSONObject(v) && rest[0].kind == legElement {
				continue // a scalar is no array here
			}
			found = findJSON(v, legs, found)
		}
	}
	return found
}

func isJSONObject(v any) bool {
	_, ok := v.(map[string]any)
	return ok
}

// jsonKeys are an object's keys in MySQL's order: shorter ones first.
func jsonKeys(object map[string]any) []string {
	keys := make([]string, 0, len(object))
	for k := range object {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return keys
}

// plainPath reports whether the SQL library reads a path as MySQL does.
func plainPath(text string) bool { return !strings.ContainsAny(text, "[*") }

// newJSONExtract is JSON_EXTRACT: the SQL library's of one plain path; else ours, of several
// paths an array of what is there, or NULL if nothing is.
func newJSONExtract(stock sql.Function) sql.Function {
	own := (&plainKind{name: "json_extract", least: 2, most: 1 + maxJSONPaths, typ: ofType(types.JSON), eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
		var found []any
		many := len(args) > 2
		doc := jsonArgument{value: v[0]}
		for i := 1; i < len(v); i++ {
			text, isText := v[i].(string)
			if !isText || plainPath(text) {
				one, ok, err := stockExtract(ctx, stock, args, v, i)
				if err != nil {
					return nil, err
				}
				if ok {
					found = append(found, one)
				}
				continue
			}
			path, err := parseJSONPath(text)
			if err != nil {
				return nil, err
			}
			all, err := doc.read(ctx)
			if err != nil {
				return nil, err
			}
			many = many || path.many
			found = append(found, path.find(all)...)
		}
		switch {
		case len(found) == 0:
			return nil, nil
		case many:
			return types.JSONDocument{Val: found}, nil
		}
		return types.JSONDocument{Val: found[0]}, nil
	}}).function()
	return sql.FunctionN{Name: "json_extract", Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
		if len(args) == 2 {
			if l, ok := constantOf(args[1]); ok {
				if text, ok := l.Val.(string); !ok || plainPath(text) {
					return stock.NewInstance(ctx, args)
				}
			}
		}
		if len(args) < 2 {
			return stock.NewInstance(ctx, args)
		}
		return own.NewInstance(ctx, args)
	}}
}

// stockExtract is what the SQL library finds by the path i, if there is anything.
func stockExtract(ctx *sql.Context, stock sql.Function, args []sql.Expression, v []any, i int) (any, bool, error) {
	one, err := stock.NewInstance(ctx, []sql.Expression{expression.NewLiteral(v[0], args[0].Type(ctx)), expression.NewLiteral(v[i], args[i].Type(ctx))})
	if err != nil {
		return nil, false, err
	}
	out, err := one.Eval(ctx, nil)
	if err != nil {
		return nil, false, err
	}
	w, ok := out.(sql.JSONWrapper)
	if !ok {
		return nil, false, nil
	}
	plain, err := w.ToInterface(ctx)
	return plain, true, err
}

// jsonArgument is the value that paths lead through, read once.
type jsonArgument struct {
	value any
	plain any
	known bool
}

func (j *jsonArgument) read(ctx *sql.Context) (any, error) {
	if j.known {
		return j.plain, nil
	}
	j.known = true
	if w, ok := j.value.(sql.JSONWrapper); ok {
		var err error
		j.plain, err = w.ToInterface(ctx)
		return j.plain, err
	}
	text, ok := j.value.(string)
	if !ok {
		j.plain = j.value // as UnwrapAny gives it
		return j.plain, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	err := d.Decode(&j.plain)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = end
		}
	}
	if err != nil {
		return nil, mysql.NewSQLError(codeInvalidJSON, "22032", "Invalid JSON text in argument 1 to function json_extract: '%s'", clip(text))
	}
	j.plain = exactNumbers(j.plain)
	return j.plain, nil
}

// withOwnPath is j->'$.a[*]', which the planner makes without asking for a function, nil for
// other expressions.
func withOwnPath(ctx *sql.Context, e sql.Expression) sql.Expression {
	x, ok := e.(*stockjson.JSONExtract)
	if !ok || len(x.Paths) != 1 {
		return nil
	}
	l, ok := constantOf(x.Paths[0])
	if !ok {
		return nil
	}
	if text, ok := l.Val.(string); !ok || plainPath(text) {
		return nil
	}
	f, _ := ownFunction("json_extract")
	own, err := f.NewInstance(ctx, []sql.Expression{x.JSON, x.Paths[0]})
	if err != nil {
		return nil
	}
	return own
}
