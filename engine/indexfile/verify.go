package indexfile

import (
	"context"
	"fmt"

	"arbor/catalog"
)

// Verify reads all that is in the file, anew, and checks it against its
// checksums, its order, its counts and its bounds. It says nothing about what
// the rows should be: their digest is for who has them to compare.
func (r *Reader) Verify(ctx context.Context) error {
	if err := r.VerifyColumns(ctx); err != nil {
		return err
	}
	return r.verifyOrder(ctx)
}

// VerifyColumns is Verify but for the order of the rows, and their users, times and ids:
// it is for who reads all rows anyway, and gives them to an OrderCheck.
func (r *Reader) VerifyColumns(ctx context.Context) error {
	if err := r.verifyBytes(ctx, func(s *section) error { _, err := r.readSection(s); return err }); err != nil {
		return err
	}
	for i := columnEvent; i < len(r.columns); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		verify := r.column(i).verify
		if i == columnDistinctID {
			verify = r.verifyUsers
		}
		if err := verify(); err != nil {
			return err
		}
	}
	return r.verifyMeta()
}

// verify reads every value of the column and counts them.
func (c *column) verify() error {
	if err := c.load(); err != nil || c.empty() {
		return err
	}
	if c.dictionary != nil && !c.dictionary.sorted() {
		return c.corrupt(partDictionary, "order")
	}
	verify := c.verifyValues
	if c.byNumber() {
		verify = c.verifyNumbers
	}
	zones := c.emptyZones()
	kinds, err := verify(zones)
	if err != nil {
		return err
	}
	if kinds != c.info.kinds {
		return c.reader.corrupt("footer", fmt.Sprintf("kinds of column %d", c.number))
	}
	return c.verifyZones(zones)
}

// kindCounts are how many values of each kind there are.
type kindCounts = [catalog.KindJSON + 1]int32

// verifyValues looks at one value after the other.
func (c *column) verifyValues(zones []zone) (kinds kindCounts, err error) {
	rows := c.reader.Rows()
	if c.number == columnDistinctID {
		rows = c.info.slots
	}
	var last recent
	err = c.rowsOf(0, rows, func(row, slot int) error {
		v, err := c.value(slot, &last)
		if err != nil {
			return err
		}
		kinds[v.Kind]++
		if c.number == columnOthers {
			if err := c.verifyOthers(slot, &last); err != nil {
				return err
			}
		}
		if zones != nil {
			zones[row/BlockRows].add(c, slot, v, &last)
		}
		return nil
	})
	return kinds, err
}

// verifyOthers checks that no name among other properties has a column.
func (c *column) verifyOthers(slot int, last *recent) error {
	clash := ""
	err := c.others(slot, last, func(p catalog.Property) {
		if c.reader.property(p.Name) != nil {
			clash = p.Name
		}
	})
	if err == nil && clash != "" {
		err = c.reader.corrupt(columnNames[columnOthers], fmt.Sprintf("property %q has a column, too", clash))
	}
	return err
}

// zone is what a block's entry in a zone map should be.
type zone struct{ least, greatest catalog.Value }

// emptyZones are the zones of blocks without values, or nil for a column
// without a zone map. The codes of a dictionary stand for its values.
func (c *column) emptyZones() []zone {
	if c.zones == nil {
		return nil
	}
	zones := make([]zone, c.reader.Blocks())
	for i := range zones {
		if c.info.layout == layoutDictionary {
			zones[i] = zone{catalog.Int(emptyZone), catalog.Int(0)}
		} else {
			zones[i].least, zones[i].greatest = emptyNumberZone(c.kind)
		}
	}
	return zones
}

func (z *zone) add(c *column, slot int, v catalog.Value, last *recent) {
	if c.info.layout == layoutDictionary {
		v = catalog.Int(int64(c.code(slot, last)))
	}
	z.widen(v)
}

// widen makes room for a number.
func (z *zone) widen(v catalog.Value) {
	if lessNumber(v, z.least) {
		z.least = v
	}
	if lessNumber(z.greatest, v) {
		z.greatest = v
	}
}

func (c *column) verifyZones(zones []zone) error {
	for i, z := range zones {
		least, greatest := z.least.Bits, z.greatest.Bits
		if c.info.layout == layoutDictionary {
			found := view[uint32](c.zones)[2*i:]
			least, greatest = least^uint64(found[0]), greatest^uint64(found[1])
		} else {
			found := view[uint64](c.zones)[2*i:]
			least, greatest = least^found[0], greatest^found[1]
		}
		if least != 0 || greatest != 0 {
			return c.corrupt(partZones, fmt.Sprintf("block %d", i))
		}
	}
	return nil
}

// verifyUsers checks what the footer says of the distinct ids. They are read by who reads
// the rows, see OrderCheck.
func (r *Reader) verifyUsers() error {
	u, err := r.userColumn()
	if err != nil {
		return err
	}
	want := kindCounts{catalog.KindString: int32(len(u.ends))}
	if u.column.info.kinds != want {
		return r.corrupt("footer", fmt.Sprintf("kinds of column %d", columnDistinctID))
	}
	return nil
}

// verifyMeta checks the lists of rows, and that the rows of a group share user
// and insert id.
func (r *Reader) verifyMeta() error {
	if _, err := r.Duplicates(); err != nil {
		return err
	}
	if _, err := r.Cross(); err != nil {
		return err
	}
	if _, err := r.Tombstones(); err != nil {
		return err
	}
	groups, err := r.Groups()
	if err != nil {
		return err
	}
	users, err := r.userColumn()
	if err != nil {
		return err
	}
	cursor := r.Cursor()
	for n, g := range groups {
		first := int(g.Members[0].Ordinal)
		user, err := r.UserOf(first)
		if err != nil {
			return err
		}
		lo, hi := 0, int(users.ends[user])
		if user > 0 {
			lo = int(users.ends[user-1])
		}
		for _, m := range g.Members[1:] {
			at := int(m.Ordinal)
			same := lo <= at && at < hi
			if same {
				if same, err = cursor.SameInsertID(first, at); err != nil {
					return err
				}
			}
			if !same {
				return r.corrupt(partGroups.String(), fmt.Sprintf("group %d: rows %d and %d differ", n, first, m.Ordinal))
			}
		}
	}
	return nil
}
