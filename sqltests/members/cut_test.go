package members

import (
	"errors"
	"io"
	"testing"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/filesum"
	"arbor/sqltests/stack"
)

// TestCutOutlivesCleaning: what a backup under way has taken hold of on several members
// can be read to its end, whatever is merged and emptied from the trash meanwhile, and is
// let go of with the backup; a member that was started again has it no more.
func TestCutOutlivesCleaning(t *testing.T) {
	t.Parallel()
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 4})
	first, second := g.Members[0], g.Members[1]
	token := first.Project(t, "shop")
	first.Stack.Import(t, token, events(0, 200))
	ids := g.IDs()
	near := func(s catalog.Slot) string { return ids[int(s.Bucket)%len(ids)].String() }
	cuts, release, err := first.Parts.Cut(t.Context(), near)
	if err != nil {
		t.Fatal(err)
	}
	if len(cuts) != 3 {
		t.Fatalf("%d members give what three were to give", len(cuts))
	}
	first.Rows(t, "CALL arbor.set_setting('trash_retention', '0s')")
	first.Stack.Import(t, token, events(200, 300))
	for _, m := range g.Members {
		if err := m.Engine.Index(t.Context(), 0, true); err != nil {
			t.Fatal(err)
		}
		m.Tick(t)
	}
	files := func(each func(cut *cluster.MemberCut, path string, read io.Reader, sum func() (filesum.Sums, error))) (n int, records uint64) {
		for i := range cuts {
			for _, s := range cuts[i].Shards {
				records += s.Digest.Count
				for _, f := range s.Files {
					n++
					each(&cuts[i], f.Path, io.NewSectionReader(f.Content, 0, f.Size), func() (s filesum.Sums, err error) {
						s.Hash, s.Quick, err = f.Sum(t.Context())
						return s, err
					})
				}
			}
		}
		return n, records
	}
	n, records := files(func(cut *cluster.MemberCut, path string, read io.Reader, sum func() (filesum.Sums, error)) {
		want, _, err := filesum.Of(read)
		if err != nil {
			t.Errorf("%s of %s: %v", path, cut.Member, err)
		}
		if got, err := sum(); err != nil || got != want {
			t.Errorf("%s of %s has the sums %v, want %v, %v", path, cut.Member, got, want, err)
		}
	})
	if n < 4 || records != 200 {
		t.Errorf("%d files of %d records, want those of 200", n, records)
	}
	second.Close(t) // it does not wait for who needs its files
	second.Open(t)
	gone := 0
	files(func(cut *cluster.MemberCut, _ string, read io.Reader, _ func() (filesum.Sums, error)) {
		if _, err := io.Copy(io.Discard, read); (err != nil) != (cut.Member == second.ID.String()) {
			t.Errorf("a file of %s after another start of %s: %v", cut.Member, second.ID, err)
		} else if err != nil {
			gone++
		}
	})
	release()
	files(func(cut *cluster.MemberCut, _ string, read io.Reader, _ func() (filesum.Sums, error)) {
		if _, err := io.Copy(io.Discard, read); err == nil || cut.Member == first.ID.String() && !errors.Is(err, cluster.ErrCutGone) {
			t.Errorf("a file of %s after the release: %v", cut.Member, err)
		}
	})
	if gone == 0 {
		t.Error("nothing was gone")
	}
}
