package gateway

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// explainJSON is the name that FORMAT=JSON has in the SQL library's grammar, which
// takes only words that are not its own.
const explainJSON = "debug"

// chooseExplain reads the formats that the library's planner does not know.
func chooseExplain(s sqlparser.Statement) {
	if e, ok := s.(*sqlparser.Explain); ok && strings.EqualFold(e.ExplainFormat, "traditional") {
		e.ExplainFormat = ""
	}
}

// explainedTable is a table in EXPLAIN FORMAT=JSON, with MySQL's names.
type explainedTable struct {
	Name   string   `json:"table_name,omitempty"`
	Access string   `json:"access_type,omitempty"`
	Rows   uint64   `json:"rows_examined_per_scan,omitempty"`
	Scan   []string `json:"scan,omitempty"`
}

// explainedBlock is a query block of it.
type explainedBlock struct {
	ID      int             `json:"select_id"`
	Message string          `json:"message,omitempty"`
	Table   *explainedTable `json:"table,omitempty"`
	Loop    []struct {
		Table explainedTable `json:"table"`
	} `json:"nested_loop,omitempty"`
	Plan []string `json:"plan"`
}

// explainedJSON is a plan in the form of MySQL's FORMAT=JSON: its tables, and the
// tree of FORMAT=TREE beside them.
func explainedJSON(scans []*shownScan, tree string) (string, error) {
	b := explainedBlock{ID: 1}
	tables := make([]explainedTable, len(scans))
	for i, s := range scans {
		tables[i] = explainedTable{Name: s.table, Access: "ALL", Rows: s.rows, Scan: s.lines}
	}
	switch len(tables) {
	case 0:
		b.Message = "No tables used"
	case 1:
		b.Table = &tables[0]
	default:
		for _, t := range tables {
			b.Loop = append(b.Loop, struct {
				Table explainedTable `json:"table"`
			}{t})
		}
	}
	for line := range strings.Lines(tree) {
		if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) != "" {
			b.Plan = append(b.Plan, line)
		}
	}
	text, err := json.MarshalIndent(map[string]explainedBlock{"query_block": b}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write the plan as JSON: %w", err)
	}
	return string(text), nil
}
