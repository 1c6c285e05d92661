package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"arbor/gateway/siphon"
)

// readEdgeKey reads the key that a siphon and the gateways behind it share. An
// empty name is no key.
func readEdgeKey(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--edge-key: %w", err)
	}
	if b = bytes.TrimSpace(b); len(b) < siphon.MinKeyBytes {
		return nil, fmt.Errorf("--edge-key %s: it has %d bytes, at least %d are needed; remove it and start the siphon, which makes one", name, len(b), siphon.MinKeyBytes)
	}
	return b, nil
}

// makeEdgeKey reads the key, and makes the file when there is none.
func makeEdgeKey(name string) ([]byte, error) {
	if name == "" {
		return nil, errors.New("--edge-key is missing: say in which file the key is, or is to be made, that siphon and gateways share")
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return readEdgeKey(name)
	}
	var b [32]byte
	_, _ = rand.Read(b[:])
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--edge-key: %w", err)
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(b[:]))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("--edge-key: %w", err)
	}
	return readEdgeKey(name)
}
