package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"errors"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/event"
)

// erasureColumns are those of arbor.erasures, and, after the project, of what
// CALL arbor.erase_user answers: the certificate.
var erasureColumns = []systemColumn{
	{"project", nameType, "the project's name"},
	{"id", ingestIDType, "the erasure's id: events of the user with a greater ingest id came later, and are kept"},
	{"user_hash", nameType, "HMAC-SHA256 of the user under the key in the catalog"},
	{"state", kindType, "begun (hidden, and kept from coming back), counted or done (removed)"},
	{"begun_at", datetimeType, "since when nobody sees the events"},
	{"done_at", datetimeType, "since when they are nowhere; NULL before"},
	{"records_before", countType, "what the shards that held some of them held"},
	{"digest_before", nameType, "its digest"},
	{"records_removed", countType, "what was removed"},
	{"digest_removed", nameType, "its digest"},
	{"records_after", countType, "what they held then"},
	{"digest_after", nameType, "its digest, which each new file was proven to add up to"},
	{"rows_removed", countType, "rows of mutable tables that were removed; NULL before the end"},
}

var erasureSchema = answerSchema(erasureColumns[1:]...)

// erasureRows are the rows of arbor.erasures.
func erasureRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	var rows []sql.Row
	c := g.catalogFor(ctx)
	eachProject(ctx, g, true, func(p *catalog.Project) {
		for i := range c.Erasures {
			if e := &c.Erasures[i]; e.Project == p.ID {
				rows = append(rows, append(sql.Row{p.Name}, certificate(e)...))
			}
		}
	})
	return rows, nil
}

// certificate says what an erasure did. What it did not count yet is NULL.
func certificate(e *catalog.Erasure) sql.Row {
	row := sql.Row{e.ID.String(), hex.EncodeToString(e.User[:]), e.State.String(), e.ID.At(), nil, nil, nil, nil, nil, nil, nil, nil}
	if e.State == catalog.ErasureDone {
		row[4], row[len(row)-1] = moment(e.DoneAt), int64(e.Rows)
	}
	if e.State == catalog.ErasureBegun {
		return row
	}
	before, removed := digestOfSum(e.Before), digestOfSum(e.Removed)
	for i, d := range []event.Digest{before, removed, before.Sub(removed)} {
		row[5+2*i], row[6+2*i] = int64(d.Count), d.String()
	}
	return row
}

func digestOfSum(s catalog.RecordSum) event.Digest {
	return event.Digest{Count: s[0], Hi: s[1], Lo: s[2]}
}

// callEraseUser removes all events of a user that were taken in until now, for good.
func (g *Gateway) callEraseUser(ctx *sql.Context, project, user string) (sql.RowIter, error) {
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_Drop)
	if err != nil {
		return nil, err
	}
	if user == "" {
		return nil, refuse(erWrongArguments, "HY000", "erase_user: the distinct_id is empty; events without one belong to nobody, and DELETE removes them")
	}
	id, c, err := g.eraseUser(ctx, p, user)
	switch {
	case errors.Is(err, cluster.ErrNotErasable):
		return nil, unsupported("erase_user: %s", err)
	case err != nil && c == nil && !id.IsZero():
		return nil, refuse(erGeneral, "HY000", "erasure %s is not done, and goes on by itself or by the same CALL; arbor.erasures shows how far it is: %s", id, err)
	case err != nil:
		return nil, catalogError(err)
	}
	e, _, ok := c.Erasure(id)
	if !ok {
		return nil, refuse(erGeneral, "HY000", "erasure %s is gone: project %s was dropped meanwhile", id, clip(project))
	}
	markWritten(ctx)
	return sql.RowsToRowIter(certificate(e)), nil
}

// eraseUser begins and does an erasure. The id is zero if it did not begin.
func (g *Gateway) eraseUser(ctx *sql.Context, p *catalog.Project, user string) (catalog.IngestID, *catalog.Catalog, error) {
	for {
		b := catalog.BeginErasure{
			Project: p.ID, ID: g.stamper.Stamp(), Key: g.cluster.Catalog().EraseKey,
			Bucket: p.Shard(0, user, "").Bucket,
		}
		if b.Key == (catalog.EraseKey{}) {
			rand.Read(b.Key[:]) // never fails: it ends the program instead
		}
		b.User = b.Key.HashUser(p.ID, user)
		id, c, err := g.cluster.EraseUser(ctx, b, g.now)
		if errors.Is(err, catalog.ErrEraseKey) {
			continue // another one's erasure was the first
		}
		if _, _, begun := g.cluster.Catalog().Erasure(id); !begun {
			id = catalog.IngestID{}
		}
		return id, c, err
	}
}

// balanceRows are the rows of arbor.balance: what the engine holds, and what was erased.
func balanceRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	t := systemTable{gateway: g, definition: &systemTableDefinition{name: "balance", columns: balanceColumns}}
	rows, err := t.describe(ctx, g)
	if err != nil {
		return nil, err
	}
	c := g.catalogFor(ctx)
	for _, row := range rows {
		erased := int64(0)
		if id, ok := row[1].(int64); ok {
			shard, err := shardOfRow(id, row[2], row[3])
			if err != nil {
				return nil, err
			}
			erased = int64(c.ErasedEvents(shard))
		}
		if accepted, ok := row[4].(int64); ok {
			row[4] = accepted + erased
		}
		row[len(row)-1] = erased
	}
	return rows, nil
}

func shardOfRow(project int64, day, bucket any) (k catalog.ShardKey, err error) {
	k.Project = catalog.ProjectID(project)
	text, _ := day.(string)
	if k.Day, err = parseDay(text, catalog.MinDay); err != nil {
		return k, err
	}
	n, _ := bucket.(int64)
	k.Bucket = uint16(n)
	return k, nil
}
