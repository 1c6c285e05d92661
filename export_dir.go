package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/engine/vfs"
	"arbor/export"
	"arbor/gateway"
)

// openExports opens the directory that files are exported into, if one is given.
func openExports(dir string, m *member) (gateway.Exports, func() error, error) {
	if dir == "" {
		return nil, func() error { return nil }, nil
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("--export-dir %s: %w", dir, err)
	}
	d, err := export.Open(vfs.OS(), root)
	if errors.Is(err, vfs.ErrLocked) {
		return nil, nil, fmt.Errorf("--export-dir %s is in use by another arbor process; give this one its own", dir)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("--export-dir: %w", err)
	}
	return exporter{d, m}, d.Close, nil
}

// exporter is the directory as the gateway knows it, with exports shown as jobs.
type exporter struct {
	*export.Dir
	member *member
}

// Begin begins an export of events.
func (e exporter) Begin(r gateway.ExportRequest) (gateway.ExportFiles, error) {
	x, err := e.Dir.Begin(export.Options{Name: r.Name, Format: r.Format, Since: r.Since, Project: r.Project.Name, ProjectID: uint32(r.Project.ID),
		Schema: r.Schema, CreatedBy: version()})
	if err != nil {
		return nil, err
	}
	return &exportJob{Export: x, directory: filepath.Join(e.Root(), r.Name), work: e.member.engine.StartWork("export")}, nil
}

// File begins a file with the rows of an answer.
func (e exporter) File(name string, schema *arrow.Schema) (gateway.ExportFile, error) {
	f, err := e.Dir.File(name, schema)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Refuses says whether an error is about what was asked for.
func (e exporter) Refuses(err error) bool {
	for _, refusal := range []error{export.ErrName, export.ErrExists, export.ErrFormat, export.ErrSince} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// exportJob is an export under way. It belongs to one goroutine.
type exportJob struct {
	*export.Export
	directory string
	work      interface {
		Progress(done, total int64)
		Finish(message string, err error)
	}
	ended bool
}

// Progress says how much is done.
func (j *exportJob) Progress(done, total int64) { j.work.Progress(done, total) }

// Commit ends the export.
func (j *exportJob) Commit() (gateway.ExportedFiles, error) {
	m, err := j.Export.Commit()
	if err != nil {
		j.end("", err)
		return gateway.ExportedFiles{}, err
	}
	made := gateway.ExportedFiles{Directory: j.directory, Files: len(m.Files), Events: m.Events, Visible: m.Held.Rows, Bytes: m.Held.Bytes, Digest: m.Digest}
	for _, f := range m.Files {
		made.Bytes += f.Bytes
	}
	if m.Removed != nil {
		made.Removed = m.Removed.Rows
		made.Bytes += m.Removed.Bytes
	}
	j.end(fmt.Sprintf("%s: %d events in %d files, %d removed", m.Name, m.Events, len(m.Files), made.Removed), nil)
	return made, nil
}

// Abort gives the export up, if it has not ended.
func (j *exportJob) Abort() error {
	j.end("", errors.New("the export was given up; its statement's error says why"))
	return j.Export.Abort()
}

func (j *exportJob) end(message string, err error) {
	if !j.ended {
		j.ended = true
		j.work.Finish(message, err)
	}
}
