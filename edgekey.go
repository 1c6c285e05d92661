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

// readEdgeKey reads the key that a siphon and the gateways behind it share: the first
// line of its file. Each further line is another key whose stamps are taken, too, so that
// keys can be changed while both run. An empty name is no key.
func readEdgeKey(name string) (key []byte, old [][]byte, err error) {
	if name == "" {
		return nil, nil, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, fmt.Errorf("--edge-key: %w", err)
	}
	keys := bytes.Fields(b)
	if len(keys) == 0 {
		keys = [][]byte{nil}
	}
	for _, k := range keys {
		if len(k) < siphon.MinKeyBytes {
			return nil, nil, fmt.Errorf("--edge-key %s: a key has %d bytes, at least %d are needed; remove it and start the siphon, which makes one", name, len(k), siphon.MinKeyBytes)
		}
	}
	return keys[0], keys[1:], nil
}

// makeEdgeKey reads the key, and makes the file when there is none.
func makeEdgeKey(name string) ([]byte, error) {
	if name == "" {
		return nil, errors.New("--edge-key is missing: say in which file the key is, or is to be made, that siphon and gateways share")
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		key, _, err := readEdgeKey(name)
		return key, err
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
	key, _, err := readEdgeKey(name)
	return key, err
}
