package gateway

import (
	"io"
	"time"
)

// enterIdle notes that the connection waits for a command.
func (w *wire) enterIdle() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase != wireCommand {
		return nil
	}
	if w.draining {
		return io.EOF
	}
	w.idle = true
	if t := w.options.IdleTimeout(); t > 0 {
		return w.Conn.SetReadDeadline(time.Now().Add(t))
	}
	return nil
}

func (w *wire) leaveIdle() {
	w.mu.Lock()
	w.idle = false
	w.mu.Unlock()
}

// drain ends the connection as soon as no command runs on it.
func (w *wire) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	if w.idle {
		w.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}
