package engine

import (
	"flag"
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets garbage grow to four times what lives before it is collected: these tests
// allocate much and keep little, and collecting took a fourth of their time. Benchmarks
// collect as a server does.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(m.Run())
}

// skipShort leaves out, under the race detector, what does one thing after the other and
// would take long there; others do them at once.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("one thing after the other, and not in short mode")
	}
}
