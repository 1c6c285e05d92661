package load

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	duration = flag.Duration("duration", 12*time.Second, "how long TestMixedLoad goes on")
	// So that comparing them all takes seconds.
	mixedMost = flag.Int64("events", 150_000, "how many events TestMixedLoad sends at most; 0 is as many as its share of what the machine takes")
)

// The mixed load.
const (
	mixedWriters = 4
	mixedBatch   = 200
	// mixedDays pass while it goes on, by a clock that is faster than ours.
	mixedDays = 5
	// mixedShare is how much of what the machine takes is sent.
	mixedShare = 0.7
)

// Bounds on what a member holds at the end, when nothing is asked of it.
const (
	mixedHeap       = 600 << 20
	mixedGoroutines = 60
	mixedDescribers = 400
	mixedFiles      = 3000
)

// load is a mixed load while it runs.
type load struct {
	t     *testing.T
	m     *member
	token string
	start time.Time // of the member's clock
	began time.Time // of ours
	speed float64   // of the member's clock
	rate  float64   // events a second
	from  time.Time // when it began, by our clock
	base  time.Time // and by the member's, in whole seconds

	ctx                context.Context
	sent, acknowledged atomic.Int64
	repeated, refused  atomic.Int64
	written            [mixedWriters]int64 // events of each writer
	queries, deletes   atomic.Int64
	policies           atomic.Int64
}

// now is the member's clock.
func (l *load) now() time.Time {
	return l.start.Add(time.Duration(float64(time.Since(l.began)) * l.speed))
}

// mixedEvent is the event of an id, WRITER-NUMBER-HOUR: all of it follows from that.
func (l *load) mixedEvent(writer, number, hour int64) (name, user string, at time.Time, amount int64) {
	h := uint64(writer*1_000_003+number) * 0x9e3779b97f4a7c15
	at = l.base.Add(time.Duration(hour)*time.Hour - time.Duration(h>>32%(30*3600))*time.Second)
	return fmt.Sprint("Event ", h>>20%5), fmt.Sprint("u", h>>24%3000), at, int64(h >> 40 % 1000)
}

// write sends a writer's batches at its share of the rate, each until it is
// acknowledged, and one in twenty again after that.
func (l *load) write(writer int64) {
	var body strings.Builder
	for number := int64(0); ; {
		due := time.Duration(float64(number) / (l.rate / mixedWriters) * float64(time.Second))
		select {
		case <-l.ctx.Done():
			l.written[writer] = number
			return
		case <-time.After(due - time.Since(l.from)):
		}
		hour := int64(l.now().Sub(l.base) / time.Hour)
		body.Reset()
		for range mixedBatch {
			name, user, at, amount := l.mixedEvent(writer, number, hour)
			fmt.Fprintf(&body, `{"event":%q,"properties":{"time":%d,"distinct_id":%q,"$insert_id":"%d-%d-%d","amount":%d,"page":"/p/%d"}}`+"\n",
				name, at.Unix(), user, writer, number, hour, amount, amount%50)
			number++
		}
		l.sent.Add(mixedBatch)
		l.deliver(body.String())
		l.acknowledged.Add(mixedBatch)
		if number/mixedBatch%20 == 0 {
			l.deliver(body.String())
			l.repeated.Add(mixedBatch)
		}
	}
}

// deliver sends a batch until it is acknowledged.
func (l *load) deliver(body string) {
	for {
		status, _, err := l.m.send(l.token, body)
		switch {
		case err != nil:
			l.t.Errorf("a connection was cut: %v", err)
			return
		case status == http.StatusOK:
			return
		case status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable:
			l.t.Errorf("import: status %d", status)
			return
		}
		l.refused.Add(1)
		time.Sleep(10 * time.Millisecond)
	}
}

// every calls do until the load ends, so often.
func (l *load) every(d time.Duration, do func(i int64) error) {
	for i := int64(0); ; i++ {
		if err := do(i); err != nil {
			l.t.Error(err)
			return
		}
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(d):
		}
	}
}

// ask asks questions whose answers are known within bounds.
func (l *load) ask(i int64) error {
	defer l.queries.Add(1)
	least := l.acknowledged.Load()
	count := int64(0)
	statement := "SELECT COUNT(*) FROM shop.events WHERE distinct_id NOT LIKE 'victim%'"
	switch i % 3 {
	case 1:
		statement = "SELECT SUM(n) FROM (SELECT event, COUNT(*) AS n FROM shop.events WHERE event LIKE 'Event%' GROUP BY event) AS t"
	case 2:
		statement = "SELECT COUNT(DISTINCT insert_id) FROM shop.events WHERE event LIKE 'Event%'"
		if i%30 != 2 { // it is dear
			statement = "SELECT COUNT(*) FROM shop.events WHERE amount >= 0 AND event LIKE 'Event%'"
		}
	}
	err := l.m.rows(statement, func(row []string) (err error) {
		if row[0] != "\\N" {
			count, err = strconv.ParseInt(row[0], 10, 64)
		}
		return err
	})
	if most := l.sent.Load(); err == nil && (count < least || count > most) {
		err = fmt.Errorf("%s: %d, of at least %d and at most %d", statement, count, least, most)
	}
	return err
}

// remove stores events of a user and deletes them again.
func (l *load) remove(db *sql.DB) func(int64) error {
	return func(i int64) error {
		defer l.deletes.Add(1)
		user := fmt.Sprint("victim-", i)
		at := l.now().Add(-time.Hour).UTC().Format(time.DateTime)
		row := fmt.Sprintf("('Victim', '%s', '%s')", at, user)
		for _, statement := range []string{
			"INSERT INTO shop.events (event, time, distinct_id) VALUES " + row + strings.Repeat(", "+row, 49),
			"DELETE FROM shop.events WHERE distinct_id = '" + user + "'",
		} {
			if _, err := db.Exec(statement); err != nil {
				return fmt.Errorf("%.60s: %w", statement, err)
			}
		}
		return nil
	}
}

// govern changes what changes no answer: the key, of events with ids that are sent
// again as they were, and settings; and makes and drops a project.
func (l *load) govern(db *sql.DB) func(int64) error {
	return func(i int64) error {
		defer l.policies.Add(1)
		key := []string{"KEY=EXACT", "KEY=DAY"}[i%2]
		statements := []string{
			"CALL arbor.set_policy('shop', '" + key + "')",
			fmt.Sprintf("CALL arbor.set_setting('seal_after_bytes', '%dKiB')", 256<<(i%3)),
			fmt.Sprintf("CREATE DATABASE temporary_%d", i),
			fmt.Sprintf("INSERT INTO temporary_%d.events (event) VALUES ('a'), ('b')", i),
			fmt.Sprintf("DROP DATABASE temporary_%d", i),
		}
		for _, s := range statements {
			if _, err := db.Exec(s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	}
}

// calibrate finds out how many events a second the machine takes.
func calibrate(t *testing.T, m *member, token string, bodies []string) float64 {
	const enough = time.Second
	start := time.Now()
	var events atomic.Int64
	var writers sync.WaitGroup
	for w := range mixedWriters {
		writers.Go(func() {
			for time.Since(start) < enough {
				m.post(t, token, bodies[w], http.StatusOK)
				events.Add(mixedBatch)
			}
		})
	}
	writers.Wait()
	return float64(events.Load()) / time.Since(start).Seconds()
}

// TestMixedLoad sends, asks, deletes and changes policies at once, while the member
// indexes and closes days. Nothing may fail, what is held stays bounded, and at the
// end each acknowledged event is there once, as it was sent.
func TestMixedLoad(t *testing.T) {
	l := &load{t: t, start: time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC), began: time.Now()}
	l.speed = float64(mixedDays*24*time.Hour) / float64(*duration)
	l.m = open(t, options{now: l.now, tickEvery: 100 * time.Millisecond})
	l.m.query(t, "CREATE DATABASE trial")
	l.m.query(t, "CREATE DATABASE shop")
	l.m.query(t, "CALL arbor.set_setting('seal_after_age', '"+time.Duration(2*float64(time.Second)*l.speed).Round(time.Second).String()+"')")
	l.m.query(t, "CALL arbor.set_setting('trash_retention', '2h')")
	l.m.query(t, "CALL arbor.set_setting('drop_retention', '2h')")
	l.token = l.m.query(t, "SELECT token FROM arbor.projects WHERE name = 'shop'")
	var bodies []string
	for w := range mixedWriters {
		bodies = append(bodies, batchOf(fmt.Sprint("trial", w), mixedBatch, mixedBatch*200))
	}
	most := calibrate(t, l.m, l.m.query(t, "SELECT token FROM arbor.projects WHERE name = 'trial'"), bodies)
	l.m.query(t, "DROP DATABASE trial")
	l.rate = mixedShare * most
	if *mixedMost > 0 {
		l.rate = min(l.rate, float64(*mixedMost)/duration.Seconds())
	}

	db, err := sql.Open("mysql", l.m.dsn(""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, stop := context.WithTimeout(context.Background(), *duration)
	defer stop()
	l.ctx, l.from, l.base = ctx, time.Now(), l.now().Truncate(time.Second)
	before := holdings(t, l.m.dir)
	var all sync.WaitGroup
	for w := range int64(mixedWriters) {
		all.Go(func() { l.write(w) })
	}
	all.Go(func() { l.every(50*time.Millisecond, l.ask) })
	all.Go(func() { l.every(200*time.Millisecond, l.remove(db)) })
	all.Go(func() { l.every(time.Second, l.govern(db)) })
	all.Go(func() { l.every(time.Second, func(int64) error { return l.m.purge(l.now()) }) })
	all.Wait()
	t.Logf("the machine takes %.0f events/s; %.0f/s were sent: %d events, %d of them twice, %d requests refused; beside them %d questions, %d deletes, %d changes",
		most, l.rate, l.acknowledged.Load(), l.repeated.Load(), l.refused.Load(), l.queries.Load(), l.deletes.Load(), l.policies.Load())
	l.compare("as it stands")
	l.m.query(t, "CALL arbor.index_project('shop')")
	l.m.query(t, "CALL arbor.close_days('shop')")
	l.compare("indexed")
	if err := l.m.rows("CALL arbor.check_project('shop')", func([]string) error { return nil }); err != nil {
		t.Error(err)
	}
	db.Close()
	l.m.client.CloseIdleConnections()
	l.settled(before)
}

// compare holds what is stored to what was acknowledged.
func (l *load) compare(when string) {
	l.t.Helper()
	seen := make([][]bool, mixedWriters)
	total := int64(0)
	for w := range seen {
		seen[w] = make([]bool, l.written[w])
		total += l.written[w]
	}
	rows := int64(0)
	err := l.m.rows("SELECT insert_id, event, distinct_id, time, amount, properties->>'$.page' FROM shop.events", func(row []string) error {
		rows++
		var writer, number, hour int64
		if n, err := fmt.Sscanf(row[0], "%d-%d-%d", &writer, &number, &hour); n != 3 {
			return fmt.Errorf("an event of nobody: %q: %w", row, err)
		}
		if writer >= mixedWriters || number >= l.written[writer] || seen[writer][number] {
			return fmt.Errorf("an event that was not sent, or is there twice: %q", row)
		}
		seen[writer][number] = true
		name, user, at, amount := l.mixedEvent(writer, number, hour)
		if want := []string{name, user, at.UTC().Format("2006-01-02 15:04:05.000000"), strconv.FormatInt(amount, 10), fmt.Sprint("/p/", amount%50)}; strings.Join(row[1:], "|") != strings.Join(want, "|") {
			return fmt.Errorf("%s is %q, want %q", row[0], row[1:], want)
		}
		return nil
	})
	if err != nil {
		l.t.Errorf("%s: %v", when, err)
	} else if rows != total {
		l.t.Errorf("%s: %d events, want %d", when, rows, total)
	}
}

// holding is what a process holds.
type holding struct{ heap, goroutines, descriptors, files int64 }

func holdings(t *testing.T, dir string) (h holding) {
	t.Helper()
	h.heap, h.goroutines = liveHeap(), int64(runtime.NumGoroutine())
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		h.descriptors = int64(len(open))
	}
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			h.files++
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // it went meanwhile
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return h
}

// settled waits until the member holds little, which must come.
func (l *load) settled(before holding) {
	l.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		if err := l.m.purge(l.now()); err != nil {
			l.t.Error(err)
		}
		h := holdings(l.t, l.m.dir)
		fits := h.heap < mixedHeap && h.goroutines < before.goroutines+mixedGoroutines &&
			h.descriptors < before.descriptors+mixedDescribers && h.files < mixedFiles
		if fits || time.Now().After(deadline) {
			l.t.Logf("before: %+v, after: %+v", before, h)
			if !fits {
				l.t.Error("more is held than should be")
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
