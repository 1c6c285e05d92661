package cluster

import (
	"context"
	"errors"
	"fmt"
	"path"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/vfs"
)

// WriteCatalog makes the directory of a catalog out of an encoded one, as a
// restore does, for OpenMetadata to open. What an earlier call has left in the
// directory goes.
func WriteCatalog(fs vfs.FS, dir string, encoded []byte) error {
	c, err := catalog.DecodeCatalog(encoded)
	if err != nil {
		return fmt.Errorf("write catalog %s: %w", dir, err)
	}
	logDir := path.Join(dir, "log")
	if err := emptyLog(fs, logDir); err != nil {
		return err
	}
	log, err := appendlog.Open(appendlog.Options{FS: fs, Dir: logDir, MaxFrameBytes: maxFrameBytes}, func(appendlog.Position, []byte) error { return nil })
	if err != nil {
		return fmt.Errorf("write catalog %s: %w", dir, err)
	}
	_, err = log.Append(context.Background(), [][]byte{encodeFrame(frameSnapshot, c.Version, encoded)})
	if err = errors.Join(err, log.Close()); err != nil {
		return fmt.Errorf("write catalog %s: %w", dir, err)
	}
	return nil
}

// emptyLog makes the directory of a log, without segments.
func emptyLog(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir); err != nil {
		return err
	}
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := fs.Remove(path.Join(dir, name)); err != nil {
			return err
		}
	}
	return fs.SyncDir(dir)
}
