package catalog

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWriteQuorum: a project has one of its own, within limits, until it is taken back;
// catalogs without any are written as before.
func TestWriteQuorum(t *testing.T) {
	plain := shop(t)
	c := apply(t, plain, SetWriteQuorum{Project: 1, Members: MaxWriteQuorum})
	if p, _ := c.ProjectByID(1); p.WriteQuorum != MaxWriteQuorum || !c.HasWriteQuorum() || plain.HasWriteQuorum() {
		t.Errorf("%d members, want %d", p.WriteQuorum, MaxWriteQuorum)
	}
	for _, x := range []*Catalog{c, apply(t, c, staged()[:2]...)} {
		b := x.Encode()
		if got := b[len(catalogKind)]; got != quorumVersion {
			t.Errorf("version %d, want %d", got, quorumVersion)
		}
		got, err := DecodeCatalog(b)
		if diff := cmp.Diff(x, got, same); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	back := apply(t, c, SetWriteQuorum{Project: 1})
	if back.HasWriteQuorum() || back.Encode()[len(catalogKind)] >= quorumVersion {
		t.Error("it was taken back, and the catalog is written as if it was not")
	}
	for text, x := range map[string]struct {
		change Change
		want   error
	}{
		"at most 8": {SetWriteQuorum{Project: 1, Members: MaxWriteQuorum + 1}, ErrLimit},
		"99":        {SetWriteQuorum{Project: 99, Members: 1}, ErrNoProject},
	} {
		if _, err := c.Apply(x.change); !errors.Is(err, x.want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v", x.change, err)
		}
	}
	change := SetWriteQuorum{Project: 1, Members: 3}
	if got, err := DecodeChange(EncodeChange(change)); err != nil || got != change {
		t.Errorf("got %#v, %v", got, err)
	}
	// A project with a greater one is corrupt.
	c.Projects[0].WriteQuorum++
	if _, err := DecodeCatalog(c.Encode()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("past the limit: %v", err)
	}
}
