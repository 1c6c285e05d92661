package consensus

import (
	"bytes"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLogger passes on what raft warns of.
func raftLogger(to *slog.Logger) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: lines{to}, DisableTime: true})
}

type lines struct{ to *slog.Logger }

// Write takes one line of raft's.
func (l lines) Write(b []byte) (int, error) {
	l.to.Warn("metadata: " + string(bytes.TrimSpace(b)))
	return len(b), nil
}
