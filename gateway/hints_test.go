package gateway

import (
	"context"
	"testing"
)

// The hint MAX_EXECUTION_TIME bounds a SELECT, before the variable does, and is
// warned of where it can do nothing.
func TestExecutionTimeHint(t *testing.T) {
	table, _ := endless()
	c := startServer(t, serverOptions{tables: []*testTable{table, words()}}).conn()
	const slow = "SELECT /*+ MAX_EXECUTION_TIME(20) */ COUNT(*) FROM endless"
	failing(t, c, slow, 3024, "maximum statement execution time exceeded")
	failing(t, c, "SELECT /* a note */ /*+ NO_ICP(endless) max_execution_time( 20 ) */ COUNT(*) FROM endless", 3024, "")
	prepared, err := c.PrepareContext(t.Context(), slow)
	if err != nil {
		t.Fatal(err)
	}
	defer prepared.Close()
	_, err = prepared.ExecContext(context.Background())
	wantError(t, err, 3024, "")

	mustExec(t, c, "SET max_execution_time = 20")
	mustQuery(t, c, "SELECT /*+ MAX_EXECUTION_TIME(0) */ SLEEP(0.05)", "0")
	failing(t, c, "SELECT /* MAX_EXECUTION_TIME(0) */ COUNT(*) FROM endless", 3024, "")
	mustExec(t, c, "SET max_execution_time = 0")

	failing(t, c, "(SELECT /*+ MAX_EXECUTION_TIME(20) */ 1) UNION ALL SELECT COUNT(*) FROM endless", 3024, "")
	const ignored = "Warning|3125|MAX_EXECUTION_TIME hint is supported by top-level standalone SELECT statements only"
	mustQuery(t, c, "SELECT 1 UNION ALL SELECT /*+ MAX_EXECUTION_TIME(20) */ 2", "1\n2")
	mustQuery(t, c, "SHOW WARNINGS", ignored)
	mustQuery(t, c, "SELECT (SELECT /*+ MAX_EXECUTION_TIME(20) */ 1)", "1")
	mustQuery(t, c, "SHOW WARNINGS", ignored)
	mustExec(t, c, "UPDATE /*+ MAX_EXECUTION_TIME(20) */ words SET n = 1 WHERE n > 99")
	mustQuery(t, c, "SHOW WARNINGS", ignored)
	mustQuery(t, c, "SELECT /*+ MAX_EXECUTION_TIME(20000) */ 1", "1")
	mustQuery(t, c, "SHOW WARNINGS", "")
}

func TestOrderByWhatIsNotGrouped(t *testing.T) {
	c := startServer(t, serverOptions{tables: []*testTable{words()}}).conn()
	failing(t, c, "SELECT k, COUNT(*) FROM words GROUP BY k ORDER BY n", 1055, "ORDER BY clause is not in GROUP BY clause")
}
