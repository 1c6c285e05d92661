package gateway

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mixpanel/mixpanel-go"
)

// Mixpanel's SDK for Go works with nothing but its host changed, and hears what
// it should of what goes wrong.
func TestMixpanelGo(t *testing.T) {
	w := newHTTPWorld(t, Options{})
	w.project(t, "shop")
	server := httptest.NewServer(w.gateway.HTTPHandler())
	defer server.Close()
	ctx := t.Context()
	client := mixpanel.NewApiClient("token-shop", mixpanel.ProxyApiLocation(server.URL))

	event := func(c *mixpanel.ApiClient, name, id string) *mixpanel.Event {
		e := c.NewEvent(name, "user", map[string]any{"n": 1.5, "s": "a+b&c=é", "list": []int{1, 2}})
		e.AddTime(testNow)
		if id != "" {
			e.AddInsertID(id)
		}
		return e
	}
	stored := func(want int, what string, err error) {
		t.Helper()
		if got := len(w.model.Records()); err != nil || got != want {
			t.Errorf("%s: %d events are stored, want %d, error %v", what, got, want, err)
		}
	}

	stored(2, "track", client.Track(ctx, []*mixpanel.Event{event(client, "a", ""), event(client, "b", "b")}))
	n := 2
	for _, compression := range []mixpanel.MpCompression{mixpanel.None, mixpanel.Gzip} {
		for _, strict := range []bool{false, true} {
			var events []*mixpanel.Event
			for i := range mixpanel.MaxImportEvents {
				events = append(events, event(client, "many", fmt.Sprint(i)))
			}
			success, err := client.Import(ctx, events, mixpanel.ImportOptions{Strict: strict, Compression: compression})
			n += len(events)
			stored(n, "import", err)
			if success == nil || success.Code != 200 || success.NumRecordsImported != len(events) || success.Status != "OK" {
				t.Errorf("import: %+v", success)
			}
		}
	}
	stored(n+1, "alias", client.Alias(ctx, "alias", "user"))
	account := mixpanel.NewApiClient("unused", mixpanel.ProxyApiLocation(server.URL), mixpanel.ServiceAccount(1, "name", "secret-shop"))
	_, err := account.Import(ctx, []*mixpanel.Event{event(account, "by account", "x")}, mixpanel.ImportOptionsRecommend)
	stored(n+2, "import by a service account", err)
	bySecret := mixpanel.NewApiClient("unused", mixpanel.ProxyApiLocation(server.URL), mixpanel.ApiSecret("secret-shop"))
	stored(n+3, "merge", bySecret.Merge(ctx, "one", "two"))

	// Profiles become rows of people.
	person := mixpanel.NewPeopleProperties("u", map[string]any{"plan": "pro", "n": 1})
	if err := client.PeopleSet(ctx, []*mixpanel.PeopleProperties{person}); err != nil {
		t.Errorf("profile: %v", err)
	}
	if err := client.PeopleIncrement(ctx, "u", map[string]int{"n": 2}); err != nil {
		t.Errorf("increment of a profile: %v", err)
	}
	if got := w.tables(t); !strings.Contains(got, "shop.people distinct_id=u ") || !strings.Contains(got, `{"n": 3, "plan": "pro"}`) {
		t.Errorf("the profiles are %s", got)
	}

	// A record that is no good is reported and the others are stored.
	bad := event(client, "bad", "")
	_, err = client.Import(ctx, []*mixpanel.Event{event(client, "good", "g"), bad}, mixpanel.ImportOptionsRecommend)
	var invalid mixpanel.ImportFailedValidationError
	if !errors.As(err, &invalid) || invalid.Code != 400 || invalid.NumRecordsImported != 1 ||
		len(invalid.FailedImportRecords) != 1 || invalid.FailedImportRecords[0].Index != 1 ||
		invalid.FailedImportRecords[0].Field != "properties.$insert_id" || invalid.FailedImportRecords[0].Message == "" {
		t.Errorf("import of a bad record: %+v", err)
	}
	stored(n+4, "import of a bad record", nil)

	// Every other error is of the type that the SDK has for it.
	wrong := mixpanel.NewApiClient("wrong", mixpanel.ProxyApiLocation(server.URL))
	var verbose mixpanel.VerboseError
	if err := wrong.Track(ctx, []*mixpanel.Event{event(wrong, "a", "")}); !errors.As(err, &verbose) || verbose.Status != 0 || verbose.ApiError == "" {
		t.Errorf("track with a wrong token: %v", err)
	}
	var generic mixpanel.ImportGenericError
	if _, err := wrong.Import(ctx, []*mixpanel.Event{event(wrong, "a", "i")}, mixpanel.ImportOptionsRecommend); !errors.As(err, &generic) || generic.Code != 401 {
		t.Errorf("import with a wrong token: %v", err)
	}
	large := event(client, "large", "l")
	large.Properties["x"] = make([]byte, maxTextBytes)
	if _, err := client.Import(ctx, []*mixpanel.Event{large}, mixpanel.ImportOptionsRecommend); !errors.As(err, &generic) || generic.Code != 413 {
		t.Errorf("import of too much: %v", err)
	}
	w.gateway.bodies.max = 0
	var limited mixpanel.ImportRateLimitError
	if _, err := client.Import(ctx, []*mixpanel.Event{event(client, "a", "i")}, mixpanel.ImportOptionsRecommend); !errors.As(err, &limited) || limited.Code != 429 {
		t.Errorf("import while the server is busy: %v", err)
	}
	w.gateway.bodies.max = DefaultMaxInflightBytes
	w.storage("down")
	if _, err := client.Import(ctx, []*mixpanel.Event{event(client, "a", "i")}, mixpanel.ImportOptionsRecommend); err == nil {
		t.Error("import while the storage is down: no error")
	}
	stored(n+4, "after the errors", nil)
}
