package indexfile

import "fmt"

// limit is what a Builder may take in memory. When it takes more, it puts arrays
// aside in a file: first those that have an element a row, and of the tables of
// distinct values those that take more than their share. When the file is written,
// a column is read again at a time, so that what is in memory then is one table,
// and some bytes a row for the ingest ids: about 16.
type limit struct {
	bytes   int64 // 0 for none
	scratch scratch
	came    int64 // bytes of texts since the last look
}

const (
	// lookRows is after how many rows a Builder looks at what it takes, and
	// lookShare after what share of its limit in texts.
	lookRows  = 1024
	lookShare = 16
	// rowBytes is about what a row takes in memory, to make room for that many.
	rowBytes = 128
	// tableShare is what part of the limit all tables of distinct values may take
	// after arrays were put aside.
	tableShare = 4
)

// keepLimit puts aside what is over the limit.
func (b *Builder) keepLimit() error {
	l := &b.limit
	if l.bytes == 0 || b.Rows()%lookRows != 0 && l.came < l.bytes/lookShare {
		return nil
	}
	l.came = 0
	size := b.times.bytes() + b.ids.bytes() + b.inserts.bytes() + int64(len(b.users.chunks.bytes))
	for c := range b.columns {
		size += c.bytes()
	}
	if size <= l.bytes {
		return nil
	}
	if err := b.spill(); err != nil {
		return fmt.Errorf("put aside what is over %d bytes: %w", l.bytes, err)
	}
	return nil
}

// columns are those of values.
func (b *Builder) columns(yield func(*valueBuilder) bool) {
	for _, c := range []*valueBuilder{&b.events, &b.serverTimes, &b.others} {
		if !yield(c) {
			return
		}
	}
	for _, c := range b.properties {
		if !yield(c) {
			return
		}
	}
}

func (b *Builder) spill() error {
	s := &b.limit.scratch
	if err := b.times.spill(s); err != nil {
		return err
	}
	if err := b.ids.spill(s); err != nil {
		return err
	}
	if err := b.inserts.spill(s); err != nil {
		return err
	}
	if err := b.users.chunks.spill(s); err != nil {
		return err
	}
	share := b.limit.bytes / tableShare / int64(len(b.properties)+3)
	for c := range b.columns {
		if err := c.spill(s, share); err != nil {
			return err
		}
	}
	return nil
}

// keep puts a column aside that is over the limit by itself.
func (l *limit) keep(c *valueBuilder) error {
	if l.bytes == 0 || c.bytes() <= l.bytes {
		return nil
	}
	return c.spill(&l.scratch, l.bytes/tableShare)
}

// Close removes what was put aside. The Builder is spent.
func (b *Builder) Close() error {
	*b = Builder{limit: b.limit}
	return b.limit.scratch.close()
}
