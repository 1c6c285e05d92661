package cluster

import (
	"errors"
	"fmt"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/engine/vfs"
)

// Claim puts on record that a replica which is alone in its config has had some slots
// from the beginning: a directory that was used without a cluster has events and no
// records, and who finds that has to take the records for lost. Records of an earlier
// claim, of a cluster that did not come to be, are replaced.
func Claim(fs vfs.FS, dir string, slots []catalog.Slot, config protocol.Config) (err error) {
	r, err := openRecords(fs, dir)
	if err != nil {
		return fmt.Errorf("open the records of replicas in %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, r.close()) }()
	r.turn.Lock()
	defer r.turn.Unlock()
	r.last, r.damage = map[protocol.Bucket]protocol.Record{}, nil
	for _, s := range slots {
		r.last[bucketOf(s)] = protocol.Record{Generation: config.Old[0].Generation, Synced: config.Epoch, Config: config}
	}
	if err := r.begin(); err != nil {
		return fmt.Errorf("record whose the events in %s are: %w", dir, err)
	}
	return nil
}
