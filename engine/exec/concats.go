package exec

import (
	"errors"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// concats is AggConcat: the texts of each group's rows, in the order in which the rows are
// added, with a separator between.
type concats struct {
	plan      *Plan
	g         *Grouper
	column    int
	separator string
	most      int
	groups    []concat
}

// concat is a group's text.
type concat struct {
	text []byte
	rows int64 // whose texts came
	cut  int64 // the number of the row in which the text ends, if not all have room
}

// newConcats makes the state, or finds it: an AggConcat and an AggConcatCut of the same
// arguments share it.
func newConcats(p *Plan, g *Grouper, a *Aggregate) (c *concats, owner bool) {
	separator, most := a.Params[0].Text, int(a.Params[1].Int())
	for _, t := range g.tables {
		switch t := t.(type) {
		case *concats:
			c = t
		case concatCuts:
			c = t.concats
		default:
			continue
		}
		if c.column == a.Args[0] && c.separator == separator && c.most == most {
			return c, false
		}
	}
	return &concats{plan: p, g: g, column: a.Args[0], separator: separator, most: most}, true
}

func (c *concats) add(r *Rows, lo int, groups []uint32, weights []int64) error {
	ids, err := c.g.idsOf(r, c.column, lo, len(groups))
	if err != nil {
		return err
	}
	values, size := c.plan.domains[c.column].all(), 0
	for i, group := range groups {
		if ids[i] == nullID || group == hiddenGroup || c.groups[group].cut > 0 {
			continue
		}
		of := &c.groups[group]
		before := cap(of.text)
		for times := weight(weights, i); times > 0 && of.cut == 0; times-- {
			c.append(of, values[ids[i]].Text)
		}
		size += cap(of.text) - before
	}
	return c.plan.take(int64(size))
}

// append adds a row's text. A text that is too long is cut behind a whole character.
func (c *concats) append(to *concat, text string) {
	if to.rows++; to.rows > 1 {
		to.text = append(to.text, c.separator...)
	}
	to.text = append(to.text, text...)
	if len(to.text) <= c.most {
		return
	}
	most := c.most
	for most > 0 && !utf8.RuneStart(to.text[most]) {
		most--
	}
	to.text, to.cut = to.text[:most], to.rows
}

func (c *concats) grow(n int) int64 { return grow(&c.groups, n) }

// errConcatMerged is for parts whose rows are in no order.
var errConcatMerged = errors.New("texts of rows in order are not put together from parts")

func (c *concats) merge(accumulator, []uint32) error { return errConcatMerged }
func (c *concats) put(*groupWriter, uint32, int) int { return 0 }
func (c *concats) get(*groupReader, uint32) error    { return errConcatMerged }

func (c *concats) result(groups []uint32) (arrow.Array, error) {
	return c.plan.valueArray(catalog.TypeString, len(groups), func(i int) catalog.Value {
		of := &c.groups[groups[i]]
		if of.rows == 0 {
			return catalog.Null
		}
		return catalog.String(string(of.text))
	})
}

// concatTexts is an AggConcat, and concatCuts an AggConcatCut, whose state another one has.
type (
	concatTexts struct{ *concats }
	concatCuts  struct {
		*concats
		owner bool
	}
)

func (c concatTexts) add(*Rows, int, []uint32, []int64) error { return nil }
func (c concatTexts) grow(int) int64                          { return 0 }

func (c concatCuts) add(r *Rows, lo int, groups []uint32, weights []int64) error {
	if !c.owner {
		return nil
	}
	return c.concats.add(r, lo, groups, weights)
}

func (c concatCuts) grow(n int) int64 {
	if !c.owner {
		return 0
	}
	return c.concats.grow(n)
}

func (c concatCuts) result(groups []uint32) (arrow.Array, error) {
	out := make([]int64, len(groups))
	for i, group := range groups {
		out[i] = c.groups[group].cut
	}
	return int64Array(out, nil), nil
}
