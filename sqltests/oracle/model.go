package oracle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// Model satisfies cluster.Local by evaluating Visible over a list. Its answers
// are exact and slow. The zero value is not ready: use New.
type Model struct {
	// Rule stands in for Visible where a test wants to see that a wrong rule is
	// noticed. Set it before the first use.
	Rule func(records []Record, policyOf func(catalog.Day) catalog.Policy, truncations []catalog.Truncation, asOf catalog.IngestID) Answer
	// BatchRows is the most rows that Scan gives at a time.
	BatchRows int
	// Functions evaluates computed columns, of which a Model knows nothing.
	Functions exec.Functions

	mu      sync.RWMutex // guards what follows
	catalog *catalog.Catalog
	records []Record
	answers map[question]Answer // of this catalog and these records
}

// New returns a Model without records.
func New(c *catalog.Catalog) *Model {
	if c == nil {
		c = &catalog.Catalog{}
	}
	return &Model{Rule: Visible, BatchRows: 1000, catalog: c, answers: map[question]Answer{}}
}

// SetCatalog makes c the catalog in force.
func (m *Model) SetCatalog(c *catalog.Catalog) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.catalog = c
	clear(m.answers)
}

// Catalog is the catalog in force.
func (m *Model) Catalog() *catalog.Catalog {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.catalog
}

// Append adds encoded batches to the list: all of them or, where one cannot be
// decoded, none.
func (m *Model) Append(ctx context.Context, records [][]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var added []Record
	for _, r := range records {
		b, err := decode(r)
		if err != nil {
			return fmt.Errorf("append: %w", err)
		}
		added = append(added, Records(b)...)
	}
	m.Add(added...)
	return nil
}

// Add adds records that were never encoded.
func (m *Model) Add(records ...Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = append(m.records, records...)
	clear(m.answers)
}

// Records returns all that was ever added, in that order.
func (m *Model) Records() []Record {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.records)
}

// Records takes a batch apart. The records refer to the batch's memory.
func Records(b *event.Batch) []Record {
	var records []Record
	for i := range b.Events {
		records = append(records, Record{Shard: b.Shard, Event: &b.Events[i]})
	}
	for i := range b.Deletes {
		records = append(records, Record{Shard: b.Shard, Delete: &b.Deletes[i]})
	}
	for i := range b.Undos {
		records = append(records, Record{Shard: b.Shard, Undo: &b.Undos[i]})
	}
	return records
}

// decode decodes a record into memory of its own.
func decode(record []byte) (*event.Batch, error) {
	b := &event.Batch{}
	if err := event.DecodeBatch(slices.Clone(record), b); err != nil {
		return nil, err
	}
	return b, nil
}

// Answer is what a query of the project would see; a zero asOf means now, a
// nil policy the policies in force. Callers must not change it.
func (m *Model) Answer(project catalog.ProjectID, asOf catalog.IngestID, policy *catalog.Policy) Answer {
	q := question{project: project, asOf: asOf, standing: policy == nil}
	if policy != nil {
		q.policy = *policy
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	answer, ok := m.answers[q]
	if !ok {
		answer = m.answer(q)
		m.answers[q] = answer
	}
	return answer
}

// question is what Answer is asked.
type question struct {
	project  catalog.ProjectID
	asOf     catalog.IngestID
	standing bool // by the policies in force, else by policy
	policy   catalog.Policy
}

// answer applies the rule. The caller holds mu.
func (m *Model) answer(q question) Answer {
	policyOf := func(catalog.Day) catalog.Policy { return catalog.DefaultPolicy }
	var truncations []catalog.Truncation
	if p, ok := m.catalog.ProjectByID(q.project); ok {
		policyOf, truncations = p.Policy, p.Truncations
	}
	if !q.standing {
		policyOf = func(catalog.Day) catalog.Policy { return q.policy }
	}
	var records []Record
	for _, r := range m.records {
		if r.Shard.Project == q.project {
			records = append(records, r)
		}
	}
	return m.Rule(records, policyOf, truncations, q.asOf)
}

// Duplicates counts the events of the records that are duplicates now.
func (m *Model) Duplicates(ctx context.Context, records [][]byte) (int64, error) {
	var count int64
	for _, r := range records {
		b, err := decode(r)
		if err != nil {
			return 0, fmt.Errorf("duplicates: %w", err)
		}
		for _, row := range m.Answer(b.Shard.Project, catalog.IngestID{}, nil).Rows {
			if row.Duplicate() && row.Shard == b.Shard {
				if slices.ContainsFunc(b.Events, func(e event.Event) bool { return e.ID == row.Event.ID }) {
					count++
				}
			}
		}
	}
	return count, ctx.Err()
}

// Index does nothing: a list has no files.
func (m *Model) Index(ctx context.Context, project catalog.ProjectID, closeDays bool) error {
	return ctx.Err()
}

// Close does nothing.
func (m *Model) Close() error { return nil }

// Properties is the `properties` column: the event's properties as one JSON
// object.
func Properties(e *event.Event) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, p := range e.Properties {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(catalog.AppendJSONString(nil, p.Name))
		b.WriteByte(':')
		b.Write(p.Value.AppendJSON(nil))
	}
	b.WriteByte('}')
	return b.String()
}
