package gateway

import (
	"fmt"
	"strings"
	"testing"

	"arbor/engine/exec"
)

// TestQueryMemorySetting lowers the limit of a statement's memory and raises it again.
func TestQueryMemorySetting(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop")
	var values []string
	for i := range 30 {
		values = append(values, fmt.Sprintf("('e', '2026-01-10', 'i%d')", i))
	}
	w.must("INSERT INTO events (event, time, insert_id) VALUES " + strings.Join(values, ", "))
	c := newPlanClient(t, w, "root", w.listen())
	c.exec("USE shop")
	const joins = "SELECT JSON_LENGTH(JSON_ARRAYAGG(REPEAT(CONCAT(event, insert_id), 25000))) FROM events"
	if _, _, err := c.rows(joins); err != nil {
		t.Error(err)
	}
	c.exec("CALL arbor.set_setting('max_query_memory', '1MiB')")
	if _, _, err := c.rows(joins); err == nil || !strings.Contains(err.Error(), "3170") || !strings.Contains(err.Error(), "1048576 bytes") || !strings.Contains(err.Error(), "max_query_memory") {
		t.Errorf("past the limit: %v", err)
	}
	c.exec("CALL arbor.set_setting('max_query_memory', '4MiB')")
	if _, _, err := c.rows(joins); err != nil {
		t.Error(err)
	}

	// The same of those who hold the data.
	past := fmt.Errorf("sort: %w: more than 5 bytes", exec.ErrMemory)
	for _, err := range []error{(&pushedSort{}).mysqlError(past), (&pushedGroup{}).mysqlError(past)} {
		if text := err.Error(); !strings.Contains(text, "more than 5 bytes") || !strings.Contains(text, "max_query_memory") {
			t.Error(text)
		}
	}
}
