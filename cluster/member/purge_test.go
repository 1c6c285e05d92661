package member

import (
	"path"
	"testing"

	"arbor/cluster/tables"
	"arbor/engine/vfs"
)

// TestPurgeTables: a member that purges waits for the tables that are wanted, and keeps
// nothing of those that it had before there was a cluster.
func TestPurgeTables(t *testing.T) {
	disk := vfs.NewMem()
	before := []string{"data/catalog/tables/log/1.log", "data/catalog/tables/trash/0.log"}
	for _, name := range before {
		if err := disk.MkdirAll(path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		f, err := disk.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := founded(t, disk, listen(t))
	defer s.close()
	if err := Retire(disk, "data"); err != nil {
		t.Fatal(err)
	}
	wanted := func(s *tables.State) bool { _, ok := s.Table(1, "t"); return ok }
	purged := make(chan error, 1)
	go func() { purged <- s.member.PurgeTables(t.Context(), wanted) }()
	if _, err := s.member.ChangeTables(t.Context(), tables.Change{{Op: tables.OpCreate, Project: 1, Name: "t"}}); err != nil {
		t.Fatal(err)
	}
	if err := <-purged; err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"data/cluster/tables-before", "data/catalog/tables/trash", "data/catalog/tables/log"} {
		if names, err := disk.List(dir); err != nil || len(names) > 0 {
			t.Errorf("%s has %q: %v", dir, names, err)
		}
	}
}
