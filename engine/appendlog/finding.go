package appendlog

import "fmt"

// Finding is a stretch of a segment that Open could not take as it is.
type Finding struct {
	// Segment and File name it; Offset and Bytes are the stretch.
	Segment       uint64
	File          string
	Offset, Bytes int64
	// Damaged tells bytes that were acknowledged, or may have been, from the torn
	// end of a group that nobody was told was written.
	Damaged bool
	Reason  string
}

// CorruptError is damage at a place. It is an ErrCorrupt.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s at byte %d: %s: %v", e.File, e.Offset, e.Reason, ErrCorrupt)
}

// Unwrap makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }
