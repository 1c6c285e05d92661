package consensus

import (
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"arbor/cluster/raftlog"
)

// termKey is raft's name of the term.
const termKey = "CurrentTerm"

// terms is a raft.StableStore for a raft that does not expect that a term cannot be
// stored: it panics then. Here a full disk makes raft wait until there is room, which
// is to others as if the member were away; a disk that cannot be believed any more, and
// a group that is closed, end the goroutine, since the process is about to end.
type terms struct {
	raft.StableStore
	stopped <-chan struct{}
	retry   time.Duration
	logger  *slog.Logger
	// away is true while raft waits here, and for good where it ended.
	away *atomic.Bool
}

// SetUint64 makes a number durable. A term that is not news, which is what raft sets when
// it begins, needs no disk; one that is older than the one on disk is not written, since
// terms only rise.
func (t terms) SetUint64(key []byte, value uint64) error {
	if string(key) != termKey {
		return t.StableStore.SetUint64(key, value)
	}
	for waited := false; ; waited = true {
		last, err := t.GetUint64(key)
		if err != nil || value <= last {
			return err
		}
		if err = t.StableStore.SetUint64(key, value); err == nil {
			t.away.Store(false)
			return nil
		}
		t.away.Store(true)
		if errors.Is(err, raftlog.ErrBroken) {
			t.logger.Error("a term of the metadata could not be stored, and this member takes no part any more", "error", err)
			runtime.Goexit()
		}
		if !waited {
			t.logger.Error("a term of the metadata could not be stored: this member takes no part until it can", "error", err)
		}
		select {
		case <-time.After(t.retry):
		case <-t.stopped:
			runtime.Goexit()
		}
	}
}
