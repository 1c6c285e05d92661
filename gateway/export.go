package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"arbor/catalog"
)

// GET /api/2.0/export is Mixpanel's raw export: the events of some days, each once,
// one JSON object a line, in no order. It is asked in SQL, as the reader of the
// project whose secret the credentials are or as a MySQL user, so rights, limits and
// meaning are those of a SELECT, and memory is flat.

// ErrExportRequest says that an export's parameters cannot be understood.
var ErrExportRequest = errors.New("not an export")

// Limits of an export.
const (
	// maxExportForm is the most that the parameters of a POST may have.
	maxExportForm = 64 << 10
	// maxExportLimit is the greatest limit that may be asked for; without one all
	// events are given.
	maxExportLimit = 100_000
)

// serveExport streams the events that the parameters ask for.
func (g *Gateway) serveExport(w http.ResponseWriter, r *http.Request) (err error) {
	if _, _, ok := r.BasicAuth(); !ok { // nobody is let in for being on this machine: browsers are, too
		return fmt.Errorf("%w: send the project's secret as the Basic user name, or a MySQL user and password with project_id", ErrUnauthorized)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxExportForm)
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("%w: %w", ErrExportRequest, err)
	}
	project, err := g.exportProject(r)
	if err != nil {
		return err
	}
	statement, err := exportStatement(project, r.Form)
	if err != nil {
		return err
	}
	db, err := g.openQuery(r, query{Database: project.Name})
	if err != nil {
		return err
	}
	defer db.Close()
	entry, err := g.auditExport(r, project)
	if err != nil {
		return err
	}
	defer func() { entry.ended(g.logger, err) }()
	rows, err := db.QueryContext(r.Context(), statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	out := newExport(w, strings.Contains(r.Header.Get("Accept-Encoding"), "gzip"))
	out.millis = isSet(r.Form, "time_in_ms")
	return out.stream(r.Context(), rows)
}

// exportProject is the project whose secret the credentials are, or the one that a
// MySQL user names; what the user may read of it is found out by asking.
func (g *Gateway) exportProject(r *http.Request) (*catalog.Project, error) {
	user, password, _ := r.BasicAuth()
	id := r.Form.Get("project_id")
	if project, ok := g.secretProject(user, password); ok {
		if id != "" && isOther(id, project) {
			return nil, fmt.Errorf("%w: project_id %q is not the project of this secret, %d", ErrUnauthorized, clip(id), project.ID)
		}
		return project, nil
	}
	if id == "" {
		return nil, fmt.Errorf("%w: send the project's secret as the Basic user name, or a MySQL user and password with project_id", ErrUnauthorized)
	}
	c := g.Catalog()
	project, ok := c.Project(id)
	if number, err := strconv.ParseUint(id, 10, 32); !ok && err == nil {
		project, ok = c.ProjectByID(catalog.ProjectID(number))
		ok = ok && project.DroppedAt == 0
	}
	if !ok {
		// The name is asked for all the same, so that nobody learns which there are.
		return &catalog.Project{Name: id}, nil
	}
	return project, nil
}

// exportStatement is the SELECT of what the parameters ask for.
func exportStatement(p *catalog.Project, parameters url.Values) (string, error) {
	from, err := exportDay(parameters, "from_date")
	if err != nil {
		return "", err
	}
	to, err := exportDay(parameters, "to_date")
	if err != nil {
		return "", err
	}
	if to.Before(from) {
		return "", fmt.Errorf("%w: to_date is before from_date", ErrExportRequest)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT event, UNIX_TIMESTAMP(time), distinct_id, insert_id, properties FROM events WHERE time >= '%s' AND time < '%s'",
		from.Format(time.DateOnly), to.AddDate(0, 0, 1).Format(time.DateOnly))
	if text := parameters.Get("event"); text != "" {
		var names []string
		if err := json.Unmarshal([]byte(text), &names); err != nil {
			return "", fmt.Errorf(`%w: event is a JSON array of names, such as ["Visit"]`, ErrExportRequest)
		}
		b.WriteString(" AND event IN (''")
		for _, name := range names {
			b.WriteString(", " + sqlText(name))
		}
		b.WriteString(")")
	}
	if text := parameters.Get("where"); text != "" {
		where, err := exportWhere(p, text)
		if err != nil {
			return "", err
		}
		b.WriteString(" AND (" + where + ")")
	}
	if text := parameters.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxExportLimit {
			return "", fmt.Errorf("%w: limit is a number from 1 to %d; without one all events are given", ErrExportRequest, maxExportLimit)
		}
		fmt.Fprintf(&b, " LIMIT %d", n)
	}
	return b.String(), nil
}

// exportDay reads one of the two days, which are both exported.
func exportDay(parameters url.Values, name string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, parameters.Get(name))
	if err != nil || day.Year() < 1 || day.Year() > 9998 {
		return day, fmt.Errorf("%w: %s is a day as 2026-01-31; from_date and to_date are needed", ErrExportRequest, name)
	}
	return day, nil
}

// sqlText is a string literal.
func sqlText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", `\0`).Replace(s) + "'"
}

// export writes events as lines.
type export struct {
	resultBody
	packed *gzip.Writer
	millis bool
}

func newExport(w http.ResponseWriter, packed bool) *export {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Vary", "Accept-Encoding")
	e := &export{resultBody: resultBody{w: w}}
	if packed {
		w.Header().Set("Content-Encoding", "gzip")
		e.packed, _ = gzip.NewWriterLevel(w, gzip.BestSpeed)
	}
	return e
}

// stream writes all rows. An error after the first of them ends the connection, so
// that nobody takes a part for the whole.
func (e *export) stream(ctx context.Context, rows *sql.Rows) error {
	var name, at, user, id, properties sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&name, &at, &user, &id, &properties); err != nil {
			return e.fail(err)
		}
		if err := e.line(name, at, user, id, properties); err != nil {
			return e.fail(err)
		}
		if len(e.text) < resultBuffer {
			continue
		}
		if err := e.send(); err != nil {
			return nil // the client is gone
		}
	}
	if err := rows.Err(); err != nil {
		return e.fail(err)
	}
	if err := e.send(); err != nil {
		return nil
	}
	if e.packed != nil {
		_ = e.packed.Close() // or the client is gone
	}
	return nil
}

// fail is the error; it is answered by a status of its own if nothing was sent.
func (e *export) fail(err error) error {
	if !e.sent {
		for _, name := range []string{"Content-Encoding", "Content-Type"} {
			e.w.Header().Del(name)
		}
	}
	return err
}

// send sends the lines so far.
func (e *export) send() error {
	if e.packed == nil {
		return e.flush()
	}
	e.sent = true
	_, err := e.packed.Write(e.text)
	e.text = e.text[:0]
	return err
}

// line adds an event:
//
//	{"event":…,"properties":{"time":…,"distinct_id":…,"$insert_id":…, what was sent}}
func (e *export) line(name, at, user, id, properties []byte) error {
	seconds, fraction, _ := bytes.Cut(at, []byte("."))
	e.text = append(e.text, `{"event":`...)
	e.text = catalog.AppendJSONString(e.text, string(name))
	e.text = append(e.text, `,"properties":{"time":`...)
	e.text = append(e.text, exportTime(seconds, fraction, e.millis)...)
	e.text = append(e.text, `,"distinct_id":`...)
	e.text = catalog.AppendJSONString(e.text, string(user))
	if id != nil {
		e.text = append(e.text, `,"$insert_id":`...)
		e.text = catalog.AppendJSONString(e.text, string(id))
	}
	rest, err := withoutFields(properties)
	if err != nil {
		return err
	}
	if rest = bytes.TrimSpace(rest[1 : len(rest)-1]); len(rest) > 0 {
		e.text = append(append(e.text, ','), rest...)
	}
	e.text = append(e.text, "}}\n"...)
	return nil
}

// exportTime is a time in whole seconds, as Mixpanel gives it, or in milliseconds,
// rounded down.
func exportTime(seconds, fraction []byte, millis bool) []byte {
	s, err := strconv.ParseInt(string(seconds), 10, 64)
	if err != nil {
		return []byte("0")
	}
	digits := append(append([]byte(nil), fraction...), "000"...)[:3]
	ms, _ := strconv.ParseInt(string(digits), 10, 64)
	if len(seconds) > 0 && seconds[0] == '-' {
		ms = -ms
		if !millis && len(bytes.Trim(fraction, "0")) > 0 {
			s--
		}
	}
	if millis {
		s = s*1000 + ms
	}
	return strconv.AppendInt(nil, s, 10)
}

// withoutFields is a properties object without the members that an export writes
// by itself, which only SQL can have put there.
func withoutFields(properties []byte) ([]byte, error) {
	names := []string{"time", "distinct_id", "$insert_id"}
	found := false
	for _, name := range names {
		found = found || bytes.Contains(properties, []byte(`"`+name+`"`))
	}
	if !found && len(properties) >= 2 {
		return properties, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(properties, &members); err != nil {
		return nil, fmt.Errorf("export properties: %w", err)
	}
	for _, name := range names {
		delete(members, name)
	}
	return json.Marshal(members)
}

// refuseExport writes an error as Mixpanel's clients expect it.
func refuseExport(w http.ResponseWriter, _ *http.Request, err error) {
	status, _ := statusOf(err)
	writeJSON(w, status, map[string]any{"error": err.Error(), "status": status})
}
