package gateway

import (
	"fmt"
	"net/http"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
)

// mayWatch lets those see the metrics, in which the names of projects are, who log in as a
// MySQL user with PROCESS or SUPER. As long as no user has a password everybody may.
func (g *Gateway) mayWatch(r *http.Request) error {
	if len(g.Catalog().Grants) == 0 {
		return nil // there is root alone, as it is at first
	}
	user, _, ok := r.BasicAuth()
	if !ok && g.readers.secured() {
		return fmt.Errorf("%w: send a MySQL user with the PROCESS privilege and its password as Basic authorization", ErrUnauthorized)
	}
	if !ok {
		return nil
	}
	db, err := g.openQuery(r, query{})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.PingContext(r.Context()); err != nil {
		return err
	}
	if !g.readers.watches(user, hostOf(remoteAddr(r))) {
		return fmt.Errorf("%w: the metrics are for MySQL users with the PROCESS privilege", ErrForbidden)
	}
	return nil
}

// secured reports whether any user has a password. Before the MySQL server is up nobody
// knows, and so it is.
func (r *readers) secured() bool {
	gr := r.server()
	if gr == nil {
		return true
	}
	rd := gr.db.Reader()
	defer rd.Close()
	found := false
	rd.VisitUsers(func(u *mysql_db.User) {
		found = found || !u.IsEphemeral && !u.IsRole && u.AuthString != ""
	})
	return found
}

// watches reports whether a user that has logged in may see what all do.
func (r *readers) watches(user, host string) bool {
	gr := r.server()
	if gr == nil {
		return false
	}
	all := gr.privileges(user, host)
	return all.Has(sql.PrivilegeType_Process) || all.Has(sql.PrivilegeType_Super)
}

// administers reports whether a user that has logged in may do everything.
func (r *readers) administers(user, host string) bool {
	gr := r.server()
	if gr == nil {
		return false
	}
	return gr.privileges(user, host).Has(sql.PrivilegeType_Super)
}

// privileges are those of a user that has logged in, with the roles that count when a
// session begins.
func (gr *grants) privileges(user, host string) sql.PrivilegeSet {
	client := sql.Client{User: user, Address: host}
	return rolesAtLogin(gr.db, client).privileges(client)
}

// server gives the users of the MySQL server, nil before it is up.
func (r *readers) server() *grants {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.grants
}
