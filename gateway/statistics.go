package gateway

import (
	"fmt"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
)

// comStatistics is the command that asks for a line of figures, as mysqladmin status
// does. The protocol library does not know it.
const comStatistics = 0x09

// answerStatistics answers it with a packet that is nothing but a text. No command
// runs meanwhile, so nothing else is written.
func (w *wire) answerStatistics(sequence uint8) error {
	if t := w.options.WriteTimeout; t > 0 {
		if err := w.Conn.SetWriteDeadline(time.Now().Add(t)); err != nil {
			return err
		}
	}
	packet := append([]byte{0, 0, 0, sequence + 1}, statisticsText()...)
	_, err := w.stream.Write(finishPacket(packet))
	return err
}

// statisticsText is MySQL's line.
func statisticsText() string {
	figure := func(name string) any {
		_, v, ok := sql.StatusVariables.GetGlobal(name)
		if !ok || v == nil {
			return 0
		}
		return v
	}
	return fmt.Sprintf("Uptime: %v  Threads: %v  Questions: %v  Slow queries: %v  Opens: 0  Flush tables: 0  Open tables: 0  Queries per second avg: 0.000",
		figure("Uptime"), figure("Threads_connected"), figure("Questions"), figure("Slow_queries"))
}
