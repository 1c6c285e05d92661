package indexfile

// Alike reports whether two rows of one user, to which Head went before, have the same
// packed insert id, name and properties, and the same time or both one of the server's: then
// one is the other sent again. It compares what stands for values. It may say no of rows that
// are alike, if something of them is not where most rows have it.
func (c *Copier) Alike(i, j int) (bool, error) {
	cursor := c.cursor
	if err := cursor.enter(i); err != nil {
		return false, err
	}
	for _, column := range [...]*column{cursor.insert.rest, cursor.columns[columnOthers]} {
		for _, row := range [...]int{i, j} {
			if _, has := column.slot(row); has {
				return false, nil
			}
		}
	}
	if cursor.insert.key(i) != cursor.insert.key(j) {
		return false, nil
	}
	_, server := cursor.columns[columnServerTime].slot(i)
	_, other := cursor.columns[columnServerTime].slot(j)
	if server != other || !server && cursor.times.at(i) != cursor.times.at(j) {
		return false, nil
	}
	if same, err := c.sameValue(cursor.columns[columnEvent], nil, i, j); err != nil || !same {
		return false, err
	}
	for k, column := range cursor.dense {
		if same, err := c.sameValue(column, c.codes[k], i, j); err != nil || !same {
			return false, err
		}
	}
	for _, column := range cursor.sparse {
		if same, err := c.sameValue(column, nil, i, j); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// sameValue reports whether two rows have the same value in a column, or none. codes are the
// column's in the block at hand, if it has any.
func (c *Copier) sameValue(column *column, codes []int64, i, j int) (bool, error) {
	slotI, has := column.slot(i)
	slotJ, hasJ := column.slot(j)
	switch {
	case has != hasJ || !has:
		return has == hasJ, nil
	case codes != nil && i/encoderRows == c.block && j/encoderRows == c.block:
		return codes[i%encoderRows] == codes[j%encoderRows], nil
	}
	last := &c.cursor.last[column.number]
	if column.dictionary != nil {
		return column.code(slotI, last) == column.code(slotJ, last), nil
	}
	a, err := column.value(slotI, last)
	if err != nil {
		return false, err
	}
	b, err := column.value(slotJ, last)
	return a == b, err
}
