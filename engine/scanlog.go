package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// logRow is a logged event that may be seen, with its number in the view.
type logRow struct {
	event  *event.Event
	number uint32
}

// scanLog gives the events of a part of the log that are visible and pass the
// filter. Those that are not held by column are read batch by batch and are rows
// here: they are turned into columns last, and only those that can pass.
func (w *worker) scanLog(ctx context.Context, p *part) error {
	defer w.begin()()
	if p.held {
		return w.scanHeld(ctx, p)
	}
	if w.countsOnly() {
		return w.countLog(ctx, p)
	}
	w.taker.Reset()
	if err := w.readRows(ctx, p); err != nil {
		return err
	}
	for rows := w.rows; len(rows) > 0; {
		n := min(len(rows), exec.MaxBatchRows)
		if err := w.giveRows(ctx, p, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// countLog gives the number of events that may be seen, without reading them.
func (w *worker) countLog(ctx context.Context, p *part) error {
	events := 0
	for _, r := range p.view.logs[p.lo:p.hi] {
		events += int(r.events)
	}
	for lo := 0; lo < events; lo += exec.MaxBatchRows {
		hi := min(lo+exec.MaxBatchRows, events)
		if err := w.countFound(p, int(p.base)+lo, int(p.base)+hi); err != nil {
			return err
		}
		if n := w.selectVisible(&p.state.log, int(p.base)+lo, int(p.base)+hi); n > 0 {
			if err := w.give(ctx, &exec.Batch{Rows: n}); err != nil {
				return err
			}
		}
	}
	return nil
}

// readRows decodes the batches and keeps the events that may be seen and whose
// time and user can pass.
func (w *worker) readRows(ctx context.Context, p *part) error {
	refs := p.view.logs[p.lo:p.hi]
	for len(w.buffers) < len(refs) {
		w.buffers, w.batches = append(w.buffers, nil), append(w.batches, event.Batch{})
	}
	events := 0
	for i, r := range refs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.view.read(r, &w.buffers[i], &w.batches[i]); err != nil {
			return err
		}
		w.stats.BytesLog += int64(r.length)
		events += len(w.batches[i].Events)
	}
	w.selectVisible(&p.state.log, int(p.base), int(p.base)+events)
	if err := w.countFound(p, int(p.base), int(p.base)+events); err != nil {
		return err
	}
	w.rows = w.rows[:0]
	number := 0
	for i := range refs {
		for j := range w.batches[i].Events {
			e := &w.batches[i].Events[j]
			if w.selected.Has(number) {
				if w.canPass(e) {
					w.rows = append(w.rows, logRow{e, uint32(p.base) + uint32(number)})
				} else {
					w.stats.RowsFiltered++
				}
			}
			number++
		}
	}
	return nil
}

// canPass holds the filter's bounds against an event.
func (w *worker) canPass(e *event.Event) bool {
	b := &w.scan.bounds
	return b.MinTime <= e.Time && e.Time <= b.MaxTime && b.HasUser(e.DistinctID) && b.HasInsert(e.InsertID)
}

func (w *worker) giveRows(ctx context.Context, p *part, rows []logRow) error {
	columns := w.scan.fragment.Columns
	if w.scan.fragment.Group != nil {
		return w.groupLog(p, rows)
	}
	if w.filter != nil {
		for i, used := range w.scan.uses {
			if used {
				w.columns[i] = logColumn(p, &columns[i], rows)
			}
		}
		w.selected = w.selected.Reset(len(rows))
		w.selected.Fill(len(rows))
		if err := w.filter.Select(w.columns, len(rows), w.selected); err != nil {
			return err
		}
		all := len(rows)
		rows = w.keepSelected(rows)
		w.stats.RowsFiltered += int64(all - len(rows))
	}
	if len(rows) == 0 {
		return nil
	}
	if w.sorter != nil {
		return w.sorter.log(ctx, p, rows)
	}
	batch := exec.Batch{Rows: len(rows)}
	for i := range columns {
		if c := &columns[i]; !c.Hidden {
			batch.Columns = append(batch.Columns, logColumn(p, c, rows))
		}
	}
	return w.give(ctx, &batch)
}

func (w *worker) keepSelected(rows []logRow) []logRow {
	kept := rows[:0]
	for i := range rows {
		if w.selected.Has(i) {
			kept = append(kept, rows[i])
		}
	}
	return kept
}

// logColumn is a column of logged events.
func logColumn(p *part, c *exec.Column, rows []logRow) arrow.Array {
	switch c.Source {
	case exec.SourceFile:
		return constantColumn("log", len(rows))
	case exec.SourceShard:
		return constantColumn(p.view.shard.key.String(), len(rows))
	}
	b := newColumnBuilder(c.Result(), len(rows))
	var scratch []byte
	for i := range rows {
		v, ok := logValue(p, c, &rows[i], &scratch)
		b.append(v, ok)
	}
	return b.array()
}

// logValue is what a column shows of a logged event; false is null.
func logValue(p *part, c *exec.Column, row *logRow, scratch *[]byte) (catalog.Value, bool) {
	e := row.event
	switch c.Source {
	case exec.SourceProperty:
		v, ok := property(e, c.Property)
		if !ok {
			return v, false
		}
		return catalog.Convert(v, c.Type, c.Precision, c.Scale)
	case exec.SourceEvent:
		return catalog.String(e.Name), true
	case exec.SourceTime:
		return catalog.Int(e.Time), true
	case exec.SourceDistinctID:
		return catalog.String(e.DistinctID), true
	case exec.SourceInsertID:
		return catalog.String(e.InsertID), e.InsertID != ""
	case exec.SourceProperties:
		if c.Property != "" {
			v, ok := property(e, c.Property)
			if !ok {
				return v, false
			}
			return columnType{object: c.Property}.convert(v)
		}
		*scratch = appendProperties((*scratch)[:0], e.Properties)
		return catalog.JSON(textOf(*scratch)), true
	case exec.SourceIngestID:
		return catalog.String(e.ID.String()), true
	case exec.SourceIngestedAt:
		return catalog.Int(int64(e.ID.Time / 1000)), true
	case exec.SourceTimeRaw:
		return catalog.Int(e.Time), !e.ServerTime
	case exec.SourceRecord:
		return catalog.String(recordHash(e)), true
	}
	return dupValue(c.Source, p.state.log.duplicate(row.number))
}

// duplicate says why a record is hidden, or nil if it is not.
func (m *marks) duplicate(ordinal uint32) *duplicate {
	at := atLeast(m.hidden, int(ordinal))
	if at < len(m.why) && m.why[at].ordinal == ordinal {
		return &m.why[at]
	}
	return nil
}

// property finds a property of an event by name.
func property(e *event.Event, name string) (catalog.Value, bool) {
	at, found := slices.BinarySearchFunc(e.Properties, name, func(p catalog.Property, name string) int {
		return strings.Compare(p.Name, name)
	})
	if !found {
		return catalog.Null, false
	}
	return e.Properties[at].Value, true
}

// appendProperties appends an event's properties as a JSON object.
func appendProperties(b []byte, properties []catalog.Property) []byte {
	b = append(b, '{')
	for i := range properties {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(catalog.AppendJSONString(b, properties[i].Name), ':')
		b = properties[i].Value.AppendJSON(b)
	}
	return append(b, '}')
}
