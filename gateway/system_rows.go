package gateway

import (
	"time"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
)

// The rows of the tables of arbor that the catalog gives.

// eachProject visits the projects that the user may see.
func eachProject(ctx *sql.Context, g *Gateway, dropped bool, visit func(p *catalog.Project)) {
	for _, p := range g.catalogFor(ctx).Projects {
		if (dropped || p.DroppedAt == 0) && sees(ctx, p.Name) {
			visit(p)
		}
	}
}

func projectRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	var rows []sql.Row
	eachProject(ctx, g, true, func(p *catalog.Project) {
		row := sql.Row{p.Name, int64(p.ID), nil, nil, int64(p.Buckets), int64(len(p.Columns)), int64(len(p.Views)), moment(p.CreatedAt), nil, writeQuorum(p)}
		if mayAdminister(ctx, p.Name) {
			row[2], row[3] = p.Token, p.Secret
		}
		if p.DroppedAt != 0 {
			row[8] = moment(p.DroppedAt)
		}
		rows = append(rows, row)
	})
	return rows, nil
}

func moment(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

func columnRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	var rows []sql.Row
	eachProject(ctx, g, false, func(p *catalog.Project) {
		for _, c := range p.Columns {
			rows = append(rows, sql.Row{p.Name, c.Name, c.Property, typeText(sqlType(c.Type, c.Precision, c.Scale)), flag(c.Pinned)})
		}
	})
	return rows, nil
}

func flag(b bool) int8 {
	if b {
		return 1
	}
	return 0
}

func policyRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	var rows []sql.Row
	eachProject(ctx, g, false, func(p *catalog.Project) {
		rows = append(rows, sql.Row{p.Name, int64(0), nil, nil, catalog.DefaultPolicy.String()})
		for _, r := range p.Policies {
			rows = append(rows, sql.Row{p.Name, int64(r.Version), boundDay(r.From), boundDay(r.To), r.Policy.String()})
		}
	})
	return rows, nil
}

// boundDay is a rule's bound, NULL where it has none.
func boundDay(d catalog.Day) any {
	if d == catalog.MinDay || d == catalog.MaxDay {
		return nil
	}
	return d.String()
}

func settingRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	var rows []sql.Row
	c := g.catalogFor(ctx)
	for i := range catalog.Settings {
		s := &catalog.Settings[i]
		value, _ := c.Setting(s.Name)
		rows = append(rows, sql.Row{s.Name, value, s.Format(s.Default), s.Format(s.Min), s.Format(s.Max), s.Doc})
	}
	return rows, nil
}

func tokenRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	var rows []sql.Row
	eachProject(ctx, g, false, func(p *catalog.Project) {
		if mayAdminister(ctx, p.Name) {
			rows = append(rows, sql.Row{p.Name, "token", p.Token}, sql.Row{p.Name, "secret", p.Secret})
		}
	})
	return rows, nil
}

func truncationRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	var rows []sql.Row
	eachProject(ctx, g, false, func(p *catalog.Project) {
		for _, t := range p.Truncations {
			rows = append(rows, sql.Row{p.Name, t.ID.String(), t.ID.At(), flag(t.Undone)})
		}
	})
	return rows, nil
}
