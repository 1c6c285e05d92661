package attacks

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func gzipped(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t *testing.T, body []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(body, nil)
}

// attackBodies sends what grows, nests and collides.
func attackBodies(t *testing.T, a *target) {
	zeroes := make([]byte, 32<<20)
	event := func(properties string) string {
		return fmt.Sprintf(`{"event":"bomb","properties":{"token":%q,"time":1767348000,%s}}`, a.token, properties)
	}
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":1,`, i)
		}
		return b.String() + `"z":1`
	}
	for _, test := range []struct {
		name, body string
		statuses   []int
	}{
		{"gzip", string(bytes.Repeat(gzipped(t, zeroes), 30)), []int{413}},
		{"zstd", string(bytes.Repeat(zstandard(t, zeroes), 30)), []int{413}},
		{"gzip in gzip", string(gzipped(t, bytes.Repeat(gzipped(t, zeroes), 30))), []int{400, 413}},
		{"zstd in gzip", string(gzipped(t, bytes.Repeat(zstandard(t, zeroes), 30))), []int{400, 413}},
		{"spaces in gzip", string(gzipped(t, bytes.Repeat([]byte(" "), 32<<20))), []int{413}},
		{"gzip cut off", string(gzipped(t, []byte(event(`"a":1`)))[:40]), []int{400}},
		{"arrays", event(`"a":` + strings.Repeat("[", 1_000_000)), []int{400}},
		{"arrays that end", event(`"a":` + strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000)), []int{400}},
		{"objects", strings.Repeat(`{"a":`, 1_000_000), []int{400}},
		{"batch of arrays", strings.Repeat(`[`, 5_000_000), []int{400}},
		{"keys", event(keys(200_000)), []int{400, 413}},
		{"nested keys", event(`"o":{` + keys(60_000) + `}`), []int{200, 400, 413}},
		{"one key", event(strings.Repeat(`"a":1,`, 100_000) + `"a":2`), []int{200, 400, 413}},
		{"long key", event(`"` + strings.Repeat("k", 1<<20) + `":1`), []int{400, 413}},
		{"digits", event(`"a":` + strings.Repeat("9", 500_000)), []int{200, 400}},
		{"exponent", event(`"a":1e999999999,"b":-1e-999999999`), []int{200, 400}},
		{"escapes", event(`"a":"` + strings.Repeat(`\ud83d`, 100_000) + `"`), []int{200, 400}},
		{"events", "[" + strings.Repeat(`{},`, 2_000_000) + "{}]", []int{400, 413}},
		{"form", "data=" + strings.Repeat("%5B", 1_000_000), []int{400}},
		{"fields", strings.Repeat("a=1&", 1_000_000), []int{400}},
	} {
		if status, answer := a.post(t, "/track?verbose=1", test.body); !has(test.statuses, status) {
			t.Errorf("%s: %d %.200s", test.name, status, answer)
		}
		if status, answer := a.post(t, "/v1/batch", test.body, "Authorization", "Basic "+basic(a.token, "")); status >= 500 {
			t.Errorf("%s to /v1/batch: %d %.200s", test.name, status, answer)
		}
	}
	// Names whose values collide under hashes without a seed: FNV's and Java's.
	var body strings.Builder
	body.WriteString(`[`)
	for i := range 1500 {
		if i > 0 {
			body.WriteString(",")
		}
		var id strings.Builder
		for bit := range 11 {
			id.WriteString([]string{"Aa", "BB"}[i>>bit&1])
		}
		fmt.Fprintf(&body, `{"event":"collide","properties":{"token":%q,"time":1767348000,"distinct_id":%q,"$insert_id":%q,"p":%q}}`, a.token, id.String(), id.String(), id.String())
	}
	body.WriteString(`]`)
	if status, answer := a.post(t, "/track?verbose=1", body.String()); status != 200 {
		t.Errorf("colliding names: %d %s", status, answer)
	}
	if n := a.QueryOne(t, "SELECT COUNT(DISTINCT p) FROM shop.events WHERE event = 'collide'"); n != "1500" {
		t.Errorf("%s colliding values", n)
	}
	if status, answer := a.post(t, "/query", `{"sql":`+strings.Repeat("[", 900_000)); status != 400 {
		t.Errorf("/query: %d %.200s", status, answer)
	}
}

func has(all []int, n int) bool {
	for _, m := range all {
		if m == n {
			return true
		}
	}
	return false
}

// attackSlowly holds connections that never say enough, while others are served.
func attackSlowly(t *testing.T, a *target) {
	for i := range 300 {
		address, said := a.HTTP, "POST /track HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
		switch i % 4 {
		case 1:
			said = "GET / HTTP/1.1\r\nX-Slow: "
		case 2:
			address, said = a.MySQL, ""
		case 3:
			address, said = a.MySQL, "\x20\x00"
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
	}
	a.healthy(t)
}

// attackProjectIDs asks /import for other projects by name and number: a token's
// holder must not learn which there are.
func attackProjectIDs(t *testing.T, a *target) {
	ask := func(id string) (int, string) {
		return a.post(t, "/import?project_id="+id, "[]", "Authorization", "Basic "+basic(a.token, ""))
	}
	normal := func(id string) string {
		status, answer := ask(id)
		return fmt.Sprint(status, strings.ReplaceAll(answer, id, "ID"))
	}
	if there, not := normal("rival"), normal("nothing"); there != not {
		t.Errorf("another project: %s\nnone: %s", there, not)
	}
	if there, not := normal("2"), normal("77777"); there != not {
		t.Errorf("another project's number: %s\nno number: %s", there, not)
	}
	for _, id := range []string{"shop", "1", "2345678"} {
		if status, answer := ask(id); status != 400 || !strings.Contains(answer, "no events") {
			t.Errorf("project_id=%s: %d %s", id, status, answer)
		}
	}
}
