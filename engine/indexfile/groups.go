package indexfile

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Duplicates, groups and cross references are read only when a query needs
// them, and are few, so they are kept as varints:
//
//	duplicates  a row: its distance from the one before
//	groups      a group: distance<<1 of its first member from the first member of
//	            the group before (zigzag), |1 if it is a plain pair: two rows, the
//	            second right after the first, with equal payloads. Otherwise
//	            members less 2, then for each member but the first: its distance
//	            from the member before (zigzag) and its class
//	cross       names: their number, each as length and bytes; then a reference:
//	            distance of its row from the one before, name<<1 | same payload,
//	            the other row's distance from the one before (zigzag)

// checkMeta says what in a Meta cannot be about a file of that many rows.
func checkMeta(m *Meta, rows int) error {
	for i, d := range m.Duplicates {
		if int(d) >= rows || i > 0 && m.Duplicates[i-1] >= d {
			return fmt.Errorf("duplicate %d is row %d: %w", i, d, ErrOrder)
		}
	}
	members := 0
	for i, g := range m.Groups {
		members += len(g.Members)
		if len(g.Members) < 2 || members > rows {
			return fmt.Errorf("group %d of %d members: %w", i, len(g.Members), ErrOrder)
		}
		classes := uint32(0)
		for _, member := range g.Members {
			// Classes appear in order, so the first member's is 0.
			if int(member.Ordinal) >= rows || member.Class > classes {
				return fmt.Errorf("group %d: row %d of class %d: %w", i, member.Ordinal, member.Class, ErrOrder)
			}
			classes = max(classes, member.Class+1)
		}
	}
	for i, c := range m.Cross {
		if int(c.Ordinal) >= rows || i > 0 && m.Cross[i-1].Ordinal > c.Ordinal || c.Other > math.MaxInt32 {
			return fmt.Errorf("cross reference %d is row %d to row %d: %w", i, c.Ordinal, c.Other, ErrOrder)
		}
	}
	return nil
}

func appendDuplicates(b []byte, duplicates []uint32) []byte {
	last := uint32(0)
	for _, d := range duplicates {
		b = binary.AppendUvarint(b, uint64(d-last))
		last = d
	}
	return b
}

func readDuplicates(d *decoder, n, rows int) []uint32 {
	if n > len(d.bytes) {
		d.fail("duplicates")
		return nil
	}
	out := make([]uint32, n)
	last := -1
	for i := range out {
		row := d.count("row", rows)
		if i > 0 {
			row += last
		}
		if row >= rows || row <= last {
			d.fail("order of duplicates")
			return nil
		}
		out[i], last = uint32(row), row
	}
	return out
}

func appendGroups(b []byte, groups []Group) []byte {
	last := int64(0)
	for _, g := range groups {
		first := int64(g.Members[0].Ordinal)
		plain := len(g.Members) == 2 && int64(g.Members[1].Ordinal) == first+1 && g.Members[1].Class == 0
		head := zigzag(first-last) << 1
		if plain {
			head |= 1
		}
		b = binary.AppendUvarint(b, head)
		last = first
		if plain {
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(g.Members)-2))
		at := first
		for _, m := range g.Members[1:] {
			b = binary.AppendVarint(b, int64(m.Ordinal)-at)
			b = binary.AppendUvarint(b, uint64(m.Class))
			at = int64(m.Ordinal)
		}
	}
	return b
}

func readGroups(d *decoder, n, rows int) []Group {
	if n > len(d.bytes) {
		d.fail("groups")
		return nil
	}
	out := make([]Group, 0, n)
	members := make([]Member, 0, 2*n)
	ends := make([]int, 0, n)
	last := int64(0)
	for range n {
		head := d.uvarint("first row", math.MaxUint64)
		last += unzigzag(head >> 1)
		members = append(members, Member{Ordinal: checkedRow(d, last, rows)})
		if head&1 != 0 {
			members = append(members, Member{Ordinal: checkedRow(d, last+1, rows)})
		} else {
			more := d.count("members", rows) + 1
			at, classes := last, uint32(0)
			for range more {
				at += d.varint("row")
				class := uint32(d.uvarint("class", uint64(classes)+1))
				classes = max(classes, class)
				members = append(members, Member{Ordinal: checkedRow(d, at, rows), Class: class})
				if d.wrong != "" {
					return nil
				}
			}
		}
		if d.wrong != "" || len(members) > rows {
			d.fail("members")
			return nil
		}
		ends = append(ends, len(members))
	}
	start := 0
	for _, end := range ends {
		out = append(out, Group{Members: slices.Clip(members[start:end])})
		start = end
	}
	return out
}

// checkedRow is an ordinal that was read.
func checkedRow(d *decoder, row int64, rows int) uint32 {
	if row < 0 || row >= int64(rows) {
		d.fail("row")
		return 0
	}
	return uint32(row)
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func appendCross(b []byte, cross []Cross) []byte {
	if len(cross) == 0 {
		return b
	}
	names := map[string]uint64{}
	var order []string
	for i := range cross {
		if _, ok := names[cross[i].File]; !ok {
			names[cross[i].File] = uint64(len(order))
			order = append(order, cross[i].File)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(order)))
	for _, s := range order {
		b = appendText(b, s)
	}
	row, other := uint32(0), int64(0)
	for i := range cross {
		c := &cross[i]
		b = binary.AppendUvarint(b, uint64(c.Ordinal-row))
		name := names[c.File] << 1
		if c.Same {
			name |= 1
		}
		b = binary.AppendUvarint(b, name)
		b = binary.AppendVarint(b, int64(c.Other)-other)
		row, other = c.Ordinal, int64(c.Other)
	}
	return b
}

func readCross(d *decoder, n, rows int) []Cross {
	if n == 0 {
		return nil
	}
	if n > len(d.bytes) {
		d.fail("cross references")
		return nil
	}
	names := make([]string, d.items("names", 1))
	for i := range names {
		names[i] = d.text("name")
	}
	if len(names) == 0 {
		d.fail("names")
		return nil
	}
	out := make([]Cross, n)
	row, other := int64(0), int64(0)
	for i := range out {
		row += int64(d.count("row", rows))
		name := d.uvarint("name", uint64(2*len(names)-1))
		other += d.varint("other row")
		out[i] = Cross{Ordinal: checkedRow(d, row, rows), File: names[name>>1], Other: checkedRow(d, other, math.MaxInt32), Same: name&1 != 0}
		if d.wrong != "" {
			return nil
		}
	}
	return out
}
