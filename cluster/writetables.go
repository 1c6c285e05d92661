package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"

	"arbor/cluster/tables"
	"arbor/engine/vfs"
)

// WriteTables puts encoded mutable tables into the directory of a catalog, as a
// restore does, for OpenMetadata to open. What an earlier call has left goes.
func WriteTables(fs vfs.FS, dir string, encoded []byte) error {
	s, err := tables.DecodeState(encoded)
	if err != nil {
		return fmt.Errorf("write tables %s: %w", dir, err)
	}
	dir = path.Join(dir, tablesDir)
	if err := emptyLog(fs, path.Join(dir, "log")); err != nil {
		return fmt.Errorf("write tables %s: %w", dir, err)
	}
	l, err := openTableLog(fs, dir, slog.Default(), snapshotAfterBytes, tablePieceBytes)
	if err != nil {
		return err
	}
	err = l.snapshot(context.Background(), s)
	if err = errors.Join(err, l.close()); err != nil {
		return fmt.Errorf("write tables %s: %w", dir, err)
	}
	return nil
}
