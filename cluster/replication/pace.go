package replication

import (
	"context"

	"arbor/cluster/protocol"
)

// aheadBytes is how much may be asked for before what came before is paid for: so that
// batches get their turn beside files, pieces of which always wait.
const aheadBytes = 2 * protocol.FetchBytes

// moveRate is the rate that is in force; 0 for none.
func (d *Driver) moveRate() int64 {
	if d.o.MoveRate == nil {
		return 0
	}
	return d.o.MoveRate()
}

// Pass waits until so many bytes of a file may be taken. Who sends them waits with it.
func (d *Driver) Pass(ctx context.Context, bytes int) error {
	return d.pace.Wait(ctx, bytes, d.moveRate)
}

// Admit is protocol.Pace's.
func (d *Driver) Admit(bytes int) bool { return d.pace.Admit(bytes, aheadBytes, d.moveRate()) }

// Correct is protocol.Pace's.
func (d *Driver) Correct(bytes int) { d.pace.Correct(bytes, d.moveRate()) }
