package cluster

import (
	"context"

	"arbor/catalog"
	"arbor/engine/exec"
)

// Local is this member's engine. main plugs it in, so that neither imports the
// other. All methods may be called at once from many goroutines.
type Local interface {
	// SetCatalog makes c the catalog in force: whatever starts after it
	// returns sees c.
	SetCatalog(c *catalog.Catalog)

	// Append makes records durable: each is an encoded event.Batch. When it
	// returns nil all of them are on disk; when it returns an error each of
	// them may or may not be, and appending it again is harmless.
	Append(ctx context.Context, records [][]byte) error

	// Duplicates counts the events of the given records (as given to Append,
	// which has returned) that are hidden as duplicates now.
	Duplicates(ctx context.Context, records [][]byte) (int64, error)

	// Scan gives the fragment's rows, batch by batch, from a view taken when it
	// starts, in no particular order. A batch is valid until yield returns; an
	// error from yield ends the scan and is returned. Yield is never called from
	// two goroutines at once.
	Scan(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error)

	// Execute gives the answer of a fragment with a group, as Fragment.Group says,
	// from views taken when it starts. Batches stay valid.
	Execute(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error)

	// Describe gives the rows of one of the tables that DescribeTables names.
	Describe(ctx context.Context, table string) (*exec.Table, error)

	// Index seals and indexes what the project has in logs; closeDays also
	// makes each shard's files one. Project 0 means all. It returns when done.
	Index(ctx context.Context, project catalog.ProjectID, closeDays bool) error

	// Check re-reads all that the project has and compares it with its
	// checksums and digests: one row a file or log, with what is wrong.
	Check(ctx context.Context, project catalog.ProjectID) (*exec.Table, error)
}

// DescribeTables are the tables that Local.Describe gives: shards, sizes, files,
// digests, balance, duplicates, jobs, deletes, alarms.
var DescribeTables = []string{"shards", "sizes", "files", "digests", "balance", "duplicates", "jobs", "deletes", "alarms", "loss"}
