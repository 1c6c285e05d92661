package gateway

import (
	"fmt"
	"net/http"
	"strings"

	"arbor/gateway/track"
)

// The answers below are the ones that each SDK's own service gives:
//
//	Segment, RudderStack   {"success":true}, or false and what is wrong
//	PostHog                {"status":1}, or 0 and what is wrong
//	Amplitude              {"code":200,"events_ingested":N}, or another code and what is wrong
//	Snowplow               ok, or what is wrong
//
// 200 means that what could be stored is; what was refused is in X-Arbor-Error.

// successReply is the answer to Segment's SDKs.
type successReply struct {
	Success bool   `json:"success"`
	Message string `json:"message,omitempty"`
}

func replySegment(w http.ResponseWriter, _ Ingested) {
	writeJSON(w, http.StatusOK, successReply{Success: true})
}

func refuseSegment(w http.ResponseWriter, _ *http.Request, err error) {
	status, message := refusedMessages(track.Segment, err)
	writeJSON(w, status, successReply{Message: message})
}

// statusReply is the answer to PostHog's SDKs.
type statusReply struct {
	Status int    `json:"status"`
	Type   string `json:"type,omitempty"`
	Detail string `json:"detail,omitempty"`
}

func replyPostHog(w http.ResponseWriter, _ Ingested) {
	writeJSON(w, http.StatusOK, statusReply{Status: 1})
}

func refusePostHog(w http.ResponseWriter, _ *http.Request, err error) {
	status, message := refusedMessages(track.PostHog, err)
	kind := "server_error"
	if status < http.StatusInternalServerError {
		kind = "validation_error"
	}
	writeJSON(w, status, statusReply{Type: kind, Detail: message})
}

// codeReply is the answer to Amplitude's SDKs, which read the code rather than
// the status, and look into the lists of a refusal.
type codeReply struct {
	Code     int    `json:"code"`
	Ingested int    `json:"events_ingested,omitempty"`
	Error    string `json:"error,omitempty"`
	*amplitudeLists
}

type amplitudeLists struct {
	Missing   string           `json:"missing_field"`
	Invalid   map[string][]int `json:"events_with_invalid_fields"`
	Absent    map[string][]int `json:"events_with_missing_fields"`
	Silenced  []int            `json:"silenced_events"`
	Throttled []int            `json:"throttled_events"`
	Users     map[string]int   `json:"throttled_users"`
	Devices   map[string]int   `json:"throttled_devices"`
}

func replyAmplitude(w http.ResponseWriter, done Ingested) {
	writeJSON(w, http.StatusOK, codeReply{Code: http.StatusOK, Ingested: done.Stored})
}

func refuseAmplitude(w http.ResponseWriter, _ *http.Request, err error) {
	status, message := refusedMessages(track.Amplitude, err)
	writeJSON(w, status, codeReply{Code: status, Error: message, amplitudeLists: &amplitudeLists{
		Invalid: map[string][]int{}, Absent: map[string][]int{}, Silenced: []int{}, Throttled: []int{},
		Users: map[string]int{}, Devices: map[string]int{},
	}})
}

// refuseBatch refuses a batch that may be PostHog's or Amplitude's.
func refuseBatch(w http.ResponseWriter, r *http.Request, err error) {
	if strings.Contains(strings.ToLower(r.UserAgent()), "posthog") {
		refusePostHog(w, r, err)
		return
	}
	refuseAmplitude(w, r, err)
}

func replySnowplow(w http.ResponseWriter, _ Ingested) { writeText(w, http.StatusOK, "ok") }

func replyPixel(w http.ResponseWriter, _ Ingested) {
	w.Header().Set("Content-Type", "image/gif")
	_, _ = w.Write(pixel)
}

func refuseSnowplow(w http.ResponseWriter, _ *http.Request, err error) {
	status, message := refusedMessages(track.Snowplow, err)
	writeText(w, status, message+"\n")
}

// refusedMessages is the status of an error, and what it says in a dialect's words.
func refusedMessages(d track.Dialect, err error) (status int, message string) {
	status, _ = statusOf(err)
	return status, d.Words(fmt.Sprint(err))
}
