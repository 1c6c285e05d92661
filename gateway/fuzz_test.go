package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"arbor/engine/event"
)

// fuzzBodies are the bodies that the fuzz targets start from.
var fuzzBodies = []string{
	`{"event":"a","properties":{"token":"token-shop","time":1794182400,"distinct_id":"u","$insert_id":"i","x":[1,{"y":null}]}}`,
	`[{"event":"a","properties":{"token":"token-shop","n":1.50,"e":1e300}},{"event":"b"},17]`,
	"{\"event\":\"a\",\"properties\":{}}\n{\"event\":\"b\"\n{\"event\":\"c\",\"properties\":{\"token\":\"token-shop\"}}\n",
	`data=%5B%7B%22event%22%3A%22a%22%2C%22properties%22%3A%7B%22token%22%3A%22token-shop%22%7D%7D%5D&verbose=1`,
	`data=eyJldmVudCI6ImEiLCJwcm9wZXJ0aWVzIjp7InRva2VuIjoidG9rZW4tc2hvcCJ9fQ==`,
	`eyJldmVudCI6ImEifQ`, "", "[]", "null", "\x1f\x8b\x08", "\x28\xb5\x2f\xfd", "[{\"event\":\"\xff\"}]", `["\ud800"]`,
}

// fuzzHTTP sends a body and holds the answer and what is stored to what must
// always be true of them.
func fuzzHTTP(f *testing.F, target string, prepare func(*http.Request)) {
	w := newHTTPWorld(f, Options{})
	w.project(f, "shop")
	for _, body := range fuzzBodies {
		f.Add([]byte(body))
		f.Add(gzipped(f, []byte(body)))
	}
	handler := w.gateway.HTTPHandler()
	f.Fuzz(func(t *testing.T, body []byte) {
		before := len(w.model.Records())
		r := httptest.NewRequest(http.MethodPost, target, bytes.NewReader(body))
		if prepare != nil {
			prepare(r)
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		var reply struct {
			Status any          `json:"status"`
			Code   int          `json:"code"`
			Stored *int         `json:"num_records_imported"`
			Failed []failedJSON `json:"failed_records"`
		}
		// A form may ask for another kind of answer than the target does.
		kind := answer.Header().Get("Content-Type")
		if err := json.Unmarshal(answer.Body.Bytes(), &reply); err != nil && strings.HasPrefix(kind, "application/json") {
			t.Fatalf("%d: %q is not JSON: %v", answer.Code, answer.Body, err)
		}
		records := w.model.Records()[before:]
		switch answer.Code {
		case http.StatusOK:
			if len(records) == 0 {
				t.Errorf("200, and nothing was stored: %s", answer.Body)
			}
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		default:
			t.Fatalf("%d: %s", answer.Code, answer.Body)
		}
		if reply.Stored != nil && *reply.Stored != len(records) {
			t.Errorf("the answer says %d stored, they are %d: %s", *reply.Stored, len(records), answer.Body)
		}
		for i := 1; i < len(reply.Failed); i++ {
			if reply.Failed[i].Index <= reply.Failed[i-1].Index {
				t.Errorf("failed records out of order: %s", answer.Body)
			}
		}
		for _, r := range records {
			if err := event.Check(r.Event); err != nil {
				t.Errorf("stored an event that Check refuses: %v", err)
			}
			for _, p := range r.Event.Properties {
				if text := p.Value.AppendJSON(nil); !json.Valid(text) || !utf8.Valid(text) {
					t.Errorf("property %q became %q", p.Name, text)
				}
			}
		}
		if used := w.gateway.bodies.used.Load(); used != 0 {
			t.Fatalf("%d bytes of the budget were not given back", used)
		}
	})
}

func FuzzTrack(f *testing.F) { fuzzHTTP(f, "/track?verbose=1", nil) }

func FuzzImport(f *testing.F) {
	fuzzHTTP(f, "/import?strict=1", func(r *http.Request) { r.SetBasicAuth("token-shop", "") })
}

// FuzzFormData sends what is fuzzed as the data field of a form, and as it is.
func FuzzFormData(f *testing.F) {
	fuzzHTTP(f, "/track?verbose=1", func(r *http.Request) {
		var b bytes.Buffer
		b.WriteString("data=")
		if _, err := b.ReadFrom(r.Body); err != nil {
			panic(err)
		}

		r2 := httptest.NewRequest(http.MethodPost, "/track?verbose=1", &b)
		r.Body, r.ContentLength = r2.Body, r2.ContentLength
	})
}
