package member

import (
	"fmt"
	"log/slog"

	"arbor/cluster/consensus"
	"arbor/engine/vfs"
)

// Recover makes the member of a data directory the only one that votes on the
// metadata, with what it knows: for a cluster most of whose voters are lost for
// good. No process may have the directory open, and all other members have to be
// stopped. Version says how much it knows.
func Recover(fsys vfs.FS, dir string, logger *slog.Logger) (id MemberID, version uint64, err error) {
	i, err := readIdentity(fsys, dir)
	if err != nil {
		return MemberID{}, 0, err
	}
	if begun, err := consensus.Exists(fsys, MetadataDir(dir)); err != nil || !begun {
		return i.id, 0, fmt.Errorf("recover the metadata of %s: %w: it was never told what the cluster agreed on", dir, ErrNotHeard)
	}
	version, err = consensus.Recover(consensus.Options{FS: fsys, Dir: MetadataDir(dir), ID: i.id, Logger: logger})
	return i.id, version, err
}
