package gateway

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"

	"arbor/catalog"
)

// resultBuffer is how much of an answer is held before it is sent. An error
// within it still gets a status of its own.
const resultBuffer = 64 << 10

// resultWriter writes an answer of POST /query as it comes.
type resultWriter interface {
	columns([]resultColumn)
	// row writes a row; its error says that the client is gone.
	row([]sql.RawBytes) error
	// affected writes the whole answer of a statement that gives no rows.
	affected(rows int64) error
	// fail ends the answer by an error: by returning it, while nothing was sent.
	fail(error) error
	end() error
}

// resultColumn is a column of an answer.
type resultColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// bare values are JSON as they are: numbers and JSON itself.
	bare bool
}

func newResultColumn(t *sql.ColumnType) resultColumn {
	c := resultColumn{Name: t.Name(), Type: t.DatabaseTypeName()}
	name := strings.TrimPrefix(c.Type, "UNSIGNED ")
	switch name {
	case "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "YEAR", "FLOAT", "DOUBLE", "DECIMAL", "JSON":
		c.bare = true
	}
	return c
}

// resultBody is an answer's body, of which the first part is held back.
type resultBody struct {
	w    http.ResponseWriter
	text []byte
	sent bool
}

// flush sends what is held, as the last part or because there is much of it.
func (b *resultBody) flush() error {
	b.sent = true
	_, err := b.w.Write(b.text)
	b.text = b.text[:0]
	return err
}

func (b *resultBody) flushIfFull() error {
	if len(b.text) < resultBuffer {
		return nil
	}
	return b.flush()
}

// jsonResult writes
//
//	{"columns":[{"name":…,"type":…},…],"rows":[[…],…],"row_count":N}
//
// An answer that is cut short by an error has "error" in place of "row_count".
type jsonResult struct {
	resultBody
	list []resultColumn
	rows int64
}

func newJSONResult(w http.ResponseWriter) *jsonResult {
	w.Header().Set("Content-Type", "application/json")
	return &jsonResult{resultBody: resultBody{w: w}}
}

func (j *jsonResult) columns(list []resultColumn) {
	j.list = list
	j.text = append(j.text, `{"columns":`...)
	j.text = append(j.text, jsonText(list)...)
	j.text = append(j.text, `,"rows":[`...)
}

func (j *jsonResult) row(values []sql.RawBytes) error {
	if j.rows > 0 {
		j.text = append(j.text, ',')
	}
	j.rows++
	j.text = append(j.text, "\n["...)
	for i, v := range values {
		if i > 0 {
			j.text = append(j.text, ',')
		}
		switch {
		case v == nil:
			j.text = append(j.text, "null"...)
		case j.list[i].bare && json.Valid(v):
			j.text = append(j.text, v...)
		default:
			j.text = catalog.AppendJSONString(j.text, string(v))
		}
	}
	j.text = append(j.text, ']')
	return j.flushIfFull()
}

func (j *jsonResult) affected(rows int64) error {
	j.text = append(strconv.AppendInt(append(j.text, `{"affected_rows":`...), rows, 10), "}\n"...)
	_ = j.flush()
	return nil
}

func (j *jsonResult) fail(err error) error {
	if !j.sent {
		return err
	}
	j.text = append(j.text, `],"error":`...)
	j.text = append(j.text, jsonText(newQueryError(err))...)
	j.text = append(j.text, "}\n"...)
	_ = j.flush()
	return nil
}

func (j *jsonResult) end() error {
	j.text = append(strconv.AppendInt(append(j.text, `],"row_count":`...), j.rows, 10), "}\n"...)
	_ = j.flush()
	return nil
}

// csvResult writes a header and the rows as RFC 4180 has it, but for lines that
// end as they do on Unix. NULL is an empty
// field or what the client wants instead, and an empty string is one in quotes.
type csvResult struct {
	resultBody
	null string
}

func newCSVResult(w http.ResponseWriter, null string) *csvResult {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	return &csvResult{resultBody{w: w}, null}
}

func (c *csvResult) columns(list []resultColumn) {
	for i := range list {
		c.field(i, []byte(list[i].Name))
	}
	c.text = append(c.text, "\n"...)
}

func (c *csvResult) row(values []sql.RawBytes) error {
	for i, v := range values {
		c.field(i, v)
	}
	c.text = append(c.text, "\n"...)
	return c.flushIfFull()
}

func (c *csvResult) field(i int, v []byte) {
	if i > 0 {
		c.text = append(c.text, ',')
	}
	if v == nil {
		c.text = append(c.text, c.null...)
		return
	}
	if len(v) > 0 && string(v) != c.null && !bytes.ContainsAny(v, "\",\r\n") && utf8.Valid(v) {
		c.text = append(c.text, v...)
		return
	}
	c.text = append(c.text, '"')
	c.text = append(c.text, bytes.ReplaceAll(v, []byte(`"`), []byte(`""`))...)
	c.text = append(c.text, '"')
}

func (c *csvResult) affected(rows int64) error {
	c.text = append(strconv.AppendInt(append(c.text, "affected_rows\n"...), rows, 10), "\n"...)
	_ = c.flush()
	return nil
}

// fail cuts the connection where a part was sent: a CSV has no room for an
// error, and a part must not pass for the whole.
func (c *csvResult) fail(err error) error { return err }

func (c *csvResult) end() error {
	_ = c.flush()
	return nil
}

// queryError is an error in an answer of POST /query.
type queryError struct {
	Code     uint16 `json:"code"`
	SQLState string `json:"sqlstate"`
	Message  string `json:"message"`
}

// sqlStatuses are the HTTP statuses of MySQL's errors; those not named here are
// the statement's own fault, 400.
var sqlStatuses = map[uint16]int{
	1040: http.StatusTooManyRequests,     // too many connections
	1030: http.StatusServiceUnavailable,  // too few members answer, or the disk does not
	1044: http.StatusForbidden,           // no access to the database
	1045: http.StatusUnauthorized,        // wrong user or password
	1053: http.StatusServiceUnavailable,  // the server goes down
	1105: http.StatusInternalServerError, // unknown error
	1142: http.StatusForbidden,           // command denied
	1143: http.StatusForbidden,           // column denied
	1153: http.StatusRequestEntityTooLarge,
	1227: http.StatusForbidden,          // needs a privilege
	1317: http.StatusServiceUnavailable, // interrupted
	3024: http.StatusGatewayTimeout,     // max_execution_time
}

// newQueryError puts any error of POST /query in MySQL's form.
func newQueryError(err error) queryError {
	var fault *mysql.MySQLError
	if errors.As(err, &fault) {
		return queryError{fault.Number, string(fault.SQLState[:]), fault.Message}
	}
	status, _ := statusOf(err)
	switch status {
	case http.StatusUnauthorized:
		return queryError{1045, "28000", err.Error()}
	case http.StatusForbidden:
		return queryError{1227, "42000", err.Error()}
	case http.StatusRequestEntityTooLarge:
		return queryError{1153, "08S01", err.Error()}
	case http.StatusServiceUnavailable:
		return queryError{1053, "08S01", err.Error()}
	case http.StatusInternalServerError:
		return queryError{1105, "HY000", errPanic.Error()}
	}
	return queryError{1105, "HY000", err.Error()}
}

// queryStatus is the HTTP status of an error of MySQL's, and the seconds to wait
// before the statement is worth repeating.
func queryStatus(fault *mysql.MySQLError) (status, retryAfter int) {
	switch status, ok := sqlStatuses[fault.Number]; {
	case !ok:
		return http.StatusBadRequest, 0
	case status == http.StatusTooManyRequests:
		return status, busyRetryAfter
	case status == http.StatusServiceUnavailable:
		return status, downRetryAfter
	default:
		return status, 0
	}
}

// refuseQuery writes an error of POST /query.
func refuseQuery(w http.ResponseWriter, _ *http.Request, err error) {
	status, _ := statusOf(err)
	writeJSON(w, status, struct {
		Error queryError `json:"error"`
	}{newQueryError(err)})
}
