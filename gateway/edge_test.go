package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
)

// stampAs signs a request as a siphon does.
func stampAs(r *http.Request, key, id string, at int64, only, into string) {
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "arbor edge 1\n%s\n%d\n%s\n%s", id, at, only, into)
	for name, value := range map[string]string{edgeHeader: id, edgeTimeHeader: fmt.Sprint(at), edgeOnlyHeader: only, edgeIntoHeader: into, edgeMACHeader: hex.EncodeToString(mac.Sum(nil))} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
}

func edgeRequest(path, body string) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.SetBasicAuth("token-shop", "")
	return r
}

const withoutID = `[{"event":"a","properties":{"time":1790000000,"distinct_id":"u"}},{"event":"b","properties":{"distinct_id":"u"}}]`

// A request that is sent again with its stamp adds nothing, though its events
// have no insert ids and one of them no time.
func TestStampedRequestIsStoredOnce(t *testing.T) {
	const key = "0123456789abcdef"
	w := newHTTPWorld(t, Options{EdgeKey: []byte(key)})
	w.project(t, "shop")
	for range 3 {
		r := edgeRequest("/import", withoutID)
		stampAs(r, key, "0000beef", testNow.Add(-time.Hour).UnixNano(), "", "")
		if a := w.do(r); a.Code != 200 || a.Header().Get(edgeAcceptedHeader) != "1" {
			t.Fatalf("answer %d %s %v", a.Code, a.Body, a.Header())
		}
	}
	if n := w.distinct("shop"); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	if a := w.do(edgeRequest("/import", withoutID)); a.Code != 200 || a.Header().Get(edgeAcceptedHeader) != "" {
		t.Errorf("without a stamp: %d %v", a.Code, a.Header())
	}
	if n := w.distinct("shop"); n != 4 {
		t.Errorf("%d events after an unstamped request, want 4", n)
	}
}

func TestStampsThatAreNotTaken(t *testing.T) {
	const key = "0123456789abcdef"
	now := testNow.UnixNano()
	tests := []struct {
		name, key, id string
		at            int64
		only, into    string
		status        int
		words         string
	}{
		{"right", key, "0000beef", now, "", "", 200, ""},
		{"another key", key + "0", "0000beef", now, "", "", 503, "--edge-key"},
		{"a word", key, "edge", now, "", "", 503, "hexadecimal"},
		{"no time", key, "0000beef", 0, "", "", 503, "nanoseconds"},
		{"ahead at the limit", key, "0000beef", now + int64(maxEdgeAhead), "", "", 200, ""},
		{"ahead past the limit", key, "0000beef", now + int64(maxEdgeAhead) + 1, "", "", 503, "clock"},
		{"a project that is not", key, "0000beef", now, "nothing", "", 503, "CREATE DATABASE"},
		{"into one that is not", key, "0000beef", now, "shop", "nothing", 503, "CREATE DATABASE"},
	}
	for _, test := range tests {
		w := newHTTPWorld(t, Options{EdgeKey: []byte(key)})
		w.project(t, "shop")
		r := edgeRequest("/import", withoutID)
		stampAs(r, test.key, test.id, test.at, test.only, test.into)
		a := w.do(r)
		if a.Code != test.status || !strings.Contains(a.Body.String(), test.words) {
			t.Errorf("%s: %d %s, want %d and %q", test.name, a.Code, a.Body, test.status, test.words)
		}
		if a.Code == 503 && (a.Header().Get("Retry-After") == "" || w.distinct("shop") > 0) {
			t.Errorf("%s: refused without Retry-After, or stored all the same", test.name)
		}
	}
	w := newHTTPWorld(t, Options{})
	w.project(t, "shop")
	for range 2 { // a server without a key does not listen to stamps
		r := edgeRequest("/import", withoutID)
		stampAs(r, key, "0000beef", now, "", "")
		if a := w.do(r); a.Code != 200 || a.Header().Get(edgeAcceptedHeader) != "" {
			t.Errorf("no key: %d %v", a.Code, a.Header())
		}
	}
	if n := w.distinct("shop"); n != 4 {
		t.Errorf("no key: %d events, want 4", n)
	}
}

// A replay of one project leaves the others out, and can go to another project.
func TestReplayOfOneProject(t *testing.T) {
	const key = "0123456789abcdef"
	w := newHTTPWorld(t, Options{EdgeKey: []byte(key)})
	for _, name := range []string{"shop", "blog", "check"} {
		w.project(t, name)
	}
	track := `[{"event":"a","properties":{"token":"token-shop","distinct_id":"u"}},{"event":"b","properties":{"token":"token-blog","distinct_id":"u"}}]`
	for at, path := range []string{"/track", "/import"} {
		body := track
		if path == "/import" {
			body = withoutID
		}
		for _, token := range []string{"token-shop", "token-blog"} {
			r := httptest.NewRequest("POST", path, strings.NewReader(body))
			r.SetBasicAuth(token, "")
			stampAs(r, key, "0000beef", testNow.UnixNano()+int64(at), "blog", "check")
			if a := w.do(r); a.Code != 200 {
				t.Errorf("%s: %d %s", path, a.Code, a.Body)
			}
		}
	}
	for name, want := range map[string]int{"shop": 0, "blog": 0, "check": 3} {
		if n := w.distinct(name); n != want {
			t.Errorf("%s has %d events, want %d", name, n, want)
		}
	}
}

// TestReplayWithTokensOfBefore: a token that opens nothing any more opens its project for
// a replay that names both, and for nobody else.
func TestReplayWithTokensOfBefore(t *testing.T) {
	const key = "0123456789abcdef"
	for name, c := range map[string]struct {
		tokens, signed string
		status, stored int
	}{
		"named":                 {"other=blog&was=shop", "other=blog&was=shop", 200, 2},
		"not named":             {"", "", 401, 0},
		"another one":           {"is=shop", "is=shop", 401, 0},
		"named by who may not":  {"was=shop", "", 503, 0},
		"of no project":         {"was=nothing", "was=nothing", 503, 0},
		"not readable":          {"was=%zz", "was=%zz", 503, 0},
		"of a project unnamed":  {"was=", "was=", 401, 0},
		"the empty one is none": {"=shop", "=shop", 401, 0},
	} {
		for _, path := range []string{"/import", "/track"} {
			w := newHTTPWorld(t, Options{EdgeKey: []byte(key)})
			w.project(t, "shop")
			w.project(t, "blog")
			r := httptest.NewRequest("POST", path, strings.NewReader(withoutID))
			r.SetBasicAuth("was", "")
			if path == "/track" {
				r = httptest.NewRequest("POST", path, strings.NewReader(strings.ReplaceAll(withoutID, `"properties":{`, `"properties":{"token":"was",`)))
			}
			stampAs(r, key, "0000beef", testNow.UnixNano(), "", "")
			if c.signed != "" {
				mac := hmac.New(sha256.New, []byte(key))
				fmt.Fprintf(mac, "arbor edge 1\n0000beef\n%d\n\n\n%s", testNow.UnixNano(), c.signed)
				r.Header.Set(edgeMACHeader, hex.EncodeToString(mac.Sum(nil)))
			}
			if c.tokens != "" {
				r.Header.Set(edgeTokensHeader, c.tokens)
			}
			if a := w.do(r); a.Code != c.status || w.distinct("shop") != c.stored || w.distinct("blog") != 0 {
				t.Errorf("%s, %s: %d %s, %d events", name, path, a.Code, a.Body, w.distinct("shop"))
			}
		}
	}
}

// TestOldEdgeKeys: while keys are changed, stamps of both are taken.
func TestOldEdgeKeys(t *testing.T) {
	const key, old = "0123456789abcdef", "the key of before"
	w := newHTTPWorld(t, Options{EdgeKey: []byte(key), OldEdgeKeys: [][]byte{[]byte(old)}})
	w.project(t, "shop")
	for _, signed := range []string{key, old, key} {
		r := edgeRequest("/import", withoutID)
		stampAs(r, signed, "0000beef", testNow.UnixNano(), "", "")
		if a := w.do(r); a.Code != 200 || a.Header().Get(edgeAcceptedHeader) != "1" {
			t.Errorf("%s: %d %s", signed, a.Code, a.Body)
		}
	}
	if n := w.distinct("shop"); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	r := edgeRequest("/import", withoutID)
	stampAs(r, "a key of nobody's", "0000beef", testNow.UnixNano(), "", "")
	if a := w.do(r); a.Code != 503 {
		t.Errorf("another key: %d", a.Code)
	}
}

// distinct counts a project's records, those with one ingest id once.
func (w *httpWorld) distinct(project string) int {
	p, _ := w.gateway.Catalog().Project(project)
	ids := map[catalog.IngestID]bool{}
	for _, r := range w.model.Records() {
		if r.Shard.Project == p.ID {
			ids[r.Event.ID] = true
		}
	}
	return len(ids)
}

// An update of a profile that comes again with the stamp that it had does not bring back
// one that was erased since, and one that is newer does.
func TestReplayBringsNoErasedProfileBack(t *testing.T) {
	const key = "0123456789abcdef"
	w := newHTTPWorld(t, Options{EdgeKey: []byte(key)})
	shop, check := w.project(t, "shop").ID, w.project(t, "check").ID
	erased := catalog.BeginErasure{Project: shop, ID: catalog.IngestID{Time: uint64(testNow.UnixNano()) - 1000}, Key: catalog.EraseKey{1}}
	p, _ := w.gateway.Catalog().ProjectByID(shop)
	erased.Bucket = p.Shard(0, "ann", "").Bucket
	erased.User = erased.Key.HashUser(shop, "ann")
	if _, err := w.gateway.cluster.Change(t.Context(), erased); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, into string
		after      int64 // the erasure's id, in nanoseconds
		project    catalog.ProjectID
		want       bool
	}{
		{"before", "", -1, shop, false},
		{"before, into another project", "check", -1, check, false},
		{"at the same moment", "", 0, shop, true}, // the edge number makes it later
		{"after", "check", 1, check, true},
	} {
		r := edgeRequest("/engage", `[{"$token":"token-shop","$distinct_id":"ann","$set":{"a":1}},{"$token":"token-shop","$distinct_id":"bob","$set":{"a":1}}]`)
		stampAs(r, key, "0000beef", int64(erased.ID.Time)+c.after, "", c.into)
		if a := w.do(r); a.Code != 200 || a.Header().Get(edgeAcceptedHeader) != "1" {
			t.Fatalf("%s: answer %d %s", c.name, a.Code, a.Body)
		}
		people, _ := w.gateway.cluster.Tables().Table(uint32(c.project), "people")
		users := ""
		for _, row := range people.Seek([]byte{rowPrefix}) {
			users += string(row)
		}
		if strings.Contains(users, "ann") != c.want || !strings.Contains(users, "bob") {
			t.Errorf("%s: the profiles are %q", c.name, users)
		}
	}
}
