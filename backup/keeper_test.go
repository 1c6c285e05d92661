package backup

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

type noWork struct{}

func (noWork) Progress(int64, int64) {}
func (noWork) Finish(string, error)  {}

// TestKeeperRests: a store that is down, and a drill that fails, are not tried again at
// every look, and a store that is well gets no backup for the other's sake.
func TestKeeperRests(t *testing.T) {
	a, b := newS3(t, nil), newS3(t, nil)
	m := newFakeMember("one")
	m.at = time.Now()
	drills := 0
	k := NewKeeper(KeeperOptions{
		Sources: []Source{m}, Stores: []*Store{a.Store, b.Store}, Logger: slog.New(slog.DiscardHandler), Alarm: func(string, string, string) {},
		Settings: func() Settings { return Settings{Every: time.Hour, Keep: time.Hour, DrillEvery: time.Hour} }, StartWork: func(string) Work { return noWork{} },
		Drill: func(context.Context) error { drills++; return errors.New("nothing is right") },
	})
	b.down()
	for range 5 {
		if err := k.due(testContext); drills == 1 && err == nil && len(k.waiting(time.Now(), time.Hour)) > 0 {
			t.Fatal("something waits")
		}
	}
	ids, err := a.Manifests(testContext)
	if err != nil || len(ids) != 1 || drills != 1 {
		t.Errorf("%d backups were made and %d drills, at five looks at once: %v", len(ids), drills, err)
	}
	soon := time.Now().Add(2 * time.Minute)
	if due := k.waiting(soon, time.Hour); !slices.Equal(due, []int{1}) {
		t.Errorf("stores %v are due after two minutes, not the one that was down", due)
	}
	if !k.drills.due(soon, time.Hour) {
		t.Error("the drill is not tried again")
	}
	b.inject(nil)
	if _, err := k.Backup(testContext); err != nil {
		t.Fatal(err)
	}
	if due := k.waiting(soon, time.Hour); len(due) > 0 {
		t.Errorf("stores %v are due although all have a backup", due)
	}
	rest, last := time.Duration(0), time.Now()
	var tried tries
	for range 100 { // it doubles, and ends at every
		tried.note(last, true)
		next := time.Minute
		for ; !tried.due(last.Add(next), time.Hour); next *= 2 {
		}
		if next < rest || next > 2*time.Hour {
			t.Fatalf("after a rest of %v comes one of %v", rest, next)
		}
		rest = next
	}
}

// TestLostWhileUploading: an object that goes while a backup is on its way is uploaded
// again before the manifest names it.
func TestLostWhileUploading(t *testing.T) {
	a := newS3(t, nil)
	m := newFakeMember("one")
	gone := ""
	a.inject(func(_ int, r *http.Request) int {
		at := strings.Index(r.URL.Path, FilesPrefix)
		if gone == "" && r.Method == http.MethodGet && at >= 0 { // the first that is read back goes after that
			gone = r.URL.Path[at:]
		} else if gone != "" && r.Method == http.MethodPut && !strings.HasSuffix(r.URL.Path, gone) && gone != "-" {
			if _, err := a.backend.DeleteObject(testBucket, gone); err != nil {
				t.Error(err)
			}
			gone = "-"
		}
		return 0
	})
	res := backUp(t, m, a.Store)
	if gone != "-" {
		t.Fatal("nothing was removed")
	}
	a.inject(nil)
	there, err := a.objects(testContext)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range res.Manifest.Files() {
		if _, ok := there[f.Hash]; !ok {
			t.Errorf("%s is named by the manifest and is not there", f.Path)
		}
	}
}

// TestOlderIsNotTakenSilently: where a store does not answer, the newest backup of the
// others is not taken for the newest.
func TestOlderIsNotTakenSilently(t *testing.T) {
	a, b := newS3(t, nil), newS3(t, nil)
	m := newFakeMember("one")
	older := backUp(t, m, a.Store, b.Store)
	m.at = m.at.Add(time.Hour)
	m.catalog = "another catalog"
	backUp(t, m, a.Store)
	a.down()
	id, _, err := Latest(testContext, []*Store{a.Store, b.Store}, time.Time{})
	if !errors.Is(err, ErrPassed) || id != older.ID {
		t.Errorf("%s, %v; want %s with %v", id, err, older.ID, ErrPassed)
	}
}
