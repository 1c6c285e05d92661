package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"arbor/engine/vfs"
)

// TestScrub: what a build got wrong and nobody proved, and what the disk changed,
// fails its shard with an alarm; other shards go on.
func TestScrub(t *testing.T) {
	for _, planted := range []string{"nothing", "forgotten rows", "flipped bits"} {
		t.Run(planted, func(t *testing.T) {
			fs := vfs.NewMem()
			o := memOptions(fs)
			o.Faults = &Faults{}
			e, err := Open(testContext, o)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			s, other := newSample(), newSample()
			other.day++
			other.request += 1e15
			for range 2 {
				s.fill(t, e, 200, 50)
				other.fill(t, e, 100, 50)
				if err := e.Index(testContext, 0, false); err != nil {
					t.Fatal(err)
				}
			}
			want := ""
			switch planted {
			case "forgotten rows":
				want = "says that it holds 400:"
				o.Faults.Overwrite = true
			case "flipped bits":
				want = "checksum"
				o.Faults.Written = func(path string) { damage(t, fs, path) }
			}
			if want != "" {
				o.Faults.Unproven = true
				victim := e.allShards()[0]
				if err := e.indexer.run(testContext, task{kind: taskClose, shard: victim.key, files: victim.fileNames()}); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Scrub(testContext, 0); err != nil {
				t.Fatal(err)
			}
			failed := 0
			for _, s := range e.allShards() {
				if s.failure() != nil {
					failed++
				}
			}
			alarms := e.alarms.all()
			if want == "" && (failed > 0 || len(alarms) > 0) {
				t.Errorf("%d shards failed, with alarms %v", failed, alarms)
			}
			if want != "" && (failed != 1 || len(alarms) != 1 || alarms[0].kind != alarmDamage || !strings.Contains(alarms[0].message, want)) {
				t.Errorf("%d shards failed, with alarms %v, want one with %q", failed, alarms, want)
			}
			if err := e.Scrub(testContext, 0); err != nil || len(e.alarms.all()) != len(alarms) {
				t.Errorf("the next pass: %v, %d alarms after %d", err, len(e.alarms.all()), len(alarms))
			}
		})
	}
}

// TestScrubEnds: a pass that is slow ends with its context.
func TestScrubEnds(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	newSample().fill(t, e, 100, 50)
	ctx, stop := context.WithCancel(testContext)
	stop()
	if err := e.Scrub(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a pass whose context has ended: %v", err)
	}
}
