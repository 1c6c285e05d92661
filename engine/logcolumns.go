package engine

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// logColumns are a tail's events by column, ready to be scanned as a file's rows
// are. They hold whole batches, the first ones of the tail, as far as the
// engine's budget goes; further ones are read from the log. Row i is the event
// number i of the tail.
//
// An event takes 8 bytes for its time, 1 to 4 each for its name and user, and for
// each property 1 to 4 bytes, 8 if it is one of many numbers, and 2 more if not
// all events have it. Texts are held once a shard.
//
// Insert ids, ingest ids and payloads are known to the tail already. The JSON of
// all properties is made from the log when it is asked for: a file does not give
// it any faster.
type logColumns struct {
	// mu guards what follows. It is held to add a few events, or to make an array
	// that was not made before.
	mu     sync.Mutex
	budget *columnBudget
	size   int64 // of what is held, about
	taken  int64 // of the budget
	// full says that no further batch is held, dropped that the shard has another
	// tail, so that the budget does not count these columns any more.
	full, dropped bool

	ends []uint32 // how many events there are up to each batch that is held
	rows int
	// bytes is how long the batches that are held are in the log.
	bytes  atomic.Int64
	chunks []*logChunk
	events logDictionary // by the numbers of the tail's names
	users  logDictionary
	// eventTally and userTally are how often they come.
	eventTally, userTally logTally

	columns []*logProperty
	byName  map[string]*logProperty
	// spilled says that there are properties without a column.
	spilled bool
	// shapes remember, for each event name, the columns of the last event's
	// properties, since the next one's are nearly always the same.
	shapes [][]*logProperty

	// entries and texts are the tail's as they were after the last batch.
	entries entries
	texts   []byte
}

// maxLogColumns is how many properties have columns; those met later are read
// from the log.
const maxLogColumns = 1 << 12

// columnBudget is what the columns of all tails together may take in memory.
type columnBudget struct {
	limit int64
	taken atomic.Int64
	// maxCoded and maxDictionary are maxCodedNumbers and maxDictionaryBytes, but for
	// tests.
	maxCoded, maxDictionary int
}

func (b *columnBudget) open(limit int64) {
	b.limit, b.maxCoded, b.maxDictionary = limit, maxCodedNumbers, maxDictionaryBytes
}

// has reports whether there is room for so many bytes.
func (b *columnBudget) has(bytes int64) bool { return b.taken.Load()+bytes <= b.limit }

// begin readies the columns for an engine's events, once.
func (c *logColumns) begin(budget *columnBudget) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget = budget
}

// drop gives back what the columns have taken of the budget. Scans that read them
// go on.
func (c *logColumns) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.full, c.dropped = true, true
	if c.budget != nil {
		c.budget.taken.Add(-c.taken)
	}
	c.taken = 0
}

// settle makes the budget count what the columns take now. The caller has mu.
func (c *logColumns) settle() {
	if c.dropped {
		return
	}
	c.budget.taken.Add(c.size - c.taken)
	c.taken = c.size
}

// expansion is about how many times longer than its record a batch may be in
// columns.
const expansion = 2

// lockRows is how many events are added while mu is held.
const lockRows = 1024

// add adds a batch of a tail, whose events are the entries from number first on.
// The caller has the tail's turn.
func (c *logColumns) add(t *tail, b *event.Batch, first uint32, recordBytes int64) {
	if !c.takesBatch(recordBytes) {
		return
	}
	for done := 0; done < len(b.Events); {
		n := min(lockRows, len(b.Events)-done)
		c.addEvents(t, b.Events[done:done+n], first+uint32(done))
		done += n
	}
	c.hold(t, len(b.Events), recordBytes)
}

// hold makes a batch, whose events were added, one that is held.
func (c *logColumns) hold(t *tail, events int, recordBytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows += events
	c.ends = appendCounted(c.ends, uint32(c.rows), &c.size)
	c.bytes.Add(recordBytes)
	c.entries, c.texts = t.entries, t.texts
	c.settle()
}

// takesBatch reports whether the next batch is held. Once one is not, none is.
func (c *logColumns) takesBatch(recordBytes int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.full && !c.budget.has(expansion*recordBytes) {
		c.full = true
	}
	return !c.full
}

// isFull reports whether no further batch is held.
func (c *logColumns) isFull() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.full
}

// batches is how many of the tail's batches are held.
func (c *logColumns) batches() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ends)
}

// addEvents adds events that are not seen before their batch is added.
func (c *logColumns) addEvents(t *tail, events []event.Event, first uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range events {
		last := len(c.chunks) - 1
		if last < 0 || c.chunks[last].rows == logChunkRows {
			c.chunks = append(c.chunks, newLogChunk())
			last++
		}
		c.addEvent(c.chunks[last], &events[i], t.entries.at(first+uint32(i)))
	}
	if max(len(c.events.bytes), len(c.users.bytes)) > c.budget.maxDictionary {
		c.full = true
	}
}

func (c *logColumns) addEvent(chunk *logChunk, e *event.Event, n *entry) {
	c.know(n, e.Name, e.DistinctID)
	chunk.add(e, n, &c.size)
	for i := range e.Properties {
		p := &e.Properties[i]
		column := c.columnOf(int(n.name), i, p.Name)
		if column == nil {
			continue
		}
		chunk.of(column, &c.size).add(chunk.rows, p.Value, c.budget.maxCoded, &c.size)
		if len(column.dictionary.bytes) > c.budget.maxDictionary {
			c.full = true
		}
	}
	chunk.rows++
}

// know makes the name and user of an entry known, if they are new.
func (c *logColumns) know(n *entry, name, user string) {
	if int(n.name) == c.events.len() {
		c.events.add(catalog.KindString, name, &c.size)
		c.shapes = append(c.shapes, nil)
	}
	if int(n.user) == c.users.len() {
		c.users.add(catalog.KindString, user, &c.size)
	}
}

// named is the column of a property, which is made if there is none; nil if there are too
// many.
func (c *logColumns) named(name string) *logProperty {
	column := c.byName[name]
	if column != nil || len(c.columns) == maxLogColumns {
		return column
	}
	column = &logProperty{name: string([]byte(name)), number: len(c.columns)}
	if c.byName == nil {
		c.byName = map[string]*logProperty{}
	}
	c.byName[column.name] = column
	c.columns = append(c.columns, column)
	c.size += columnBytes + int64(len(name))
	return column
}

// columnOf is the column of the property that is number i of an event; nil if it
// has none.
func (c *logColumns) columnOf(event, i int, name string) *logProperty {
	shape := c.shapes[event]
	if i < len(shape) && shape[i] != nil && shape[i].name == name {
		return shape[i]
	}
	column := c.named(name)
	if column == nil {
		c.spilled = true
		return nil
	}
	for len(shape) <= i {
		shape = append(shape, nil)
	}
	shape[i] = column
	c.shapes[event] = shape
	return column
}

// columnBytes is about what a column takes beside what it holds.
const columnBytes = 512

// held says how many of the view's batches are held, and how many events those
// are.
func (c *logColumns) held(v *view) (batches, rows int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batches = min(len(c.ends), len(v.logs))
	if batches > 0 {
		rows = int(c.ends[batches-1])
	}
	return batches, rows
}

// batchOf is the number of the batch that holds an event, and the number of its
// first event.
func (c *logColumns) batchOf(row int) (batch, first int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch = atLeast(c.ends, row+1)
	if batch > 0 {
		first = int(c.ends[batch-1])
	}
	return batch, first
}

// timeBounds are between what the times of a chunk are.
func (c *logColumns) timeBounds(chunk int) (least, greatest int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.chunks[chunk].minTime, c.chunks[chunk].maxTime
}

// allTimeBounds are between what the times of all rows are; there are some.
func (c *logColumns) allTimeBounds() (least, greatest int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	least, greatest = c.chunks[0].minTime, c.chunks[0].maxTime
	for _, chunk := range c.chunks[1:] {
		least, greatest = min(least, chunk.minTime), max(greatest, chunk.maxTime)
	}
	return least, greatest
}

// known are the tail's entries and texts, of all events that are held.
func (c *logColumns) known() (entries, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries, c.texts
}

// holds reports whether a property has a column, or is no event's. It may be
// among those without a column otherwise.
func (c *logColumns) holds(property string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.spilled || c.byName[property] != nil
}

// array is a column of rows [lo, hi), which are in one chunk: a property, if the
// columns hold it, or objects of it alone, an event name, user or time.
func (c *logColumns) array(column *exec.Column, coded bool, lo, hi int) (arrow.Array, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.settle()
	chunk := c.chunks[lo/logChunkRows]
	lo, hi = lo%logChunkRows, (hi-1)%logChunkRows+1
	var a arrow.Array
	var err error
	switch column.Source {
	case exec.SourceTime:
		a = chunk.timeArray()
	case exec.SourceTimeRaw:
		a = chunk.timeRawArray()
	case exec.SourceEvent:
		a, err = c.nameArray(&chunk.eventArray, &chunk.events, &c.events, hi)
	case exec.SourceDistinctID:
		a, err = c.nameArray(&chunk.userArray, &chunk.users, &c.users, hi)
	default:
		a, err = c.property(chunk, column, coded, hi)
	}
	if err != nil {
		return nil, fmt.Errorf("columns of the log: %w", err)
	}
	return array.NewSlice(a, int64(lo), int64(hi)), nil
}

// nameArray gives names by their numbers.
func (c *logColumns) nameArray(made *arrow.Array, codes *codeList, names *logDictionary, n int) (arrow.Array, error) {
	if *made != nil && (*made).Len() >= n {
		return *made, nil
	}
	t, err := names.as(columnType{t: catalog.TypeString}, &c.size)
	if err != nil {
		return nil, err
	}
	*made = codedArray(int(codes.width), codes.bytes(), nil, 0, t.values, codes.len())
	return *made, nil
}

// property gives the array of a chunk's property, of its first n rows or more.
func (c *logColumns) property(chunk *logChunk, column *exec.Column, coded bool, n int) (arrow.Array, error) {
	key := arrayKey{keyOf(column), coded}
	key.coded = key.coded && !key.isText()
	logged := c.byName[column.Property]
	if logged == nil || chunk.slotsOf(logged) == nil {
		return nullArray(key.columnType, n), nil
	}
	if key.object != "" {
		key.object = logged.name // what is kept does not hold on to the fragment
	}
	s := chunk.slotsOf(logged)
	made, ok := s.arrays[key]
	if ok && made.Len() >= n {
		return made.Array, nil
	}
	fresh, err := s.array(key, chunk.rows, &c.size)
	if err != nil {
		return nil, err
	}
	c.size -= made.bytes
	delete(s.arrays, key)
	if len(s.arrays) < maxSlotArrays && (fresh.bytes == 0 || c.budget.has(fresh.bytes)) {
		if s.arrays == nil {
			s.arrays = map[arrayKey]slotArray{}
		}
		s.arrays[key] = fresh
		c.size += fresh.bytes
	}
	return fresh.Array, nil
}

// maxSlotArrays is how many types of a chunk's property are remembered.
const maxSlotArrays = 8
