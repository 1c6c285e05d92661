package engine

import (
	"math"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// logChunkRows is how many logged events a chunk holds, so that its arrays make
// batches.
const logChunkRows = exec.MaxBatchRows

// logChunk is a run of a shard's logged events by column. Only the last chunk of
// a shard grows; the arrays of the others stay the same objects.
type logChunk struct {
	rows             int
	times            []int64
	minTime, maxTime int64
	events, users    codeList // numbers in the tail's names
	// ofServer are the rows whose time is the server's.
	ofServer []uint16
	// slots are the properties' values, by the columns' numbers; nil where no
	// event has the property.
	slots []*logSlots
	// eventArray and userArray are made when they are asked for, of the rows that
	// there are then.
	eventArray, userArray arrow.Array
}

func newLogChunk() *logChunk { return &logChunk{minTime: math.MaxInt64, maxTime: math.MinInt64} }

// add adds what every event has.
func (c *logChunk) add(e *event.Event, n *entry, size *int64) {
	c.addEntry(n, size)
	if e.ServerTime {
		c.ofServer = appendCounted(c.ofServer, uint16(c.rows), size)
	}
}

// addEntry adds what is known of an event by its entry.
func (c *logChunk) addEntry(n *entry, size *int64) {
	c.times = appendCounted(c.times, n.time, size)
	c.minTime, c.maxTime = min(c.minTime, n.time), max(c.maxTime, n.time)
	c.events.append(int32(n.name), size)
	c.users.append(int32(n.user), size)
}

// of gives the slots of a column, which are made if there are none.
func (c *logChunk) of(column *logProperty, size *int64) *logSlots {
	for len(c.slots) <= column.number {
		c.slots = appendCounted(c.slots, nil, size)
	}
	s := c.slots[column.number]
	if s == nil {
		s = &logSlots{column: column}
		*size += emptySlotsBytes
		c.slots[column.number] = s
	}
	return s
}

// slotsOf are the slots of a column, nil if there are none.
func (c *logChunk) slotsOf(column *logProperty) *logSlots {
	if column.number >= len(c.slots) {
		return nil
	}
	return c.slots[column.number]
}

// emptySlotsBytes is about what slots take that hold nothing.
const emptySlotsBytes = 256

// timeArray is the rows' times.
func (c *logChunk) timeArray() arrow.Array {
	return fixedArray(columnType{t: catalog.TypeDatetime}, asBits(c.times), nil, 0)
}

// timeRawArray is timeArray with nulls where the server's time was taken.
func (c *logChunk) timeRawArray() arrow.Array {
	if len(c.ofServer) == 0 {
		return c.timeArray()
	}
	valid := make([]byte, (c.rows+7)/8)
	for i := range valid {
		valid[i] = 0xff
	}
	for _, row := range c.ofServer {
		valid[row>>3] &^= 1 << (row & 7)
	}
	return fixedArray(columnType{t: catalog.TypeDatetime}, asBits(c.times), valid, len(c.ofServer))
}
