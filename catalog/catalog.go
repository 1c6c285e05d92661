// Package catalog says what exists: projects, their columns, their dedupe
// policies, and the shard that an event falls into. It holds pure values and
// pure functions, with no I/O and no goroutine, so that whoever has the same
// catalog gives the same answers.
//
// A Catalog never changes. Apply makes the next one from a Change, and the
// encodings in encode.go carry both to disk and, in time, between members.
package catalog

// Catalog is everything that is decided rather than measured. Treat it and all
// it refers to as immutable.
type Catalog struct {
	// Version counts the changes that made this catalog.
	Version uint64
	// Projects are sorted by ID; dropped ones stay until they are purged.
	Projects []*Project
	// NextProject is the id that the next project gets.
	NextProject ProjectID
	// Settings hold the cluster-wide settings that differ from their defaults.
	Settings map[string]string
	// Grants is the SQL gateway's users and privileges in its own encoding,
	// opaque here.
	Grants []byte
}

// Project is a tenant: a MySQL database with an events table.
type Project struct {
	ID   ProjectID
	Name string
	// CreatedAt and DroppedAt are microseconds since 1970; DroppedAt is 0 for a
	// live project. A dropped project's data stays recoverable for a while.
	CreatedAt, DroppedAt int64
	// Token may only write; it ships inside apps. Secret may also read.
	Token, Secret string
	// Buckets is the number of user buckets of each day, fixed when the project
	// is created: a day's duplicates must stay together.
	Buckets uint16
	Columns []Column
	// Policies apply to their days; the last that fits decides, and
	// DefaultPolicy where none does.
	Policies []PolicyRule
	// Truncations hide every record up to their ingest id, until undone.
	Truncations []Truncation
	Views       []View
}

// Truncation is a TRUNCATE of a project's events: records with an ingest id at
// or below UpTo are deleted, while it is not undone. ID is the statement's own
// ingest id: the truncation is not in force for a query as of an earlier moment.
type Truncation struct {
	ID     IngestID
	UpTo   IngestID
	Undone bool
}

// View is a named query of a project.
type View struct {
	Name       string
	Definition string // the SELECT
	Statement  string // the CREATE VIEW as written
}

// Limits on what a catalog may hold.
const (
	MaxProjectName = 64   // characters, as MySQL's identifiers
	MaxColumnName  = 64   // characters, as MySQL's identifiers
	MaxColumns     = 4000 // property columns of a project; the rest is in properties only
	MaxProjects    = 100_000
	MaxBuckets     = 1024
	MaxGrants      = 64 << 20
)

// Project returns the live project of that name; names compare exactly as
// MySQL's do on Linux.
func (c *Catalog) Project(name string) (*Project, bool) {
	for _, p := range c.Projects {
		if p.Name == name && p.DroppedAt == 0 {
			return p, true
		}
	}
	return nil, false
}

// ProjectByID returns the project with that id, dropped or not.
func (c *Catalog) ProjectByID(id ProjectID) (*Project, bool) {
	for _, p := range c.Projects {
		if p.ID == id {
			return p, true
		}
	}
	return nil, false
}

// ProjectByToken returns the live project that the token or secret opens.
func (c *Catalog) ProjectByToken(token string) (*Project, bool) {
	for _, p := range c.Projects {
		if p.DroppedAt == 0 && token != "" && (p.Token == token || p.Secret == token) {
			return p, true
		}
	}
	return nil, false
}

// Policy is the project's policy for a UTC day.
func (p *Project) Policy(d Day) Policy {
	for i := len(p.Policies) - 1; i >= 0; i-- {
		if r := &p.Policies[i]; r.From <= d && d <= r.To {
			return r.Policy
		}
	}
	return DefaultPolicy
}

// Shard is the shard of an event of this project with that raw time.
func (p *Project) Shard(time int64, distinctID, insertID string) ShardKey {
	return ShardKey{Project: p.ID, Day: DayOf(time), Bucket: UserBucket(distinctID, insertID, p.Buckets)}
}
