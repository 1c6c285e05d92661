package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"arbor/backup"
	"arbor/catalog"
	"arbor/cluster/tables"
	"arbor/gateway"
	"arbor/pace"
)

// tablePlan compares a mutable table of the backup with the server's.
type tablePlan struct {
	table *tables.Table
	tableAnswer
}

// tableAnswer is what the server says of rows that it took, or would take.
type tableAnswer struct {
	Here, Missing, Same, Other, Clashing, Erased int
	Exists                                       bool
	Refused                                      string
}

// add adds what the server says of another piece of the table.
func (a *tableAnswer) add(b tableAnswer) {
	a.Missing, a.Same, a.Other = a.Missing+b.Missing, a.Same+b.Same, a.Other+b.Other
	a.Clashing, a.Erased, a.Refused = a.Clashing+b.Clashing, a.Erased+b.Erased, b.Refused
}

// isDue reports whether there is something to add.
func (p *tablePlan) isDue() bool { return p.Refused == "" && (p.Missing > 0 || !p.Exists) }

// tables are those of a project as the backup has them, without the rows of users who were
// erased later. Where only some days are meant there are none.
func (p *restorePart) tables(ctx context.Context, project *catalog.Project) ([]*tables.Table, error) {
	if p.first != catalog.MinDay || p.last != catalog.MaxDay || p.member.Tables == nil {
		return nil, nil
	}
	if p.state == nil {
		encoded, err := backup.MemberTables(ctx, p.o.Stores, p.member)
		if err == nil {
			p.state, err = tables.DecodeState(encoded)
		}
		if err != nil {
			return nil, fmt.Errorf("the mutable tables of backup %s: %w", p.o.ID, err)
		}
	}
	state := p.state
	if p.later != nil {
		var err error
		if state, err = gateway.WithoutErased(ctx, state, project.ID, p.later, p.catalog); err != nil {
			return nil, fmt.Errorf("leave out users who were erased: %w", err)
		}
	}
	return state.All(uint32(project.ID)), nil
}

// tables compares the tables of a project.
func (r *intoRestore) tables(ctx context.Context, p *projectPlan) error {
	all, err := r.part.tables(ctx, p.from)
	if err != nil {
		return err
	}
	for _, t := range all {
		plan := &tablePlan{table: t}
		if err := r.diffTable(ctx, p, plan); err != nil {
			return fmt.Errorf("compare table %s of project %s: %w", t.Name, p.from.Name, err)
		}
		p.tables = append(p.tables, plan)
	}
	return nil
}

// diffTable compares a table row by row.
func (r *intoRestore) diffTable(ctx context.Context, p *projectPlan, plan *tablePlan) error {
	answer, err := r.sendTable(ctx, p, plan.table, true)
	var refused *restoreRefused
	if errors.As(err, &refused) && refused.status == http.StatusNotFound { // there is no such project yet
		answer, err = tableAnswer{}, nil
		for rows := gateway.TableRows(plan.table); ; answer.Missing++ {
			if _, _, ok := rows.Next(); !ok {
				break
			}
		}
	}
	plan.tableAnswer = answer
	return err
}

// sendTable sends a table in pieces, at least one, or with dry only asks what they would do.
func (r *intoRestore) sendTable(ctx context.Context, p *projectPlan, t *tables.Table, dry bool) (all tableAnswer, err error) {
	head := gateway.AppendTablePiece(nil, t.Name, t.Definition)
	body, pieces := append([]byte(nil), head...), 0
	flush := func() error {
		answer, err := r.server.table(ctx, p.into, p.from.Name, r.part.member.At.UnixMicro(), dry, body)
		if err != nil {
			return err
		}
		if body, pieces = append(body[:0], head...), pieces+1; pieces == 1 {
			all.Here, all.Exists = answer.Here, answer.Exists
		}
		all.add(answer)
		return nil
	}
	rows := gateway.TableRows(t)
	for key, row, ok := rows.Next(); ok; key, row, ok = rows.Next() {
		if len(body) > len(head) && len(body)+len(key)+len(row) > restoreSendBytes {
			if err := flush(); err != nil {
				return all, err
			}
		}
		body = gateway.AppendTableRow(body, key, row)
	}
	if pieces == 0 || len(body) > len(head) {
		err = flush()
	}
	return all, err
}

// table sends a piece of a table.
func (s *restoreServer) table(ctx context.Context, project, of string, at int64, dry bool, body []byte) (taken tableAnswer, err error) {
	if err := s.pace.Wait(ctx, len(body), pace.Always(s.rate)); err != nil {
		return taken, err
	}
	q := url.Values{"project": {project}, "of": {of}, "at": {strconv.FormatInt(at, 10)}}
	if dry {
		q.Set("dry", "1")
	}
	err = s.do(ctx, http.MethodPost, "/restore/tables", q, body, func(r io.Reader) error { return json.NewDecoder(r).Decode(&taken) })
	return taken, err
}

// showTables prints the comparison of a project's tables.
func (r *intoRestore) showTables(p *projectPlan) {
	if len(p.tables) == 0 {
		return
	}
	t := tabwriter.NewWriter(r.o.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "table\tin both\tonly in the backup\tonly here\tother values\tclashing\terased")
	for _, plan := range p.tables {
		more := plan.Here - plan.Same - plan.Other
		if plan.Refused != "" {
			fmt.Fprintf(t, "%s\t-\t-\t%d\t-\t-\t-\n", plan.table.Name, plan.Here)
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", plan.table.Name, plan.Same, plan.Missing, more, plan.Other, plan.Clashing, plan.Erased)
	}
	_ = t.Flush()
	for _, plan := range p.tables {
		switch {
		case plan.Refused != "":
			fmt.Fprintf(r.o.out, "table %s cannot be restored: %s\n", plan.table.Name, plan.Refused)
		case plan.Other > 0:
			fmt.Fprintf(r.o.out, "table %s: %d rows are here with other values; they stay as they are here\n", plan.table.Name, plan.Other)
		}
		if plan.Clashing > 0 {
			fmt.Fprintf(r.o.out, "table %s: %d rows have what another row here has in a unique index, and cannot be added\n", plan.table.Name, plan.Clashing)
		}
	}
}

// dueRows are the rows that are to be added, and whether there is a table to be made or
// added to.
func (r *intoRestore) dueRows() (rows int, due bool) {
	for _, p := range r.plans {
		for _, plan := range p.tables {
			if plan.isDue() {
				rows, due = rows+plan.Missing, true
			}
		}
	}
	return rows, due
}

// applyTables adds the rows that are missing, and looks whether they are there.
func (r *intoRestore) applyTables(ctx context.Context, p *projectPlan) (added int, err error) {
	var refused []string
	for _, plan := range p.tables {
		if plan.Refused != "" {
			refused = append(refused, plan.table.Name)
		}
		if !plan.isDue() {
			continue
		}
		answer, err := r.sendTable(ctx, p, plan.table, false)
		if err != nil {
			return added, fmt.Errorf("restore table %s of project %s: %w; the same command goes on", plan.table.Name, p.from.Name, err)
		}
		added += answer.Missing
		if err := r.diffTable(ctx, p, plan); err != nil {
			return added, fmt.Errorf("look whether table %s of project %s is there: %w", plan.table.Name, p.from.Name, err)
		}
		if plan.Missing > 0 || !plan.Exists {
			return added, fmt.Errorf("%d rows of table %s are still not there", plan.Missing, plan.table.Name)
		}
	}
	if len(refused) > 0 {
		return added, fmt.Errorf("tables were not restored: %s; what is above says why", strings.Join(refused, ", "))
	}
	return added, nil
}

// asked is what is to be added, in words.
func asked(events, rows int) string {
	words := fmt.Sprintf("%s events", humanize.Comma(int64(events)))
	if rows > 0 {
		words += fmt.Sprintf(" and %s rows of mutable tables", humanize.Comma(int64(rows)))
	}
	return words
}
