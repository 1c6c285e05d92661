package bench

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"arbor/sqltests/stack"
)

// one is a member that is asked.
type one interface {
	Do(method, target, user, body string) (code int)
}

type asked struct{ *stack.Stack }

func (a asked) Do(method, target, user, body string) int {
	return a.Stack.Do(method, target, user, body).Code
}

// cpu is what the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // never gives an error
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMembers compares a member without a cluster, one that is a cluster's only
// one, and three that each have all events, in one process: requests of 1,000 events, a
// row, and a grouped question. It reports the processor's time of all members.
func BenchmarkMembers(b *testing.B) {
	const batch = 1000
	for _, shape := range []string{"without", "one", "three"} {
		open := func(b *testing.B) (one, string) {
			var s *stack.Stack
			switch shape {
			case "without":
				s = stack.New(b)
			case "one":
				s = &stack.NewGroup(b, stack.GroupOptions{Members: 1, Replicas: 1}).Members[0].Stack
			default:
				s = &stack.NewGroup(b, stack.GroupOptions{Members: 3, Replicas: 3}).Members[0].Stack
			}
			return asked{s}, s.Project(b, "shop")
		}
		body := func(n int) string {
			var lines []string
			for i := range batch {
				lines = append(lines, fmt.Sprintf(`{"event":"view","properties":{"time":1768300000,"distinct_id":"u%d","$insert_id":"%d-%d","page":"/p%d","n":%d}}`, i%97, n, i, i%20, i))
			}
			return "[" + strings.Join(lines, ",") + "]"
		}
		send := func(b *testing.B, m one, token string, n int) {
			if code := m.Do(http.MethodPost, "/import", token, body(n)); code != http.StatusOK {
				b.Fatal(code)
			}
		}
		b.Run("import/"+shape, func(b *testing.B) {
			m, token := open(b)
			send(b, m, token, 0)
			var bodies []string
			for i := range b.N {
				bodies = append(bodies, body(i+1))
			}
			before := cpu()
			b.ResetTimer()
			for _, x := range bodies {
				if code := m.Do(http.MethodPost, "/import", token, x); code != http.StatusOK {
					b.Fatal(code)
				}
			}
			b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/batch, "cpu-ns/event")
		})
		for name, question := range map[string]string{
			"row":   "SELECT n FROM shop.events WHERE distinct_id = 'u5' LIMIT 1",
			"group": "SELECT page, COUNT(*), COUNT(DISTINCT distinct_id), AVG(n) FROM shop.events GROUP BY page",
		} {
			b.Run(name+"/"+shape, func(b *testing.B) {
				m, token := open(b)
				for n := range 20 {
					send(b, m, token, n)
				}
				before := cpu()
				b.ResetTimer()
				for range b.N {
					if code := m.Do(http.MethodPost, "/query", "root", question); code != http.StatusOK {
						b.Fatal(code)
					}
				}
				b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/query")
			})
		}
	}
}
