package gateway

import "strings"

// a < b < c compares what a < b gives with c, and x MEMBER OF (y) is one operand of such a
// comparison. The SQL library's grammar knows neither.

// chainEnds are words behind which another chain of comparisons begins.
var chainEnds = wordSet(`and or xor not select distinct where having on when then else case by as limit union from set between using values return with rollup over`)

// comparisonChain is a chain of comparisons within one pair of parentheses.
type comparisonChain struct {
	start int   // the token with which it begins
	signs []int // the tokens with which its comparisons begin, of which the first token of each counts
	last  int   // the token with which its last operand begins
	// assigns says that the next = is no comparison.
	assigns bool
}

// chains writes parentheses around the comparisons that others compare with.
func (r *idiomRewriter) chains() {
	switch r.word(0) {
	case "SELECT", "WITH", "(", "EXPLAIN", "UPDATE", "DELETE", "INSERT", "REPLACE", "SET":
	default:
		return
	}
	open := []comparisonChain{{}}
	inSet := false // between SET and what ends its list
	for i := 0; i < len(r.tokens); i++ {
		c := &open[len(open)-1]
		w := r.word(i)
		begin := func() {
			r.parenthesize(*c)
			*c = comparisonChain{start: i + 1, last: i + 1, assigns: inSet && len(open) == 1}
		}
		switch {
		case w == "(":
			open = append(open, comparisonChain{start: i + 1, last: i + 1})
		case w == ")":
			r.parenthesize(*c)
			if len(open) > 1 {
				open = open[:len(open)-1]
			}
		case w == "," || w == ";" || w == ":=" || w == "&" && r.word(i+1) == "&" || w == "|" && r.word(i+1) == "|":
			begin()
		case r.tokens[i].kind == idiomWord && w == "MEMBER" && r.word(i+1) == "OF" && r.word(i+2) == "(":
			r.member(c.last, i)
		case r.tokens[i].kind == idiomWord && chainEnds[strings.ToLower(w)]:
			switch w {
			case "SET":
				inSet = true
			case "WHERE", "SELECT", "FROM":
				inSet = false
			}
			begin()
		case r.tokens[i].kind == idiomSign && strings.Contains("<>=!", w):
			end := i
			for end+1 < len(r.tokens) && r.tokens[end+1].start == r.tokens[end].end && strings.Contains("<>=", r.word(end+1)) {
				end++
			}
			sign := r.text[r.tokens[i].start:r.tokens[end].end]
			path := i > 0 && r.word(i-1) == "-" && r.tokens[i-1].end == r.tokens[i].start // -> and ->> of JSON
			if path || sign == "!" || sign == "<<" || sign == ">>" {
				i = end
				continue
			}
			if c.assigns {
				c.assigns, c.start = false, end+1
			} else {
				c.signs = append(c.signs, i)
			}
			c.last, i = end+1, end
		}
	}
	for _, c := range open {
		r.parenthesize(c)
	}
}

// parenthesize writes the parentheses of one chain.
func (r *idiomRewriter) parenthesize(c comparisonChain) {
	if len(c.signs) < 2 || len(c.signs) > maxComparisons {
		return
	}
	start := r.tokens[c.start].start
	r.edit(start, start, strings.Repeat("(", len(c.signs)-1))
	for _, sign := range c.signs[1:] {
		at := r.tokens[sign].start
		r.edit(at, at, ")")
	}
}

// maxComparisons bounds the comparisons of a chain.
const maxComparisons = 100

// member makes a call of x MEMBER OF (y), whose MEMBER is the token i.
func (r *idiomRewriter) member(left, i int) {
	depth := r.tokens[i+2].depth
	for j := i + 3; j < len(r.tokens); j++ {
		if r.tokens[j].depth == depth && r.word(j) == ")" {
			start := r.tokens[left].start
			r.edit(start, start, memberFunction+"(")
			r.edit(r.tokens[i].start, r.tokens[i+1].end, ",")
			r.edit(r.tokens[j].end, r.tokens[j].end, ")")
			return
		}
	}
}
