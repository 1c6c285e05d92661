package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"arbor/catalog"
)

// job is a piece of long work, for people to watch.
type job struct {
	id       int64
	kind     string
	shard    catalog.ShardKey
	started  time.Time
	done     atomic.Int64 // units of work done
	total    atomic.Int64
	mu       sync.Mutex // guards what follows
	finished time.Time
	message  string
	failed   bool
}

// maxJobs is how many finished jobs are remembered.
const maxJobs = 500

// jobs are those running and the last that finished.
type jobs struct {
	now  func() time.Time
	mu   sync.Mutex // guards what follows
	last int64
	list []*job
}

func (j *jobs) start(kind string, shard catalog.ShardKey, total int64) *job {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	work := &job{id: j.last, kind: kind, shard: shard, started: j.now()}
	work.total.Store(total)
	if len(j.list) >= maxJobs {
		j.list = append(j.list[:0], j.list[1:]...)
	}
	j.list = append(j.list, work)
	return work
}

func (j *jobs) finish(work *job, message string, err error) {
	work.mu.Lock()
	defer work.mu.Unlock()
	work.finished = j.now()
	work.message = message
	if err != nil {
		work.failed = true
		work.message = err.Error()
	}
}

func (j *jobs) all() []*job {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]*job(nil), j.list...)
}

// progress is between 0 and 1.
func (w *job) progress() float64 {
	total := w.total.Load()
	if total <= 0 {
		return 0
	}
	return min(float64(w.done.Load())/float64(total), 1)
}

func (w *job) status() (state, message string, finished time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.finished.IsZero():
		return "running", w.message, w.finished
	case w.failed:
		return "failed", w.message, w.finished
	}
	return "done", w.message, w.finished
}
