package indexfile

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"path"
	"strings"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// BuilderOptions say how a file is built.
type BuilderOptions struct {
	// Rows is about how many rows will come, if that is known.
	Rows int
}

// Builder collects rows and writes them as a file. It is for one goroutine.
type Builder struct {
	rows []Row
}

// NewBuilder returns an empty Builder.
func NewBuilder(o BuilderOptions) *Builder {
	return &Builder{rows: make([]Row, 0, o.Rows)}
}

// Rows is the number of rows added.
func (b *Builder) Rows() int { return len(b.rows) }

// Add takes the next row, which must come after the last one in the order of
// Row.Compare; equal rows may follow each other. Its bytes are copied.
func (b *Builder) Add(r *Row) error {
	if err := r.check(); err != nil {
		return err
	}
	if n := len(b.rows); n > 0 && b.rows[n-1].Compare(r) > 0 {
		return fmt.Errorf("row %s of %q after %s of %q: %w", r.ID, r.DistinctID, b.rows[n-1].ID, b.rows[n-1].DistinctID, ErrOrder)
	}
	c := *r
	c.Name, c.DistinctID, c.InsertID = strings.Clone(r.Name), strings.Clone(r.DistinctID), strings.Clone(r.InsertID)
	c.Properties = make([]catalog.Property, len(r.Properties))
	for i, p := range r.Properties {
		p.Name, p.Value.Text = strings.Clone(p.Name), strings.Clone(p.Value.Text)
		c.Properties[i] = p
	}
	b.rows = append(b.rows, c)
	return nil
}

// Write writes the file dir/name: under a temporary name first, synced, then
// renamed, and the directory synced. The Builder is spent afterwards.
func (b *Builder) Write(fs vfs.FS, dir, name string, m Meta) error {
	if err := b.write(fs, dir, name, m); err != nil {
		return fmt.Errorf("write indexed file %s: %w", path.Join(dir, name), err)
	}
	return nil
}

func (b *Builder) write(fs vfs.FS, dir, name string, m Meta) error {
	var data bytes.Buffer
	if err := gob.NewEncoder(&data).Encode(contents{Rows: b.rows, Meta: m}); err != nil {
		return err
	}
	tmp := path.Join(dir, name+".tmp")
	f, err := fs.Create(tmp)
	if err != nil {
		return err
	}
	if _, err := f.Write(data.Bytes()); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := fs.Rename(tmp, path.Join(dir, name)); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}

type contents struct {
	Rows []Row
	Meta Meta
}
