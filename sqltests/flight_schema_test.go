package sqltests

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/cockroachdb/datadriven"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// TestFlightAnnouncesSchemas has every statement of BI tools ask over Flight what its
// columns will be, which must be what they are: clients refuse an answer of others.
func TestFlightAnnouncesSchemas(t *testing.T) {
	files, err := filepath.Glob("testdata/bi/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata of tools: %v", err)
	}
	announced, silent := 0, 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			r := newRunner(t, shapes[1])
			c, _ := flightAt(t, r.member.gateway, nil, insecure.NewCredentials())
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				if d.Cmd != "query" || d.HasArg("user") || d.HasArg("session") {
					r.command(t, d)
					return d.Expected
				}
				ctx := metadata.AppendToOutgoingContext(context.Background(), "database", "bi")
				info, err := c.Execute(ctx, r.expand(d.Input))
				if err != nil {
					return d.Expected // which the statement's own test looks at
				}
				answer, err := c.DoGet(ctx, info.Endpoint[0].Ticket)
				if err != nil {
					return d.Expected
				}
				defer answer.Release()
				if len(info.Schema) == 0 {
					silent++
					return d.Expected
				}
				announced++
				shape, err := flight.DeserializeSchema(info.Schema, memory.DefaultAllocator)
				if err != nil {
					t.Fatal(err)
				}
				if got := answer.Schema(); !sameColumns(shape, got) {
					t.Errorf("%s: %s\nis announced as %s\nand comes as    %s", d.Pos, d.Input, shape, got)
				}
				return d.Expected
			})
		})
	}
	if announced < 300 || silent > announced/10 {
		t.Errorf("the columns of %d statements were announced, those of %d were not", announced, silent)
	}
}

// sameColumns compares schemas as clients do: the metadata too.
func sameColumns(a, b *arrow.Schema) bool { return a.Equal(b) && a.Metadata().Equal(b.Metadata()) }
