package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
)

// TestOneOfSeveralDoesNotErase: a member of a cluster says why, and changes nothing.
func TestOneOfSeveralDoesNotErase(t *testing.T) {
	c := open(t, &fakeLocal{})
	c.members = &Members{}
	_, _, err := c.EraseUser(t.Context(), catalog.BeginErasure{Project: 1}, time.Now)
	if !errors.Is(err, ErrNotErasable) || !strings.Contains(err.Error(), "member of a cluster") {
		t.Errorf("erasing gives %v", err)
	}
	if err := c.ResumeErasures(t.Context(), time.Now); err != nil {
		t.Errorf("going on with none gives %v", err)
	}
}
