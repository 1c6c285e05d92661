package gateway

import (
	"context"
	"sync/atomic"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"arbor/catalog"
)

// Limits of one statement.
const (
	// DefaultMaxGroups is how many groups a GROUP BY may have.
	DefaultMaxGroups = 10_000_000
)

// queryLimits bound one statement; zeroes stand for the defaults.
type queryLimits struct {
	// Memory is what the rows, groups and keys that a statement holds at once may
	// take, in bytes, as estimated by rowBytes. 0 is the setting max_query_memory.
	Memory int64
	Groups int
}

func (l queryLimits) orDefaults() queryLimits {
	if l.Groups <= 0 {
		l.Groups = DefaultMaxGroups
	}
	return l
}

// allowance is the memory that a statement may still take.
type allowance struct {
	limit int64
	taken atomic.Int64
	// broadcasts are used while the plan is made ready to run.
	broadcasts broadcasts
	// different are the nodes of which each key is read once, by what they were.
	different map[differentKeys]sql.Node
}

type allowanceKey struct{}

// withAllowance gives the statements that run in ctx a common allowance.
func withAllowance(ctx context.Context, limit int64) context.Context {
	return context.WithValue(ctx, allowanceKey{}, &allowance{limit: limit})
}

// queryMemory is what a statement may take: most, or if that is 0 the setting.
func queryMemory(g *Gateway, most int64) int64 {
	switch {
	case most > 0:
		return most
	case g == nil:
		return new(catalog.Catalog).MaxQueryMemory()
	}
	return g.Catalog().MaxQueryMemory()
}

// howToRaise ends the errors about memory.
const howToRaise = "or raise the setting " + catalog.SettingMaxQueryMemory + " by CALL arbor.set_setting"

// holding is what one part of a statement has taken of its allowance.
type holding struct {
	from  *allowance
	bytes int64
}

// newHolding takes nothing yet. A context without an allowance gives one of its own.
func newHolding(ctx context.Context) *holding {
	a, ok := ctx.Value(allowanceKey{}).(*allowance)
	if !ok {
		a = &allowance{limit: queryMemory(nil, 0)}
	}
	return &holding{from: a}
}

// take takes n bytes, or fails if the statement would hold too much.
func (h *holding) take(n int64) error {
	h.bytes += n
	if h.from.taken.Add(n) > h.from.limit {
		return tooMuch(h.from.limit, "rows, groups and keys of the statement")
	}
	return nil
}

// release gives all back. It may be called again.
func (h *holding) release() {
	h.from.taken.Add(-h.bytes)
	h.bytes = 0
}

// tooMuch is MySQL's error for a limit on memory, with what to do.
func tooMuch(limit int64, what string) error {
	return mysql.NewSQLError(codeCapacity, stateGeneral,
		"Memory capacity of %d bytes for '%s' exceeded. Narrow the statement by WHERE, sort and group less at once, "+howToRaise, limit, what)
}

// Costs of what Go keeps beside a value's bytes.
const (
	rowOverhead   = 24
	valueOverhead = 32
	mapOverhead   = 64
)

// rowBytes estimates what a row takes.
func rowBytes(row sql.Row) int64 {
	n := int64(rowOverhead)
	for _, v := range row {
		n += valueBytes(v)
	}
	return n
}

func valueBytes(v any) int64 {
	switch v := v.(type) {
	case nil:
		return valueOverhead / 2
	case string:
		return valueOverhead + int64(len(v))
	case []byte:
		return valueOverhead + int64(len(v))
	case sql.AnyWrapper:
		if v.IsExactLength() {
			return valueOverhead + v.MaxByteLength()
		}
	}
	return valueOverhead
}
