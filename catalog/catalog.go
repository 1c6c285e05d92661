// Package catalog says what exists: projects, their columns, their dedupe
// policies, and the shard that an event falls into. It holds pure values and
// pure functions, with no I/O and no goroutine, so that whoever has the same
// catalog gives the same answers.
//
// A Catalog never changes. Apply makes the next one from a Change, and the
// encodings in encode.go carry both to disk and, in time, between members.
package catalog

import (
	"errors"
	"sort"
	"sync"
)

// Errors that Apply and the decoders wrap, with the name or number at fault.
var (
	// ErrProjectExists: a live project bears that name, or one that differs only in case.
	ErrProjectExists = errors.New("project exists")
	// ErrNoProject: no live project bears that name or id.
	ErrNoProject = errors.New("no such project")
	// ErrProjectLive: only a dropped project can be undropped or purged.
	ErrProjectLive = errors.New("project is not dropped")
	// ErrTokenExists: another project is opened by that token.
	ErrTokenExists = errors.New("token is taken")
	// ErrName: a name is not one that MySQL's clients can write, or is reserved.
	ErrName = errors.New("name not allowed")
	// ErrLimit: the catalog would hold more than it may.
	ErrLimit = errors.New("limit exceeded")
	// ErrNoColumn: the project has no such property column.
	ErrNoColumn = errors.New("no such column")
	// ErrColumnExists: the name or the property has a column already.
	ErrColumnExists = errors.New("column exists")
	// ErrType: a column cannot have that type, precision or scale.
	ErrType = errors.New("column type not allowed")
	// ErrPolicy: a policy, its text or its days cannot be understood.
	ErrPolicy = errors.New("policy not allowed")
	// ErrNoTruncation: there is no such truncation in force.
	ErrNoTruncation = errors.New("no such truncation")
	// ErrTruncationExists: a truncation bears that ingest id.
	ErrTruncationExists = errors.New("truncation exists")
	// ErrNoView and ErrViewExists are about a project's views.
	ErrNoView     = errors.New("no such view")
	ErrViewExists = errors.New("view exists")
	// ErrNoSetting: no setting bears that name.
	ErrNoSetting = errors.New("no such setting")
	// ErrSetting: the value is none that the setting can have.
	ErrSetting = errors.New("setting's value not allowed")
	// ErrGrantsChanged: users and privileges are not any more what they were when
	// the change was made. Look again.
	ErrGrantsChanged = errors.New("users and privileges were changed meanwhile")
	// ErrCorrupt: encoded bytes are damaged.
	ErrCorrupt = errors.New("encoding is corrupt")
	// ErrVersion: encoded bytes were written by a newer arbor.
	ErrVersion = errors.New("encoding is of a newer version")
)

// Catalog is everything that is decided rather than measured. Treat it and all
// it refers to as immutable.
type Catalog struct {
	// Version counts the changes that made this catalog.
	Version uint64
	// Projects are sorted by ID; dropped ones stay until they are purged.
	Projects []*Project
	// NextProject is the id that the next project gets; 0 stands for 1.
	NextProject ProjectID
	// Settings hold the cluster-wide settings that differ from their defaults.
	Settings map[string]string
	// Grants is the SQL gateway's users and privileges in its own encoding,
	// opaque here.
	Grants []byte
	// EraseKey is that of the hashes in Erasures, which are in the order in which they
	// began. Erased, sorted by shard, is what they removed.
	EraseKey EraseKey
	Erasures []Erasure
	Erased   []ErasedShard
	// Stage is the change of the indexer's version under way, nil for none.
	Stage *Stage

	// names finds live projects by name, token and secret. It is shared by the
	// catalogs between which none of those changed; nil means search.
	names *names
	// suppressions finds erasures; nil without any. Apply and the decoder make it.
	suppressions *suppressions
}

// Limits on what a catalog may hold.
const (
	MaxProjectName    = 64      // characters, as MySQL's identifiers
	MaxColumnName     = 64      // characters, as MySQL's identifiers
	MaxPropertyName   = 255     // bytes
	MaxColumns        = 4000    // property columns of a project; the rest is in properties only
	MaxProjects       = 100_000 // dropped ones included
	MaxBuckets        = 1024
	MaxToken          = 255 // bytes of a token or secret
	MaxGrants         = 64 << 20
	MaxPolicies       = 1000 // rules of a project
	MaxTruncations    = 1000 // of a project
	MaxViews          = 1000 // of a project
	MaxViewName       = 64   // characters
	MaxViewDefinition = 1 << 16
	MaxWriteQuorum    = 8       // members that a project's events have to be on
	MaxObserved       = 1 << 16 // properties in one Observe
	MaxSettingValue   = 255
)

// Project returns the live project of that name; names compare exactly as
// MySQL's do on Linux.
func (c *Catalog) Project(name string) (*Project, bool) {
	if c.names != nil {
		p, ok := c.names.of(c.Projects).byName[name]
		if !ok {
			return nil, false
		}
		return c.ProjectByID(p)
	}
	for _, p := range c.Projects {
		if p.Name == name && p.DroppedAt == 0 {
			return p, true
		}
	}
	return nil, false
}

// ProjectByID returns the project with that id, dropped or not.
func (c *Catalog) ProjectByID(id ProjectID) (*Project, bool) {
	i := sort.Search(len(c.Projects), func(i int) bool { return c.Projects[i].ID >= id })
	if i == len(c.Projects) || c.Projects[i].ID != id {
		return nil, false
	}
	return c.Projects[i], true
}

// ProjectByToken returns the live project that the token or secret opens.
func (c *Catalog) ProjectByToken(token string) (*Project, bool) {
	if token == "" {
		return nil, false
	}
	if c.names != nil {
		p, ok := c.names.of(c.Projects).byToken[token]
		if !ok {
			return nil, false
		}
		return c.ProjectByID(p)
	}
	for _, p := range c.Projects {
		if p.DroppedAt == 0 && (p.Token == token || p.Secret == token) {
			return p, true
		}
	}
	return nil, false
}

// names is made when first asked for, from the projects of the catalog that is
// asked; those that share it agree on every name and token.
type names struct {
	once    sync.Once
	byName  map[string]ProjectID
	byToken map[string]ProjectID
}

func (n *names) of(projects []*Project) *names {
	n.once.Do(func() {
		n.byName = make(map[string]ProjectID, len(projects))
		n.byToken = make(map[string]ProjectID, 2*len(projects))
		for _, p := range projects {
			if p.DroppedAt != 0 {
				continue
			}
			n.byName[p.Name] = p.ID
			n.byToken[p.Token] = p.ID
			n.byToken[p.Secret] = p.ID
		}
	})
	return n
}
