package gateway

import (
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
)

func TestStatisticsCommand(t *testing.T) {
	c := newSQLWorld(t).serve(t)
	for range 2 {
		c.command([]byte{comStatistics})
		if line := string(c.read()); !strings.HasPrefix(line, "Uptime: ") || !strings.Contains(line, "  Questions: ") {
			t.Fatalf("COM_STATISTICS gives %q", line)
		}
		if _, last := c.query("SELECT 1"); errorCode(last) != 0 {
			t.Fatalf("a statement behind COM_STATISTICS: %q", last)
		}
	}
}

func TestSavepointsAreBounded(t *testing.T) {
	s := newSession("", sql.Client{User: "root"}, 1)
	for i := range maxSavepoints {
		if err := s.CreateSavepoint(nil, nil, strings.Repeat("s", i+1)); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := s.CreateSavepoint(nil, nil, "S"); err != nil { // takes the place of the first
		t.Error(err)
	}
	if err := s.CreateSavepoint(nil, nil, "more"); err == nil {
		t.Errorf("%d savepoints are taken", maxSavepoints+1)
	}
}
