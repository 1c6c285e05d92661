package gateway

import (
	"io"

	"github.com/dolthub/vitess/go/mysql"
)

// maxPreparable bounds the statements that are prepared, each of which is looked at
// before: they are one packet.
const maxPreparable = mysql.MaxPacketSize

// preparing reports whether the packet is a whole statement to be prepared.
func (w *wire) preparing(length int, sequence uint8) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return sequence == 0 && w.command == mysql.ComPrepare && w.phase == wireCommand && !w.loading.Load() &&
		length < min(maxPreparable, w.options.MaxPacket()) && w.options.Preparable != nil
}

// prepareTooLong reports whether the packet begins a statement to be prepared that goes
// on in another.
func (w *wire) prepareTooLong(length int, sequence uint8) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return sequence == 0 && w.command == mysql.ComPrepare && w.phase == wireCommand && !w.loading.Load() && length >= maxPreparable
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
