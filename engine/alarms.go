package engine

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"arbor/catalog"
)

// The kinds of alarms.
const (
	alarmDamage    = "damage"    // bytes on disk are not what was written
	alarmMissing   = "missing"   // a file that must be there is not
	alarmCollision = "collision" // one ingest id belongs to different events
	alarmUnproven  = "unproven"  // a built file does not prove equal to its sources
	alarmGuarded   = "guarded"   // a clean-up wanted to touch what is needed
	alarmLog       = "log"       // the log left something out
)

// alarm is something that a person must look at.
type alarm struct {
	at      time.Time
	kind    string
	shard   catalog.ShardKey
	file    string
	message string
}

// maxAlarms is how many alarms are kept; the oldest go first.
const maxAlarms = 1000

// alarms are kept in memory; each is also a line in the log and counted.
type alarms struct {
	engine *Engine
	mu     sync.Mutex // guards what follows
	list   []alarm
	raised map[string]bool // by once
}

func (a *alarms) raise(kind string, shard catalog.ShardKey, file, message string) {
	e := a.engine
	e.metrics.Alarms.Add(1)
	e.logger.Error("alarm", "kind", kind, "shard", shard.String(), "file", file, "message", message)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.list) == maxAlarms {
		a.list = append(a.list[:0], a.list[1:]...)
	}
	a.list = append(a.list, alarm{at: e.now(), kind: kind, shard: shard, file: file, message: message})
}

// once raises an alarm the first time that it is called with the same subject.
func (a *alarms) once(kind string, shard catalog.ShardKey, subject, message string) {
	key := kind + " " + shard.String() + " " + subject
	a.mu.Lock()
	already := a.raised[key]
	if !already && len(a.raised) < 100*maxAlarms {
		if a.raised == nil {
			a.raised = map[string]bool{}
		}
		a.raised[key] = true
	}
	a.mu.Unlock()
	if !already {
		a.raise(kind, shard, "", message)
	}
}

// settle takes back the alarms of some kinds about a shard: what they say is no more. They
// stay counted, and in the log.
func (a *alarms) settle(shard catalog.ShardKey, kinds ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = slices.DeleteFunc(a.list, func(x alarm) bool { return x.shard == shard && slices.Contains(kinds, x.kind) })
	for _, kind := range kinds {
		maps.DeleteFunc(a.raised, func(key string, _ bool) bool { return strings.HasPrefix(key, kind+" "+shard.String()+" ") })
	}
}

func (a *alarms) all() []alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]alarm(nil), a.list...)
}

// alarmCollision says that an ingest id belongs to different events.
func (e *Engine) alarmCollision(shard catalog.ShardKey, id catalog.IngestID) {
	e.alarms.once(alarmCollision, shard, id.String(), "ingest id "+id.String()+" belongs to different events; all of them are kept aside")
}
