package gateway

import (
	"strconv"
	"strings"

	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// auditMask says which constants of a statement the audit trail must not hold.
type auditMask uint8

const (
	auditShow    auditMask = iota
	auditSecrets           // passwords: those behind IDENTIFIED and PASSWORD
	auditValues            // all: they are of people's data
	auditErased            // all but the first
)

// auditMaskOf is what to leave out of a statement.
func auditMaskOf(stmt sqlparser.Statement) auditMask {
	switch s := stmt.(type) {
	case *sqlparser.Delete, *sqlparser.Explain:
		return auditValues
	case *sqlparser.DDL:
		if s.OptSelect != nil {
			return auditValues
		}
	case *sqlparser.Call:
		if strings.EqualFold(s.ProcName.Name.String(), "erase_user") {
			return auditErased
		}
		if !strings.EqualFold(s.ProcName.Qualifier.String(), systemDatabase) && !s.ProcName.Qualifier.IsEmpty() {
			return auditValues
		}
	}
	return auditSecrets
}

// auditText is a statement's text without comments, with the values of its placeholders,
// and with *** for what must not be kept.
func auditText(text string, given map[string]*querypb.BindVariable, mask auditMask) string {
	tokens := idiomTokens(text)
	var b strings.Builder
	m := auditMasker{mask: mask}
	placeholders := 0
	for i, t := range tokens {
		word := text[t.start:t.end]
		constant := isConstantToken(word, t.kind)
		if word == "?" {
			placeholders++
			constant = true
			word = boundText(given, placeholders)
		}
		account := i > 0 && text[tokens[i-1].end-1] == '@' || i+1 < len(tokens) && text[tokens[i+1].start] == '@'
		if i > 0 && t.start > tokens[i-1].end {
			b.WriteByte(' ')
		}
		b.WriteString(m.next(word, t, constant, constant && account))
	}
	return b.String()
}

// isConstantToken reports whether a token is a string or a number.
func isConstantToken(word string, kind idiomKind) bool {
	switch kind {
	case idiomQuoted:
		return word[0] != '`'
	case idiomWord:
		return word[0] >= '0' && word[0] <= '9'
	}
	return false
}

// boundText is the value of a placeholder, as a constant would be written.
func boundText(given map[string]*querypb.BindVariable, number int) string {
	bound, ok := given["v"+strconv.Itoa(number)]
	if !ok {
		return "?"
	}
	v, err := sqltypes.BindVariableToValue(bound)
	if err != nil {
		return "?"
	}
	var b strings.Builder
	v.EncodeSQL(&b)
	return b.String()
}

// auditMasker masks the constants of a statement, token by token.
type auditMasker struct {
	mask auditMask
	// secret is set where a password may come: behind IDENTIFIED and PASSWORD, until
	// the next account.
	secret    bool
	last      string // the word before, in lower case
	constants int
}

const masked = "'***'"

// next is what is kept of a token.
func (m *auditMasker) next(word string, t idiomToken, constant, account bool) string {
	defer func() { m.last = strings.ToLower(word) }()
	if !constant {
		switch {
		case t.kind == idiomWord && (strings.EqualFold(word, "identified") || strings.EqualFold(word, "password")):
			m.secret = true
		case word == "," && t.depth == 0:
			m.secret = false
		}
		return word
	}
	m.constants++
	switch {
	case m.mask == auditValues, m.mask == auditErased && m.constants > 1:
		return masked
	case m.mask == auditSecrets && m.secret && !account && m.last != "with":
		return masked
	}
	return word
}
