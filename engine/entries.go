package engine

import (
	"strings"

	"github.com/zeebo/xxh3"
)

// entries is a list that grows without moving what it holds. A copy of it sees
// the entries that there were when it was made, also while others are added.
type entries struct {
	chunks []*[chunkEntries]entry
	count  int
}

const chunkEntries = 1 << 12

func (l *entries) add(e entry) (number uint32) {
	if l.count%chunkEntries == 0 {
		l.chunks = append(l.chunks, new([chunkEntries]entry))
	}
	l.chunks[l.count/chunkEntries][l.count%chunkEntries] = e
	l.count++
	return uint32(l.count - 1)
}

func (l *entries) at(number uint32) *entry {
	return &l.chunks[number/chunkEntries][number%chunkEntries]
}

// names numbers strings, each once.
type names struct {
	list  []string
	table hashtable
	last  uint32 // the one asked for last, which often comes again
}

func (n *names) number(s string) uint32 {
	if int(n.last) < len(n.list) && n.list[n.last] == s {
		return n.last
	}
	fresh := uint32(len(n.list))
	number, found := n.table.find(tableHash(xxh3.HashString(s)), fresh, func(i uint32) bool { return n.list[i] == s })
	if !found {
		n.list = append(n.list, strings.Clone(s))
	}
	n.last = number
	return number
}
