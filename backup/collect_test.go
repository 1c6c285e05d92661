package backup

import (
	"bytes"
	"io"
	"testing"
	"time"

	"arbor/engine/filesum"
	"arbor/engine/vfs"
)

// reader reads the catalog of a cut, for tests that put an object back.
func (c *Cut) reader() func() io.Reader {
	return func() io.Reader { return bytes.NewReader(c.Catalog) }
}

// TestCollect: what no backup names goes once it is old enough, on demand only,
// and the newest backup never does.
func TestCollect(t *testing.T) {
	a, m := newS3(t, nil), newFakeMember("one")
	old := backUp(t, m, a.Store)
	m.at = m.at.Add(time.Hour)
	m.log["log/0000000001.log"] = "other"
	newer := backUp(t, m, a.Store)
	later := time.Now().Add(48 * time.Hour)
	if _, err := Collect(testContext, a.Store, later, LeastDelay-1, true); err == nil {
		t.Error("a collection without delay")
	}
	for _, apply := range []bool{false, true} {
		c, err := Collect(testContext, a.Store, later, LeastDelay, apply)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Manifests) != 1 || c.Manifests[0] != old.ID || c.Objects != 1 || c.Bytes != int64(len("what is logged")) {
			t.Errorf("collected %+v", c)
		}
	}
	if _, err := a.Manifest(testContext, old.ID); err == nil {
		t.Error("the old backup is still there")
	}
	fs := vfs.NewMem()
	if _, err := Restore(testContext, restoreOptions(fs, newer.ID, a.Store)); err != nil {
		t.Fatal(err)
	}
	mustHold(t, fs, m)
	if c, err := Collect(testContext, a.Store, later.Add(1000*time.Hour), LeastDelay, true); err != nil || len(c.Manifests)+int(c.Objects) != 0 {
		t.Errorf("collected the last backup: %+v, %v", c, err)
	}
}

// TestCollectYoung: what is younger than the delay stays, since a backup may be
// about to name it, and nothing goes while a manifest cannot be read.
func TestCollectYoung(t *testing.T) {
	a, m := newS3(t, nil), newFakeMember("one")
	res := backUp(t, m, a.Store)
	stray := sum([]byte("stray"))
	if err := a.put(testContext, objectKey(stray), filesum.Sums{Hash: stray}, (&Cut{Catalog: []byte("stray")}).reader(), io.Discard); err != nil {
		t.Fatal(err)
	}
	if c, err := Collect(testContext, a.Store, time.Now().Add(LeastDelay-time.Hour), LeastDelay, true); err != nil || c.Objects != 0 {
		t.Errorf("collected %+v, %v", c, err)
	}
	a.overwrite(t, manifestKey(res.ID), func(b []byte) []byte { return b[:len(b)-2] })
	if _, err := Collect(testContext, a.Store, time.Now().Add(2*LeastDelay), LeastDelay, true); err == nil {
		t.Error("collected though a manifest is damaged")
	}
}
