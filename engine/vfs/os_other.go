//go:build unix && !linux

package vfs

import "os"

// dataSync makes the file's bytes and its size durable. On macOS os.File.Sync
// asks the drive itself to flush, which fsync alone does not.
func dataSync(f *os.File) error { return f.Sync() }
