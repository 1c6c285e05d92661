package bench

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/sqltests/bench/dataset"
	"arbor/sqltests/stack"
)

// BenchmarkRebalance moves all buckets, with 200,000 events in files, from one member to
// another, in one process: files are sent over TLS, read, made anew and proven there. It
// reports bytes of files a second, and the processor's time of both members for a byte,
// without a bound and with the setting move_rate at 1 MiB. It is for -benchtime 1x: what
// was moved away stays for three days, so that nothing is sent on the way back.
func BenchmarkRebalance(b *testing.B) {
	const requests, perRequest = 100, 2000
	events := dataset.New(dataset.Options{Lines: requests * perRequest, Start: stack.Start.AddDate(0, 0, -9).UnixMicro()})
	var bodies []string
	for range requests {
		var body []byte
		for range perRequest {
			arrived, _ := events.Next()
			body = append(dataset.AppendLine(body, &arrived.Event), '\n')
		}
		bodies = append(bodies, string(body))
	}
	for _, rate := range []string{"0", "1MiB"} {
		b.Run("move_rate="+rate, func(b *testing.B) {
			g := stack.NewGroup(b, stack.GroupOptions{Members: 2, Replicas: 1, Slots: 16})
			g.Place(b, g.Nodes(0), 1)
			settleGroup(b, g)
			first := g.Members[0]
			token := first.Project(b, "shop")
			if _, err := first.Change(b.Context(), catalog.SetSetting{Name: catalog.SettingMoveRate, Value: rate}); err != nil {
				b.Fatal(err)
			}
			for _, body := range bodies {
				if w := first.Do(http.MethodPost, "/import?strict=1", token, body); w.Code != http.StatusOK {
					b.Fatalf("%d %.300s", w.Code, w.Body)
				}
			}
			if err := first.Engine.Index(context.Background(), 0, true); err != nil {
				b.Fatal(err)
			}
			first.Close(b) // so that the log begins a new segment
			first.Open(b)
			if err := errors.Join(first.Engine.Index(context.Background(), 0, true), first.Engine.Tick(context.Background())); err != nil {
				b.Fatal(err)
			}
			for _, m := range g.Members {
				m.Advance(25 * time.Hour) // till then others are given batches of the log
			}
			bytes := fileBytes(b, first)
			before := cpu()
			b.ResetTimer()
			g.Place(b, g.Nodes(1), 1)
			settleGroup(b, g)
			b.StopTimer()
			if got := fileBytes(b, g.Members[1]); got < bytes/2 {
				b.Fatalf("%d bytes of files came, of %d", got, bytes)
			}
			moved := float64(bytes)
			b.ReportMetric(moved/b.Elapsed().Seconds()/1e6, "MB/s")
			b.ReportMetric(float64((cpu()-before).Nanoseconds())/moved, "cpu-ns/B")
			b.ReportMetric(float64(bytes)/1e6, "MB")
		})
	}
}

// settleGroup waits until nothing moves.
func settleGroup(b *testing.B, g *stack.Group) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), settledWithin)
	defer cancel()
	for g.Moving(b) {
		if pause(ctx, 5*time.Millisecond); ctx.Err() != nil {
			b.Fatal("buckets move for too long")
		}
	}
}

// fileBytes are those of a member's indexed files.
func fileBytes(b *testing.B, m *stack.GroupMember) (sum int64) {
	b.Helper()
	files, err := m.Engine.Describe(b.Context(), "files")
	if err != nil {
		b.Fatal(err)
	}
	for _, row := range files.Rows {
		sum += row[4].Int()
	}
	if sum == 0 {
		b.Fatal("there are no files")
	}
	return sum
}
