package main

import (
	"runtime/debug"
	"testing"

	"arbor/cluster/consensus"
)

// TestVersion: the commit is named once, and what is built from a changed tree between
// two releases still fits into what members tell each other.
func TestVersion(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "df257af372330123456789abcdef0123456789ab"}
	for _, c := range []struct{ module, want string }{
		{"(devel)", "arbor devel df257af37233 go1.26.8"},
		{"v1.2.0", "arbor v1.2.0 df257af37233 go1.26.8"},
		{"v1.2.1-0.20261129232439-df257af37233+dirty", "arbor v1.2.1-0.20261129232439-df257af37233+dirty go1.26.8"},
	} {
		info := &debug.BuildInfo{GoVersion: "go1.26.8", Settings: []debug.BuildSetting{revision}}
		info.Main.Version = c.module
		got := versionOf(info)
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.module, got, c.want)
		}
		if len(got) > consensus.MaxReleaseBytes {
			t.Errorf("%s: %d bytes, members take %d", got, len(got), consensus.MaxReleaseBytes)
		}
	}
}
