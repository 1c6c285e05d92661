package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// performance_schema and sys, as far as tools look into them: variables, counters,
// clients and versions are there; what arbor does not measure is empty.

const (
	performanceDatabase = "performance_schema"
	sysDatabase         = "sys"
)

// variableColumns are the columns of a list of names and values.
var variableColumns = []systemColumn{
	{"VARIABLE_NAME", varchar(64), "the name"},
	{"VARIABLE_VALUE", varchar(1024), "the value"},
}

var performanceTables = []systemTableDefinition{
	{name: "session_variables", comment: "SHOW SESSION VARIABLES", columns: variableColumns, rows: sessionVariableRows},
	{name: "global_variables", comment: "SHOW GLOBAL VARIABLES", columns: variableColumns, rows: globalVariableRows},
	{name: "session_status", comment: "SHOW SESSION STATUS", columns: variableColumns, rows: func(ctx *sql.Context, _ *Gateway) ([]sql.Row, error) {
		return statusRows(ctx.Session.GetAllStatusVariables(ctx)), nil
	}},
	{name: "global_status", comment: "SHOW GLOBAL STATUS", columns: variableColumns, rows: func(*sql.Context, *Gateway) ([]sql.Row, error) {
		return statusRows(sql.StatusVariables.NewGlobalMap()), nil
	}},
	{name: "threads", comment: "clients", rows: threadRows, columns: []systemColumn{
		{"THREAD_ID", countType, "the client's connection"},
		{"NAME", nameType, "what it is"},
		{"TYPE", nameType, "FOREGROUND"},
		{"PROCESSLIST_ID", countType, "the client's connection"},
		{"PROCESSLIST_USER", nameType, "its user"},
		{"PROCESSLIST_HOST", nameType, "where it comes from"},
		{"PROCESSLIST_DB", nameType, "its database"},
		{"PROCESSLIST_COMMAND", nameType, "what it does"},
		{"PROCESSLIST_TIME", countType, "for how many seconds"},
		{"PROCESSLIST_INFO", stringType, "its statement"},
	}},
	empty("events_statements_summary_by_digest", "SCHEMA_NAME DIGEST DIGEST_TEXT", "COUNT_STAR SUM_TIMER_WAIT MIN_TIMER_WAIT AVG_TIMER_WAIT MAX_TIMER_WAIT SUM_LOCK_TIME SUM_ERRORS SUM_WARNINGS SUM_ROWS_AFFECTED SUM_ROWS_SENT SUM_ROWS_EXAMINED SUM_CREATED_TMP_TABLES SUM_NO_INDEX_USED"),
	empty("events_statements_current", "EVENT_NAME SQL_TEXT DIGEST DIGEST_TEXT CURRENT_SCHEMA", "THREAD_ID EVENT_ID TIMER_START TIMER_END TIMER_WAIT LOCK_TIME ROWS_AFFECTED ROWS_SENT ROWS_EXAMINED"),
	empty("events_statements_history", "EVENT_NAME SQL_TEXT DIGEST DIGEST_TEXT CURRENT_SCHEMA", "THREAD_ID EVENT_ID TIMER_START TIMER_END TIMER_WAIT LOCK_TIME ROWS_AFFECTED ROWS_SENT ROWS_EXAMINED"),
	empty("metadata_locks", "OBJECT_TYPE OBJECT_SCHEMA OBJECT_NAME LOCK_TYPE LOCK_DURATION LOCK_STATUS", "OWNER_THREAD_ID OWNER_EVENT_ID"),
	empty("data_locks", "ENGINE ENGINE_LOCK_ID OBJECT_SCHEMA OBJECT_NAME INDEX_NAME LOCK_TYPE LOCK_MODE LOCK_STATUS LOCK_DATA", "ENGINE_TRANSACTION_ID THREAD_ID"),
	empty("data_lock_waits", "ENGINE REQUESTING_ENGINE_LOCK_ID BLOCKING_ENGINE_LOCK_ID", "REQUESTING_ENGINE_TRANSACTION_ID REQUESTING_THREAD_ID BLOCKING_ENGINE_TRANSACTION_ID BLOCKING_THREAD_ID"),
	empty("replication_group_members", "CHANNEL_NAME MEMBER_ID MEMBER_HOST MEMBER_STATE MEMBER_ROLE MEMBER_VERSION", "MEMBER_PORT"),
	empty("replication_connection_status", "CHANNEL_NAME GROUP_NAME SOURCE_UUID SERVICE_STATE LAST_ERROR_MESSAGE", "THREAD_ID LAST_ERROR_NUMBER"),
	empty("session_connect_attrs", "ATTR_NAME ATTR_VALUE", "PROCESSLIST_ID ORDINAL_POSITION"),
	empty("setup_consumers", "NAME ENABLED", ""),
	empty("setup_instruments", "NAME ENABLED TIMED PROPERTIES DOCUMENTATION", "VOLATILITY"),
	empty("table_io_waits_summary_by_table", "OBJECT_TYPE OBJECT_SCHEMA OBJECT_NAME", "COUNT_STAR SUM_TIMER_WAIT COUNT_READ SUM_TIMER_READ COUNT_WRITE SUM_TIMER_WRITE"),
	empty("table_io_waits_summary_by_index_usage", "OBJECT_TYPE OBJECT_SCHEMA OBJECT_NAME INDEX_NAME", "COUNT_STAR SUM_TIMER_WAIT COUNT_READ COUNT_FETCH"),
	empty("persisted_variables", "VARIABLE_NAME VARIABLE_VALUE", ""),
	empty("user_defined_functions", "UDF_NAME UDF_RETURN_TYPE UDF_TYPE UDF_LIBRARY", "UDF_USAGE_COUNT"),
	empty("log_status", "SERVER_UUID LOCAL REPLICATION STORAGE_ENGINES", ""),
}

var sysTables = []systemTableDefinition{
	{name: "version", comment: "versions", columns: []systemColumn{
		{"sys_version", nameType, "of these tables"},
		{"mysql_version", nameType, "that clients are told"},
	}, rows: func(ctx *sql.Context, _ *Gateway) ([]sql.Row, error) {
		v, err := ctx.GetSessionVariable(ctx, "version")
		return []sql.Row{{"2.1.2", fmt.Sprint(v)}}, err
	}},
	empty("sys_config", "variable value set_by", ""),
	empty("innodb_lock_waits", "locked_table waiting_query blocking_query", "waiting_pid blocking_pid"),
	empty("schema_unused_indexes", "object_schema object_name index_name", ""),
	empty("schema_table_statistics", "table_schema table_name", "total_latency rows_fetched rows_inserted rows_updated rows_deleted"),
	empty("statement_analysis", "query db full_scan digest", "exec_count err_count warn_count rows_sent rows_examined"),
}

// empty is a table without rows, whose columns are texts and then numbers.
func empty(name, texts, numbers string) systemTableDefinition {
	d := systemTableDefinition{name: name, comment: "empty: arbor does not measure it", rows: func(*sql.Context, *Gateway) ([]sql.Row, error) { return nil, nil }}
	for column := range strings.FieldsSeq(texts) {
		d.columns = append(d.columns, systemColumn{column, stringType, ""})
	}
	for column := range strings.FieldsSeq(numbers) {
		d.columns = append(d.columns, systemColumn{column, types.Uint64, ""})
	}
	return d
}

func sessionVariableRows(ctx *sql.Context, _ *Gateway) ([]sql.Row, error) {
	return variableRows(ctx.Session.GetAllSessionVariables()), nil
}

func globalVariableRows(*sql.Context, *Gateway) ([]sql.Row, error) {
	return variableRows(sql.SystemVariables.GetAllGlobalVariables()), nil
}

// variableRows are variables as SHOW VARIABLES shows them.
func variableRows(values map[string]any) []sql.Row {
	var rows []sql.Row
	for _, name := range slices.Sorted(maps.Keys(values)) {
		rows = append(rows, sql.Row{name, variableText(values[name])})
	}
	return rows
}

func variableText(v any) string {
	switch v {
	case int8(0):
		return "OFF"
	case int8(1):
		return "ON"
	case nil:
		return ""
	}
	return fmt.Sprint(v)
}

func statusRows(values map[string]sql.StatusVarValue) []sql.Row {
	var rows []sql.Row
	for _, name := range slices.Sorted(maps.Keys(values)) {
		rows = append(rows, sql.Row{name, fmt.Sprint(values[name].Value())})
	}
	return rows
}

// threadRows are the clients that the user may see.
func threadRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	var rows []sql.Row
	own := ctx.Session.Client().User
	for _, p := range ctx.ProcessList.Processes() {
		if p.User != own && !mayAdminister(ctx, "") {
			continue
		}
		rows = append(rows, sql.Row{int64(p.Connection), "thread/sql/one_connection", "FOREGROUND", int64(p.Connection), p.User, p.Host, p.Database,
			string(p.Command), int64(p.Seconds()), p.Query})
	}
	return rows, nil
}
