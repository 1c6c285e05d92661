package clients

import (
	"fmt"
	"io"
	"log"
	"sync"
	"testing"
	"time"

	"github.com/mixpanel/mixpanel-go"
	"github.com/posthog/posthog-go"
	"gopkg.in/segmentio/analytics-go.v3"
)

// canonTime is the time of the event with a number that every SDK sends.
func canonTime(n int) time.Time { return time.Date(2026, 1, 2, 3, 4, 5+n, 678e6, time.UTC) }

// canonProperties are its properties.
func canonProperties(n int) map[string]any {
	return map[string]any{
		"n": n, "price": 17.25, "text": "~~~>>>???éü😀", "yes": true, "nested": map[string]any{"list": []any{1, map[string]any{"a": nil}}},
	}
}

// acknowledged counts the messages that a SDK has done with, and ends its waiting.
type acknowledged struct{ sync.WaitGroup }

func newAcknowledged(messages int) *acknowledged {
	a := new(acknowledged)
	a.Add(messages)
	return a
}

// mixpanelGo sends what every SDK sends with Mixpanel's SDK for Go, which sends nothing
// again by itself: its program does, with the ids that it has given the events.
func mixpanelGo(t *testing.T, url, token string) {
	client := mixpanel.NewApiClient(token, mixpanel.ProxyApiLocation(url))
	var events []*mixpanel.Event
	for n := range 25 {
		e := client.NewEvent("buy", fmt.Sprintf("user %d", n%7), canonProperties(n))
		e.AddTime(canonTime(n))
		e.AddInsertID(fmt.Sprintf("buy-%d", n))
		events = append(events, e)
	}
	again := func(what string, send func() error) {
		for tries := 1; ; tries++ {
			err := send()
			if err == nil {
				return
			}
			if tries == 10 {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	again("track", func() error { return client.Track(t.Context(), events[:10]) })
	again("import", func() error {
		_, err := client.Import(t.Context(), events[10:], mixpanel.ImportOptionsRecommend)
		return err
	})
}

// postHogGo sends what every SDK sends with PostHog's SDK for Go, which gives
// its messages no ids.
func postHogGo(t *testing.T, url, token string) {
	answers := &postHogAnswers{newAcknowledged(28), t}
	client, err := posthog.NewWithConfig(token, posthog.Config{
		Endpoint: url, BatchSize: 10, RetryAfter: func(int) time.Duration { return 10 * time.Millisecond },
		Callback: answers, Logger: posthog.StdLogger(log.New(io.Discard, "", 0)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 25 {
		client.Enqueue(posthog.Capture{DistinctId: fmt.Sprintf("user %d", n%7), Event: "buy", Timestamp: canonTime(n), Properties: canonProperties(n)})
	}
	client.Enqueue(posthog.Identify{DistinctId: "user 0", Properties: posthog.NewProperties().Set("plan", "pro")})
	client.Enqueue(posthog.GroupIdentify{Type: "company", Key: "acme", Properties: posthog.NewProperties().Set("size", 3)})
	client.Enqueue(posthog.Alias{DistinctId: "user 0", Alias: "anonymous 0"})
	answers.Wait() // closing ends the sending again
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

// segmentGo sends what every SDK sends with Segment's SDK for Go.
func segmentGo(t *testing.T, url, token string) {
	answers := &segmentAnswers{newAcknowledged(30), t}
	client, err := analytics.NewWithConfig(token, analytics.Config{
		Endpoint: url, BatchSize: 10, RetryAfter: func(int) time.Duration { return 10 * time.Millisecond },
		Callback: answers, Logger: analytics.StdLogger(log.New(io.Discard, "", 0)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 25 {
		client.Enqueue(analytics.Track{UserId: fmt.Sprintf("user %d", n%7), Event: "buy", Timestamp: canonTime(n), Properties: canonProperties(n)})
	}
	client.Enqueue(analytics.Identify{UserId: "user 0", Traits: analytics.NewTraits().Set("plan", "pro")})
	client.Enqueue(analytics.Group{UserId: "user 0", GroupId: "acme", Traits: analytics.NewTraits().Set("size", 3)})
	client.Enqueue(analytics.Alias{UserId: "user 0", PreviousId: "anonymous 0"})
	client.Enqueue(analytics.Page{AnonymousId: "anonymous 0", Name: "Home"})
	client.Enqueue(analytics.Screen{AnonymousId: "anonymous 0", Name: "Main"})
	answers.Wait() // closing ends the sending again
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

// postHogAnswers hears what became of messages.
type postHogAnswers struct {
	*acknowledged
	t *testing.T
}

// Success hears of a message that was stored.
func (a *postHogAnswers) Success(posthog.APIMessage) { a.Done() }

// Failure hears of a message that was given up.
func (a *postHogAnswers) Failure(m posthog.APIMessage, err error) {
	a.t.Errorf("%v was given up: %v", m, err)
	a.Done()
}

// segmentAnswers hears what became of messages.
type segmentAnswers struct {
	*acknowledged
	t *testing.T
}

// Success hears of a message that was stored.
func (a *segmentAnswers) Success(analytics.Message) { a.Done() }

// Failure hears of a message that was given up.
func (a *segmentAnswers) Failure(m analytics.Message, err error) {
	a.t.Errorf("%v was given up: %v", m, err)
	a.Done()
}
