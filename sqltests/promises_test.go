// Package sqltests tests arbor as a whole, through SQL and HTTP.
package sqltests

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"arbor/sqltests/stack"
)

// The promises are the rows of the two posts (Petabyte Scale Data Deduplication,
// 2019; Data Loss Incident Update, 2016) that one member can keep, each quoted
// and tested. The scale and the overhead are figures, in docs/benchmarks.md.

// purchase is an event as an SDK sends it.
func purchase(user, id string, at time.Time, price int) string {
	return fmt.Sprintf(`{"event":"Purchase","properties":{"time":%d,"distinct_id":%q,"$insert_id":%q,"price":%d}}`, at.UnixMilli(), user, id, price)
}

func list(events ...string) string { return "[" + strings.Join(events, ",") + "]" }

// contents is every visible event in full, in a fixed order: tests compare these,
// not only counts.
func contents(t *testing.T, s *stack.Stack) []string {
	t.Helper()
	rows := s.Rows(t, "SELECT time, distinct_id, event, insert_id, properties FROM shop.events")
	slices.Sort(rows)
	return rows
}

// copies is every stored copy in full with its identity, in a fixed order.
func copies(t *testing.T, s *stack.Stack) []string {
	t.Helper()
	rows := s.Rows(t, "SELECT _ingest_id, time, distinct_id, event, insert_id, properties FROM shop.events_all")
	slices.Sort(rows)
	return rows
}

// "Retroactive": a duplicate is found 1 second, 1 hour, 8 days and 400 days after
// the event, after its day was closed, and after a restart.
func TestPromiseRetroactive(t *testing.T) {
	for _, later := range []time.Duration{time.Second, time.Hour, 8 * 24 * time.Hour, 400 * 24 * time.Hour} {
		t.Run(later.String(), func(t *testing.T) {
			s := stack.New(t)
			token := s.Project(t, "shop")
			event := purchase("ann", "a1", s.Now(), 25)
			s.Import(t, token, list(event, purchase("bob", "b1", s.Now(), 17)))
			before := contents(t, s)
			s.Advance(later)
			s.Tick(t)
			s.Reopen(t)
			s.Import(t, token, list(event))
			for _, step := range []struct {
				name string
				do   func()
			}{
				{"in the log", func() {}},
				{"restarted", func() { s.Reopen(t) }},
				{"indexed", func() { s.Rows(t, "CALL arbor.index_project('shop')") }},
				{"day closed", func() { s.Rows(t, "CALL arbor.close_days('shop')") }},
				{"restarted again", func() { s.Reopen(t) }},
			} {
				step.do()
				if got := contents(t, s); !slices.Equal(got, before) {
					t.Errorf("%s: got %q, want %q", step.name, got, before)
				}
				if got := s.One(t, "SELECT COUNT(*) FROM shop.events_all"); got != "3" {
					t.Errorf("%s: %s copies, want 3", step.name, got)
				}
			}
		})
	}
}

// "Lossless": turning dedupe off brings back every accepted event, byte for
// byte, and turning it on hides the same copies again.
func TestPromiseLosslessRollback(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	for round := range 3 {
		s.Import(t, token, list(purchase("ann", "a1", s.Now(), 25+round%2), purchase("bob", fmt.Sprint("b", round), s.Now(), 10)))
		if round == 1 {
			s.Rows(t, "CALL arbor.close_days('shop')")
		}
	}
	visible, all := contents(t, s), copies(t, s)
	if len(visible) != 4 || len(all) != 6 {
		t.Fatalf("%d visible of %d copies, want 4 of 6", len(visible), len(all))
	}
	s.Rows(t, "CALL arbor.set_policy('shop', 'ENABLED=off', NULL, NULL)")
	everything := s.Rows(t, "SELECT _ingest_id, time, distinct_id, event, insert_id, properties FROM shop.events")
	slices.Sort(everything)
	if !slices.Equal(everything, all) {
		t.Errorf("with dedupe off: got %q, want %q", everything, all)
	}
	s.Rows(t, "CALL arbor.reset_policies('shop')")
	if got := contents(t, s); !slices.Equal(got, visible) {
		t.Errorf("with dedupe on again: got %q, want %q", got, visible)
	}
}

// "Retry until 200": a client that sends until it is answered neither loses nor
// doubles, however often the answer is lost, across restarts.
func TestPromiseRetryUntilAcknowledged(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	for batch := range 5 {
		var events []string
		for i := range 20 {
			events = append(events, purchase(fmt.Sprint("user", i), fmt.Sprint(batch, "-", i), s.Now(), i))
		}
		for attempt := range 1 + batch%3 { // the answers to all but the last are lost
			s.Import(t, token, list(events...))
			s.Advance(time.Second)
			if attempt == 1 {
				s.Reopen(t)
			}
		}
	}
	if got := s.One(t, "SELECT COUNT(*) FROM shop.events"); got != "100" {
		t.Errorf("%s events, want 100", got)
	}
	if got := s.One(t, "SELECT COUNT(*) FROM (SELECT DISTINCT distinct_id, insert_id FROM shop.events) e"); got != "100" {
		t.Errorf("%s distinct events, want 100", got)
	}
}

// "Counts agree with exports": what is counted is what is listed.
func TestPromiseCountsAgreeWithExports(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	for i := range 50 {
		e := purchase(fmt.Sprint("user", i%7), fmt.Sprint("id", i%40), s.Now().Add(time.Duration(i%3)*-24*time.Hour), i)
		s.Import(t, token, list(e))
		if i == 25 {
			s.Rows(t, "CALL arbor.close_days('shop')")
		}
	}
	for _, table := range []string{"events", "events_all"} {
		exported := s.Rows(t, "SELECT time, distinct_id, event, insert_id, properties FROM shop."+table)
		if got := s.One(t, "SELECT COUNT(*) FROM shop."+table); got != fmt.Sprint(len(exported)) {
			t.Errorf("%s: %s counted, %d exported", table, got, len(exported))
		}
	}
}

// "Sharded by project, user and time; users co-located": all copies of an event
// are in one shard, and the shard is that of its day.
func TestPromiseSharding(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	midnight := stack.Start.Truncate(24 * time.Hour)
	for range 2 {
		for i := range 20 {
			s.Import(t, token, list(purchase(fmt.Sprint("user", i), fmt.Sprint("id", i), midnight.Add(time.Duration(i-10)*time.Millisecond), i)))
		}
	}
	for _, row := range s.Rows(t, "SELECT distinct_id, COUNT(DISTINCT _shard), COUNT(*) FROM shop.events_all GROUP BY distinct_id") {
		if !strings.HasSuffix(row, "\t1\t2") {
			t.Errorf("user, shards, copies: %s, want one shard and two copies", row)
		}
	}
	if got := s.Rows(t, "SELECT DISTINCT SUBSTRING_INDEX(SUBSTRING_INDEX(_shard, '/', 2), '/', -1) = DATE_FORMAT(time, '%Y-%m-%d') FROM shop.events_all"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("shard's day is the event's day: %q", got)
	}
}

// "Append files are sealed by size and by age."
func TestPromiseSealedBySizeAndByAge(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	s.Import(t, token, list(purchase("ann", "a1", s.Now(), 1)))
	s.Tick(t)
	if got := s.One(t, "SELECT COUNT(*) FROM arbor.files"); got != "0" {
		t.Fatalf("%s files before the log is old, want 0", got)
	}
	s.Advance(2 * time.Minute) // past seal_after_age
	s.Tick(t)
	if got := s.One(t, "SELECT COUNT(*) FROM arbor.files"); got != "1" {
		t.Errorf("%s files once the log is old, want 1", got)
	}
	s.Rows(t, "CALL arbor.set_setting('seal_after_bytes', '4KiB')")
	var events []string
	for i := range 500 {
		events = append(events, purchase("bob", fmt.Sprint("b", i), s.Now(), i))
	}
	s.Import(t, token, list(events...))
	s.Tick(t)
	if got := s.One(t, "SELECT COALESCE(SUM(logged_events), 0) FROM arbor.shards"); got != "0" {
		t.Errorf("%s events left in the log once it is big, want 0", got)
	}
}

// "Queries read both": the answer is the same while events are in the log, in
// files, and in both, and duplicates are found between them.
func TestPromiseQueriesReadBoth(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	s.Import(t, token, list(purchase("ann", "a1", s.Now(), 1), purchase("bob", "b1", s.Now(), 2)))
	s.Rows(t, "CALL arbor.index_project('shop')")
	s.Import(t, token, list(purchase("ann", "a1", s.Now(), 1), purchase("cy", "c1", s.Now(), 3)))
	if got := s.Rows(t, "SELECT distinct_id, _file = 'log' FROM shop.events ORDER BY distinct_id"); !slices.Equal(got, []string{"ann\t0", "bob\t0", "cy\t1"}) {
		t.Errorf("got %q", got)
	}
	if got := s.One(t, "SELECT _file, _dup_kind FROM shop.events_all WHERE _duplicate"); got != "log\tretry" {
		t.Errorf("the duplicate: %q, want the copy in the log", got)
	}
}

// "A day is closed into one file, and heals itself": late events open it again.
func TestPromiseDayClosedIntoOneFile(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	day := s.Now()
	for i := range 3 {
		s.Import(t, token, list(purchase("ann", fmt.Sprint("a", i), day, i)))
		s.Rows(t, "CALL arbor.index_project('shop')")
	}
	s.Advance(40 * time.Hour)
	s.Tick(t)
	if got := s.One(t, "SELECT COUNT(*) FROM arbor.files"); got != "1" {
		t.Fatalf("%s files after the day was closed, want 1", got)
	}
	before := contents(t, s)
	s.Import(t, token, list(purchase("ann", "a0", day, 0), purchase("ann", "late", day, 9)))
	s.Advance(10 * time.Minute)
	s.Tick(t) // the late events become a file
	s.Advance(10 * time.Minute)
	s.Tick(t) // and, once no more come, part of the day's one file
	if got := s.One(t, "SELECT COUNT(*) FROM arbor.files"); got != "1" {
		t.Errorf("%s files after late events, want 1", got)
	}
	after := contents(t, s)
	if len(after) != len(before)+1 {
		t.Errorf("got %q, want %q and the late event", after, before)
	}
	for _, row := range before {
		if !slices.Contains(after, row) {
			t.Errorf("lost %s", row)
		}
	}
}

// "Repeated same-day indexing with late data, compared by contents": the check
// whose absence lost data in 2016.
func TestPromiseRepeatedIndexingComparedByContents(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	var want []string
	for run := range 6 {
		for i := range 10 {
			s.Import(t, token, list(purchase(fmt.Sprint("user", i), fmt.Sprint(run, "-", i), s.Now(), run*i)))
		}
		want = copies(t, s)
		s.Rows(t, "CALL arbor.close_days('shop')")
		if got := copies(t, s); !slices.Equal(got, want) {
			t.Fatalf("run %d changed the contents: got %d copies, want %d", run, len(got), len(want))
		}
	}
	if len(want) != 60 {
		t.Errorf("%d copies, want 60", len(want))
	}
	if got := s.Rows(t, "SELECT * FROM arbor.alarms"); len(got) != 0 {
		t.Errorf("alarms: %q", got)
	}
}

// "The across-files gap closed": duplicates in different files of a day are
// found before the day is closed, whichever file has the survivor.
func TestPromiseDuplicatesAcrossFiles(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	for range 3 {
		s.Import(t, token, list(purchase("ann", "a1", stack.Start, 1)))
		s.Rows(t, "CALL arbor.index_project('shop')")
	}
	files := s.One(t, "SELECT COUNT(DISTINCT _file) FROM shop.events_all")
	if got := s.One(t, "SELECT COUNT(*) FROM shop.events"); got != "1" {
		t.Errorf("%s events across %s files, want 1", got, files)
	}
	s.Rows(t, "CALL arbor.set_policy('shop', 'SURVIVOR=LAST', NULL, NULL)")
	last := s.One(t, "SELECT MAX(_ingest_id) FROM shop.events_all")
	if got := s.One(t, "SELECT _ingest_id FROM shop.events"); got != last {
		t.Errorf("survivor %s, want the last copy %s", got, last)
	}
}

// "Accepted events are accounted for": the balance holds at every step.
func TestPromiseBalance(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	balance := func(want string) {
		t.Helper()
		if got := s.One(t, "SELECT SUM(accepted), SUM(visible), SUM(retry), SUM(conflict), SUM(deleted), SUM(quarantined) FROM arbor.balance WHERE project = 'shop'"); got != want {
			t.Errorf("balance %q, want %q", got, want)
		}
		if got := s.One(t, "SELECT COUNT(*) FROM arbor.balance WHERE accepted <> visible + retry + conflict + deleted + quarantined"); got != "0" {
			t.Errorf("the balance does not add up in %s rows", got)
		}
	}
	s.Import(t, token, list(purchase("ann", "a1", s.Now(), 1), purchase("ann", "a1", s.Now(), 1), purchase("ann", "a1", s.Now(), 2), purchase("bob", "b1", s.Now(), 3)))
	balance("4\t2\t1\t1\t0\t0")
	s.Rows(t, "CALL arbor.close_days('shop')")
	balance("4\t2\t1\t1\t0\t0")
	s.Rows(t, "DELETE FROM shop.events WHERE distinct_id = 'ann'")
	balance("4\t1\t0\t0\t3\t0")
	s.Import(t, token, list(purchase("ann", "a1", s.Now(), 1)))
	balance("5\t2\t0\t0\t3\t0")
	s.Reopen(t)
	balance("5\t2\t0\t0\t3\t0")
}

// A clock that is set back does not stamp new events into what a TRUNCATE hides.
func TestTruncateUnderAClockSetBack(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	s.Import(t, token, list(purchase("ann", "a1", stack.Start, 1)))
	s.Rows(t, "TRUNCATE TABLE shop.events")
	s.Advance(-24 * time.Hour)
	s.Reopen(t)
	s.Import(t, token, list(purchase("bob", "b1", stack.Start.Add(-25*time.Hour), 2)))
	if got := s.Rows(t, "SELECT distinct_id FROM shop.events"); !slices.Equal(got, []string{"bob"}) {
		t.Errorf("got %q, want the event that came after the truncation", got)
	}
}

// A dropped project can be brought back until drop_retention is over, and then
// its disk is free.
func TestDroppedProjectIsKeptAndThenPurged(t *testing.T) {
	s := stack.New(t)
	token := s.Project(t, "shop")
	s.Import(t, token, list(purchase("ann", "a1", s.Now(), 1)))
	s.Rows(t, "CALL arbor.index_project('shop')")
	before := contents(t, s)
	s.Rows(t, "DROP DATABASE shop")
	s.Advance(24 * time.Hour)
	s.Purge(t, 0)
	s.Rows(t, "CALL arbor.undrop_database('shop')")
	if got := contents(t, s); !slices.Equal(got, before) {
		t.Fatalf("brought back: got %q, want %q", got, before)
	}
	s.Rows(t, "DROP DATABASE shop")
	s.Advance(8 * 24 * time.Hour)
	s.Purge(t, 1)
	s.Tick(t)
	if got := s.One(t, "SELECT COUNT(*) FROM arbor.files"); got != "0" {
		t.Errorf("%s files of a purged project, want none", got)
	}
	if _, err := s.Query("CALL arbor.undrop_database('shop')"); err == nil {
		t.Error("a purged project was brought back")
	}
}
