package indexfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"arbor/engine/vfs"
)

// TestChecksumsOfEveryByte flips a bit of every byte of an open file, in turn: the
// checksums alone find it, header, padding, footer and trailer too.
func TestChecksumsOfEveryByte(t *testing.T) {
	r, err := openBytes(fileBytes(t, version1Rows(260), version1Meta()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.VerifyChecksums(t.Context()); err != nil {
		t.Fatal(err)
	}
	for at := range r.data {
		r.data[at] ^= 1 << (at % 8)
		if err := r.VerifyChecksums(t.Context()); !errors.Is(err, ErrCorrupt) && !(at < headerSize && errors.Is(err, ErrVersion)) {
			t.Fatalf("byte %d of %d: %v", at, len(r.data), err)
		}
		r.data[at] ^= 1 << (at % 8)
	}
}

// TestChecksumsOfAnotherFile puts a file that is sound, and as long, in the place of an open
// one: its own checksums are right, and are not those that were opened.
func TestChecksumsOfAnotherFile(t *testing.T) {
	rows := version1Rows(260)
	one := fileBytes(t, rows, version1Meta())
	meta := version1Meta()
	meta.Digest[1] ^= 1 << 40
	other := fileBytes(t, rows, meta)
	if len(one) != len(other) {
		t.Fatalf("%d and %d bytes", len(one), len(other))
	}
	r, err := openBytes(one)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sound, err := openBytes(other)
	if err != nil {
		t.Fatal(err)
	}
	defer sound.Close()
	if err := sound.VerifyChecksums(t.Context()); err != nil || sound.Seal() == r.Seal() {
		t.Fatalf("the other file: %v, with the seals %x and %x", err, sound.Seal(), r.Seal())
	}
	copy(r.data, other)
	if err := r.VerifyChecksums(t.Context()); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "another one") {
		t.Errorf("another file in its place: %v", err)
	}
}

// TestChecksumsOfCutFile cuts an open file of a real disk: its length tells, and where the
// length is not asked, the page that is not there any more is an error and no end.
func TestChecksumsOfCutFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, fileBytes(t, version1Rows(5000), version1Meta()), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(vfs.OS(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Size() < 3*int64(os.Getpagesize()) {
		t.Fatalf("a file of %d bytes has too few pages", r.Size())
	}
	if err := os.Truncate(path, int64(os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	for what, verify := range map[string]func() error{
		"by its length": func() error { return r.VerifyChecksums(t.Context()) },
		"by its pages": func() error {
			return r.unlessItFaults(func() error { return r.verifyEach(t.Context(), r.verifySection) })
		},
		"read whole": func() error { return r.Verify(t.Context()) },
	} {
		if err := verify(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a file that was cut, %s: %v", what, err)
		}
	}
}

// TestFaultsOfOurs: what is no fault of the disk is no damage.
func TestFaultsOfOurs(t *testing.T) {
	r, err := openBytes(fileBytes(t, version1Rows(30), version1Meta()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer func() {
		if p := recover(); p != "ours" {
			t.Errorf("it panicked with %v", p)
		}
	}()
	_ = r.unlessItFaults(func() error { panic("ours") })
}
