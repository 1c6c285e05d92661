package catalog

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var canaryA, canaryB = MemberKey{0: 1}, MemberKey{0: 2, 15: 9}

// staged are changes that stage a version on two members, stop it and roll it back.
func staged() []Change {
	return []Change{
		SetSetting{SettingIndexVersion, "1"},
		BeginStage{To: 2, Members: []MemberKey{canaryB, canaryA, canaryB}, Since: 100, Until: 200},
		StopStage{Since: 100, At: 150, Reason: "they differ"},
		RollBackStage{Since: 100},
		RolledBack{Since: 100, Member: canaryA},
		RolledBack{Since: 100, Member: canaryB},
	}
}

// TestStage: canaries alone index by the staged version, while it runs.
func TestStage(t *testing.T) {
	c := &Catalog{}
	versions := func() [3]uint32 {
		return [3]uint32{c.IndexVersionOn(canaryA), c.IndexVersionOn(canaryB), c.IndexVersionOn(MemberKey{})}
	}
	for i, want := range [][3]uint32{{1, 1, 1}, {2, 2, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}} {
		c = apply(t, c, staged()[i])
		if got := versions(); got != want {
			t.Errorf("after change %d: %v, want %v", i, got, want)
		}
		on := [2]bool{c.StageOn(canaryA) != nil, c.StageOn(canaryB) != nil}
		if want := [][2]bool{{}, {true, true}, {true, true}, {true, true}, {false, true}, {}}[i]; on != want {
			t.Errorf("after change %d there is a stage on %v, want %v", i, on, want)
		}
		b := c.Encode()
		d, err := DecodeCatalog(b)
		if diff := cmp.Diff(c, d, same); diff != "" || err != nil || string(d.Encode()) != string(b) {
			t.Errorf("after change %d: %v (-want +got):\n%s", i, err, diff)
		}
		if v := b[len(catalogKind)]; (v == stageVersion) != (c.Stage != nil) {
			t.Errorf("after change %d it is written in version %d", i, v)
		}
	}
	c = apply(t, c, staged()[1], PromoteStage{Since: 100})
	if got := versions(); got != [3]uint32{2, 2, 2} || c.Stage != nil {
		t.Errorf("promoted: %v", got)
	}
	c = apply(t, c, BeginStage{To: 1, Members: []MemberKey{canaryA}, Since: 300, Until: 300}, StopStage{Since: 300, At: 301, Reason: strings.Repeat("x", 3*maxStageReason)})
	if len(c.Stage.Reason) != maxStageReason {
		t.Errorf("the reason has %d bytes", len(c.Stage.Reason))
	}
	if _, err := DecodeCatalog(c.Encode()); err != nil {
		t.Error(err)
	}
	// It may be right all the same.
	if c = apply(t, c, PromoteStage{Since: 300}); c.IndexVersion() != 1 {
		t.Errorf("version %d is in force", c.IndexVersion())
	}
}

// TestStageRefuses: what cannot be changes nothing.
func TestStageRefuses(t *testing.T) {
	none := apply(t, &Catalog{}, staged()[0])
	running := apply(t, none, staged()[1])
	back := apply(t, running, RollBackStage{Since: 100})
	canaries := func(n int) (all []MemberKey) {
		for i := range n {
			all = append(all, MemberKey{0: byte(i), 1: 1})
		}
		return all
	}
	one := canaries(1)
	for name, test := range map[string]struct {
		on     *Catalog
		change Change
		want   error
	}{
		"two at once":              {running, staged()[1], ErrStaged},
		"a setting under it":       {running, staged()[0], ErrStaged},
		"nobody":                   {none, BeginStage{To: 2}, ErrLimit},
		"too many":                 {none, BeginStage{To: 2, Members: canaries(MaxCanaries + 1)}, ErrLimit},
		"version 0":                {none, BeginStage{Members: one}, ErrSetting},
		"a version past all":       {none, BeginStage{To: maxIndexVersion + 1, Members: one}, ErrSetting},
		"the version in force":     {none, BeginStage{To: 1, Members: one}, ErrSetting},
		"too long":                 {none, BeginStage{To: 2, Members: one, Until: MaxStageTime.Microseconds() + 1}, ErrLimit},
		"over before it begins":    {none, BeginStage{To: 2, Members: one, Since: 2, Until: 1}, ErrLimit},
		"stop nothing":             {none, StopStage{}, ErrNotStaged},
		"stop another":             {running, StopStage{Since: 99}, ErrNotStaged},
		"promote nothing":          {none, PromoteStage{}, ErrNotStaged},
		"promote another":          {running, PromoteStage{Since: 99}, ErrNotStaged},
		"promote what rolls back":  {back, PromoteStage{Since: 100}, ErrNotStaged},
		"roll back nothing":        {none, RollBackStage{}, ErrNotStaged},
		"roll back another":        {running, RollBackStage{Since: 99}, ErrNotStaged},
		"has rolled back too soon": {running, RolledBack{Since: 100, Member: canaryA}, ErrNotStaged},
		"has rolled back another":  {back, RolledBack{Since: 99, Member: canaryA}, ErrNotStaged},
	} {
		if _, err := test.on.Apply(test.change); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	apply(t, none, BeginStage{To: 2, Members: canaries(MaxCanaries), Until: MaxStageTime.Microseconds()})
	for name, test := range map[string]struct {
		on     *Catalog
		change Change
	}{
		"stopped twice":              {apply(t, running, staged()[2]), StopStage{Since: 100, Reason: "another"}},
		"stopped while it goes back": {back, staged()[2]},
		"rolled back twice":          {back, RollBackStage{Since: 100}},
		"no canary":                  {back, RolledBack{Since: 100, Member: MemberKey{7}}},
	} {
		if got, err := test.on.Apply(test.change); err != nil || got != test.on {
			t.Errorf("%s changes something: %v", name, err)
		}
	}
}

// TestStageGolden: the bytes of a stage and its changes are on disks.
func TestStageGolden(t *testing.T) {
	for i, want := range []string{
		"6172636301" + "14" + "02" + "02" + "01000000000000000000000000000000" + "02000000000000000000000000000009" + "c801" + "9003",
		"6172636301" + "15" + "c801" + "ac02" + "0b7468657920646966666572",
		"6172636301" + "17" + "c801",
		"6172636301" + "18" + "c801" + "01000000000000000000000000000000",
	} {
		change := staged()[i+1]
		if b, ok := change.(BeginStage); ok {
			b.Members = []MemberKey{canaryA, canaryB}
			change = b
		}
		b := EncodeChange(change)
		if got := hex.EncodeToString(b[:len(b)-4]); got != want {
			t.Errorf("%T is %s, was %s", change, got, want)
		}
		if got, err := DecodeChange(b); err != nil || !cmp.Equal(got, change) {
			t.Errorf("%T comes back as %v, %v", change, got, err)
		}
	}
	if b := EncodeChange(PromoteStage{Since: 100}); hex.EncodeToString(b[:len(b)-4]) != "617263630116c801" {
		t.Errorf("%x", b)
	}
	c := apply(t, &Catalog{}, staged()[:3]...)
	b := c.Encode()
	if !slices.Equal(b[:5], []byte("arca\x03")) || !strings.HasSuffix(hex.EncodeToString(b[:len(b)-4]), "01"+"02"+
		"02"+"01000000000000000000000000000000"+"02000000000000000000000000000009"+"c801"+"9003"+"01"+"ac02"+"0b7468657920646966666572") {
		t.Errorf("%x", b)
	}
}
