package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// strictParser is a parser whose statements keep strings apart that differ in
// case, and that takes the names which MySQL takes.
type strictParser struct {
	sql.Parser
	users sql.Database // for SHOW GRANTS
}

// ParseSimple parses a statement.
func (p *strictParser) ParseSimple(query string) (sqlparser.Statement, error) {
	if err := checkText(query); err != nil {
		return nil, err
	}
	query = withPlainLiterals(query)
	s, err := p.Parser.ParseSimple(query)
	if err != nil {
		s, _, err = again(query, err, func(q string) (sqlparser.Statement, string, error) {
			s, err := p.Parser.ParseSimple(q)
			return s, q, err
		})
	}
	if err == nil {
		err = checkShape(s)
	}
	nameCollation(s, query)
	return p.mend(s, false), err
}

// Parse parses the first statement of a text.
func (p *strictParser) Parse(ctx *sql.Context, query string, multi bool) (sqlparser.Statement, string, string, error) {
	return p.ParseWithOptions(ctx, query, ';', multi, sql.LoadSqlMode(ctx).ParserOptions())
}

// ParseWithOptions parses the first statement of a text.
func (p *strictParser) ParseWithOptions(ctx context.Context, query string, delimiter rune, multi bool, o sqlparser.ParserOptions) (sqlparser.Statement, string, string, error) {
	if err := checkText(query); err != nil {
		return nil, "", "", err
	}
	if s, length, err := p.accountStatementOf(ctx, query); s != nil || err != nil {
		if err == nil && !multi && strings.Trim(query[length:], "; \t\r\n") != "" {
			err = fmt.Errorf("syntax error at position %d: only one statement is allowed", length)
		}
		return p.mend(s, false), query[:length], strings.TrimLeft(query[length:], "; \t\r\n"), err
	}
	query = withPlainLiterals(query)
	s, parsed, rest, err := p.Parser.ParseWithOptions(ctx, query, delimiter, multi, o)
	if err != nil {
		first := query
		if multi {
			if head, tail, splitErr := sqlparser.SplitStatement(query); splitErr == nil {
				first, rest = head, tail
			}
		}
		s, parsed, err = again(first, err, func(q string) (sqlparser.Statement, string, error) {
			s, parsed, _, err := p.Parser.ParseWithOptions(ctx, q, delimiter, false, o)
			return s, parsed, err
		})
	}
	if err == nil {
		err = checkShape(s)
	}
	nameCollation(s, parsed)
	s = p.mend(s, false)
	if view, ok := s.(*sqlparser.DDL); ok && view.ViewSpec != nil && !keepable(view.ViewSpec.ViewExpr) {
		if c, ok := ctx.(*sql.Context); ok {
			if of := sessionOf(c); of != nil {
				of.plans.spoil() // the statement reads the view, or makes it
			}
		}
	}
	return s, parsed, rest, err
}

// ParseOneWithOptions parses the first statement of a text, which PREPARE names:
// it is here that its placeholders can be seen.
func (p *strictParser) ParseOneWithOptions(ctx context.Context, query string, o sqlparser.ParserOptions) (sqlparser.Statement, int, error) {
	if err := checkText(query); err != nil {
		return nil, 0, err
	}
	length := len(query)
	query = withPlainLiterals(query)
	s, next, err := p.Parser.ParseOneWithOptions(ctx, query, o)
	if err != nil {
		s, _, err = again(query, err, func(q string) (sqlparser.Statement, string, error) {
			s, _, err := p.Parser.ParseOneWithOptions(ctx, q, o)
			return s, q, err
		})
		next = len(query)
	}
	if _, loads := s.(*sqlparser.Load); loads {
		return nil, next, sql.ErrUnsupportedPreparedStatement.New()
	}
	if err == nil {
		err = checkShape(s)
	}
	nameCollation(s, query)
	return p.mend(s, true), min(next, length), err
}

// mend changes a statement where the library would take it for something else
// than MySQL does.
func (p *strictParser) mend(s sqlparser.Statement, placeholders bool) sqlparser.Statement {
	if g, ok := s.(*sqlparser.ShowGrants); ok && g.For == nil && p.users != nil {
		return ownGrants(p.users)
	}
	return mend(s, placeholders)
}

// again parses a text that did not parse, with free words in back quotes. If it
// still does not, the error is the one that came later in the text.
func again(query string, failed error, parse func(string) (sqlparser.Statement, string, error)) (sqlparser.Statement, string, error) {
	var refused *mysql.SQLError
	if errors.As(failed, &refused) {
		return nil, query, failed // it did parse
	}
	if rest, ok := behindNewer(query); ok {
		s, parsed, err := parse(rest)
		if err == nil {
			return s, parsed, nil
		}
	}
	rewritten := false
	for _, chains := range []bool{false, true} {
		changed, ok := rewriteIdioms(query, chains)
		if !ok {
			continue
		}
		rewritten = true
		s, parsed, err := parse(changed)
		if err != nil && !errors.As(err, &refused) {
			s, parsed, err = withFreeWords(changed, err, parse)
		}
		if err == nil || errors.As(err, &refused) {
			return s, parsed, err
		}
	}
	if refused := refuseStatement(query); refused != nil {
		return nil, query, refused
	}
	if rewritten {
		return nil, query, failed
	}
	return withFreeWords(query, failed, parse)
}

// newerComment is a comment that only a server of a later version than any reads:
// the dumps of MariaDB begin with one.
var newerComment = regexp.MustCompile(`^\s*/\*M?!9{5,6}[^*]*\*/`)

// behindNewer is a text without the comment for later servers that it begins with.
func behindNewer(query string) (rest string, ok bool) {
	at := newerComment.FindStringIndex(query)
	if at == nil {
		return query, false
	}
	if rest = query[at[1]:]; strings.Trim(rest, "; \t\r\n") == "" {
		rest = "SET sql_notes = @@sql_notes" // a comment alone is a statement that does nothing
	}
	return rest, true
}

// withFreeWords parses a text that did not parse, with free words in back quotes.
func withFreeWords(query string, failed error, parse func(string) (sqlparser.Statement, string, error)) (sqlparser.Statement, string, error) {
	var refused *mysql.SQLError
	var s sqlparser.Statement
	var parsed string
	if _, err := quoteNeededWords(query, failed, func(q string) (err error) {
		s, parsed, err = parse(q)
		return err
	}); err == nil || errors.As(err, &refused) {
		return s, parsed, err
	}
	changed, ok := quoteFreeWords(query)
	if !ok {
		return nil, query, failed
	}
	s, parsed, err := parse(changed)
	if err == nil {
		return s, parsed, nil
	}
	later := withoutQuotes(err.Error(), query, changed)
	if errorPlace(later) <= errorPlace(failed.Error()) {
		return nil, query, failed
	}
	return nil, query, &syntaxError{text: later}
}

// parseError is the client's error for a statement that did not parse, or that was
// refused when it had.
func parseError(err error) error {
	if refused := (*mysql.SQLError)(nil); errors.As(err, &refused) {
		return refused
	}
	return sql.ErrSyntaxError.New(err.Error())
}

// syntaxError is an error of the parser, with the place moved.
type syntaxError struct{ text string }

// Error is what the parser said.
func (e *syntaxError) Error() string { return e.text }

var placePattern = regexp.MustCompile(`at position (\d+)`)

// errorPlace is the place in the text that an error names, 0 for none.
func errorPlace(text string) int {
	m := placePattern.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	place, _ := strconv.Atoi(m[1])
	return place
}

// withoutQuotes moves the place that an error names by the back quotes that were
// put in before it.
func withoutQuotes(text, query, changed string) string {
	place := errorPlace(text)
	added := 0
	for i, j := 0, 0; j < place-1 && j < len(changed); j++ {
		if i < len(query) && changed[j] == query[i] {
			i++
		} else {
			added++
		}
	}
	return placePattern.ReplaceAllLiteralString(text, "at position "+strconv.Itoa(place-added))
}

// loadsFile is the beginning of a LOAD DATA, for which the protocol of prepared
// statements has no place: the library ends the connection over it, so the handler
// gets a text to refuse in its place.
var loadsFile = regexp.MustCompile(`(?i)^\s*LOAD\s+DATA\b`)

const unpreparable = "SELECT 'LOAD DATA cannot be prepared'"

// preparable gives the text that the protocol library can prepare in place of
// query: it parses statements by itself, without a seam. One that it could not parse is
// wrapped, so that the handler gets it.
func preparable(query string) string {
	if checkText(query) != nil || loadsFile.MatchString(query) {
		return unpreparable
	}
	parse := func(q string) error {
		_, err := sqlparser.Parse(strings.TrimSpace(q))
		return err
	}
	plain := withPlainLiterals(query)
	failed := parse(plain)
	if failed != nil {
		for _, chains := range []bool{false, true} {
			if changed, ok := rewriteIdioms(plain, chains); ok && failed != nil {
				if err := parse(changed); err == nil || chains {
					plain, failed = changed, err
				}
			}
		}
	}
	if failed == nil {
		return plain
	}
	if all, ok := quoteFreeWords(plain); ok {
		if changed, err := quoteNeededWords(plain, failed, parse); err == nil {
			return changed
		}
		if parse(all) == nil {
			return all
		}
	}
	return wrapped(query)
}

// wrappedHead begins a statement that can be prepared and holds one that cannot.
const wrappedHead = "SELECT 'not for the library to parse', x'"

// wrapped is such a statement, as far as it is one packet.
func wrapped(query string) string {
	if len(wrappedHead)+2*len(query) >= maxPreparable/2 {
		return query
	}
	return wrappedHead + hex.EncodeToString([]byte(query)) + "'"
}

// heldStatement is the statement that another one holds.
func heldStatement(query string) (string, bool) {
	held, ok := strings.CutPrefix(query, wrappedHead)
	if !ok {
		return query, false
	}
	text, err := hex.DecodeString(strings.TrimSuffix(held, "'"))
	return string(text), err == nil
}
