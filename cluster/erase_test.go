package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
)

// TestWhoCannotErase: a storage that cannot erase says so, and nothing is changed.
func TestWhoCannotErase(t *testing.T) {
	c := open(t, &fakeLocal{})
	_, _, err := c.EraseUser(t.Context(), catalog.BeginErasure{Project: 1}, time.Now)
	if !errors.Is(err, ErrNotErasable) || !strings.Contains(err.Error(), "storage does not support it") {
		t.Errorf("erasing gives %v", err)
	}
	if err := c.ResumeErasures(t.Context(), time.Now); err != nil {
		t.Errorf("going on with none gives %v", err)
	}
}
