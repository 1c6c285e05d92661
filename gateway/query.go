package gateway

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/go-sql-driver/mysql"

	"arbor/catalog"
)

// Errors of POST /query before there is a statement to run.
var (
	// ErrQueryRequest says that the request does not hold a statement.
	ErrQueryRequest = errors.New("not a query")
	// ErrStatementTooLong says that the statement has more bytes than allowed.
	ErrStatementTooLong = errors.New("the statement is too long")
)

// query is a POST /query.
type query struct {
	SQL      string `json:"sql"`
	Database string `json:"database"`
	format   string
	// taker gets the rows; nil where they come over the connection.
	taker resultTaker
}

// serveQuery runs a statement as the MySQL user of the request's credentials
// and streams the answer.
func (g *Gateway) serveQuery(w http.ResponseWriter, r *http.Request) error {
	if err := crossOrigin.Check(r); err != nil {
		return fmt.Errorf("%w: %w; pages of other origins may not query", ErrForbidden, err)
	}
	q, err := g.readQuery(r)
	if err != nil {
		return err
	}
	if q.format == formatArrow {
		return g.serveArrow(w, r, q)
	}
	db, err := g.openQuery(r, q)
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(r.Context())
	if err != nil {
		return err
	}
	defer conn.Close()
	var out resultWriter
	if q.format == formatCSV {
		out = newCSVResult(w, r.URL.Query().Get("null"))
	} else {
		out = newJSONResult(w)
	}
	if givesNoRows(q.SQL) {
		return execute(r.Context(), conn, q.SQL, out)
	}
	return stream(r.Context(), conn, q.SQL, out)
}

// crossOrigin keeps other people's pages from using what a browser on this
// machine may do here.
var crossOrigin = http.NewCrossOriginProtection()

// readQuery reads the statement: as JSON, or as the body itself.
func (g *Gateway) readQuery(r *http.Request) (query, error) {
	var q query
	l := loan{budget: &g.bodies}
	defer l.end()
	body, err := readBody(nil, r, maxStatementBytes, &l)
	if errors.Is(err, ErrBodyTooLarge) {
		return q, fmt.Errorf("%w: at most %d bytes are allowed", ErrStatementTooLong, maxStatementBytes)
	}
	if err != nil {
		return q, err
	}
	body = bytes.TrimSpace(body)
	if bytes.HasPrefix(body, []byte("{")) {
		if err := json.Unmarshal(body, &q); err != nil {
			return q, fmt.Errorf(`%w: %w; send {"sql": "SELECT …", "database": "…"}, or the statement itself`, ErrQueryRequest, err)
		}
	} else {
		q.SQL = string(body)
	}
	if q.Database == "" {
		q.Database = first(r.URL.Query(), "database", "db")
	}
	if strings.TrimSpace(q.SQL) == "" {
		return q, fmt.Errorf(`%w: the statement is empty; send it as the body, or as {"sql": "SELECT …"}`, ErrQueryRequest)
	}
	q.format, err = resultFormat(r)
	return q, err
}

// The formats of an answer.
const (
	formatJSON  = "json"
	formatCSV   = "csv"
	formatArrow = "arrow"
)

// resultFormat is the format that the request asks for.
func resultFormat(r *http.Request) (string, error) {
	switch f := strings.ToLower(r.URL.Query().Get("format")); f {
	case formatJSON, formatCSV, formatArrow:
		return f, nil
	case "":
	default:
		return "", fmt.Errorf("%w: format %q is none of json, csv and arrow", ErrQueryRequest, clip(f))
	}
	switch accept := r.Header.Get("Accept"); {
	case strings.Contains(accept, arrowStreamType):
		return formatArrow, nil
	case strings.Contains(accept, "text/csv"):
		return formatCSV, nil
	}
	return formatJSON, nil
}

// openQuery opens the request's connection to the MySQL server. It logs in as the
// MySQL user of the request's credentials, or as the reader of the project whose
// secret they are, into that project's database if none is named. Without
// credentials it is root without a password, which MySQL lets in from this machine
// only, and which a page that reached this machine under a name of its own must
// not use.
func (g *Gateway) openQuery(r *http.Request, q query) (*sql.DB, error) {
	user, password, ok := r.BasicAuth()
	if !ok && r.Header.Get("Authorization") != "" {
		return nil, fmt.Errorf("%w: only Basic authorization is understood", ErrUnauthorized)
	}
	return g.openLogin(r.Context(), sqlLogin{user: user, password: password, from: remoteAddr(r), encrypted: r.TLS != nil, local: isLocalOrigin(r)}, q.Database, q.taker)
}

// sqlLogin is who logs in over a pipe: a MySQL user, or the reader of the project whose
// secret is one of the credentials.
type sqlLogin struct {
	user, password string
	from           net.Addr
	encrypted      bool // on the client's own way here
	local          bool // from this machine, and from nobody's page: no password is needed
}

// openLogin opens a connection to the MySQL server, whose results' rows go to taker,
// unless it is nil. It logs in when it is first used.
func (g *Gateway) openLogin(ctx context.Context, l sqlLogin, database string, taker resultTaker) (*sql.DB, error) {
	user, password := cmp.Or(l.user, "root"), l.password
	project, bySecret := g.secretProject(user, password)
	if password == "" && !bySecret && !l.local {
		return nil, fmt.Errorf("%w: a password is needed; send a MySQL user and password as Basic authorization", ErrUnauthorized)
	}
	conn, err := g.dialSQL(ctx, l.from, taker)
	if err != nil {
		return nil, err
	}
	if bySecret {
		to, err := g.readers.reader(project)
		if err != nil {
			conn.Close()
			return nil, err
		}
		user, password = to.user, to.password
		database = cmp.Or(database, project.Name)
	}
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = user, password, database
	config.Net, config.Addr = "pipe", "arbor"
	config.CheckConnLiveness = false
	config.MaxAllowedPacket = maxRowBytes
	if l.encrypted || isLoopback(l.from) {
		// The connection never leaves the process; TLS on it only tells that the
		// client's own is as safe.
		config.TLS = &tls.Config{InsecureSkipVerify: true}
		config.AllowFallbackToPlaintext = true
	}
	var dialed atomic.Bool
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		if dialed.Swap(true) {
			return nil, net.ErrClosed // a query has one connection
		}
		return conn, nil
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: %w", ErrQueryRequest, err)
	}
	return sql.OpenDB(connector), nil
}

// secretProject is the project whose secret is one of the credentials. A token
// is none: it may only write.
func (g *Gateway) secretProject(user, password string) (*catalog.Project, bool) {
	for _, key := range []string{user, password} {
		if p, ok := g.Catalog().ProjectByToken(key); ok && p.Secret == key {
			return p, true
		}
	}
	return nil, false
}

// maxRowBytes is the longest row of an answer.
const maxRowBytes = DefaultMaxPacket

// remoteAddr is the client's address. No header is trusted to say another.
func remoteAddr(r *http.Request) net.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return &net.TCPAddr{} // which is nobody's, and not this machine's
	}
	return net.TCPAddrFromAddrPort(at)
}

// isLocalOrigin reports whether a request comes from no page, or from one that
// this machine serves. Browsers say with every POST which page it is from. A page
// from elsewhere may have made its own name lead here, and so be of the same
// origin; the name gives it away.
func isLocalOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	page, err := url.Parse(origin)
	if err != nil {
		return false
	}
	name := page.Hostname()
	return name == "localhost" || net.ParseIP(name) != nil
}

// verbsWithoutRows begin the statements that count rows and give none.
var verbsWithoutRows = map[string]bool{
	"INSERT": true, "REPLACE": true, "DELETE": true, "UPDATE": true, "TRUNCATE": true, "CREATE": true, "DROP": true,
	"ALTER": true, "RENAME": true, "GRANT": true, "REVOKE": true, "SET": true, "USE": true, "LOAD": true,
}

// givesNoRows reports whether a statement is known to give none.
func givesNoRows(statement string) bool {
	verb := strings.TrimLeft(statement, " \t\r\n")
	if end := strings.IndexFunc(verb, func(r rune) bool { return r != '_' && (r < 'A' || r > 'z') }); end >= 0 {
		verb = verb[:end]
	}
	return verbsWithoutRows[strings.ToUpper(verb)]
}

// execute runs a statement that gives no rows.
func execute(ctx context.Context, conn *sql.Conn, statement string, out resultWriter) error {
	result, err := conn.ExecContext(ctx, statement)
	if err != nil {
		return err
	}
	affected, err := result.RowsAffected()
	if err != nil {
		return err
	}
	return out.affected(affected)
}

// stream runs a statement and writes its rows as they come.
func stream(ctx context.Context, conn *sql.Conn, statement string, out resultWriter) error {
	rows, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	if len(types) == 0 {
		return out.affected(0)
	}
	columns := make([]resultColumn, len(types))
	values := make([]sql.RawBytes, len(types))
	targets := make([]any, len(types))
	for i, t := range types {
		columns[i] = newResultColumn(t)
		targets[i] = &values[i]
	}
	out.columns(columns)
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return out.fail(err)
		}
		if err := out.row(values); err != nil {
			return nil // the client is gone
		}
	}
	if err := rows.Err(); err != nil {
		return out.fail(err)
	}
	return out.end()
}
