package engine

import "arbor/catalog"

// Work is long work of others that is shown beside the engine's own in the table
// of jobs.
type Work struct {
	engine *Engine
	job    *job
}

// StartWork adds work to the table of jobs.
func (e *Engine) StartWork(kind string) *Work {
	return &Work{engine: e, job: e.jobs.start(kind, catalog.ShardKey{}, 0)}
}

// Progress says how much of how much is done.
func (w *Work) Progress(done, total int64) {
	w.job.done.Store(done)
	w.job.total.Store(total)
}

// Finish says how the work ended. It is called once.
func (w *Work) Finish(message string, err error) { w.engine.jobs.finish(w.job, message, err) }

// RaiseAlarm adds a row to the table of alarms, about something outside the
// engine that a person must look at.
func (e *Engine) RaiseAlarm(kind, file, message string) {
	e.alarms.raise(kind, catalog.ShardKey{}, file, message)
}

// RaiseShardAlarm adds a row to the table of alarms, about a shard, the first time that
// it is called with the same subject.
func (e *Engine) RaiseShardAlarm(kind string, shard catalog.ShardKey, subject, message string) {
	e.alarms.once(kind, shard, subject, message)
}
