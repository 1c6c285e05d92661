package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Errors that this package wraps.
var (
	// ErrCorrupt: an object of a store is not what was put there.
	ErrCorrupt = errors.New("object is not what was stored")
	// ErrMissing: an object that must be in a store is not.
	ErrMissing = errors.New("object is missing")
	// ErrVersion: a manifest was written by a newer arbor.
	ErrVersion = errors.New("manifest is of a newer version")
	// ErrNoManifest: there is no backup that fits.
	ErrNoManifest = errors.New("there is no such backup")
)

// Version is the newest of the manifests that we read. Version 2 is of clusters; a
// manifest of anything else has version 1 still.
const (
	Version        = 2
	versionCluster = 2
)

// ClusterMember is the name under which all members of a cluster are one: what each of
// them gave is restored together.
const ClusterMember = "cluster"

// Where objects are in a bucket.
const (
	FilesPrefix     = "arbor/files/"
	ManifestsPrefix = "arbor/manifests/"
)

// Manifest says what one backup holds.
type Manifest struct {
	Version int `json:"version"`
	// At is when the first member's cut was made.
	At time.Time `json:"at"`
	// Previous is the ID of the backup before it, which holds half of that one's
	// hash; empty for the first.
	Previous string `json:"previous,omitempty"`
	// ReplayFrom is from when on a siphon has to replay what came in to make up
	// for what came after the backup.
	ReplayFrom time.Time `json:"replay_from"`
	// KeepUntil is when the backup may be forgotten.
	KeepUntil time.Time `json:"keep_until"`
	CreatedBy string    `json:"created_by,omitempty"`
	// Cluster says that the members are those of one cluster, and each shard is of one
	// of them.
	Cluster bool     `json:"cluster,omitempty"`
	Members []Member `json:"members"`
}

// Member is what one member held at its cut.
type Member struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
	// Catalog is the encoded catalog, at least as new as the data.
	Catalog        File   `json:"catalog"`
	CatalogVersion uint64 `json:"catalog_version"`
	// Tables are the encoded mutable tables, not there in a backup without any.
	Tables *File   `json:"tables,omitempty"`
	Shards []Shard `json:"shards"`
	// Log are the segments of the log up to the cut.
	Log []File `json:"log"`
	// Damaged are the shards that could not be read whole, so that the backup has
	// only what was logged of them, or those files of theirs that are well.
	Damaged []Damage `json:"damaged,omitempty"`
	// LogDamage says what is wrong with the log, of which nothing was copied then: what
	// could be read of it is in files.
	LogDamage string `json:"log_damage,omitempty"`
}

// ShardID names a shard.
type ShardID struct {
	Project uint32 `json:"project"`
	Day     string `json:"day"`
	Bucket  uint16 `json:"bucket"`
}

func (s ShardID) String() string { return fmt.Sprintf("%d/%s/%d", s.Project, s.Day, s.Bucket) }

// Total is what a shard comes to: its records, physical repeats once, their
// digest, and the events that are visible.
type Total struct {
	Records uint64 `json:"records"`
	Visible int64  `json:"visible"`
	Digest  string `json:"digest"`
}

// Shard is a shard's indexed files, and what it came to with what was logged.
type Shard struct {
	ShardID
	Total
	Files []File `json:"files,omitempty"`
}

// Damage says why a shard is not whole.
type Damage struct {
	ShardID
	Reason string `json:"reason"`
}

// File is a file of a data directory. Hash is the SHA-256 of its bytes.
type File struct {
	Path   string `json:"path"`
	Hash   string `json:"sha256"`
	Size   int64  `json:"size"`
	Rows   int64  `json:"rows,omitempty"`
	Digest string `json:"digest,omitempty"`
}

// Complete reports whether nothing was damaged.
func (m *Manifest) Complete() bool {
	return !slices.ContainsFunc(m.Members, func(m Member) bool { return len(m.Damaged) > 0 })
}

// Files are all files of the manifest, those of all members.
func (m *Manifest) Files() (files []File) {
	for i := range m.Members {
		files = append(files, m.Members[i].Files()...)
	}
	return files
}

// Files are all files of the member, the catalog last but for the tables.
func (m *Member) Files() (files []File) {
	for i := range m.Shards {
		files = append(files, m.Shards[i].Files...)
	}
	files = append(files, m.Log...)
	files = append(files, m.Catalog)
	if m.Tables != nil {
		files = append(files, *m.Tables)
	}
	return files
}

// Bytes is how long all files are.
func (m *Member) Bytes() (n int64) {
	for _, f := range m.Files() {
		n += f.Size
	}
	return n
}

// Member finds a member by name; the only one has any name that is empty. Those of a
// cluster are not told apart.
func (m *Manifest) Member(name string) (*Member, error) {
	if m.Cluster && (name == "" || name == ClusterMember) {
		return m.whole(), nil
	}
	var names []string
	for i := range m.Members {
		if m.Members[i].Name == name || name == "" && len(m.Members) == 1 {
			return &m.Members[i], nil
		}
		names = append(names, m.Members[i].Name)
	}
	return nil, fmt.Errorf("the backup is of the members %s: name one of them", strings.Join(names, ", "))
}

// Parts are what can be restored from the backup: each member, or all of a cluster.
func (m *Manifest) Parts() (parts []*Member) {
	if m.Cluster {
		return []*Member{m.whole()}
	}
	for i := range m.Members {
		parts = append(parts, &m.Members[i])
	}
	return parts
}

// whole is what all members of a cluster gave, as one member's. The log of each is an
// empty segment, of which the last one is behind all that any file was made of.
func (m *Manifest) whole() *Member {
	w := &Member{Name: ClusterMember, At: m.At}
	for i := range m.Members {
		part := &m.Members[i]
		if i == 0 || part.CatalogVersion > w.CatalogVersion {
			w.Catalog, w.CatalogVersion, w.Tables = part.Catalog, part.CatalogVersion, part.Tables
		}
		if w.LogDamage == "" {
			w.LogDamage = part.LogDamage
		}
		w.Shards, w.Damaged = append(w.Shards, part.Shards...), append(w.Damaged, part.Damaged...)
		for _, f := range part.Log {
			if len(w.Log) == 0 || f.Path > w.Log[0].Path {
				w.Log = []File{f}
			}
		}
	}
	return w
}

const momentLayout = "20060102T150405.000000Z"

// encode gives the manifest's bytes and the ID that they have.
func (m *Manifest) encode() (id string, content []byte, err error) {
	content, err = json.MarshalIndent(m, "", " ")
	if err != nil {
		return "", nil, fmt.Errorf("encode manifest: %w", err)
	}
	return manifestID(m.At, content), content, nil
}

func manifestID(at time.Time, content []byte) string {
	sum := sha256.Sum256(content)
	return at.UTC().Format(momentLayout) + "-" + hex.EncodeToString(sum[:16])
}

func manifestKey(id string) string { return ManifestsPrefix + id + ".json" }

// idOfKey is the manifest that a key names, and its moment.
func idOfKey(key string) (id string, at time.Time, ok bool) {
	id, ok = strings.CutSuffix(path.Base(key), ".json")
	moment, sum, cut := strings.Cut(id, "-")
	at, err := time.Parse(momentLayout, moment)
	return id, at, ok && cut && err == nil && len(sum) == 32
}

// decodeManifest reads a manifest, which must have the ID.
func decodeManifest(id string, content []byte) (*Manifest, error) {
	var m Manifest
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(&m); err != nil {
		return nil, fmt.Errorf("manifest %s: %w: %w", id, ErrCorrupt, err)
	}
	if got := manifestID(m.At, content); got != id {
		return nil, fmt.Errorf("manifest %s: its content is that of %s: %w", id, got, ErrCorrupt)
	}
	if m.Version > Version {
		return nil, fmt.Errorf("manifest %s is of version %d, this arbor knows %d: %w", id, m.Version, Version, ErrVersion)
	}
	for _, f := range m.Files() {
		if err := f.valid(); err != nil {
			return nil, fmt.Errorf("manifest %s: %w", id, err)
		}
	}
	return &m, nil
}

var (
	hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// Nothing is restored outside of the directory, whatever a manifest says.
	pathForm = regexp.MustCompile(`^(shards/[0-9]+/-?[0-9]{4,}-[0-9]{2}-[0-9]{2}/[0-9]+/[0-9a-z.-]+\.idx|log/[0-9]+\.log|catalog\.bin|tables\.bin)$`)
)

func (f *File) valid() error {
	if !hashForm.MatchString(f.Hash) || !pathForm.MatchString(f.Path) || f.Size < 0 {
		return fmt.Errorf("file %q of hash %q: %w", f.Path, f.Hash, ErrCorrupt)
	}
	return nil
}

// objectKey is where a file of that hash is in a bucket.
func objectKey(hash string) string { return FilesPrefix + hash[:2] + "/" + hash }

// sum is a hash as manifests write it.
func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
