package raftlog

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/raft"

	"arbor/engine/vfs"
)

func write(s *Snapshots, index uint64, state string) error {
	configuration := raft.Configuration{Servers: []raft.Server{{ID: "ann", Address: "ann", Suffrage: raft.Voter}}}
	k, err := s.Create(raft.SnapshotVersionMax, index, 2, configuration, 1, nil)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(k, state); err != nil {
		return errors.Join(err, k.Cancel())
	}
	return k.Close()
}

func newest(t *testing.T, fs vfs.FS) (index uint64, state string) {
	t.Helper()
	s, err := OpenSnapshots(fs, "meta", quiet)
	if err != nil {
		t.Fatal(err)
	}
	metas, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(metas) == 0 {
		return 0, ""
	}
	meta, r, err := s.Open(metas[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil || meta.Size != int64(len(b)) || meta.Index != metas[0].Index || meta.Configuration.Servers[0].ID != "ann" {
		t.Fatal(err, meta)
	}
	return meta.Index, string(b)
}

func TestSnapshotsSurviveACrashAtEveryOperation(t *testing.T) {
	texts := map[uint64]string{0: "", 10: "ten", 20: "twenty", 30: "thirty"}
	for k := int64(1); ; k++ {
		disk := vfs.NewMem()
		fs := vfs.NewFaulty(disk)
		fs.CrashAt(k)
		var done uint64
		if s, err := OpenSnapshots(fs, "meta", quiet); err == nil {
			for done < 30 && write(s, done+10, texts[done+10]) == nil {
				done += 10
			}
		}
		for _, unsynced := range []float64{0, 0.5, 1} {
			survived := disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 5)), unsynced)
			index, state := newest(t, survived)
			if index != done && index != done+10 || state != texts[index] {
				t.Fatalf("crash at operation %d, unsynced %v: snapshot %d (%q), acknowledged was %d", k, unsynced, index, state, done)
			}
			if names, _ := survived.List("meta/snapshots"); len(names) > snapshotsKept+1 {
				t.Fatalf("crash at operation %d: there are %v", k, names)
			}
		}
		if fs.Operations() < k {
			t.Logf("crashed at each of %d operations", k-1)
			return
		}
	}
}

func TestDamagedSnapshotIsSeen(t *testing.T) {
	fs := vfs.NewMem()
	s, err := OpenSnapshots(fs, "meta", quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []uint64{10, 20} {
		if err := write(s, index, "state"); err != nil {
			t.Fatal(err)
		}
	}
	metas, err := s.List()
	if err != nil || len(metas) != 2 || metas[0].Index != 20 {
		t.Fatal(metas, err)
	}
	name := "meta/snapshots/" + metas[0].ID + snapshotSuffix
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	original := make([]byte, size)
	if _, err := f.ReadAt(original, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	for i := range original {
		damaged := append([]byte(nil), original...)
		damaged[i] ^= 1 << (i % 8)
		if _, _, err := decodeSnapshot(damaged); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	g, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Write(original[:size-1]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("the newest is cut short: %v", err)
	}
}
