package catalog

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

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
	// WriteQuorum is how many members of a cluster must have an event on disk before it
	// is acknowledged; a majority of its replicas in any case, which is all for 0.
	WriteQuorum uint8

	// index finds columns; it is made by Apply and by the decoder.
	index *columnIndex
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

// View returns the project's view of that name, without regard to case.
func (p *Project) View(name string) (*View, bool) {
	i := p.viewIndex(name)
	if i < 0 {
		return nil, false
	}
	return &p.Views[i], true
}

// reservedProjects are the names of databases that are not projects.
var reservedProjects = map[string]bool{
	"arbor": true, "mysql": true, "information_schema": true, "performance_schema": true, "sys": true,
}

// CheckProjectName says whether a project can bear that name: an identifier of
// MySQL's, at most MaxProjectName characters, not one of the system's own.
func CheckProjectName(name string) error {
	if err := checkIdentifier(name, MaxProjectName); err != nil {
		return fmt.Errorf("project name %q: %w", clip(name), err)
	}
	if reservedProjects[strings.ToLower(name)] {
		return fmt.Errorf("project name %q: %w: it is the system's own; choose another", name, ErrName)
	}
	return nil
}

// checkIdentifier holds a name to MySQL's rules for a quoted identifier.
func checkIdentifier(name string, limit int) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: it is not valid UTF-8", ErrName)
	case utf8.RuneCountInString(name) > limit:
		return fmt.Errorf("%w: it has %d characters, at most %d are allowed", ErrName, utf8.RuneCountInString(name), limit)
	case strings.HasSuffix(name, " "):
		return fmt.Errorf("%w: it ends with a space", ErrName)
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return fmt.Errorf("%w: it holds the control character %U", ErrName, r)
		}
		if r > 0xFFFF {
			return fmt.Errorf("%w: it holds %U, and names end at U+FFFF", ErrName, r)
		}
	}
	return nil
}

// clip shortens text from outside for an error message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
