package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// sampledProperties is how many properties a sample asks about, and sampledRows how many of
// the last events it looks at.
const (
	sampledProperties = 16
	sampledRows       = 100
)

// Samples reads some shards and asks them fixed questions, as queries do. which is asked as
// Holdings' is; the same shards are left out, and those that change meanwhile.
func (e *Engine) Samples(ctx context.Context, which func(k catalog.ShardKey, batches uint64) bool) ([]event.Sample, error) {
	holdings, err := e.Holdings(ctx, which)
	if err != nil {
		return nil, err
	}
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	c := e.catalog.Load()
	var all []event.Sample
	for _, h := range holdings {
		if h.Catalog != c.Version {
			continue // it is another time's
		}
		s := event.Sample{Holding: h}
		err := e.sample(ctx, c, &s)
		if errors.Is(err, errMoved) || errors.Is(err, ErrDamaged) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("sample of shard %s: %w", h.Shard, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// errMoved: a shard got something while it was read.
var errMoved = errors.New("shard has changed meanwhile")

// sample reads a shard whose holding is known.
func (e *Engine) sample(ctx context.Context, c *catalog.Catalog, s *event.Sample) error {
	shard := e.shard(s.Shard)
	v, err := shard.view(e)
	if err != nil {
		return err
	}
	defer v.release()
	same := func(v *view) bool {
		dots, _ := v.dots()
		return dots.Hash() == s.Batches
	}
	if !same(v) {
		return errMoved
	}
	// What files say of themselves gives way to what is in them.
	for _, f := range v.files.files {
		read, err := f.readDigest(ctx)
		if err != nil {
			return v.blame(err)
		}
		s.Content.Records = s.Content.Records.Add(read).Sub(f.digest())
	}
	p, ok := c.ProjectByID(s.Shard.Project)
	if !ok || p.DroppedAt != 0 {
		return nil
	}
	for _, f := range sampleQuestions(p, s.Shard) {
		answer, err := e.ask(ctx, f)
		if err != nil {
			return err
		}
		s.Answers = append(s.Answers, answer)
	}
	after, err := shard.view(e)
	if err != nil {
		return err
	}
	defer after.release()
	if !same(after) || e.catalog.Load() != c {
		return errMoved
	}
	return nil
}

// sampleQuestions are those of event.Questions about one shard.
func sampleQuestions(p *catalog.Project, k catalog.ShardKey) []*exec.Fragment {
	const event, moment, user, insert, ingest = 0, 1, 2, 3, 4
	fixed := []exec.Column{
		event:  {Source: exec.SourceEvent, Type: catalog.TypeString},
		moment: {Source: exec.SourceTime, Type: catalog.TypeDatetime},
		user:   {Source: exec.SourceDistinctID, Type: catalog.TypeString},
		insert: {Source: exec.SourceInsertID, Type: catalog.TypeString},
		ingest: {Source: exec.SourceIngestID, Type: catalog.TypeString},
	}
	at := func(op exec.Op, micros int64) *exec.Expr {
		return &exec.Expr{Op: op, Column: moment, Values: []catalog.Value{catalog.Int(micros)}}
	}
	day := &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{at(exec.OpMoreEq, k.Day.Start()), at(exec.OpLess, (k.Day + 1).Start())}}
	of := func(columns []exec.Column, g *exec.Group) *exec.Fragment {
		return &exec.Fragment{Project: k.Project, Buckets: []uint16{k.Bucket}, Columns: columns, Filter: day, Group: g}
	}
	one := func(op exec.AggregateOp, args ...int) exec.Aggregate { return exec.Aggregate{Op: op, Args: args} }
	count := one(exec.AggCount)

	properties := append([]exec.Column(nil), fixed...)
	var about []exec.Aggregate
	for i := range p.Columns {
		c := &p.Columns[i]
		if len(properties) == len(fixed)+sampledProperties {
			break
		}
		if c.Type == catalog.TypeNull {
			continue
		}
		n := len(properties)
		properties = append(properties, exec.Column{Source: exec.SourceProperty, Property: c.Property, Type: c.Type, Precision: c.Precision, Scale: c.Scale})
		about = append(about, one(exec.AggCount, n))
		switch c.Type {
		case catalog.TypeBool, catalog.TypeInt, catalog.TypeDouble, catalog.TypeDecimal:
			about = append(about, one(exec.AggSum, n), one(exec.AggMin, n), one(exec.AggMax, n))
		default:
			about = append(about, one(exec.AggCountDistinct, n))
		}
	}
	last := of(append(append([]exec.Column(nil), fixed...), exec.Column{Source: exec.SourceProperties, Type: catalog.TypeJSON}), nil)
	last.Order = []exec.Order{{Column: moment, Descending: true}, {Column: ingest, Descending: true}}
	last.Limit = sampledRows
	copies := of(append(append([]exec.Column(nil), fixed...), exec.Column{Source: exec.SourceDuplicate, Type: catalog.TypeBool}, exec.Column{Source: exec.SourceDupKind, Type: catalog.TypeString}),
		&exec.Group{Keys: []int{5, 6}, Aggregates: []exec.Aggregate{count, one(exec.AggCountDistinct, ingest), one(exec.AggMin, ingest), one(exec.AggMax, ingest)}})
	copies.Copies = true
	return []*exec.Fragment{
		of(fixed, &exec.Group{Aggregates: []exec.Aggregate{count, one(exec.AggCountDistinct, user), one(exec.AggMin, moment), one(exec.AggMax, moment)}}),
		of(fixed, &exec.Group{Keys: []int{event}, Aggregates: []exec.Aggregate{count, one(exec.AggCountDistinct, user), one(exec.AggCountDistinct, insert)}}),
		of(properties, &exec.Group{Aggregates: append(about, count)}),
		last,
		copies,
	}
}

// ask is a hash of a question's answer, in which rows without an order count in any.
func (e *Engine) ask(ctx context.Context, f *exec.Fragment) (sum uint64, err error) {
	var row []byte
	_, err = e.Execute(ctx, f, func(b *exec.Batch) error {
		for i := range b.Rows {
			row = row[:0]
			for _, column := range b.Columns {
				if column.IsNull(i) {
					row = append(row, 0)
					continue
				}
				text := column.ValueStr(i)
				row = append(binary.AppendUvarint(append(row, 1), uint64(len(text))), text...)
			}
			sum += xxh3.Hash(row)
		}
		return nil
	})
	return sum, err
}
