package whole

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"arbor/sqltests/server"
)

// TestDamagedLog flips a byte in the log: the server says what to do, and
// --salvage starts it with what is left and an alarm.
func TestDamagedLog(t *testing.T) {
	s := server.Start(t)
	s.Exec(t, "CREATE DATABASE shop", "CALL arbor.set_setting('seal_after_age', '1h')")
	for _, id := range []string{"1", "2", "3"} {
		s.Exec(t, "INSERT INTO shop.events (event, time, distinct_id, insert_id) VALUES ('a', '2026-01-01', 'u', '"+id+"')")
	}
	s.Stop(t)
	segments, _ := filepath.Glob(filepath.Join(s.Data, "log", "*.log"))
	if len(segments) != 1 {
		t.Fatalf("segments: %q, want one", segments)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	data[200] ^= 1 // in the first record
	if err := os.WriteFile(segments[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "serve", "--data", s.Data, "--mysql", "127.0.0.1:0", "--http", "127.0.0.1:0")
	if err == nil || !strings.Contains(out, segments[0]) || !strings.Contains(out, "--salvage") {
		t.Fatalf("got %v: %s; want the damaged file and the way out", err, out)
	}
	salvaged := server.StartOver(t, s.Data, "--salvage")
	if got := salvaged.QueryOne(t, "SELECT COUNT(*) FROM shop.events"); got != "2" {
		t.Errorf("%s events, want the two that can be read", got)
	}
	if got := salvaged.QueryOne(t, "SELECT COUNT(*) > 0 FROM arbor.alarms"); got != "1" {
		t.Error("nothing in arbor.alarms says what was lost")
	}
}
