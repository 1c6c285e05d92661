package indexfile

import (
	"sync"
	"unsafe"

	"arbor/catalog"
)

// A Builder's arrays are long, and making them anew for each file is dear: the system gives
// their memory page by page, and the collector runs the more often the more of it was used.
// So the long ones of a file that is written are kept for the next one, until the collector
// has run twice and nobody wanted them.
var (
	spareTimes spares[int64]
	spareIDs   spares[catalog.IngestID]
	sparePacks spares[[16]byte]
	spareForms spares[Form]
	spareCodes spares[uint32]
)

// leastSpare and mostSpare are how many bytes an array has that is kept.
const (
	leastSpare = 64 << 10
	mostSpare  = 32 << 20
)

// spares are arrays that nobody uses.
type spares[T element] struct{ pool sync.Pool }

// get gives an empty array with room for n elements.
func (s *spares[T]) get(n int) []T {
	var t T
	if n*int(unsafe.Sizeof(t)) >= leastSpare {
		if a, _ := s.pool.Get().(*[]T); a != nil && cap(*a) >= n {
			return *a
		}
	}
	return make([]T, 0, n)
}

// put takes an array that is not used any more.
func (s *spares[T]) put(a []T) {
	var t T
	if n := cap(a) * int(unsafe.Sizeof(t)); n >= leastSpare && n <= mostSpare {
		a = a[:0]
		s.pool.Put(&a)
	}
}
