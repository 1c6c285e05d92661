package gateway

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// REPLACE stores an event and deletes whatever had the same logical key. The
// new event is stored first: if something goes wrong between the two, the old
// one is still there, and the statement can be sent again.

// logicalKey is what makes events one, under a policy, inside a shard.
type logicalKey struct {
	shard          catalog.ShardKey
	user, insertID string
	name           string
	millis         int64
}

// keyOf is the logical key of an event, by the project's policy for its day. An
// event without an insert id has none.
func keyOf(p *catalog.Project, name string, at int64, user, insertID string) (logicalKey, bool) {
	if insertID == "" {
		return logicalKey{}, false
	}
	k := logicalKey{shard: p.Shard(at, user, insertID), user: user, insertID: insertID}
	switch p.Policy(k.shard.Day).Key {
	case catalog.KeyDay:
		k.name = name
	case catalog.KeyExact:
		k.name = name
		k.millis = at / catalog.Millisecond
		if at%catalog.Millisecond < 0 {
			k.millis--
		}
	}
	return k, true
}

func (in *insertion) keyOf(e *event.Event) (logicalKey, bool) {
	at := e.Time
	if e.ServerTime {
		at = int64(in.options.ID.Time / 1000)
	}
	return keyOf(in.project, e.Name, at, e.DistinctID, e.InsertID)
}

// keepLast drops the rows that later rows of the statement replace.
func (in *insertion) keepLast() {
	last := make(map[logicalKey]int, len(in.events))
	for i := range in.events {
		if k, ok := in.keyOf(&in.events[i]); ok {
			last[k] = i
		}
	}
	kept := 0
	for i := range in.events {
		if k, ok := in.keyOf(&in.events[i]); ok && last[k] != i {
			in.replaced += 2 // it was stored and replaced
			continue
		}
		in.events[kept], in.indexes[kept] = in.events[i], in.indexes[i]
		kept++
	}
	in.events, in.indexes = in.events[:kept], in.indexes[:kept]
}

// keysAtOnce is how many keys one scan looks for.
const keysAtOnce = 1 << 12

// sameKeys finds all stored copies with the logical key of one of the events.
func (in *insertion) sameKeys(ctx *sql.Context) ([]deleteTarget, error) {
	var all []deleteTarget
	for some := range slices.Chunk(in.events, keysAtOnce) {
		var err error
		if all, err = in.appendSameKeys(ctx, some, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (in *insertion) appendSameKeys(ctx *sql.Context, events []event.Event, all []deleteTarget) ([]deleteTarget, error) {
	keys := make(map[logicalKey]bool, len(events))
	users, insertIDs := map[string]bool{}, map[string]bool{}
	first, last := catalog.MaxDay, catalog.MinDay
	for i := range events {
		k, ok := in.keyOf(&events[i])
		if !ok {
			continue
		}
		keys[k] = false
		users[k.user], insertIDs[k.insertID] = true, true
		first, last = min(first, k.shard.Day), max(last, k.shard.Day)
	}
	if len(keys) == 0 {
		return all, nil
	}
	f := &exec.Fragment{Project: in.project.ID, Copies: true, Columns: []exec.Column{
		{Source: exec.SourceIngestID, Type: catalog.TypeString},
		firstColumns[columnEvent].exec, firstColumns[columnTime].exec,
		firstColumns[columnDistinctID].exec, firstColumns[columnInsertID].exec,
	}}
	f.Filter = &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{
		{Op: exec.OpMoreEq, Column: 2, Values: []catalog.Value{catalog.Int(first.Start())}},
		{Op: exec.OpLess, Column: 2, Values: []catalog.Value{catalog.Int((last + 1).Start())}},
		{Op: exec.OpIn, Column: 3, Values: stringValues(maps.Keys(users))},
		{Op: exec.OpIn, Column: 4, Values: stringValues(maps.Keys(insertIDs))},
	}}
	err := in.gateway.scanRows(ctx, f, func(row sql.Row) error {
		name, at, user, insertID, err := keyParts(row)
		if err != nil {
			return err
		}
		k, _ := keyOf(in.project, name, at, user, insertID)
		counted, same := keys[k]
		if !same {
			return nil
		}
		if !counted {
			in.replaced++ // MySQL counts the row that was replaced
			keys[k] = true
		}
		id, err := catalog.ParseIngestID(row[0].(string))
		if err != nil {
			return err
		}
		all = append(all, deleteTarget{k.shard, id})
		return nil
	})
	return all, err
}

// keyParts are the parts of a row of appendSameKeys' scan.
func keyParts(row sql.Row) (name string, at int64, user, insertID string, err error) {
	name, ok := row[1].(string)
	moment, ok2 := row[2].(time.Time)
	user, ok3 := row[3].(string)
	insertID, ok4 := row[4].(string)
	if !ok || !ok2 || !ok3 || !ok4 {
		return "", 0, "", "", fmt.Errorf("scan for replaced events gave %v", row)
	}
	return name, moment.UnixMicro(), user, insertID, nil
}

// stringValues are strings as constants of a filter.
func stringValues(all iter.Seq[string]) []catalog.Value {
	var values []catalog.Value
	for s := range all {
		values = append(values, catalog.String(s))
	}
	return values
}
