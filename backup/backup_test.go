package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"arbor/engine/filesum"
	"arbor/engine/vfs"
)

var testContext = context.Background()

func backUp(t testing.TB, m *fakeMember, stores ...*Store) Result {
	t.Helper()
	res, err := Run(testContext, Options{Sources: []Source{m}, Stores: stores, Keep: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func restoreOptions(fs vfs.FS, id string, stores ...*Store) RestoreOptions {
	return RestoreOptions{Stores: stores, ID: id, FS: fs, Dir: "data", WriteCatalog: func(fs vfs.FS, dir string, encoded []byte) error {
		if err := fs.MkdirAll(dir); err != nil {
			return err
		}
		if err := writeFile(fs, path.Join(dir, "catalog"), encoded); err != nil {
			return err
		}
		return fs.SyncDir(dir)
	}}
}

// mustHold compares a restored directory with the member.
func mustHold(t testing.TB, fs vfs.FS, m *fakeMember) {
	t.Helper()
	want := map[string]string{"catalog/catalog": m.catalog}
	for _, files := range m.shards {
		for p, content := range files {
			want[p] = content
		}
	}
	for p, content := range m.log {
		want[p] = content
	}
	got := map[string]string{}
	var walk func(dir string)
	walk = func(dir string) {
		names, err := fs.List(path.Join("data", dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if sub, ok := strings.CutSuffix(name, "/"); ok {
				walk(path.Join(dir, sub))
				continue
			}
			content, err := readFile(fs, path.Join("data", dir, name))
			if err != nil {
				t.Fatal(err)
			}
			got[path.Join(dir, name)] = string(content)
		}
	}
	walk("")
	for p, content := range want {
		if got[p] != content {
			t.Errorf("%s holds %q, want %q", p, got[p], content)
		}
		delete(got, p)
	}
	for p := range got {
		t.Errorf("%s is there and was not copied", p)
	}
}

// TestThereAndBack: what is restored is what was copied, and a file that does not
// change is sent once.
func TestThereAndBack(t *testing.T) {
	a, b, m := newS3(t, nil), newS3(t, nil), newFakeMember("one")
	first := backUp(t, m, a.Store, b.Store)
	if m.held != 0 {
		t.Error("a cut is still held")
	}
	for _, s := range first.Stores {
		if s.Objects != 8 {
			t.Errorf("%d objects were sent to %s, want 8", s.Objects, s.Name)
		}
	}
	checked := m.checked
	m.at = m.at.Add(time.Hour)
	m.log["log/0000000002.log"] = "what came later"
	second := backUp(t, m, a.Store, b.Store)
	if s := second.Stores[0]; s.Objects != 1 || s.Bytes != int64(len("what came later")) {
		t.Errorf("the second backup sent %d objects of %d bytes", s.Objects, s.Bytes)
	}
	if m.checked != checked+2 {
		t.Errorf("the second backup read %d files, want the 2 segments", m.checked-checked)
	}
	if second.Manifest.Previous != first.ID {
		t.Errorf("the second backup comes after %q, want %q", second.Manifest.Previous, first.ID)
	}
	fs := vfs.NewMem()
	res, err := Restore(testContext, restoreOptions(fs, second.ID, b.Store))
	if err != nil {
		t.Fatal(err)
	}
	if res.Files != 8 || res.Kept != 0 {
		t.Errorf("restored %d files, kept %d", res.Files, res.Kept)
	}
	mustHold(t, fs, m)
	id, _, err := Latest(testContext, []*Store{a.Store}, m.at.Add(-time.Minute))
	if err != nil || id != first.ID {
		t.Errorf("the newest backup a minute before is %s, %v; want %s", id, err, first.ID)
	}
	if _, _, err := Latest(testContext, []*Store{a.Store}, m.at.Add(-time.Hour*24)); !errors.Is(err, ErrNoManifest) {
		t.Errorf("the newest backup a day before: %v", err)
	}
}

// TestSeveralMembers: a manifest holds several members, each restored by its name.
func TestSeveralMembers(t *testing.T) {
	a, one, two := newS3(t, nil), newFakeMember("one"), newFakeMember("two")
	res, err := Run(testContext, Options{Sources: []Source{one, two}, Stores: []*Store{a.Store}})
	if err != nil {
		t.Fatal(err)
	}
	fs := vfs.NewMem()
	o := restoreOptions(fs, res.ID, a.Store)
	if _, err := Restore(testContext, o); err == nil || !strings.Contains(err.Error(), "one, two") {
		t.Errorf("restore of nobody: %v", err)
	}
	o.Member = "two"
	if _, err := Restore(testContext, o); err != nil {
		t.Fatal(err)
	}
	mustHold(t, fs, two)
}

// TestCluster: what the members of a cluster gave is restored together, each shard from
// the one that has it, and the log begins behind all of theirs.
func TestCluster(t *testing.T) {
	a, one, two := newS3(t, nil), newFakeMember("one"), newFakeMember("two")
	all := &fakeMember{catalog: one.catalog, shards: map[ShardID]map[string]string{}, log: map[string]string{"log/000000000009.log": ""}}
	for i, m := range []*fakeMember{one, two} {
		m.cluster, m.log = true, map[string]string{fmt.Sprintf("log/%012d.log", 9-i): ""}
		for id, files := range m.shards {
			if (id.Day == "2026-01-14") != (m == one) {
				delete(m.shards, id)
				continue
			}
			all.shards[id] = files
		}
	}
	res, err := Run(testContext, Options{Sources: []Source{one, two}, Stores: []*Store{a.Store}})
	if err != nil || res.Manifest.Version != 2 {
		t.Fatal(err, res.Manifest)
	}
	fs := vfs.NewMem()
	restored, err := Restore(testContext, restoreOptions(fs, res.ID, a.Store))
	if err != nil {
		t.Fatal(err)
	}
	mustHold(t, fs, all)
	if restored.Member.Name != ClusterMember || len(restored.Member.Shards) != 3 {
		t.Errorf("restored %s with %d shards", restored.Member.Name, len(restored.Member.Shards))
	}
	found, err := a.NewestOf(testContext, ClusterMember, []ShardID{{Project: 1, Day: "2026-01-14"}, {Project: 1, Day: "2026-01-15"}})
	if err != nil || len(found) != 2 {
		t.Errorf("%d shards are found, %v", len(found), err)
	}
}

// TestStoreDown: a store that is down for a while does not keep the other from its
// backups, is named, and gets everything afterwards.
func TestStoreDown(t *testing.T) {
	a, b, m := newS3(t, nil), newS3(t, nil), newFakeMember("one")
	b.Name = "the other"
	b.down()
	for i := range 3 {
		m.at = m.at.Add(time.Hour)
		m.log["log/0000000001.log"] = fmt.Sprint("logged until ", i)
		res, err := Run(testContext, Options{Sources: []Source{m}, Stores: []*Store{a.Store, b.Store}})
		if err == nil || !strings.Contains(err.Error(), "the other") || res.Stores[0].Err != nil || res.Stores[1].Err == nil {
			t.Fatalf("backup to a store that is down: %v", err)
		}
		fs := vfs.NewMem()
		if _, err := Restore(testContext, restoreOptions(fs, res.ID, b.Store, a.Store)); err != nil {
			t.Fatal(err)
		}
		mustHold(t, fs, m)
	}
	b.inject(nil)
	res := backUp(t, m, a.Store, b.Store)
	if res.Stores[0].Objects != 0 || res.Stores[1].Objects != 8 {
		t.Errorf("sent %+v", res.Stores)
	}
	fs := vfs.NewMem()
	if _, err := Restore(testContext, restoreOptions(fs, res.ID, b.Store)); err != nil {
		t.Fatal(err)
	}
	mustHold(t, fs, m)
}

// TestTransientFaults: requests that fail now and then are made again.
func TestTransientFaults(t *testing.T) {
	for _, every := range []int{2, 3, 7} {
		a, m := newS3(t, nil), newFakeMember("one")
		fault := func(n int, r *http.Request) int {
			if n%every == 0 {
				return http.StatusInternalServerError
			}
			return 0
		}
		a.inject(fault)
		res := backUp(t, m, a.Store)
		fs := vfs.NewMem()
		a.inject(fault)
		if _, err := Restore(testContext, restoreOptions(fs, res.ID, a.Store)); err != nil {
			t.Fatal(err)
		}
		mustHold(t, fs, m)
	}
}

// TestStalledUploads: an upload that is never answered, and one whose connection ends in the
// middle, are made again; a store that answers no upload fails the backup and not the others.
func TestStalledUploads(t *testing.T) {
	for _, how := range []breakage{hangs, drops} {
		a, m := newS3(t, nil), newFakeMember("one")
		a.Stall, a.broken = 2*time.Second, map[int]breakage{1: how, 4: how}
		res := backUp(t, m, a.Store)
		if a.puts <= len(res.Manifest.Files())+1 {
			t.Errorf("%d uploads for %d files and a manifest: none was made again", a.puts, len(res.Manifest.Files()))
		}
		fs := vfs.NewMem()
		if _, err := Restore(testContext, restoreOptions(fs, res.ID, a.Store)); err != nil {
			t.Fatal(err)
		}
		mustHold(t, fs, m)
	}
	a, b, m := newS3(t, nil), newS3(t, nil), newFakeMember("one")
	a.Stall, a.broken = 10*time.Millisecond, map[int]breakage{}
	for n := 1; n <= 1000; n++ {
		a.broken[n] = hangs
	}
	res, err := Run(testContext, Options{Sources: []Source{m}, Stores: []*Store{a.Store, b.Store}})
	if !errors.Is(err, ErrStalled) || !strings.Contains(err.Error(), "nothing moved for 10ms") {
		t.Errorf("a store that answers no upload: %v", err)
	}
	fs := vfs.NewMem()
	if _, err := Restore(testContext, restoreOptions(fs, res.ID, b.Store)); err != nil {
		t.Fatal(err)
	}
	mustHold(t, fs, m)
}

// TestBrokenOff: a backup that ends at any request is no backup, and the next one
// is whole, whatever the first has left.
func TestBrokenOff(t *testing.T) {
	m := newFakeMember("one")
	a := newS3(t, nil)
	a.inject(func(int, *http.Request) int { return 0 })
	backUp(t, m, a.Store)
	requests := a.requests
	for k := 1; k <= requests; k++ {
		a := newS3(t, nil)
		a.inject(func(n int, r *http.Request) int {
			if n >= k {
				return http.StatusForbidden
			}
			return 0
		})
		res, err := Run(testContext, Options{Sources: []Source{m}, Stores: []*Store{a.Store}})
		a.inject(nil)
		if err == nil {
			t.Fatalf("backup whose requests fail from %d of %d on succeeded", k, requests)
		}
		if ids, _ := a.Manifests(testContext); len(ids) > 0 && k < requests {
			t.Fatalf("request %d failed, and there is a manifest", k)
		}
		res = backUp(t, m, a.Store)
		fs := vfs.NewMem()
		if _, err := Restore(testContext, restoreOptions(fs, res.ID, a.Store)); err != nil {
			t.Fatalf("broken off at request %d: %v", k, err)
		}
		mustHold(t, fs, m)
	}
}

// TestBadObjects: an object that is damaged, cut short or gone is named, and taken
// from the other store if there is one.
func TestBadObjects(t *testing.T) {
	a, b, m := newS3(t, nil), newS3(t, nil), newFakeMember("one")
	res := backUp(t, m, a.Store, b.Store)
	files := res.Manifest.Files()
	harm := map[string]func(key string){
		"flipped": func(key string) {
			a.overwrite(t, key, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		},
		"cut short": func(key string) { a.overwrite(t, key, func(b []byte) []byte { return b[:len(b)-1] }) },
		"gone":      func(key string) { a.remove(t, key) },
	}
	for name, do := range harm {
		for _, f := range []File{files[0], files[len(files)-2], files[len(files)-1]} {
			key := objectKey(f.Hash)
			do(key)
			fs := vfs.NewMem()
			_, err := Restore(testContext, restoreOptions(fs, res.ID, a.Store))
			if err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), f.Path) || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrMissing) {
				t.Errorf("%s %s: %v", name, f.Path, err)
			}
			if _, err := fs.Stat("data/" + Marker); err != nil {
				t.Errorf("%s: a restore that failed left no marker: %v", name, err)
			}
			o := restoreOptions(fs, res.ID, a.Store, b.Store)
			var passed []string
			o.Passed = func(err error) { passed = append(passed, err.Error()) }
			if _, err := Restore(testContext, o); err != nil {
				t.Fatal(err)
			}
			if len(passed) != 1 || !strings.Contains(passed[0], key) {
				t.Errorf("%s: what was taken from the other store: %q", name, passed)
			}
			mustHold(t, fs, m)
			// The next backup does not count on an object of the wrong size.
			m.at = m.at.Add(time.Hour)
			again := backUp(t, m, a.Store)
			if name != "flipped" {
				if _, err := Restore(testContext, restoreOptions(vfs.NewMem(), again.ID, a.Store)); err != nil {
					t.Errorf("%s, after the next backup: %v", name, err)
				}
			}
			content, err := readFile(fs, map[bool]string{true: "data/" + f.Path, false: "data/catalog/catalog"}[f.Path != "catalog.bin"])
			if err != nil {
				t.Fatal(err)
			}
			if err := a.put(testContext, key, filesum.Sums{Hash: f.Hash}, (&Cut{Catalog: content}).reader(), io.Discard); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestChangedOnTheWay: a bit that changes between a file and its place in a store is found
// when the object is read back, by the quick sum, or by the hash where that is all there
// is. What goes wrong once is sent again, and what always does is no backup.
func TestChangedOnTheWay(t *testing.T) {
	for _, quick := range []bool{true, false} {
		for _, times := range []int{1, 1 << 30} {
			a, m := newS3(t, nil), newFakeMember("one")
			m.noQuick = !quick
			changed := map[string]int{}
			a.inject(func(_ int, r *http.Request) int {
				key := strings.TrimPrefix(r.URL.Path, "/"+testBucket+"/")
				if r.Method == http.MethodGet && strings.HasPrefix(key, FilesPrefix) && changed[key] < times {
					changed[key]++
					a.overwrite(t, key, func(b []byte) []byte { b[len(b)/2] ^= 4; return b })
				}
				return 0
			})
			res, err := Run(testContext, Options{Sources: []Source{m}, Stores: []*Store{a.Store}, Keep: time.Hour})
			if times > 1 {
				if ids, _ := a.Manifests(testContext); !errors.Is(err, ErrCorrupt) || len(ids) > 0 {
					t.Errorf("quick %t: a store that changes everything: %v, and the backups %v", quick, err, ids)
				}
				continue
			}
			if err != nil || len(changed) == 0 {
				t.Fatalf("quick %t: %d objects changed once: %v", quick, len(changed), err)
			}
			fs := vfs.NewMem()
			if _, err := Restore(testContext, restoreOptions(fs, res.ID, a.Store)); err != nil {
				t.Fatal(err)
			}
			mustHold(t, fs, m)
		}
	}
}

// TestBadManifest: a manifest that is not what was written is never believed, and
// an older backup is not taken in its place.
func TestBadManifest(t *testing.T) {
	a, b, m := newS3(t, nil), newS3(t, nil), newFakeMember("one")
	backUp(t, m, a.Store, b.Store)
	m.at = m.at.Add(time.Hour)
	m.log["log/0000000001.log"] = "more"
	res := backUp(t, m, a.Store, b.Store)
	a.overwrite(t, manifestKey(res.ID), func(b []byte) []byte { return []byte(strings.Replace(string(b), `"rows": 1`, `"rows": 2`, 1)) })
	if _, _, err := Latest(testContext, []*Store{a.Store}, time.Time{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("the newest manifest is damaged: %v", err)
	}
	id, _, err := Latest(testContext, []*Store{a.Store, b.Store}, time.Time{})
	if err != nil || id != res.ID {
		t.Errorf("the newest manifest is %s, %v; want %s from the other store", id, err, res.ID)
	}
	if _, err := decodeManifest("x", []byte(`{"members":[{"catalog":{"path":"../../etc/passwd","sha256":"00"}}]}`)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a manifest that is none: %v", err)
	}
	bad := File{Path: "../catalog.bin", Hash: strings.Repeat("0", 64)}
	for _, p := range []string{"../catalog.bin", "/etc/passwd", "shards/../../x.idx", "log/1.log/../../2.log", "shards/1/2026-01-01/0/../../../../a.idx"} {
		if bad.Path = p; bad.valid() == nil {
			t.Errorf("a file may be restored to %q", p)
		}
	}
}

// TestDamagedShard: a shard that cannot be read keeps no other from being copied,
// and is an error.
func TestDamagedShard(t *testing.T) {
	a, m := newS3(t, nil), newFakeMember("one")
	id := ShardID{Project: 1, Day: "2026-01-14"}
	for p := range m.shards[id] {
		m.shards[id][p] = "spoilt"
	}
	res, err := Run(testContext, Options{Sources: []Source{m}, Stores: []*Store{a.Store}})
	if err == nil || !strings.Contains(err.Error(), id.String()) || res.Stores[0].Err != nil || res.Manifest.Complete() {
		t.Fatalf("backup of a damaged shard: %v", err)
	}
	whole, _ := newFakeMember("one").Cuts(testContext, nil)
	var all []ShardID
	for _, s := range whole[0].Shards {
		all = append(all, s.ShardID)
	}
	found, err := a.NewestOf(testContext, "one", all)
	if err != nil || len(found) != len(all)-1 {
		t.Errorf("of %d shards, of which one is damaged, %d are found: %v", len(all), len(found), err)
	}
	for shard, held := range found {
		if held.ID != res.ID || shard == id {
			t.Errorf("shard %s is found in %s", shard, held.ID)
		}
	}
	delete(m.shards, id)
	fs := vfs.NewMem()
	if _, err := Restore(testContext, restoreOptions(fs, res.ID, a.Store)); err != nil {
		t.Fatal(err)
	}
	mustHold(t, fs, m)
}

// TestRestoreTakesNoPlace: a restore goes into no directory that holds anything.
func TestRestoreTakesNoPlace(t *testing.T) {
	a, m := newS3(t, nil), newFakeMember("one")
	first := backUp(t, m, a.Store)
	m.at = m.at.Add(time.Hour)
	second := backUp(t, m, a.Store)
	fs := vfs.NewMem()
	if err := fs.MkdirAll("data/shards"); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(testContext, restoreOptions(fs, first.ID, a.Store)); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restore into a directory in use: %v", err)
	}
	fs = vfs.NewMem()
	a.remove(t, objectKey(first.Manifest.Members[0].Catalog.Hash))
	if _, err := Restore(testContext, restoreOptions(fs, first.ID, a.Store)); err == nil {
		t.Fatal("restore without a catalog")
	}
	if _, err := Restore(testContext, restoreOptions(fs, second.ID, a.Store)); err == nil || !strings.Contains(err.Error(), "another restore") {
		t.Errorf("restore into what another one left: %v", err)
	}
}

// TestRestoreCrashes: wherever the world stops, the directory is marked as
// unfinished or whole, and the same restore makes it whole.
func TestRestoreCrashes(t *testing.T) {
	a, m := newS3(t, nil), newFakeMember("one")
	res := backUp(t, m, a.Store)
	counted := vfs.NewFaulty(vfs.NewMem())
	if _, err := Restore(testContext, restoreOptions(counted, res.ID, a.Store)); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for k := int64(1); k <= counted.Operations(); k++ {
		disk := vfs.NewMem()
		faulty := vfs.NewFaulty(disk)
		faulty.CrashAt(k)
		if _, err := Restore(testContext, restoreOptions(faulty, res.ID, a.Store)); err == nil {
			if faulty.Operations() < k {
				break // a file came in fewer pieces than before
			}
			t.Fatalf("restore that crashes at %d succeeded", k)
		}
		left := disk.CrashClone(rng, float64(k%3)/2)
		_, marked := left.Stat("data/" + Marker)
		if names, err := left.List("data"); marked != nil && err == nil && len(names) > 0 && names[0] != Marker+".tmp" {
			mustHold(t, left, m) // the marker had gone
			continue
		}
		if _, err := Restore(testContext, restoreOptions(left, res.ID, a.Store)); err != nil {
			t.Fatalf("crash at %d, then again: %v", k, err)
		}
		mustHold(t, left.CrashClone(rng, 0), m)
	}
}
