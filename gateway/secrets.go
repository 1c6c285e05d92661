package gateway

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/vitess/go/mysql"

	"arbor/catalog"
)

// readers are the users as which a project's secret reads over HTTP. Such a user
// is made when the secret is first used, may SELECT in its project's database and
// nothing else, is forgotten with the process, and has a password that nobody is
// told: the secret itself is checked before.
type readers struct {
	// mu guards the rest.
	mu sync.Mutex
	// grants are those of the MySQL server that pipes lead to.
	grants *grants
	known  map[catalog.ProjectID]reader
}

// reader is a user that was made, with the database that it may read.
type reader struct{ user, password, database string }

// use makes the users of another server the ones that readers are added to.
func (r *readers) use(gr *grants) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.grants, r.known = gr, nil
}

// reader gives the user that reads a project. It is called when a server has
// answered a pipe, so there is one.
func (r *readers) reader(p *catalog.Project) (reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.grants == nil {
		return reader{}, fmt.Errorf("%w: SQL is not up yet", ErrNotServing)
	}
	to, ok := r.known[p.ID]
	if ok && to.database == p.Name && r.grants.has(to.user) {
		return to, nil
	}
	to = reader{user: readerName(p), password: rand.Text(), database: p.Name}
	r.grants.addReader(to)
	if r.known == nil {
		r.known = make(map[catalog.ProjectID]reader)
	}
	r.known[p.ID] = to
	return to, nil
}

// readerName is the name of the user as which a project's secret reads.
func readerName(p *catalog.Project) string { return fmt.Sprintf("secret of project %d", p.ID) }

// has reports whether a user exists that may come from anywhere.
func (gr *grants) has(user string) bool {
	rd := gr.db.Reader()
	defer rd.Close()
	u := gr.db.GetUser(rd, user, "%", false)
	return u != nil && u.IsEphemeral
}

// addReader adds a reader to the users, not to those that are stored.
func (gr *grants) addReader(r reader) {
	privileges := mysql_db.NewPrivilegeSet()
	privileges.AddDatabase(r.database, sql.PrivilegeType_Select)
	ed := gr.db.Editor()
	defer ed.Close()
	ed.PutUser(&mysql_db.User{
		User: r.user, Host: "%", PrivilegeSet: privileges, IsEphemeral: true,
		Plugin: string(mysql.MysqlNativePassword), AuthString: nativeHash(r.password),
	})
}

// nativeHash is how mysql_native_password keeps a password.
func nativeHash(password string) string {
	once := sha1.Sum([]byte(password))
	twice := sha1.Sum(once[:])
	return "*" + strings.ToUpper(hex.EncodeToString(twice[:]))
}
