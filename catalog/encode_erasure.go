package catalog

import (
	"fmt"
	"slices"
)

// erasureVersion is the first version of a catalog's encoding that has erasures. A
// catalog that never had any is written in the version before, which every arbor reads.
const erasureVersion = 2

// rowsVersion is the first version that says how many rows erasures removed. A catalog
// without any is written in the version before.
const rowsVersion = 4

// newestVersion is the newest version of a catalog's encoding that is read.
const newestVersion = quorumVersion

// HasErasedRows says whether an erasure took rows of mutable tables, of which members of
// before know nothing.
func (c *Catalog) HasErasedRows() bool {
	return slices.ContainsFunc(c.Erasures, func(e Erasure) bool { return e.Rows > 0 })
}

func (c *Catalog) encodingVersion() byte {
	if c.HasWriteQuorum() {
		return quorumVersion
	}
	if c.HasErasedRows() {
		return rowsVersion
	}
	if c.Stage != nil {
		return stageVersion
	}
	if c.EraseKey != (EraseKey{}) {
		return erasureVersion
	}
	return formatVersion
}

func (c *Catalog) codeErasures(k *coder) {
	k.bytes("erase key", c.EraseKey[:])
	list(k, "erasures", &c.Erasures, MaxErasures, (*Erasure).code)
	list(k, "erased", &c.Erased, maxErasedShards, (*ErasedShard).code)
}

// codeErasedRows codes the rows of erasures that removed some, by the places of these.
func (c *Catalog) codeErasedRows(k *coder) {
	type rows struct{ erasure, n uint64 }
	var all []rows
	for i := range c.Erasures {
		if n := c.Erasures[i].Rows; n > 0 {
			all = append(all, rows{uint64(i), n})
		}
	}
	list(k, "erased rows", &all, MaxErasures, func(r *rows, k *coder) {
		unsigned(k, "erasure", &r.erasure)
		unsigned(k, "rows", &r.n)
	})
	for _, r := range all {
		if r.erasure >= uint64(len(c.Erasures)) {
			k.fail("erased rows are of erasure %d of %d", r.erasure, len(c.Erasures))
			return
		}
		c.Erasures[r.erasure].Rows = r.n
	}
}

// bytes codes as many bytes as there are in v.
func (k *coder) bytes(field string, v []byte) {
	if !k.decoding {
		before := len(k.buf)
		k.buf = append(k.buf, v...)
		k.noted(field, before)
		return
	}
	if len(k.buf) < len(v) {
		k.fail("%s is cut short", field)
		return
	}
	copy(v, k.buf)
	k.buf = k.buf[len(v):]
}

func (s *RecordSum) code(k *coder) {
	for i := range s {
		unsigned(k, [...]string{"records", "digest, high", "digest, low"}[i], &s[i])
	}
}

func (e *Erasure) code(k *coder) {
	unsigned(k, "project id", &e.Project)
	k.ingestID("erasure id", &e.ID)
	unsigned(k, "bucket", &e.Bucket)
	k.bytes("user's hash", e.User[:])
	unsigned(k, "state", &e.State)
	signed(k, "done at", &e.DoneAt)
	e.Before.code(k)
	e.Removed.code(k)
}

func (e *ErasedShard) code(k *coder) {
	unsigned(k, "project id", &e.Shard.Project)
	signed(k, "day", &e.Shard.Day)
	unsigned(k, "bucket", &e.Shard.Bucket)
	unsigned(k, "events", &e.Events)
}

func (c *Catalog) validateErasures() error {
	for i := range c.Erasures {
		if e := &c.Erasures[i]; e.State > ErasureDone {
			return fmt.Errorf("erasure %s has the state %d", e.ID, e.State)
		}
	}
	if !slices.IsSortedFunc(c.Erased, func(a, b ErasedShard) int { return a.Shard.Compare(b.Shard) }) {
		return fmt.Errorf("shards with erased events are out of order")
	}
	return nil
}

func (BeginErasure) kind() uint8    { return kindBeginErasure }
func (CountErasure) kind() uint8    { return kindCountErasure }
func (EndErasure) kind() uint8      { return kindEndErasure }
func (CountErasedRows) kind() uint8 { return kindCountErasedRows }

func (c BeginErasure) code(k *coder) Change {
	unsigned(k, "project id", &c.Project)
	k.ingestID("erasure id", &c.ID)
	unsigned(k, "bucket", &c.Bucket)
	k.bytes("erase key", c.Key[:])
	k.bytes("user's hash", c.User[:])
	return c
}

func (c CountErasure) code(k *coder) Change {
	k.ingestID("erasure id", &c.ID)
	c.Before.code(k)
	c.Removed.code(k)
	list(k, "shards", &c.Shards, maxErasedShards, (*ErasedShard).code)
	return c
}

func (c EndErasure) code(k *coder) Change {
	k.ingestID("erasure id", &c.ID)
	signed(k, "at", &c.At)
	return c
}

func (c CountErasedRows) code(k *coder) Change {
	k.ingestID("erasure id", &c.ID)
	unsigned(k, "rows", &c.Rows)
	return c
}
