package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
)

// The answers below are the ones that Mixpanel documents and its SDKs parse:
//
//	/track            1 when at least one event was stored, else 0
//	/track?verbose=1  {"status":1,"error":null}, or 0 and what is wrong
//	/import           {"code":200,"num_records_imported":N,"status":"OK"}
//	/import, refused  {"code":400,"error":…,"failed_records":[…],"num_records_imported":N,"status":"Bad Request"}
//
// Whatever was refused is in failed_records, with its place in the request.

// trackReply is the answer of /track?verbose=1.
type trackReply struct {
	Status int          `json:"status"`
	Error  *string      `json:"error"`
	Stored *int         `json:"num_records_imported,omitempty"`
	Failed []failedJSON `json:"failed_records,omitempty"`
}

// importReply is the answer of /import.
type importReply struct {
	Code   int          `json:"code"`
	Error  string       `json:"error,omitempty"`
	Failed []failedJSON `json:"failed_records,omitempty"`
	Stored *int         `json:"num_records_imported,omitempty"`
	Status string       `json:"status"`
}

// failedJSON is a RecordError in an answer.
type failedJSON struct {
	Index    int    `json:"index"`
	InsertID string `json:"insert_id"`
	Field    string `json:"field"`
	Message  string `json:"message"`
}

func failedRecords(refused []RecordError) []failedJSON {
	list := make([]failedJSON, len(refused))
	for i, r := range refused {
		list[i] = failedJSON{r.Index, r.InsertID, r.Field, r.Message}
	}
	return list
}

// summary says in a sentence what was refused.
func summary(done Ingested) string {
	n, stored := len(done.Rejected), done.Stored
	return fmt.Sprintf("refused %d of %d events and stored %d; the first refused is event %d: %s",
		n, n+stored, stored, done.Rejected[0].Index, done.Rejected[0].Message)
}

// replyTrack answers a request of /track that was read.
func replyTrack(w http.ResponseWriter, parameters url.Values, done Ingested) {
	reply := trackReply{Status: 1}
	status := http.StatusOK
	if len(done.Rejected) > 0 {
		message := summary(done)
		reply.Error, reply.Stored, reply.Failed = &message, &done.Stored, failedRecords(done.Rejected)
		w.Header().Set("X-Arbor-Error", headerText(message))
		if done.Stored == 0 {
			reply.Status, status = 0, http.StatusBadRequest
		}
		if isSet(parameters, "strict") {
			replyImport(w, true, done)
			return
		}
	}
	writeTrack(w, parameters, status, reply)
}

// writeTrack writes an answer of /track in the way that the parameters ask for.
func writeTrack(w http.ResponseWriter, parameters url.Values, status int, reply trackReply) {
	switch callback := parameters.Get("callback"); {
	case isSet(parameters, "img"):
		w.Header().Set("Content-Type", "image/gif")
		w.WriteHeader(status)
		_, _ = w.Write(pixel)
	case callback != "" && isCallback(callback):
		var argument any = reply.Status
		if isSet(parameters, "verbose") {
			argument = reply
		}
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, "%s(%s);", callback, jsonText(argument))
	case isSet(parameters, "verbose"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(jsonText(reply)) // without a line feed, as Mixpanel's
	default:
		writeText(w, status, fmt.Sprint(reply.Status))
	}
}

// replyImport answers a request of /import that was read.
func replyImport(w http.ResponseWriter, strict bool, done Ingested) {
	if len(done.Rejected) == 0 {
		w.Header()["Content-Type"] = jsonType
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(importedAll(done.Stored))
		return
	}
	reply := importReply{Code: http.StatusOK, Stored: &done.Stored, Failed: failedRecords(done.Rejected)}
	if strict || done.Stored == 0 {
		reply.Code, reply.Error = http.StatusBadRequest, "some data points in the request failed validation"
	}
	reply.Status = http.StatusText(reply.Code)
	writeJSON(w, reply.Code, reply)
}

// importedAll is the importReply of a request of which nothing was refused.
func importedAll(stored int) []byte {
	b := append(make([]byte, 0, 64), `{"code":200,"num_records_imported":`...)
	b = strconv.AppendInt(b, int64(stored), 10)
	return append(b, `,"status":"OK"}`+"\n"...)
}

// refuseTrack writes an error as the clients of /track expect it: 0 for events
// that are no good, which is all that old SDKs understand, and JSON for the rest.
func refuseTrack(w http.ResponseWriter, r *http.Request, err error) {
	status, _ := statusOf(err)
	message := err.Error()
	reply := trackReply{Error: &message}
	w.Header().Set("X-Arbor-Error", headerText(message))
	parameters := r.Form
	if parameters == nil {
		parameters = r.URL.Query()
	}
	if status != http.StatusBadRequest {
		parameters = url.Values{"verbose": {"1"}}
	}
	writeTrack(w, parameters, status, reply)
}

// refuseImport writes an error as the clients of /import expect it: those that
// send a data field and are not strict, as those of /track.
func refuseImport(w http.ResponseWriter, r *http.Request, err error) {
	if r.Form.Has("data") && !isSet(r.Form, "strict") {
		refuseTrack(w, r, err)
		return
	}
	status, _ := statusOf(err)
	reply := importReply{Code: status, Error: err.Error(), Status: http.StatusText(status)}
	if status == http.StatusBadRequest {
		reply.Stored = new(int)
	}
	writeJSON(w, status, reply)
}

// refuseJSON writes an error on the paths that are arbor's own.
func refuseJSON(w http.ResponseWriter, _ *http.Request, err error) {
	status, _ := statusOf(err)
	writeJSON(w, status, importReply{Code: status, Error: err.Error(), Status: http.StatusText(status)})
}

// writeJSON writes a whole answer as one line.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(jsonText(v), '\n'))
}

// jsonText is v as JSON in one line, without the escapes that are for HTML.
func jsonText(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // the types above always encode
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// callbacks are the names that a JSONP answer may call: identifiers with dots,
// and the empty function that Mixpanel's SDK asks for.
var callbacks = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*(\.[A-Za-z_$][A-Za-z0-9_$]*)*$`)

func isCallback(name string) bool {
	return len(name) <= 128 && (name == "(function(){})" || callbacks.MatchString(name))
}

// pixel is a transparent picture of one pixel.
var pixel = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// headerText makes a message fit for a header: one line of visible ASCII.
func headerText(s string) string {
	const most = 300
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b[:min(len(b), most)])
}
