package gateway

import (
	"errors"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// Exports is where rows are written as files. main plugs it in, so that the gateway
// touches no file. Names that cannot be, or are taken, are its errors.
type Exports interface {
	// Root is the directory's path.
	Root() string
	// Begin begins an export of a project's events.
	Begin(ExportRequest) (ExportFiles, error)
	// File begins a file of an answer's rows, in the format that its name says.
	File(name string, schema *arrow.Schema) (ExportFile, error)
	// Refuses says whether an error is about what was asked for, and not the server's own.
	Refuses(error) bool
}

// ExportRequest says what an export is.
type ExportRequest struct {
	Name, Format, Since string
	Project             *catalog.Project
	Schema              *arrow.Schema
}

// ExportFiles are the files of an export that is being written, day by day and each
// day's buckets in their order. Commit or Abort ends it; after Commit, Abort does
// nothing.
type ExportFiles interface {
	// Days are those of which the export that this one follows held events.
	Days() []catalog.Day
	// State is what EndPart was told of a day then.
	State(day catalog.Day) string
	// Keep leaves a day as it was held then.
	Keep(day catalog.Day) error
	// BeginPart begins to take the events of a day up to a bucket, and gives how many
	// ids it has in memory for that.
	BeginPart(day catalog.Day, last uint16) (ids int, err error)
	// Take notes a visible event, and reports whether it is to be written.
	Take(bucket uint16, id [catalog.IngestIDSize]byte) bool
	Write(arrow.Record) error
	EndPart(state string) error
	// Forget takes back what EndPart was told of a day.
	Forget(day catalog.Day)
	// Progress says how many of how many events were looked at.
	Progress(done, total int64)
	Commit() (ExportedFiles, error)
	Abort() error
}

// ExportFile is a file that is being written. Commit or Abort ends it.
type ExportFile interface {
	Write(arrow.Record) error
	Commit() error
	Abort() error
}

// ExportedFiles is what an export has.
type ExportedFiles struct {
	Directory                       string
	Files                           int
	Events, Removed, Visible, Bytes int64
	Digest                          string
}

var errNoExports = refuse(erOptionPrevents, "HY000", "the server was not told where files may be written: start it with --export-dir DIRECTORY")

// erOptionPrevents is MySQL's ER_OPTION_PREVENTS_STATEMENT.
const erOptionPrevents = 1290

// exportError is an error of Exports as a client gets it.
func (g *Gateway) exportError(err error) error {
	var made interface{ SQLState() string }
	if err == nil || errors.As(err, &made) || !g.exports.Refuses(err) {
		return err
	}
	return refuse(erWrongArguments, "HY000", "%s", err)
}
