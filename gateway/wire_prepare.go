package gateway

import (
	"io"

	"github.com/dolthub/vitess/go/mysql"
)

// maxPreparable bounds the statements that are looked at before they are prepared.
const maxPreparable = 1 << 20

// preparing reports whether the packet is a whole statement to be prepared.
func (w *wire) preparing(length int, sequence uint8) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return sequence == 0 && w.command == mysql.ComPrepare && w.phase == wireCommand && !w.loading.Load() &&
		length < min(maxPreparable, w.options.MaxPacket()) && w.options.Preparable != nil
}

// readPrepare gives the library a statement that it can prepare.
func (w *wire) readPrepare(length int, sequence uint8) error {
	b := make([]byte, length)
	if _, err := io.ReadFull(w.source, b); err != nil {
		return err
	}
	text := w.options.Preparable(string(b[1:]))
	w.header = append(w.header[:0], 0, 0, 0, sequence, b[0])
	w.header = finishPacket(append(w.header, text...))
	w.message = length
	w.mu.Lock()
	w.sequence = sequence
	w.mu.Unlock()
	return nil
}
