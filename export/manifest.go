package export

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// manifestVersion is that of the manifests that are written and read.
const manifestVersion = 1

// Manifest says what an export holds. It is written last, as _manifest.json.
type Manifest struct {
	Version    int       `json:"version"`
	Name       string    `json:"name"`
	Project    string    `json:"project"`
	ProjectID  uint32    `json:"project_id"`
	Format     string    `json:"format"`
	Since      string    `json:"since,omitempty"`
	CreatedBy  string    `json:"created_by"`
	BeganAt    time.Time `json:"began_at"`
	FinishedAt time.Time `json:"finished_at"`
	Columns    []Column  `json:"columns"`
	// Files are those with events, of which there is at least one.
	Files []File `json:"files"`
	// Events and Digest are of all files together.
	Events int64  `json:"events"`
	Digest string `json:"events_digest"`
	// Held lists all that was visible, and Removed what the export before held besides.
	Held    File  `json:"held"`
	Removed *File `json:"removed,omitempty"`
	// Days are those with visible events, ascending.
	Days []Day `json:"days"`
}

// Column is a column of the events.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// File is a file of an export. Its Digest is the sum of hashes of its rows, see Digest.
type File struct {
	File   string `json:"file"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Digest string `json:"events_digest,omitempty"`
}

// Day is what was visible of a UTC day. While its State is the same, so are its events;
// an empty one says nothing.
type Day struct {
	Day    string `json:"day"`
	Events int64  `json:"events"`
	State  string `json:"state,omitempty"`
}

func (d Day) number() (catalog.Day, error) {
	t, err := time.Parse(time.DateOnly, d.Day)
	if err != nil {
		return 0, fmt.Errorf("%s: day %.20q", manifestName, d.Day)
	}
	return catalog.DayOf(t.UnixMicro()), nil
}

// columnsOf lists a schema's columns for people; the files have the schema itself.
func columnsOf(schema *arrow.Schema) []Column {
	columns := make([]Column, schema.NumFields())
	for i, f := range schema.Fields() {
		columns[i] = Column{f.Name, f.Type.String()}
	}
	return columns
}

// addFiles adds the files of events.
func (m *Manifest) addFiles(files []written) {
	var sum Digest
	for _, f := range files {
		m.Files = append(m.Files, f.file)
		m.Events += f.file.Rows
		sum = sum.Add(f.digest)
	}
	m.Digest = sum.String()
}

// write writes the manifest and the list of checksums, durably.
func (m *Manifest) write(files vfs.FS, dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	all := append(append([]File(nil), m.Files...), m.Held)
	if m.Removed != nil {
		all = append(all, *m.Removed)
	}
	var sums strings.Builder
	for _, f := range all {
		fmt.Fprintf(&sums, "%s  %s\n", f.SHA256, f.File)
	}
	if err := writeFile(files, path.Join(dir, sumsName), []byte(sums.String())); err != nil {
		return err
	}
	return writeFile(files, path.Join(dir, manifestName), append(text, '\n'))
}

// writeFile writes a file and syncs it.
func writeFile(files vfs.FS, name string, text []byte) error {
	f, err := files.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
