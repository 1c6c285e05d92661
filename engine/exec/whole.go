package exec

// A file's users, each once, are most of what counts of users and masks of days are
// asked of. Which numbers they have is known for each dictionary, as a set of bits: so
// a set of users grows by a few words for each file, and no row is looked at.

// Whole says of a vector of codes that its rows are the entries of its dictionary,
// each once and in order.
func (v Vector) Whole() Vector {
	v.whole = true
	return v
}

// wholeColumn is the column whose vector is Whole, -1 if there is none.
func (r *Rows) wholeColumn() int {
	for i := range r.vectors {
		if r.vectors[i].whole {
			return i
		}
	}
	return -1
}

// addWhole adds all rows where they are the entries of a dictionary, if the groups
// can be made of the set of their numbers; else it reports false.
func (g *Grouper) addWhole(r *Rows) (done bool, err error) {
	column := r.wholeColumn()
	if column < 0 || g.counted || len(g.tables) == 0 {
		return false, nil
	}
	byEntry := len(g.group.Keys) == 1 && g.group.Keys[0] == column
	for _, t := range g.tables {
		switch t := t.(type) {
		case *distincts:
			if byEntry || len(t.args) != 1 || t.args[0] != column {
				return false, nil
			}
		case *bitwise:
			if !byEntry {
				return false, nil
			}
		default:
			return false, nil
		}
	}
	set, err := g.plan.domains[column].entries(r.vectors[column].Dictionary)
	if err != nil || set == nil {
		return false, err
	}
	if byEntry {
		return g.addBits(r, column, set)
	}
	ids := make([]uint32, len(g.group.Keys))
	for i, key := range g.group.Keys {
		id, ok, err := r.constant(key)
		if err != nil || !ok {
			return false, err
		}
		ids[i] = id
	}
	group, err := g.groupOf(ids)
	if err != nil {
		return false, err
	}
	g.rows[group] = 1
	size := int64(0)
	for _, t := range g.tables {
		size += t.(*distincts).sets[group].unitePages(set)
	}
	return true, g.plan.take(size)
}

// addBits adds rows whose numbers are a set, one to each number's group, to aggregates
// that are all bitwise, of what is the same in all rows.
func (g *Grouper) addBits(r *Rows, column int, set []*idPage) (done bool, err error) {
	values := make([]uint64, len(g.tables))
	null := make([]bool, len(g.tables))
	for i, t := range g.tables {
		arg := t.(*bitwise).column
		id, ok, err := r.constant(arg)
		if err != nil || !ok {
			return false, err
		}
		values[i], null[i] = g.plan.domains[arg].all()[id].Bits, id == nullID
	}
	if err := g.room(g.plan.domains[column].Len() + 1); err != nil {
		return false, err
	}
	eachWord(set, func(first uint32, word uint64) {
		for rows := g.rows[first+1:]; word != 0; word &= word - 1 {
			rows[trailing(word)] = 1
		}
	})
	for i, t := range g.tables {
		b, value := t.(*bitwise), values[i]
		switch {
		case null[i]:
		case b.op == AggBitOr:
			eachWord(set, func(first uint32, word uint64) {
				for bits := b.bits[first+1:]; word != 0; word &= word - 1 {
					bits[trailing(word)] |= value
				}
			})
		default:
			eachOf(set, func(id uint32) { b.join(&b.bits[id+1], value) })
		}
	}
	return true, nil
}

// eachOf calls f for all numbers of a set, ascending.
func eachOf(pages []*idPage, f func(id uint32)) {
	eachWord(pages, func(first uint32, word uint64) {
		for ; word != 0; word &= word - 1 {
			f(first + uint32(trailing(word)))
		}
	})
}

// eachWord calls f for all words of a set that are not empty, with the number of their
// first bit.
func eachWord(pages []*idPage, f func(first uint32, word uint64)) {
	for i, p := range pages {
		if p == nil {
			continue
		}
		for w, word := range p {
			if word != 0 {
				f(uint32(i<<pageBits+w<<6), word)
			}
		}
	}
}

// unitePages adds the numbers of pages, which stay the caller's, and says how many
// bytes the set has grown by.
func (s *idSet) unitePages(pages []*idPage) (size int64) {
	if s.pages == nil {
		old := s.few
		size -= 4 * int64(cap(old))
		s.few, s.n, s.pages = nil, 0, []*idPage{}
		for _, id := range old {
			if id != 0 {
				size += s.mark(id)
			}
		}
	}
	return size + s.unite(&idSet{pages: pages})
}
