package gateway

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/prometheus/client_golang/prometheus"

	"arbor/catalog"
	"arbor/cluster"
)

// Staged changes of the indexer's version: some members run a new one first, and what they
// make is compared with what others have.

// stageProcedures are what CALL arbor.… does about them. All of them want SUPER.
func (g *Gateway) stageProcedures() []procedure {
	super := sql.PrivilegeType_Super
	return []procedure{
		{"stage", "version", "have one member index by another version, and compare what it makes with the others for 48 hours; arbor.stage says how far that is",
			super, nil, func(ctx *sql.Context, version string) (sql.RowIter, error) { return g.callStage(ctx, version, "", "") }},
		{"stage", "version, members", "the same with these members, given by their ids or the beginnings of them, with commas",
			super, nil, func(ctx *sql.Context, version, members string) (sql.RowIter, error) {
				return g.callStage(ctx, version, members, "")
			}},
		{"stage", "version, members, during", "the same for another time, such as '1h'; NULL members are chosen",
			super, nil, g.callStage},
		{"promote", "", "make the staged version everybody's; refused before its time is over, after a difference, and while something was not compared",
			super, nil, func(ctx *sql.Context) (sql.RowIter, error) { return g.callPromote(ctx, false) }},
		{"promote", "how", "the same with 'force': in spite of all that",
			super, nil, func(ctx *sql.Context, how string) (sql.RowIter, error) {
				if !strings.EqualFold(strings.TrimSpace(how), "force") {
					return nil, refuse(erWrongArguments, stateGeneral, "'%s' is not understood: want 'force', or leave it out", clip(how))
				}
				return g.callPromote(ctx, true)
			}},
		{"rollback", "", "go back to the version of before, and replace all that was made by the staged one by what other members have",
			super, nil, g.callRollback},
	}
}

func (g *Gateway) callStage(ctx *sql.Context, version, members, during string) (sql.RowIter, error) {
	if err := requirePrivilege(ctx, "", sql.PrivilegeType_Super); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(version), 10, 32)
	if err != nil || n < 1 || n > catalog.NewestIndexVersion {
		return nil, refuse(erWrongArguments, stateGeneral, "stage: want an index version from 1 to %d, not '%s'", catalog.NewestIndexVersion, clip(version))
	}
	d := cluster.DefaultStageTime
	if during = strings.TrimSpace(during); during != "" {
		if d, err = time.ParseDuration(during); err != nil || d < 0 || d > catalog.MaxStageTime {
			return nil, refuse(erWrongArguments, stateGeneral, "stage: want a time from 0s to %s, such as '48h', not '%s'", catalog.MaxStageTime, clip(during))
		}
	}
	return nil, stageError(g.cluster.Stage(ctx, uint32(n), cluster.ParseCanaries(members), d, g.now()))
}

func (g *Gateway) callPromote(ctx *sql.Context, force bool) (sql.RowIter, error) {
	if err := requirePrivilege(ctx, "", sql.PrivilegeType_Super); err != nil {
		return nil, err
	}
	return nil, stageError(g.cluster.Promote(ctx, force, g.now()))
}

func (g *Gateway) callRollback(ctx *sql.Context) (sql.RowIter, error) {
	if err := requirePrivilege(ctx, "", sql.PrivilegeType_Super); err != nil {
		return nil, err
	}
	return nil, stageError(g.cluster.RollBack(ctx))
}

// stageError is the error of a statement about a stage.
func stageError(err error) error {
	for _, is := range []error{cluster.ErrRefused, catalog.ErrStaged, catalog.ErrNotStaged, catalog.ErrSetting, catalog.ErrLimit} {
		if errors.Is(err, is) {
			return refuse(erWrongArguments, stateGeneral, "%s", err)
		}
	}
	return err
}

// refuseUnstaged refuses to set the index version where it is to be staged.
func (g *Gateway) refuseUnstaged(setting string) error {
	if !strings.EqualFold(setting, catalog.SettingIndexVersion) || !g.cluster.Replicated() {
		return nil
	}
	return refuse(erWrongArguments, stateGeneral, "%s is not set at once on all members: CALL arbor.stage('2') has one of them run version 2 first, and CALL arbor.promote() sets it", catalog.SettingIndexVersion)
}

// stageColumns are those of arbor.stage.
var stageColumns = []systemColumn{
	{"member", nameType, "a canary: a member that indexes by the new version"},
	{"state", kindType, "running, stopped (a difference was found) or rolling back"},
	{"from_version", countType, "the version that all others index by"},
	{"to_version", countType, "the new one"},
	{"since", datetimeType, "when it began"},
	{"until", datetimeType, "when it can be promoted"},
	{"shards", countType, "shards of which the member has files of the new version"},
	{"files", countType, "those files"},
	{"compared", countType, "shards that were held against another member and agreed; promoting wants all"},
	{"fresh", countType, "compared ones that have changed since, and are compared again"},
	{"problem", stringType, "what is wrong; NULL for nothing"},
}

func stageRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	stage, reports, err := g.cluster.StageReports(ctx)
	if err != nil || stage == nil {
		return nil, err
	}
	var rows []sql.Row
	for _, r := range reports {
		problem := r.Problem
		if problem == "" {
			problem = stage.Reason
		}
		rows = append(rows, sql.Row{r.Member, stage.State.String(), int64(stage.From), int64(stage.To), time.UnixMicro(stage.Since).UTC(), time.UnixMicro(stage.Until).UTC(),
			int64(r.Shards), int64(r.Files), int64(r.Compared), int64(r.Fresh), orNull(problem)})
	}
	return rows, nil
}

// stageJob is the row of arbor.jobs about a stage, if there is one.
func stageJob(g *Gateway, columns []systemColumn) []sql.Row {
	stage := g.Catalog().Stage
	if stage == nil {
		return nil
	}
	since, until := time.UnixMicro(stage.Since).UTC(), time.UnixMicro(stage.Until).UTC()
	progress := 1.0
	if whole := until.Sub(since); whole > 0 {
		progress = min(max(float64(g.now().Sub(since))/float64(whole), 0), 1)
	}
	row := make(sql.Row, len(columns))
	for i, column := range columns {
		switch column.name {
		case "kind":
			row[i] = "stage"
		case "state":
			row[i] = "running"
		case "progress":
			row[i] = progress
		case "message":
			row[i] = fmt.Sprintf("index version %d on %d members, until %s: %s; arbor.stage says more", stage.To, len(stage.Members), until.Format(time.DateTime), stage.State)
		case "started_at":
			row[i] = since
		}
	}
	return []sql.Row{row}
}

// stageMetric says how a stage stands.
var stageMetric = prometheus.NewDesc("arbor_stage_state", "Whether a version of the indexer is staged: 0 none, 1 running, 2 stopped by a difference, 3 rolling back.", nil, nil)

func collectStage(c *catalog.Catalog) prometheus.Metric {
	state := 0.0
	if c.Stage != nil {
		state = 1 + float64(c.Stage.State)
	}
	return prometheus.MustNewConstMetric(stageMetric, prometheus.GaugeValue, state)
}
