package gateway

import "regexp"

// statementIdioms are whole statements that are written otherwise.
var statementIdioms = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(?is)^\s*(?:DESCRIBE|DESC|EXPLAIN)\s+FORMAT\s*=\s*['"]?JSON['"]?\s+(.*)$`), "EXPLAIN FORMAT=" + explainJSON + " $1"},
	{regexp.MustCompile(`(?is)^\s*(?:DESCRIBE|DESC|EXPLAIN)\s+(?:EXTENDED|PARTITIONS)\s+(.*)$`), "EXPLAIN $1"},
	{regexp.MustCompile(`(?is)^\s*SHOW\s+STORAGE\s+ENGINES\s*;?\s*$`), "SHOW ENGINES"},
	{regexp.MustCompile(`(?is)^\s*SHOW\s+SCHEMAS\b(.*)$`), "SHOW DATABASES$1"},
	{regexp.MustCompile(`(?is)^\s*(?:DESCRIBE|DESC|EXPLAIN)\s+([^\s'";]+)\s+('[^']*'|"[^"]*")\s*;?\s*$`), "SHOW COLUMNS FROM $1 LIKE $2"},
	{regexp.MustCompile("(?is)^\\s*(?:DESCRIBE|DESC|EXPLAIN)\\s+([^\\s'\"=;]+)\\s+`?([\\w$]+)`?\\s*;?\\s*$"), "SHOW COLUMNS FROM $1 LIKE '$2'"},
	{regexp.MustCompile(`(?is)^\s*ANALYZE\s+(?:LOCAL|NO_WRITE_TO_BINLOG)\s+TABLES?\s(.*)$`), "ANALYZE TABLE $1"},
	{regexp.MustCompile(`(?is)^\s*DO\s+(.*)$`), "SET @`arbor do` = CONCAT($1)"},
	{regexp.MustCompile(`(?is)^\s*(?:/\*!\d*\s*)?SET\s+(@@\w+)\s*=\s*binary\s*(?:\*/)?\s*;?\s*$`), "SET $1 = 'binary'"}, // mariadb-import
	{regexp.MustCompile(`(?is)^\s*SHOW\s+PROFILES\s*;?\s*$`), "SELECT 0 AS `Query_ID`, 0e0 AS `Duration`, '' AS `Query` FROM DUAL WHERE 1 = 0"},
	{regexp.MustCompile(`(?is)^\s*SHOW\s+OPEN\s+TABLES\b.*$`), "SELECT '' AS `Database`, '' AS `Table`, 0 AS `In_use`, 0 AS `Name_locked` FROM DUAL WHERE 1 = 0"},
}

func rewriteStatement(text string) (string, bool) {
	for _, s := range statementIdioms {
		if s.pattern.MatchString(text) {
			return s.pattern.ReplaceAllString(text, s.with), true
		}
	}
	return text, false
}

// refusedStatements are statements that the grammar does not know and that arbor
// cannot run, with what to do instead.
var refusedStatements = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(?is)^\s*CHECKSUM\s+TABLES?\b`), "CHECKSUM TABLE is not supported: CHECK TABLE compares what is stored with its checksums, and arbor.digests shows digests"},
	{regexp.MustCompile(`(?is)^\s*REPAIR\s+TABLES?\b`), "REPAIR TABLE is not supported: CHECK TABLE finds damage, and the server's log says what it did about it"},
	{regexp.MustCompile(`(?is)^\s*HANDLER\b`), "HANDLER is not supported: use SELECT"},
	{regexp.MustCompile(`(?is)^\s*SHOW\s+ENGINE\b`), "SHOW ENGINE is not supported: the tables of the database arbor show the state of storage"},
	{regexp.MustCompile(`(?is)^\s*HELP\b`), "HELP is not supported: there are no help tables"},
}

// refuseStatement is the error for such a statement, nil for others.
func refuseStatement(text string) error {
	for _, s := range refusedStatements {
		if s.pattern.MatchString(text) {
			return notSupported("%s", s.why)
		}
	}
	return nil
}
