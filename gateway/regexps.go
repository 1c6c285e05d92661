package gateway

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"sync/atomic"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
)

// Go's regular expressions take time by the length of the pattern times that of the
// text, for each match, and the SQL library looks for all matches at once: a text of
// a megabyte can keep a processor for hours, and nobody can stop it. So what may be
// long is rehearsed, match by match, by a run that sees the end of its statement.

// Codes of MySQL for a match that takes too long and a pattern that is too long.
const (
	codeRegexpTimeout = 3699
	codeRegexpTooBig  = 3694
)

// Limits of regular expressions.
const (
	// maxRegexpStep bounds one match, which cannot be interrupted: instructions of
	// the pattern times bytes of the text. It is a few seconds at worst.
	maxRegexpStep = 100_000_000
	// maxRegexpPattern is how long a pattern may be, in bytes.
	maxRegexpPattern = 32 << 10
	// plainRegexp is what all matches together may take without a rehearsal.
	plainRegexp = 10_000_000
)

// compiledRegexp is a pattern and what it takes.
type compiledRegexp struct {
	pattern string
	re      *regexp.Regexp
	size    int // instructions
}

// regexpRule is what is known of the functions over patterns.
func regexpRule(replaces bool) *boundedRule {
	var last atomic.Pointer[compiledRegexp] // most calls have the same pattern
	return &boundedRule{first: true, measure: func(c *boundedCall) (length, func() any, error) {
		text, err := c.text(0)
		if err != nil || len(text) == 0 {
			return 0, nil, err
		}
		pattern, err := c.textOf(1)
		if err != nil || pattern == "" {
			return 0, nil, err // the library says what is wrong
		}
		if len(pattern) > maxRegexpPattern {
			return 0, nil, mysql.NewSQLError(codeRegexpTooBig, stateGeneral, "The regular expression pattern exceeds limits on size or complexity.")
		}
		var added length
		if replaces {
			by, err := c.textOf(2)
			if err != nil {
				return 0, nil, err
			}
			added = length(len(by))
		}
		p := last.Load()
		if p == nil || p.pattern != pattern {
			if p = compileRegexp(pattern); p == nil {
				return 0, nil, nil
			}
			last.Store(p)
		}
		n, size := length(len(text)), int64(p.size)
		if n.times(size) > maxRegexpStep {
			return 0, nil, errRegexpTimeout()
		}
		if n.times(int64(n)).times(size) <= plainRegexp && !tooLong(c.ctx, n.plus(1).times(int64(added)).plus(n)) {
			return 0, nil, nil
		}
		matches, err := p.rehearse(c.ctx, text)
		if err != nil {
			return 0, nil, err
		}
		return n.plus(added.times(matches)), nil, nil
	}}
}

func errRegexpTimeout() error {
	return mysql.NewSQLError(codeRegexpTimeout, stateGeneral, "Timeout exceeded in regular expression match.")
}

// compileRegexp reads a pattern, nil for what the library will refuse. Flags change
// hardly what it takes; that a pattern matches without regard to case is assumed.
func compileRegexp(pattern string) *compiledRegexp {
	tree, err := syntax.Parse(pattern, syntax.Perl|syntax.FoldCase)
	if err != nil {
		return nil
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil
	}
	re, err := regexp.Compile("(?i)" + pattern)
	if err != nil {
		return nil
	}
	return &compiledRegexp{pattern: pattern, re: re, size: len(program.Inst)}
}

// errRehearsalEnded stops a rehearsal.
var errRehearsalEnded = errors.New("the statement has ended")

// rehearse counts the matches, and stops when the statement is to.
func (p *compiledRegexp) rehearse(ctx *sql.Context, text string) (matches int64, err error) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case errRehearsalEnded:
			err = ctx.Err()
		default:
			panic(r)
		}
	}()
	p.re.ReplaceAllStringFunc(text, func(string) string {
		matches++
		if ctx.Err() != nil {
			panic(errRehearsalEnded) // there is no other way out of its loop
		}
		return ""
	})
	return matches, nil
}
