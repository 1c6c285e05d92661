package gateway

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
)

// TestClocks: what a session sees of a moment names that moment again, alone or, where
// clocks are set back, as one of two.
func TestClocks(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for _, name := range []string{"UTC", "+05:30", "-11:00", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia"} {
		place, ok := zoneNamed(name)
		if !ok {
			t.Fatalf("no time zone %s", name)
		}
		c := clocks{place: place, columns: []int{0}}
		for range 5000 {
			at := time.UnixMicro(1 + random.Int64N(2_100_000_000_000_000)).UTC()
			if _, end := at.In(place).ZoneBounds(); !end.IsZero() && random.IntN(2) == 0 { // near a change of the clocks
				at = end.Add(time.Duration(random.Int64N(int64(4*time.Hour))) - 2*time.Hour).UTC().Truncate(time.Microsecond)
			}
			if zeroMoment(at) || at.After(lastTimestamp) {
				continue
			}
			row := sql.Row{at}
			c.show(row)
			found := 0
			for _, r := range c.seen(row) {
				if r[0].(time.Time).Equal(at) {
					found++
				}
				if shown := shownAt(r[0].(time.Time), place); !shown.Equal(row[0].(time.Time)) {
					t.Fatalf("%s: %s is seen as %s, and found as %s, which is seen as %s", name, at, row[0], r[0], shown)
				}
			}
			if found != 1 {
				t.Fatalf("%s: %s is seen as %s, by which it is found %d times", name, at, row[0], found)
			}
			stored, err := c.store(row, func(int) string { return "ts" })
			if err != nil {
				t.Fatalf("%s: %s: %v", name, at, err)
			}
			if back := stored[0].(time.Time); back.After(at) || !shownAt(back, place).Equal(row[0].(time.Time)) {
				t.Fatalf("%s: %s is seen as %s and stored as %s", name, at, row[0], back)
			}
		}
	}
}
