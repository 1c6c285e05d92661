package protocol

import (
	"flag"
	"testing"
)

var huntSeeds = flag.Uint64("hunt", 0, "how many seeds a planted bug may take at most; 0 for what the table says")

// planted are the bugs that the simulator must find, and within how many seeds.
var planted = []struct {
	bug    bug
	within uint64
}{
	{bugAckBeforeSync, 50},
	{bugWriteOne, 50},
	{bugDotReuse, 50},
	{bugReadOne, 50},
	{bugReadRepairSkip, 50},
	{bugDoubleMerge, 50},
	{bugCompactDropsNew, 50},
	{bugAdoptNoPhysID, 50},
	{bugEpochNotSaved, 50},
	{bugNoFence, 50},
	{bugNoSyncBeforeFlip, 50},
	{bugSyncFromOne, 50},
	{bugWipeSameID, 50},
	{bugJointReadOldOnly, 300},
	{bugStaleSyncEpoch, 50},
	{bugAdoptTwice, 50},
	{bugAdoptBeforeSync, 50},
	{bugAdoptWanted, 50},
	{bugLeastIgnored, 50},
	{bugDamagedAnswers, 50},
	{bugDamagedJoins, 50},
}

// TestPlantedBugsAreFound tests the simulator: whoever cannot find these would
// not find ours.
func TestPlantedBugsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it is about the simulator, not about races")
	}
	for _, p := range planted {
		t.Run(string(p.bug), func(t *testing.T) {
			t.Parallel()
			within := p.within
			if *huntSeeds > 0 {
				within = *huntSeeds
			}
			for seed := range within {
				if _, err := play(seed+1, p.bug); err != nil {
					t.Logf("seed %d: %v", seed+1, err)
					return
				}
			}
			t.Errorf("not found within %d seeds", within)
		})
	}
}
