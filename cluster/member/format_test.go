package member

import (
	"errors"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/vfs"
)

// TestMixedFormats: what a member does not know yet is not agreed on while it is one, and
// nobody who does not know it joins afterwards.
func TestMixedFormats(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	disk := vfs.NewMem()
	second := first.joins(disk)
	set := func(at *station, change catalog.Change, refusal string) {
		t.Helper()
		_, err := at.member.Change(t.Context(), change)
		if refusal == "" && err != nil || refusal != "" && (!errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), refusal)) {
			t.Errorf("%+v: %v, want %q", change, err, refusal)
		}
	}
	knows := func(format uint32) func() bool {
		return func() bool {
			for _, s := range []*station{first, second} {
				if self, ok := s.member.state().Member(second.member.ID()); !ok || self.Format != format {
					return false
				}
			}
			return true
		}
	}
	waitFor(t, "the second member says what it knows", knows(format))
	set(first, catalog.SetWriteQuorum{Project: 1, Members: 3}, "on 2 members, so 3")
	measures := func(want bool) {
		t.Helper()
		if first.member.Measures() != want {
			t.Errorf("fragments are measured: %t, want %t", !want, want)
		}
	}
	measures(true)

	second.close()
	l := listen(t)
	var err error
	if second, err = startAs(t, disk, l, formatQuorum-1); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the second member says that it is older", knows(formatQuorum-1))
	measures(false)
	for _, s := range []*station{first, second} {
		set(s, catalog.SetWriteQuorum{Project: 1, Members: 2}, "knows no write quorums")
		set(s, catalog.BeginErasure{Project: 1}, "would keep the user's rows")
		set(s, catalog.SetSetting{Name: catalog.SettingMoveRate, Value: "1MiB"}, "has no setting move_rate")
		set(s, catalog.SetSetting{Name: catalog.SettingScrubWholeEvery, Value: "1h"}, "has no setting scrub_whole_every")
	}
	set(first, catalog.CreateProject{Name: "blog"}, "")
	waitFor(t, "the older one follows", func() bool { return second.has("blog") })

	second.close()
	if second, err = start(t, disk, listen(t)); err != nil {
		t.Fatal(err)
	}
	defer func() { second.close() }()
	waitFor(t, "the second member was upgraded", knows(format))
	measures(true)
	set(second, catalog.SetWriteQuorum{Project: 1, Members: 2}, "")
	set(second, catalog.BeginErasure{Project: 1, ID: catalog.IngestID{Time: 1}, Key: catalog.EraseKey{1}}, "")
	waitFor(t, "all have it", func() bool {
		return first.member.Catalog().HasWriteQuorum() && second.member.Catalog().HasWriteQuorum()
	})
	set(first, catalog.SetSetting{Name: catalog.SettingReplicas, Value: "1"}, "arbor.set_write_quorum('shop', 1)")
	set(first, catalog.SetSetting{Name: catalog.SettingReplicas, Value: "2"}, "")
	join := Joining{FS: vfs.NewMem(), Dir: "data", At: first.member.o.Place.Addresses, Token: first.token(), Place: place(listen(t)), Release: "old", Format: formatQuorum - 1}
	if err := Join(t.Context(), join); err == nil || !strings.Contains(err.Error(), "a newer arbor") {
		t.Errorf("an older member joins: %v", err)
	}
}
