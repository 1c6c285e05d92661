package member

import (
	"math/rand/v2"
	"testing"

	"arbor/cluster/consensus"
	"arbor/engine/vfs"
)

// TestCrashAtEveryOperationOfFounding: whatever the moment, there is a cluster with
// the catalog of before, or none and founding begins again.
func TestCrashAtEveryOperationOfFounding(t *testing.T) {
	counting := vfs.NewFaulty(vfs.NewMem())
	founding := func(fs vfs.FS) error {
		err := Found(Founding{FS: fs, Dir: "data", Catalog: shop(t), Place: Place{Addresses: []string{"127.0.0.1:1"}, Roles: consensus.RoleBoth}, Logger: quiet})
		if err == nil {
			err = Retire(fs, "data")
		}
		return err
	}
	if err := founding(counting); err != nil {
		t.Fatal(err)
	}
	begun := 0
	for k := range counting.Operations() {
		mem := vfs.NewMem()
		disk := vfs.NewFaulty(mem)
		disk.CrashAt(k + 1)
		if err := founding(disk); err == nil {
			t.Fatalf("operation %d: the crash went unnoticed", k+1)
		}
		after := mem.CrashClone(rand.New(rand.NewPCG(uint64(k), 1)), 0.5)
		_, ok, err := Kept(after, "data")
		if err != nil {
			t.Fatalf("operation %d: %v", k+1, err)
		}
		if ok {
			begun++
		} else if err := founding(after); err != nil {
			t.Fatalf("operation %d: again: %v", k+1, err)
		}
		s, err := start(t, after, listen(t))
		if err != nil {
			t.Fatalf("operation %d: %v", k+1, err)
		}
		if !s.has("shop") {
			t.Fatalf("operation %d: the catalog is gone", k+1)
		}
		s.close()
	}
	t.Logf("%d operations, in %d cases the cluster had begun", counting.Operations(), begun)
}
