package gateway

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/gateway/audit"
)

// auditSyntax is the kind of statements that cannot be parsed. What they would have done is
// not known, so all of them are written down.
const auditSyntax = "syntax"

// maxUnparsedText bounds the text that is kept of one.
const maxUnparsedText = 4096

// auditUnparsed writes down a statement that cannot be parsed, and where it ends to make
// sense.
func (h *handler) auditUnparsed(ctx *sql.Context, c *mysql.Conn, text string, cause, told error) {
	if h.logins == nil {
		return
	}
	before, ok := h.logins.unparsed.take(h.logins.now())
	if !ok {
		return
	}
	if before > 0 {
		h.noteUnparsed(audit.Record{Kind: auditSyntax, Outcome: audit.Failed,
			Statement: fmt.Sprintf("%d more statements in the hour before could not be parsed, which were too many to write down one by one", before)})
	}
	r := auditOf(ctx, c, auditSyntax)
	r.Outcome = audit.Failed
	if failure, ok := told.(*mysql.SQLError); ok {
		r.Code = uint16(failure.Num)
	}
	r.Statement = unparsedText(text)
	if place := errorPlace(cause.Error()); place > 0 {
		r.Statement += fmt.Sprintf(" /* syntax error at position %d */", place)
	}
	h.noteUnparsed(r)
}

// prepareError is the error of a statement, which is written down if the statement is a PREPARE
// of a text that cannot be parsed.
func (h *handler) prepareError(ctx *sql.Context, c *mysql.Conn, stmt sqlparser.Statement, text string, err error) error {
	if _, prepares := stmt.(*sqlparser.Prepare); !prepares || !strings.HasPrefix(err.Error(), "syntax error at ") {
		return err
	}
	err = parseError(err)
	h.auditUnparsed(ctx, c, text, err, h.clientError(err))
	return err
}

func (h *handler) noteUnparsed(r audit.Record) {
	if err := h.logins.trail.Note(r); err != nil {
		h.logger.Error("write a statement that cannot be parsed into the audit trail", "user", r.User, "error", err)
	}
}

// secretWord begins the part of a statement in which a password is.
var secretWord = regexp.MustCompile(`(?i)\b(identified|password)\b`)

// unparsedText is what is kept of a text in which nobody knows what is a constant: quotes may
// be missing. So nothing is kept behind the first of them, nor behind a word that announces a
// password, and no number.
func unparsedText(text string) string {
	cut := false
	if at := secretWord.FindStringIndex(text); at != nil {
		text, cut = text[:at[1]], true
	}
	if first := strings.IndexAny(text, `'"`); first >= 0 {
		text, cut = text[:first]+masked, true
	}
	if len(text) > maxUnparsedText {
		text, cut = strings.ToValidUTF8(text[:maxUnparsedText], ""), true
	}
	text = auditText(strings.ToValidUTF8(text, "?"), nil, auditValues)
	if cut {
		text += " …"
	}
	return text
}
