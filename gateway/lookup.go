package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"arbor/catalog"
)

// PUT /lookup-tables/NAME replaces the rows of a mutable table by those of a CSV file,
// as Mixpanel's Lookup Tables API does. It is CALL arbor.replace_table as the MySQL user
// of the request's credentials, so rights and limits are that statement's.

const (
	// maxLookupBytes is the longest CSV file. What its rows take in a table has limits
	// of its own.
	maxLookupBytes = 10 << 20
	lookupPrefix   = "/lookup-tables/"
)

// ErrLookupRequest says that a request names no table.
var ErrLookupRequest = errors.New("not a lookup table")

// putPost are the methods of uploads.
var putPost = []string{http.MethodPut, http.MethodPost}

// lookupRoute is what is served below lookupPrefix.
var lookupRoute = route{methods: putPost, serve: (*Gateway).serveLookup, refuse: refuseLookup}

// isLookupTable reports whether a path's end may name a table.
func isLookupTable(name string) bool { return name != "" && !strings.Contains(name, "/") }

// serveLookup takes a file.
func (g *Gateway) serveLookup(w http.ResponseWriter, r *http.Request) error {
	if err := crossOrigin.Check(r); err != nil {
		return fmt.Errorf("%w: %w; pages of other origins may not change tables", ErrForbidden, err)
	}
	project, err := g.lookupProject(r)
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(strings.TrimRight(r.URL.Path, "/"), lookupPrefix)
	l := loan{budget: &g.bodies}
	defer l.end()
	text, err := readBody(nil, r, maxLookupBytes, &l)
	if err != nil {
		return err
	}
	db, err := g.openQuery(r, query{})
	if err != nil {
		return err
	}
	defer db.Close()
	var rows int64
	if err := db.QueryRowContext(r.Context(), "CALL arbor.replace_table(?, ?, ?)", project, name, string(text)).Scan(&rows); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"code": http.StatusOK, "status": "OK", "rows": rows})
	return nil
}

// lookupProject is the project that project_id names; what the user may do in it is
// found out by asking.
func (g *Gateway) lookupProject(r *http.Request) (string, error) {
	id := first(r.URL.Query(), "project_id", "project", "database")
	if id == "" {
		return "", fmt.Errorf("%w: say which project it is for, as %s?project_id=NAME", ErrLookupRequest, r.URL.Path)
	}
	c := g.Catalog()
	if _, ok := c.Project(id); ok {
		return id, nil
	}
	if number, err := strconv.ParseUint(id, 10, 32); err == nil {
		if p, ok := c.ProjectByID(catalog.ProjectID(number)); ok && p.DroppedAt == 0 {
			return p.Name, nil
		}
	}
	return id, nil // which is refused as one that there is and the user may not see
}

func refuseLookup(w http.ResponseWriter, _ *http.Request, err error) {
	status, _ := statusOf(err)
	writeJSON(w, status, map[string]any{"code": status, "error": err.Error(), "status": http.StatusText(status)})
}
