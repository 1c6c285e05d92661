package main

import (
	"context"
	"log/slog"
	"path"
	"path/filepath"

	"arbor/catalog"
	"arbor/engine"
	"arbor/engine/exec"
	"arbor/engine/vfs"
	"arbor/gateway/audit"
)

// openTrail opens the audit trail of a data directory.
func openTrail(data string, c func() *catalog.Catalog, logger *slog.Logger) (*audit.Trail, error) {
	return audit.Open(audit.Options{
		FS: vfs.OS(), Dir: path.Join(filepath.ToSlash(data), "audit"), Logger: logger,
		MaxBytes: func() int64 { return c().AuditBytes() },
	})
}

// audited is an engine that is also asked for what the audit trail beside it has, so that
// every member's is shown on every member.
type audited struct {
	*engine.Engine
	trail *audit.Trail
}

// Describe gives the rows of a table about this member.
func (a audited) Describe(ctx context.Context, table string) (*exec.Table, error) {
	if table == audit.Table {
		return a.trail.Describe(ctx)
	}
	return a.Engine.Describe(ctx, table)
}
