package member

import (
	"context"
	"net"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// TestNoLeaderNoColumnsButEvents: without a leader a change is refused, but new
// columns are only late.
func TestNoLeaderNoColumnsButEvents(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	second := first.joins(vfs.NewMem())
	defer second.close()
	project := second.member.Catalog().Projects[0].ID
	disk, at := first.disk, first.member.o.Place.Listen
	first.close()
	waitFor(t, "there is no leader", func() bool { _, ok := second.member.group.Load().Leader(); return !ok })
	seen := catalog.Observe{Project: project, Properties: []catalog.Observed{{Name: "colour", Kind: catalog.KindString}}}
	if c, err := second.member.Change(t.Context(), seen); err != nil || len(c.Projects) != 1 {
		t.Errorf("new columns without a leader: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := second.member.Change(ctx, catalog.CreateProject{Name: "x"}); err == nil {
		t.Error("a project was created without a leader")
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	if first, err = start(t, disk, l); err != nil {
		t.Fatal(err)
	}
	defer first.close()
	waitFor(t, "the column is made", func() bool { return len(first.member.Catalog().Projects[0].Columns) == 1 })
}
