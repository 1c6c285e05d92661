package bench

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"arbor/sqltests/server"
)

// settledWithin is how long members may take until everything is where it should be; it
// bounds a failure.
const settledWithin = 5 * time.Minute

// processes are the members of a cluster, each a process on loopback, with files on the
// real disk.
type processes []*server.Server

// startProcesses starts a server without a cluster where n is 0, and else n members. They
// are as a user has them, but that nothing is indexed by itself.
func startProcesses(b *testing.B, n int) (all processes) {
	b.Helper()
	if n == 0 {
		all = append(all, server.Start(b))
	}
	for i := range n {
		flags := []string{"--peer", server.FreeAddress(b)}
		if i > 0 {
			flags = append(flags, "--join", all[0].QueryOne(b, "SELECT address FROM arbor.members WHERE self = 1"), "--token", joinToken(b, all[0]))
		}
		all = append(all, server.Start(b, flags...))
	}
	all.settle(b, n)
	all[0].Exec(b, "CREATE DATABASE shop", "CALL arbor.set_setting('seal_after_age', '168h')")
	return all
}

func joinToken(b *testing.B, m *server.Server) string {
	b.Helper()
	token, err := ask(b.Context(), m, "CALL arbor.add_member()")
	if err != nil {
		b.Fatal(err)
	}
	return token
}

// settle waits until so many members are up and each bucket has as many replicas, at most
// three, all settled.
func (all processes) settle(b *testing.B, n int) {
	b.Helper()
	if n == 0 {
		return
	}
	all.wait(b, fmt.Sprintf("SELECT COUNT(*) = %d AND COUNT(DISTINCT member) = %d AND SUM(alive) = COUNT(*) FROM arbor.replicas WHERE state = 'settled'", 1024*min(n, 3), n))
}

// wait waits until a question is answered by 1.
func (all processes) wait(b *testing.B, question string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), settledWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := ask(ctx, all[0], question)
		if err == nil && got == "1" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.Fatalf("%s: %q, %v\n%s", question, got, err, all[0].Log())
		}
	}
}

// cpu is what all members have used.
func (all processes) cpu(b *testing.B) (sum time.Duration) {
	for _, m := range all {
		sum += processTime(b, m.PID())
	}
	return sum
}

func (all processes) token(b *testing.B) string {
	return all[0].QueryOne(b, "SELECT token FROM arbor.tokens WHERE project = 'shop'")
}

var errAnswered = errors.New("refused")

// request sends one, and gives the answer of 200.
func request(ctx context.Context, m *server.Server, target, user string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.HTTP+target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(user, "")
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(w.Body)
	if err = errors.Join(err, w.Body.Close()); err == nil && w.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: %d %s", errAnswered, w.StatusCode, answer)
	}
	return answer, err
}

// ask gives the first value of an answer.
func ask(ctx context.Context, m *server.Server, question string) (string, error) {
	answer, err := request(ctx, m, "/query?format=csv", "root", []byte(question))
	if err != nil {
		return "", err
	}
	rows, err := csv.NewReader(bytes.NewReader(answer)).ReadAll()
	if err != nil || len(rows) < 2 {
		return "", fmt.Errorf("%s: %q: %w", question, answer, errors.Join(err, errAnswered))
	}
	return rows[1][0], nil
}

// BenchmarkProcesses compares a server without a cluster, a cluster of one and one of
// three, as processes: events that come in, and questions over them when they are in
// files. It reports the processor's time of all members together, and how much of it they
// use in a second in which nothing comes: on a busy machine, where requests take long,
// that is most of what is counted for an event. Events are different ones in the first
// 100 requests.
func BenchmarkProcesses(b *testing.B) {
	const perRequest, requests = 2000, 100
	bodies := importBodies(b, requests, perRequest, func(body []byte) []byte { return body })
	for _, members := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("%d members", members), func(b *testing.B) {
			all := startProcesses(b, members)
			token := all.token(b)
			if members == 3 {
				all.wait(b, "SELECT SUM(votes) = 3 AND SUM(leader) = 1 FROM arbor.members")
			}
			const idle = 2 * time.Second
			before := all.cpu(b)
			pause(b.Context(), idle)
			background := float64((all.cpu(b) - before).Milliseconds()) / idle.Seconds()
			sent := 0
			send := func(b *testing.B, i int) {
				if _, err := request(b.Context(), all[i%len(all)], "/import?strict=1", token, bodies[i%requests]); err != nil {
					b.Fatal(err)
				}
			}
			b.Run("import", func(b *testing.B) {
				before := all.cpu(b)
				for range b.N {
					send(b, sent)
					sent++
				}
				spent := all.cpu(b) - before
				b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N)/perRequest, "cpu-ns/event")
				b.ReportMetric(background, "idle-cpu-ms/s")
			})
			all[0].Exec(b, "OPTIMIZE TABLE shop.events")
			for _, q := range []struct{ name, question string }{
				{"count", "SELECT COUNT(*) FROM shop.events"},
				{"group", "SELECT event, COUNT(*), COUNT(DISTINCT distinct_id) FROM shop.events GROUP BY event"},
				{"user", "SELECT COUNT(*) FROM shop.events WHERE distinct_id = 'user-17'"},
			} {
				b.Run(q.name, func(b *testing.B) {
					before := all.cpu(b)
					b.ResetTimer()
					for i := range b.N {
						if _, err := ask(b.Context(), all[i%len(all)], q.question); err != nil {
							b.Fatal(err)
						}
					}
					spent := all.cpu(b) - before
					b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-µs/query")
				})
			}
		})
	}
}
