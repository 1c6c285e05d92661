package gateway

import (
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
)

// callSetWriteQuorum sets how many members must have a project's events before they are
// acknowledged.
func (g *Gateway) callSetWriteQuorum(ctx *sql.Context, project, members string) (sql.RowIter, error) {
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_Alter)
	if err != nil {
		return nil, err
	}
	change := catalog.SetWriteQuorum{Project: p.ID}
	if members = strings.TrimSpace(members); members != "" {
		n, err := strconv.ParseUint(members, 10, 8)
		if err != nil || n < 1 || n > catalog.MaxWriteQuorum {
			return nil, refuse(erWrongArguments, stateGeneral, "set_write_quorum: want a number of members from 1 to %d, not '%s'", catalog.MaxWriteQuorum, clip(members))
		}
		change.Members = uint8(n)
	}
	if g.cluster.Control() == nil && change.Members > 1 {
		return nil, refuse(erWrongArguments, stateGeneral, "set_write_quorum: this server is alone, so an event is on one disk")
	}
	_, err = g.change(ctx, change)
	return nil, catalogError(err)
}

// writeQuorum is what arbor.projects shows of it.
func writeQuorum(p *catalog.Project) any {
	if p.WriteQuorum == 0 {
		return nil
	}
	return int64(p.WriteQuorum)
}
