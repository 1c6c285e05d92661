package gateway

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/engine/exec"
)

// procedure is a form of something that CALL arbor.… does. Forms of one name
// differ in the number of their parameters. A parameter that is NULL is the
// empty string.
type procedure struct {
	name, parameters, description string
	// privilege is what a user needs in the project's database.
	privilege sql.PrivilegeType
	schema    sql.Schema
	function  any // func(*sql.Context, …string) (sql.RowIter, error)
}

// procedures is the one list of them: what is called and what arbor.procedures
// shows.
func (g *Gateway) procedures() []procedure {
	return append([]procedure{
		{"set_policy", "project, policy, from_day, to_day", "set the dedupe policy of days, such as 'KEY=EXACT SURVIVOR=LAST'; NULL days mean no bound; answers change at once, for all that is stored",
			sql.PrivilegeType_Alter, nil, g.callSetPolicy},
		{"set_policy", "project, policy", "set the dedupe policy of all days",
			sql.PrivilegeType_Alter, nil, func(ctx *sql.Context, project, policy string) (sql.RowIter, error) {
				return g.callSetPolicy(ctx, project, policy, "", "")
			}},
		{"preview_policy", "project, policy, from_day, to_day", "count, day by day, the events that are visible now and would be with a policy; changes nothing",
			sql.PrivilegeType_Select, previewSchema, g.callPreviewPolicy},
		{"preview_policy", "project, policy", "the same for all days",
			sql.PrivilegeType_Select, previewSchema, func(ctx *sql.Context, project, policy string) (sql.RowIter, error) {
				return g.callPreviewPolicy(ctx, project, policy, "", "")
			}},
		{"reset_policies", "project", "go back to the default policy for all days",
			sql.PrivilegeType_Alter, nil, g.callResetPolicies},
		{"undo_delete", "id", "take a DELETE back; arbor.deletes lists their ids",
			sql.PrivilegeType_Delete, nil, g.callUndoDelete},
		{"undo_truncate", "project, id", "take a TRUNCATE back; arbor.truncations lists their ids",
			sql.PrivilegeType_Drop, nil, g.callUndoTruncate},
		{"undo_truncate", "project", "take the project's last TRUNCATE back",
			sql.PrivilegeType_Drop, nil, func(ctx *sql.Context, project string) (sql.RowIter, error) {
				return g.callUndoTruncate(ctx, project, "")
			}},
		{"undrop_database", "name", "bring a dropped project back with all its events",
			sql.PrivilegeType_Create, nil, func(ctx *sql.Context, name string) (sql.RowIter, error) {
				return g.callUndrop(ctx, name, name)
			}},
		{"undrop_database", "name, new_name", "bring a dropped project back under another name",
			sql.PrivilegeType_Create, nil, g.callUndrop},
		{"rotate_token", "project", "give the project a new write token; the old one stops working",
			sql.PrivilegeType_GrantOption, tokenSchema, func(ctx *sql.Context, project string) (sql.RowIter, error) {
				return g.callRotateToken(ctx, project, "token")
			}},
		{"rotate_token", "project, kind", "give the project a new token, secret or both",
			sql.PrivilegeType_GrantOption, tokenSchema, g.callRotateToken},
		{"set_setting", "name, value", "change a setting of the server; NULL goes back to the default; arbor.settings lists them",
			sql.PrivilegeType_Super, nil, g.callSetSetting},
		{"set_write_quorum", "project, members", "how many members must have the project's events on disk before they are acknowledged, at least a majority of the copies and at most all; NULL stands for a majority",
			sql.PrivilegeType_Alter, nil, g.callSetWriteQuorum},
		{"index_project", "project", "index now what the project has in logs",
			sql.PrivilegeType_Insert, nil, func(ctx *sql.Context, project string) (sql.RowIter, error) { return g.callIndex(ctx, project, false) }},
		{"close_days", "project", "index now, and make each shard's files one",
			sql.PrivilegeType_Insert, nil, func(ctx *sql.Context, project string) (sql.RowIter, error) { return g.callIndex(ctx, project, true) }},
		{"check_project", "project", "read all that the project has stored again, and compare it with its checksums and digests",
			sql.PrivilegeType_Select, checkSchema, g.callCheck},
		{"repair", "project", "check the project's events, and have each member get what it lost or lacks from other replicas; the answer is what was found, none if all is well",
			sql.PrivilegeType_Insert, checkSchema, func(ctx *sql.Context, project string) (sql.RowIter, error) { return g.callRepair(ctx, project, "") }},
		{"repair", "project, day", "the same for one day",
			sql.PrivilegeType_Insert, checkSchema, g.callRepair},
		{"erase_user", "project, distinct_id", "remove all events of a user that were taken in until now, for good, keep them from coming back, and certify it",
			sql.PrivilegeType_Drop, erasureSchema, g.callEraseUser},
		{"export", "project, name", "write the project's events, each once, as Parquet files in a new directory of that name",
			sql.PrivilegeType_Select, exportSchema, func(ctx *sql.Context, project, name string) (sql.RowIter, error) {
				return g.callExport(ctx, project, name, "")
			}},
		{"export", "project, name, options", "the same with options, such as 'FORMAT=arrow SINCE=monday FROM=2026-01-01 TO=2026-01-31'; with SINCE only what the export of that name did not hold, and a list of what is gone; needs FILE, too",
			sql.PrivilegeType_Select, exportSchema, g.callExport},
		{"replace_table", "project, name, csv", "make a mutable table hold the rows of a CSV file and no others, at once; its first line names the columns, the first of which is the key; made if there is none; needs DROP, INSERT and DELETE, too",
			sql.PrivilegeType_Create, replaceSchema, g.callReplaceTable},
		{"backup", "", "copy all that is stored to the places that the server was given by --backup-to, and say what became of each",
			sql.PrivilegeType_Super, backupSchema, g.callBackup},
	}, append(g.stageProcedures(), g.clusterProcedures()...)...)
}

// procedureRows are the rows of arbor.procedures.
func procedureRows(_ *sql.Context, g *Gateway) ([]sql.Row, error) {
	var rows []sql.Row
	for _, p := range g.procedures() {
		rows = append(rows, sql.Row{p.name, p.parameters, p.description, p.privilege.String()})
	}
	return rows, nil
}

// procedure finds the form of a procedure with that many parameters, or any.
func (g *Gateway) procedure(name string, params int) (*sql.ExternalStoredProcedureDetails, error) {
	forms := g.procedureForms(name)
	for i := range forms {
		if g.countParameters(forms[i]) == params {
			return &forms[i], nil
		}
	}
	if len(forms) > 0 {
		return &forms[0], nil // which says that the number is wrong
	}
	return nil, nil
}

func (g *Gateway) procedureForms(name string) []sql.ExternalStoredProcedureDetails {
	var forms []sql.ExternalStoredProcedureDetails
	for _, p := range g.procedures() {
		if strings.EqualFold(p.name, name) {
			forms = append(forms, sql.ExternalStoredProcedureDetails{Name: p.name, Function: p.function, Schema: p.schema})
		}
	}
	return forms
}

func (g *Gateway) countParameters(d sql.ExternalStoredProcedureDetails) int {
	return reflect.TypeOf(d.Function).NumIn() - 1
}

// Schemas of what procedures answer.
var (
	previewSchema = answerSchema(
		systemColumn{"day", dayType, ""}, systemColumn{"visible_now", countType, ""},
		systemColumn{"visible_then", countType, ""}, systemColumn{"difference", countType, ""})
	tokenSchema = answerSchema(systemColumn{"kind", kindType, ""}, systemColumn{"token", nameType, ""})
	checkSchema = answerSchema(
		systemColumn{"name", fileType, ""}, systemColumn{"kind", kindType, ""}, systemColumn{"day", dayType, ""},
		systemColumn{"bucket", countType, ""}, systemColumn{"events", countType, ""}, systemColumn{"ok", flagType, ""},
		systemColumn{"problem", stringType, ""})
)

func answerSchema(columns ...systemColumn) sql.Schema {
	schema := make(sql.Schema, len(columns))
	for i, c := range columns {
		schema[i] = &sql.Column{Name: c.name, Type: c.sqlType, Nullable: true}
	}
	return schema
}

// projectFor is the live project that a procedure is called for, if the user has
// the privilege that it needs.
func (g *Gateway) projectFor(ctx *sql.Context, name string, privilege sql.PrivilegeType) (*catalog.Project, error) {
	if err := requirePrivilege(ctx, name, privilege); err != nil {
		return nil, err
	}
	p, ok := g.catalogFor(ctx).Project(name)
	if !ok {
		return nil, sql.ErrDatabaseNotFound.New(name)
	}
	return p, nil
}

func (g *Gateway) callSetPolicy(ctx *sql.Context, project, policy, from, to string) (sql.RowIter, error) {
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_Alter)
	if err != nil {
		return nil, err
	}
	rule := catalog.AddPolicy{Project: p.ID}
	if rule.Policy, err = catalog.ParsePolicy(policy); err != nil {
		return nil, catalogError(err)
	}
	if rule.From, rule.To, err = parseDays(from, to); err != nil {
		return nil, err
	}
	_, err = g.change(ctx, rule)
	return nil, catalogError(err)
}

// parseDays reads the bounds of a policy's days.
func parseDays(from, to string) (first, last catalog.Day, err error) {
	if first, err = parseDay(from, catalog.MinDay); err != nil {
		return 0, 0, err
	}
	if last, err = parseDay(to, catalog.MaxDay); err != nil {
		return 0, 0, err
	}
	if first > last {
		return 0, 0, refuse(erWrongArguments, "HY000", "the first day %s is after the last day %s", from, to)
	}
	return first, last, nil
}

func parseDay(s string, none catalog.Day) (catalog.Day, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return none, nil
	}
	t, err := time.Parse(time.DateOnly, strings.TrimSuffix(s, " 00:00:00"))
	if err != nil {
		return 0, refuse(erWrongValue, "22007", "Incorrect day '%s': want a day such as '2026-05-01', or NULL for no bound", clip(s))
	}
	return catalog.DayOf(t.UnixMicro()), nil
}

func (g *Gateway) callResetPolicies(ctx *sql.Context, project string) (sql.RowIter, error) {
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_Alter)
	if err != nil {
		return nil, err
	}
	_, err = g.change(ctx, catalog.RemovePolicies{Project: p.ID})
	return nil, catalogError(err)
}

func (g *Gateway) callUndoTruncate(ctx *sql.Context, project, id string) (sql.RowIter, error) {
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_Drop)
	if err != nil {
		return nil, err
	}
	undo := catalog.UndoTruncate{Project: p.ID}
	if id != "" {
		if undo.ID, err = catalog.ParseIngestID(strings.ToLower(id)); err != nil {
			return nil, refuse(erWrongArguments, "HY000", "%s; SELECT id FROM arbor.truncations", err)
		}
	} else {
		for _, t := range p.Truncations {
			if !t.Undone && t.ID.Compare(undo.ID) > 0 {
				undo.ID = t.ID
			}
		}
		if undo.ID.IsZero() {
			return nil, refuse(erWrongArguments, "HY000", "project %s has no TRUNCATE to take back", project)
		}
	}
	_, err = g.change(ctx, undo)
	return nil, catalogError(err)
}

// callUndrop wants the right to make both databases, and to read the old one if
// its events get under another name.
func (g *Gateway) callUndrop(ctx *sql.Context, name, newName string) (sql.RowIter, error) {
	for _, database := range []string{name, newName} {
		if err := requirePrivilege(ctx, database, sql.PrivilegeType_Create); err != nil {
			return nil, err
		}
	}
	if name != newName {
		if err := requirePrivilege(ctx, name, sql.PrivilegeType_Select); err != nil {
			return nil, err
		}
	}
	var last *catalog.Project
	for _, p := range g.catalogFor(ctx).Projects {
		if p.Name == name && p.DroppedAt != 0 && (last == nil || p.DroppedAt >= last.DroppedAt) {
			last = p
		}
	}
	if last == nil {
		return nil, refuse(erUnknownDatabase, "42000", "no dropped project '%s' is kept; SELECT name, dropped_at FROM arbor.projects", clip(name))
	}
	_, err := g.change(ctx, catalog.UndropProject{ID: last.ID, Name: newName})
	return nil, catalogError(err)
}

func (g *Gateway) callRotateToken(ctx *sql.Context, project, kind string) (sql.RowIter, error) {
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_GrantOption)
	if err != nil {
		return nil, err
	}
	rotate := catalog.RotateToken{Project: p.ID}
	var rows []sql.Row
	kind = strings.ToLower(kind)
	if kind == "token" || kind == "both" {
		rotate.Token = newToken()
		rows = append(rows, sql.Row{"token", rotate.Token})
	}
	if kind == "secret" || kind == "both" {
		rotate.Secret = newToken()
		rows = append(rows, sql.Row{"secret", rotate.Secret})
	}
	if len(rows) == 0 {
		return nil, refuse(erWrongArguments, "HY000", "rotate_token: want 'token', 'secret' or 'both', not '%s'", clip(kind))
	}
	if _, err := g.change(ctx, rotate); err != nil {
		return nil, catalogError(err)
	}
	return sql.RowsToRowIter(rows...), nil
}

func (g *Gateway) callSetSetting(ctx *sql.Context, name, value string) (sql.RowIter, error) {
	if err := requirePrivilege(ctx, "", sql.PrivilegeType_Super); err != nil {
		return nil, err
	}
	if err := g.refuseUnstaged(name); err != nil {
		return nil, err
	}
	_, err := g.change(ctx, catalog.SetSetting{Name: name, Value: value})
	return nil, catalogError(err)
}

func (g *Gateway) callIndex(ctx *sql.Context, project string, closeDays bool) (sql.RowIter, error) {
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_Insert)
	if err != nil {
		return nil, err
	}
	return nil, g.cluster.Index(ctx, p.ID, closeDays)
}

func (g *Gateway) callCheck(ctx *sql.Context, project string) (sql.RowIter, error) {
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_Select)
	if err != nil {
		return nil, err
	}
	checked, err := g.cluster.Check(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	return tableAnswer(checked, checkSchema)
}

// callRepair checks, which repairs, and gives the rows that say what was wrong.
func (g *Gateway) callRepair(ctx *sql.Context, project, day string) (sql.RowIter, error) {
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_Insert)
	if err != nil {
		return nil, err
	}
	check := func() (*exec.Table, error) { return g.cluster.Check(ctx, p.ID) }
	if strings.TrimSpace(day) != "" {
		of, err := parseDay(day, 0)
		if err != nil {
			return nil, err
		}
		check = func() (*exec.Table, error) { return g.cluster.CheckDay(ctx, p.ID, of) }
	}
	found, err := check()
	if err != nil {
		return nil, err
	}
	problem := columnPlaces(found)["problem"]
	found.Rows = slices.DeleteFunc(found.Rows, func(row []catalog.Value) bool { return row[problem] == catalog.Null })
	return tableAnswer(found, checkSchema)
}
