package backup

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Settings are those that a Keeper follows. A duration of 0 is never.
type Settings struct {
	Every, Keep, DrillEvery time.Duration
	Rate                    int64
}

// Work is shown to people while it lasts.
type Work interface {
	Progress(done, total int64)
	Finish(message string, err error)
}

// Keeper makes a server's backups, by itself and when it is asked to, one at a
// time.
type Keeper struct {
	KeeperOptions
	turn chan struct{}

	mu     sync.Mutex // guards what follows
	stores []keptStore
	// drilled is when a drill last succeeded, and drills what was tried since.
	drilled time.Time
	drills  tries
	bytes   int64
}

// tries are those that failed since something last succeeded.
type tries struct {
	failed int
	last   time.Time
}

// due says whether it is time for another one: after a minute, then two, four and so
// on, up to the time after which it would be due anyway.
func (a *tries) due(now time.Time, every time.Duration) bool {
	rest := every
	if a.failed < 20 {
		rest = min(rest, lookEvery<<max(0, a.failed-1))
	}
	return a.failed == 0 || now.Sub(a.last) >= rest
}

// note counts an attempt.
func (a *tries) note(now time.Time, failed bool) {
	if *a = (tries{failed: a.failed + 1, last: now}); !failed {
		*a = tries{}
	}
}

// keptStore is what is known of a store.
type keptStore struct {
	succeeded time.Time
	tried     tries
	uploaded  int64
	failing   bool
}

// KeeperOptions say what a Keeper works with.
type KeeperOptions struct {
	Sources  []Source
	Stores   []*Store
	Settings func() Settings
	// Leads says whether this server is the one of several that makes backups by itself;
	// nil is always. Another one does when a backup is overdue by leaderLate.
	Leads     func() bool
	StartWork func(kind string) Work
	Alarm     func(kind, subject, message string)
	// Drill restores the newest backup somewhere and compares; nil is never. Drilled is
	// when that last succeeded, before this server started.
	Drill     func(ctx context.Context) error
	Drilled   time.Time
	CreatedBy string
	Logger    *slog.Logger
}

// AlarmBackup is the kind of alarms that a Keeper raises.
const AlarmBackup = "backup"

// leaderLate is how long one of several servers waits for the backup of the one that
// leads, before it makes it.
const leaderLate = time.Hour

// lookEvery is how often a Keeper looks whether something is due.
const lookEvery = time.Minute

// NewKeeper makes a Keeper. Nothing happens before Run or Backup.
func NewKeeper(o KeeperOptions) *Keeper {
	return &Keeper{KeeperOptions: o, turn: make(chan struct{}, 1), stores: make([]keptStore, len(o.Stores)), drilled: o.Drilled}
}

// Run makes backups, and drills, when they are due, until ctx ends. When the last
// ones were is read from the stores.
func (k *Keeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	k.look(ctx)
	for {
		if err := k.due(ctx); err != nil && ctx.Err() == nil {
			k.Logger.Error("backup", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look reads from the stores when each got its last backup.
func (k *Keeper) look(ctx context.Context) {
	for i, s := range k.Stores {
		ids, err := s.Manifests(ctx)
		k.mu.Lock()
		if k.stores[i].failing = err != nil; err == nil && len(ids) > 0 {
			_, k.stores[i].succeeded, _ = idOfKey(manifestKey(ids[len(ids)-1]))
		}
		k.mu.Unlock()
	}
}

// hear reads from the stores which backups others have made meanwhile.
func (k *Keeper) hear(ctx context.Context) {
	for i, s := range k.Stores {
		ids, err := s.Manifests(ctx)
		if err != nil || len(ids) == 0 {
			continue
		}
		_, at, _ := idOfKey(manifestKey(ids[len(ids)-1]))
		k.mu.Lock()
		if known := &k.stores[i]; at.After(known.succeeded) {
			known.succeeded, known.failing, known.tried = at, false, tries{}
		}
		k.mu.Unlock()
	}
}

// due does what is due.
func (k *Keeper) due(ctx context.Context) error {
	s, now := k.Settings(), time.Now()
	var err error
	every := s.Every
	if k.Leads != nil && every > 0 {
		k.hear(ctx)
		if !k.Leads() {
			every += leaderLate
		}
	}
	if waiting := k.waiting(now, every); len(waiting) > 0 {
		_, err = k.backup(ctx, waiting)
	}
	k.mu.Lock()
	drill := k.Drill != nil && s.DrillEvery > 0 && now.Sub(k.drilled) >= s.DrillEvery && k.drills.due(now, s.DrillEvery)
	k.mu.Unlock()
	if drill && ctx.Err() == nil {
		err = errors.Join(err, k.drill(ctx))
	}
	return err
}

// waiting are the stores that are due for a backup.
func (k *Keeper) waiting(now time.Time, every time.Duration) (due []int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.stores {
		if s := &k.stores[i]; every > 0 && now.Sub(s.succeeded) >= every && s.tried.due(now, every) {
			due = append(due, i)
		}
	}
	return due
}

// Backup makes a backup now, to all stores, after the one that is under way if any is.
func (k *Keeper) Backup(ctx context.Context) (Result, error) {
	all := make([]int, len(k.Stores))
	for i := range all {
		all[i] = i
	}
	return k.backup(ctx, all)
}

// backup makes a backup to some of the stores.
func (k *Keeper) backup(ctx context.Context, which []int) (Result, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	work, set := k.StartWork("backup"), k.Settings()
	var stores []*Store
	for _, i := range which {
		stores = append(stores, k.Stores[i])
	}
	res, err := Run(ctx, Options{Sources: k.Sources, Stores: stores, Rate: set.Rate, Keep: set.Keep, CreatedBy: k.CreatedBy, Progress: work.Progress})
	work.Finish(res.ID, err)
	if ctx.Err() == nil || res.ID != "" {
		k.note(&res, which)
	}
	if err != nil && ctx.Err() == nil {
		k.alarm(&res, err)
	}
	return res, err
}

// note remembers what became of some stores.
func (k *Keeper) note(res *Result, which []int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range res.Stores {
		s := &k.stores[which[i]]
		s.uploaded += res.Stores[i].Bytes
		if s.failing = res.ID == "" || res.Stores[i].Err != nil; !s.failing {
			s.succeeded = res.Manifest.At
			k.bytes = bytesOf(res.Manifest)
		}
		s.tried.note(time.Now(), s.failing)
	}
}

// alarm says what went wrong, for each store apart.
func (k *Keeper) alarm(res *Result, err error) {
	told := false
	for _, s := range res.Stores {
		if s.Err != nil {
			k.Alarm(AlarmBackup, s.Name, s.Err.Error())
			told = true
		}
	}
	if !told || res.Manifest != nil && !res.Manifest.Complete() {
		k.Alarm(AlarmBackup, "", err.Error())
	}
}

// drill restores the newest backup and compares.
func (k *Keeper) drill(ctx context.Context) error {
	work := k.StartWork("drill")
	err := k.Drill(ctx)
	work.Finish("", err)
	if ctx.Err() != nil {
		return err
	}
	k.mu.Lock()
	k.drills.note(time.Now(), err != nil)
	if err == nil {
		k.drilled = time.Now()
	}
	k.mu.Unlock()
	if err != nil {
		k.Alarm(AlarmBackup, "drill", err.Error())
	}
	return err
}

var (
	lastSuccessMetric = prometheus.NewDesc("arbor_backup_last_success_timestamp_seconds",
		"When the newest backup that a store has was made; 0 for never.", []string{"store"}, nil)
	uploadedMetric = prometheus.NewDesc("arbor_backup_uploaded_bytes_total", "Bytes uploaded since the start.", []string{"store"}, nil)
	failingMetric  = prometheus.NewDesc("arbor_backup_failing", "1 if the last backup to a store failed.", []string{"store"}, nil)
	sizeMetric     = prometheus.NewDesc("arbor_backup_bytes", "What the last backup comes to.", nil, nil)
	drillMetric    = prometheus.NewDesc("arbor_backup_drill_last_success_timestamp_seconds",
		"When a backup was last restored and found right; 0 for never.", nil, nil)
)

// Describe names the metrics.
func (k *Keeper) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lastSuccessMetric, uploadedMetric, failingMetric, sizeMetric, drillMetric} {
		ch <- d
	}
}

// Collect gives the metrics.
func (k *Keeper) Collect(ch chan<- prometheus.Metric) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, s := range k.stores {
		name := k.Stores[i].Name
		failing := 0.0
		if s.failing {
			failing = 1
		}
		ch <- prometheus.MustNewConstMetric(lastSuccessMetric, prometheus.GaugeValue, seconds(s.succeeded), name)
		ch <- prometheus.MustNewConstMetric(uploadedMetric, prometheus.CounterValue, float64(s.uploaded), name)
		ch <- prometheus.MustNewConstMetric(failingMetric, prometheus.GaugeValue, failing, name)
	}
	ch <- prometheus.MustNewConstMetric(sizeMetric, prometheus.GaugeValue, float64(k.bytes))
	ch <- prometheus.MustNewConstMetric(drillMetric, prometheus.GaugeValue, seconds(k.drilled))
}

// seconds is a moment since 1970, and 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
