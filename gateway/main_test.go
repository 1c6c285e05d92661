package gateway

import (
	goflag "flag"
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets garbage grow to four times what lives before it is collected: these tests
// allocate much and keep little, and collecting took a fourth of their time. Benchmarks
// collect as a server does.
func TestMain(m *testing.M) {
	goflag.Parse()
	if goflag.Lookup("test.bench").Value.String() == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(m.Run())
}

// skipShort leaves out, under the race detector, what one connection does alone and what
// would take long there.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("one connection, and not in short mode")
	}
}
