package cluster

import (
	"context"

	"arbor/catalog"
	"arbor/cluster/tables"
)

// Catalogs keep the catalog and the mutable tables that are in force: Metadata for a member alone, the
// metadata that members agree on for those of a cluster.
type Catalogs interface {
	// Catalog is the catalog in force on this member.
	Catalog() *catalog.Catalog
	// Follow has told called with the catalog in force, and with every later one,
	// in order, before it is in force. There is one follower.
	Follow(told func(*catalog.Catalog))
	// Change makes a change durable. It gives the catalog that it made, or a later
	// one that has it, which is then in force here.
	Change(ctx context.Context, change catalog.Change) (*catalog.Catalog, error)

	// Tables are the mutable tables in force on this member.
	Tables() *tables.State
	// ChangeTables makes a change of the tables durable, as Change does. An error
	// that is one of package tables' says that it was not made.
	ChangeTables(ctx context.Context, change tables.Change) (*tables.State, error)
	// PurgeTables waits until the tables on this member are as wanted, and leaves
	// nothing on its disk of what they were before. It may be repeated.
	PurgeTables(ctx context.Context, wanted func(*tables.State) bool) error
}
