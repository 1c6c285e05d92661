package wide

import (
	"bytes"
	"testing"
)

// TestCopy copies bytes between others, of which none changes.
func TestCopy(t *testing.T) {
	from := make([]byte, Size+2)
	for i := range from {
		from[i] = byte(i + 1)
	}
	to := make([]byte, Size+2)
	Copy(to[1:], from[1:])
	want := append(append([]byte{0}, from[1:1+Size]...), 0)
	if !bytes.Equal(to, want) {
		t.Errorf("copied %v, want %v", to, want)
	}
}

// TestCopyRefusesLess gives a byte too few, on either side.
func TestCopyRefusesLess(t *testing.T) {
	for _, sizes := range [][2]int{{Size - 1, Size}, {Size, Size - 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("to %d bytes %d are copied", sizes[0], sizes[1])
				}
			}()
			Copy(make([]byte, sizes[0]), make([]byte, sizes[1]))
		}()
	}
}
