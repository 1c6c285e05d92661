package protocol

// bug is a mistake that a test plants, to see that the simulator finds it. It is
// zero outside tests. Each is one that replication protocols were seen to have.
type bug string

const (
	bugWriteOne         bug = "W=1"
	bugReadOne          bug = "ReadOne"
	bugReadRepairSkip   bug = "ReadRepairSkip"
	bugDoubleMerge      bug = "DoubleMerge"
	bugNoFence          bug = "NoFence"
	bugEpochNotSaved    bug = "EpochNotPersisted"
	bugNoSyncBeforeFlip bug = "NoSyncBeforeFlip"
	bugSyncFromOne      bug = "SyncFromOne"
	bugJointReadOldOnly bug = "JointReadOldOnly"
	bugStaleSyncEpoch   bug = "StaleSyncEpoch"
	bugDotReuse         bug = "DotReuse"
	bugAdoptWanted      bug = "AdoptWanted"
	bugLeastIgnored     bug = "LeastIgnored"
	bugDamagedJoins     bug = "DamagedJoins"
)
