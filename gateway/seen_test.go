package gateway

import "testing"

// Events of a kind without properties leave nothing behind.
func TestSeenKindsWithoutProperties(t *testing.T) {
	var s seenProperties
	for range 1000 {
		s.add(nil, 1)
	}
	if len(s.came) > 1 {
		t.Errorf("one kind came %d times", len(s.came))
	}
}
