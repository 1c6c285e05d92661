package engine

import (
	"cmp"
	"slices"
	"time"

	"arbor/catalog"
)

// taskKind says what is to be done to a shard.
type taskKind uint8

const (
	taskIndex taskKind = iota + 1 // what is logged becomes a file
	taskMerge                     // some files become one
	taskClose                     // the day is over: all files become one
	taskErase                     // some files become one without a user's events
)

func (k taskKind) String() string {
	return [...]string{"", "index", "merge", "close", "erase"}[k]
}

// order is which tasks come before others.
func (t *task) order() int {
	if t.kind == taskIndex {
		return 0
	}
	return 1
}

// task is a piece of work on a shard.
type task struct {
	kind  taskKind
	shard catalog.ShardKey
	files []fileName // to be merged
	// pressed is work that is due only as long as too much is logged everywhere.
	pressed bool
	bytes   int64 // that are logged
}

// shardState is what a plan needs to know of a shard.
type shardState struct {
	key catalog.ShardKey
	// loggedBytes and loggedBatches are what is in no file yet, and oldest is
	// when the first of it came, in microseconds.
	loggedBytes   int64
	loggedEvents  int64
	loggedBatches int
	oldest        int64
	files         []fileState
}

type fileState struct {
	name  fileName
	bytes int64
}

// settings are those of the catalog that a plan follows.
type settings struct {
	// sealAfterEvents is when a shard is due however few bytes its events are; 0 is never.
	sealAfterEvents int64
	// pressed makes all that is logged due.
	pressed        bool
	sealAfterBytes int64
	sealAfterAge   time.Duration
	closeGrace     time.Duration
}

func settingsOf(c *catalog.Catalog) settings {
	return settings{sealAfterBytes: c.SealAfterBytes(), sealAfterAge: c.SealAfterAge(), closeGrace: c.CloseGrace()}
}

const (
	// mergeFiles is how many files of about one size become one.
	mergeFiles = 4
	// maxFiles is how many files a shard may have whatever their sizes.
	maxFiles = 12
	// quietAges is how long, in seal ages, a closed day that got late events is
	// left alone before its files become one again, so that a trickle of them
	// does not rewrite the day each time.
	quietAges = 5
)

// plan says what is due. It is a pure function of what the shards hold, the
// settings and the moment: to see why something was done, call it again.
//
// What is logged comes first, most of it before less: appends may wait for it. A shard
// of which something is always due to be indexed has files merged too, though not before
// they are many: else they would become ever more, and each of them makes looking for
// copies dearer.
func plan(shards []shardState, s settings, now time.Time) []task {
	var tasks []task
	for i := range shards {
		tasks = append(tasks, planShard(&shards[i], s, now)...)
	}
	slices.SortStableFunc(tasks, func(a, b task) int { return cmp.Or(cmp.Compare(a.order(), b.order()), cmp.Compare(b.bytes, a.bytes)) })
	return tasks
}

func planShard(s *shardState, set settings, now time.Time) (tasks []task) {
	index := task{kind: taskIndex, shard: s.key, bytes: s.loggedBytes}
	switch {
	case mustSeal(s, set, now):
		tasks = append(tasks, index)
	case set.pressed && s.loggedBatches > 0:
		index.pressed = true
		tasks = append(tasks, index)
	case mustClose(s, set, now):
		return append(tasks, task{kind: taskClose, shard: s.key, files: namesOf(s.files)})
	}
	if len(tasks) > 0 && len(s.files) < maxFiles {
		return tasks
	}
	if files := mergeable(s.files); len(files) > 0 {
		tasks = append(tasks, task{kind: taskMerge, shard: s.key, files: files})
	}
	return tasks
}

// mustSeal: by size, by age, or by the number of events.
func mustSeal(s *shardState, set settings, now time.Time) bool {
	return s.loggedBatches > 0 &&
		(s.loggedBytes >= set.sealAfterBytes || set.sealAfterEvents > 0 && s.loggedEvents >= set.sealAfterEvents || now.UnixMicro()-s.oldest >= set.sealAfterAge.Microseconds())
}

// mustClose: the day and its grace are over, nothing is logged, and there are
// several files. If the day was closed before, late events must have stopped
// coming for a while.
func mustClose(s *shardState, set settings, now time.Time) bool {
	over := closesAt(s.key.Day, set.closeGrace)
	if now.UnixMicro() < over || s.loggedBatches > 0 || len(s.files) < 2 {
		return false
	}
	newest, largest := s.files[0], s.files[0]
	for _, f := range s.files {
		if f.name.madeAt() > newest.name.madeAt() {
			newest = f
		}
		if f.bytes > largest.bytes {
			largest = f
		}
	}
	closedBefore := largest.name.madeAt() >= over
	return !closedBefore || len(s.files) > maxFiles ||
		now.UnixMicro()-newest.name.madeAt() >= quietAges*set.sealAfterAge.Microseconds()
}

// closesAt is when a day is over, grace included, in microseconds.
func closesAt(d catalog.Day, grace time.Duration) int64 {
	return (d + 1).Start() + grace.Microseconds()
}

// mergeable are the smallest files, if at least mergeFiles of them are of about
// one size: the largest no larger than half of the others together. So each row is
// rewritten a few times a day only, however many files come.
func mergeable(files []fileState) []fileName {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b fileState) int {
		return cmp.Or(cmp.Compare(a.bytes, b.bytes), cmp.Compare(a.name.sequence, b.name.sequence))
	})
	best, sum := 0, int64(0)
	for i, f := range sorted {
		if i > 0 && 2*f.bytes <= sum {
			best = i + 1
		}
		sum += f.bytes
	}
	switch {
	case best >= mergeFiles:
		return namesOf(sorted[:best])
	case len(files) > maxFiles:
		return namesOf(sorted[:maxFiles/2])
	}
	return nil
}

func namesOf(files []fileState) []fileName {
	out := make([]fileName, len(files))
	for i, f := range files {
		out[i] = f.name
	}
	return out
}
