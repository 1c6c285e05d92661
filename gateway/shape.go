package gateway

import (
	"strconv"
	"strings"

	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// Limits on the shape of a statement. The SQL library plans in steps that cannot be
// interrupted, take time and memory by the square of how deep an expression is, and
// recurse: a megabyte of "NOT NOT NOT …" would end the process. So what is beyond
// what people and programs write is refused before it is read.
const (
	// MaxStatementDepth is how deep a statement may be: operators of one chain, such
	// as a OR b OR c, count as one inside the other, as the library has them, and so
	// do JOINs, CASEs and parentheses.
	MaxStatementDepth = 3000
	// MaxStatementWords is how many words, signs and values a statement may have;
	// the VALUES of INSERT and REPLACE count for nothing but their depth.
	MaxStatementWords = 1 << 20
	// MaxStatementUnions is how many UNIONs, EXCEPTs and INTERSECTs it may have.
	MaxStatementUnions = 500
	// MaxStatementSelects is how many SELECTs it may come to when each mention of a
	// common table expression or view is its whole definition.
	MaxStatementSelects = 5000
	// MaxStatementTables is how many tables one FROM may join: MySQL's limit.
	MaxStatementTables = 61
	// maxChain bounds the words and signs between two commas, of any kind, since
	// the parser's own recursion must end somewhere too.
	maxChain = 50_000
)

// Codes of MySQL for what is beyond a limit.
const (
	codeTooManyTables = 1116
	codeTooComplex    = 1436
)

func tooComplex(format string, args ...any) error {
	return mysql.NewSQLError(codeTooComplex, stateGeneral, format, args...)
}

// checkText refuses a text whose statement would be too deep or too long to parse.
func checkText(text string) error {
	if len(text) <= MaxStatementDepth {
		return nil // each level takes a byte at least
	}
	m := shapeMeter{text: text, levels: make([]shapeLevel, 1)}
	return m.measure()
}

// shapeMeter measures a statement's text in one pass, without an idea of its
// grammar but what makes one expression part of another.
type shapeMeter struct {
	text    string
	levels  []shapeLevel // open parentheses and CASEs
	outside shapeLevel   // the sums over all levels but the last
	words   int
	unions  int
	values  bool // the text is an INSERT or REPLACE
}

// shapeLevel counts inside one pair of parentheses, since the last comma.
type shapeLevel struct {
	logic  int // AND, OR and JOIN, each of which holds those before
	term   int // operators since the last of them
	most   int // of term
	all    int // words and signs
	isCase bool
}

func (l *shapeLevel) depth() int { return l.logic + max(l.term, l.most) }

// measure reads the text.
func (m *shapeMeter) measure() error {
	text := m.text
	for i := 0; i < len(text); {
		c := text[i]
		start := i
		switch {
		case isSpace(c):
			i++
			continue
		case c == '\'' || c == '"' || c == '`':
			i = skipQuotes(text, i)
			m.words++
			continue
		case c == '#' || c == '-' && strings.HasPrefix(text[i:], "-- "):
			i = skipTo(text, i, "\n")
			continue
		case c == '/' && strings.HasPrefix(text[i:], "/*"):
			if i += 2; i < len(text) && text[i] == '!' {
				for i++; i < len(text) && '0' <= text[i] && text[i] <= '9'; i++ {
				}
				continue // what it holds is read
			}
			i = skipTo(text, i, "*/")
			continue
		case c == '@' || wordByte(c):
			for i++; i < len(text) && (wordByte(text[i]) || text[i] == '@'); i++ {
			}
			m.word(text[start:i])
		default:
			i++
			m.sign(c)
		}
		m.words++
		top := &m.levels[len(m.levels)-1]
		switch {
		case len(m.levels)+m.outside.logic+top.depth() > MaxStatementDepth:
			return tooComplex("The statement is nested deeper than %d levels, counting each AND, OR, JOIN and operator of a chain; use IN for many values, or several statements", MaxStatementDepth)
		case m.outside.all+top.all > maxChain:
			return tooComplex("The statement has more than %d words and signs without a comma; split it", maxChain)
		case m.words > MaxStatementWords && !m.values:
			return tooComplex("The statement has more than %d words, signs and values; put them into a table, or split it", MaxStatementWords)
		case m.unions > MaxStatementUnions:
			return tooComplex("The statement has more than %d UNIONs; split it", MaxStatementUnions)
		}
	}
	return nil
}

// shapeWords are the words that make one thing part of another.
var shapeWords = map[string]byte{
	"and": 'l', "or": 'l', "xor": 'l', "join": 'l', "straight_join": 'l',
	"not": 't', "div": 't', "mod": 't', "like": 't', "is": 't', "in": 't', "between": 't', "regexp": 't', "rlike": 't',
	"collate": 't', "binary": 't', "interval": 't', "explain": 't', "describe": 't', "desc": 't', "sounds": 't', "member": 't', "begin": 't', "prior": 't', "over": 't', "all": 't', "any": 't', "exists": 't',
	"union": 'u', "except": 'u', "intersect": 'u',
	"select": 'r', "from": 'r', "where": 'r', "group": 'r', "order": 'r', "having": 'r', "limit": 'r', "when": 'r', "then": 'r', "else": 'r', "set": 'r', "values": 'r', "on": 'e',
	"case": 'c', "end": 'd', "insert": 'i', "replace": 'i',
}

func (m *shapeMeter) word(word string) {
	top := &m.levels[len(m.levels)-1]
	top.all++
	if c := word[0]; '0' <= c && c <= '9' || len(word) > len("straight_join") {
		return
	}
	switch shapeWords[strings.ToLower(word)] {
	case 'l':
		top.logic++
		top.most, top.term = max(top.most, top.term), 0
	case 't':
		top.term++
	case 'u':
		m.unions++
		top.reset()
	case 'r':
		top.reset()
	case 'e': // ON: what joins is counted on
		top.most, top.term = max(top.most, top.term), 0
	case 'c':
		m.open(true)
	case 'd':
		m.close(true)
	case 'i':
		m.values = m.values || m.words == 0
	}
}

func (m *shapeMeter) sign(c byte) {
	top := &m.levels[len(m.levels)-1]
	top.all++
	switch c {
	case '(':
		m.open(false)
	case ')':
		m.close(false)
	case ',':
		if !top.isCase {
			top.reset()
			top.all = 0
		}
	case ';':
		m.levels, m.outside = append(m.levels[:0], shapeLevel{}), shapeLevel{}
	case '+', '-', '*', '/', '%', '=', '<', '>', '!', '|', '&', '^', '~':
		top.term++
	}
}

// reset begins a part that is beside the last one, not inside.
func (l *shapeLevel) reset() { l.logic, l.term, l.most = 0, 0, 0 }

func (m *shapeMeter) open(isCase bool) {
	top := m.levels[len(m.levels)-1]
	m.outside.logic += top.depth()
	m.outside.all += top.all
	m.levels = append(m.levels, shapeLevel{isCase: isCase})
}

// close ends a level. END ends more than CASE, and a parenthesis may be wrong: what
// does not fit is left to the parser.
func (m *shapeMeter) close(isCase bool) {
	last := len(m.levels) - 1
	if last == 0 || m.levels[last].isCase != isCase {
		return
	}
	inner := m.levels[last]
	m.levels = m.levels[:last]
	top := &m.levels[last-1]
	m.outside.logic -= top.depth()
	m.outside.all -= top.all
	top.most = max(top.most, top.term+1+inner.depth())
}

// checkShape refuses a parsed statement that would come to too many SELECTs, or
// joins too many tables.
func checkShape(s sqlparser.Statement) error {
	if e, ok := s.(*sqlparser.Explain); ok {
		s = e.Statement
	}
	if s == nil {
		return nil
	}
	if u, ok := s.(*sqlparser.CreateUser); ok {
		return refuseUserOptions(u)
	}
	if err := refuseFractions(s); err != nil {
		return err
	}
	c := shapeCounter{ctes: make(map[string]int)}
	if n := c.count(s); n > MaxStatementSelects {
		return tooComplex("The statement comes to more than %d SELECTs when its common table expressions are written out where they are named; put what they give into a table", MaxStatementSelects)
	}
	if c.distinctWindow {
		return notSupported("This version of MySQL doesn't yet support '<window function>(DISTINCT ..)'")
	}
	if c.longCast {
		return mysql.NewSQLError(mysql.ERNetPacketTooLarge, stateGeneral, "CAST to more than %d bytes, which is more than a value may have", DefaultMaxPacket)
	}
	if c.tables > MaxStatementTables {
		return mysql.NewSQLError(codeTooManyTables, stateGeneral, "Too many tables; MySQL can only use %d tables in a join", MaxStatementTables)
	}
	return nil
}

// refuseFractions refuses columns of the type TIME with digits behind the second: TIME keeps
// six of them, whether or not they are asked for, and shows none where there are none.
func refuseFractions(s sqlparser.Statement) error {
	var changes []*sqlparser.DDL
	switch s := s.(type) {
	case *sqlparser.DDL:
		changes = []*sqlparser.DDL{s}
	case *sqlparser.AlterTable:
		changes = s.Statements
	}
	for _, d := range changes {
		if d.TableSpec == nil {
			continue
		}
		for _, c := range d.TableSpec.Columns {
			if strings.EqualFold(c.Type.Type, "time") && c.Type.Length != nil {
				return notSupported("the type TIME(%s) of column '%s' is not supported: TIME keeps six digits behind the second", c.Type.Length.Val, c.Name.String())
			}
		}
	}
	return nil
}

// shapeCounter counts SELECTs, each mention of a common table expression as what it
// is defined by.
type shapeCounter struct {
	ctes   map[string]int // in lower case
	tables int            // the most that a FROM has
	// longCast is set when a CAST makes a text longer than any may be: BINARY is padded.
	longCast bool
	// distinctWindow is set when a window function has DISTINCT, which the library forgets.
	distinctWindow bool
}

// count gives the SELECTs of a part of a statement, at most a little more than are
// allowed.
func (c *shapeCounter) count(n sqlparser.SQLNode) (selects int) {
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		switch n := n.(type) {
		case *sqlparser.FuncExpr:
			c.distinctWindow = c.distinctWindow || n != nil && n.Distinct && n.Over != nil
		case *sqlparser.With:
			if n != nil {
				for _, e := range n.Ctes {
					if e != nil {
						name := strings.ToLower(e.As.String())
						c.ctes[name] = max(c.ctes[name], c.count(e.Expr))
					}
				}
			}
			return false, nil
		case *sqlparser.SetOp:
			if n != nil && n.With != nil {
				c.count(n.With)
			}
		case *sqlparser.Select:
			if n != nil {
				selects++
				c.tables = max(c.tables, joinedTables(n.From))
			}
		case *sqlparser.ConvertExpr:
			if n != nil && n.Type != nil && n.Type.Length != nil {
				bytes, err := strconv.ParseUint(string(n.Type.Length.Val), 10, 64)
				c.longCast = c.longCast || err != nil || bytes > DefaultMaxPacket
			}
		case sqlparser.TableName:
			if n.DbQualifier.IsEmpty() {
				selects += c.ctes[strings.ToLower(n.Name.String())]
			}
		}
		selects = min(selects, MaxStatementSelects+1)
		return true, nil
	}, n)
	return selects
}

// joinedTables counts the tables of a FROM.
func joinedTables(from sqlparser.TableExprs) (n int) {
	for _, t := range from {
		switch t := t.(type) {
		case *sqlparser.JoinTableExpr:
			n += joinedTables(sqlparser.TableExprs{t.LeftExpr, t.RightExpr})
		case *sqlparser.ParenTableExpr:
			n += joinedTables(t.Exprs)
		default:
			n++
		}
	}
	return n
}
