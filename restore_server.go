package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/pace"
)

// restoreServer is a running server that events are restored into.
type restoreServer struct {
	url, user, password string
	client              *http.Client
	// rate bounds the bytes a second that are sent; 0 does not.
	rate int64
	pace pace.Pace
}

// restoreAttempts is how often a request is sent until the server can answer it.
const restoreAttempts = 8

// restoreRefused is an answer that sending again would not change.
type restoreRefused struct {
	status int
	text   string
}

// Error is what the server said.
func (r *restoreRefused) Error() string { return r.text }

// do sends a request until it is answered with 200, and gives the answer to read.
func (s *restoreServer) do(ctx context.Context, method, path string, q url.Values, body []byte, read func(io.Reader) error) error {
	for attempt := 1; ; attempt++ {
		wait, err := s.try(ctx, method, path, q, body, read)
		if err == nil || wait == 0 || attempt == restoreAttempts {
			return err
		}
		timer := time.NewTimer(wait * time.Duration(attempt))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// try sends it once; wait is how long to wait before the next time, 0 when that would not
// help.
func (s *restoreServer) try(ctx context.Context, method, path string, q url.Values, body []byte, read func(io.Reader) error) (wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(s.url, "/")+path+"?"+q.Encode(), bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.SetBasicAuth(s.user, s.password)
	res, err := s.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return time.Second, fmt.Errorf("%w (is a server running there?)", err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		if err := read(res.Body); err != nil {
			return time.Second, fmt.Errorf("%s: the answer: %w", path, err)
		}
		return 0, nil
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	err = &restoreRefused{res.StatusCode, fmt.Sprintf("%s: %s: %s", path, res.Status, restoreMessage(text))}
	if res.StatusCode != http.StatusTooManyRequests && res.StatusCode < http.StatusInternalServerError {
		return 0, err
	}
	wait = time.Second
	if n, e := strconv.Atoi(res.Header.Get("Retry-After")); e == nil && n > 0 {
		wait = time.Duration(min(n, 30)) * time.Second
	}
	return wait, err
}

// restoreMessage is the message of an error as /query writes it, or the text.
func restoreMessage(text []byte) string {
	var answer struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(text, &answer) == nil && answer.Error.Message != "" {
		return answer.Error.Message
	}
	return string(bytes.TrimSpace(text))
}

// has reports whether the server has the project.
func (s *restoreServer) has(ctx context.Context, project string) (bool, error) {
	rows, err := s.query(ctx, "SELECT name FROM arbor.projects WHERE dropped_at IS NULL AND name = "+sqlText(project))
	return len(rows) > 1, err
}

// query gives the rows of an answer, behind one of names.
func (s *restoreServer) query(ctx context.Context, statement string) (rows [][]string, err error) {
	err = s.do(ctx, http.MethodPost, "/query", url.Values{"format": {"csv"}}, []byte(statement), func(r io.Reader) (err error) {
		rows, err = csv.NewReader(r).ReadAll()
		return err
	})
	return rows, err
}

// sqlText is a text as SQL has it.
func sqlText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}

// daySums are what each day of a project comes to, deletes and undos included. There are
// none if there is no such project.
func (s *restoreServer) daySums(ctx context.Context, project string) (map[catalog.Day]event.Digest, error) {
	rows, err := s.query(ctx, "SELECT d.day, d.digest FROM arbor.digests d JOIN arbor.projects p ON d.project_id = p.id WHERE p.dropped_at IS NULL AND p.name = "+sqlText(project))
	if err != nil {
		return nil, err
	}
	sums := map[catalog.Day]event.Digest{}
	for _, row := range rows[min(1, len(rows)):] {
		day, err := time.Parse(time.DateOnly, row[0])
		if err != nil {
			return nil, fmt.Errorf("digests of the server: %w", err)
		}
		sum, err := event.ParseDigest(row[1])
		if err != nil {
			return nil, fmt.Errorf("day %s of the server cannot be compared: %w", row[0], err)
		}
		k := catalog.DayOf(day.UnixMicro())
		sums[k] = sums[k].Add(sum)
	}
	return sums, nil
}

// storedRecord is an event that is stored: its id and the hash of all of it.
type storedRecord struct {
	id   catalog.IngestID
	hash event.Hash
	// shown says that it is not deleted; matched is for whoever compares.
	shown, matched bool
}

// storedDay are the events of a day, in the order of their ids.
type storedDay []storedRecord

func (d storedDay) sort() {
	slices.SortFunc(d, func(a, b storedRecord) int { return a.id.Compare(b.id) })
}

// find is the event of that id, nil if there is none.
func (d storedDay) find(id catalog.IngestID) *storedRecord {
	at, ok := slices.BinarySearchFunc(d, id, func(r storedRecord, id catalog.IngestID) int { return r.id.Compare(id) })
	if !ok {
		return nil
	}
	return &d[at]
}

// show marks those that are not deleted.
func (d storedDay) show(ids []catalog.IngestID) {
	for _, id := range ids {
		if r := d.find(id); r != nil {
			r.shown = true
		}
	}
}

// day lists what a day has. A project that is not there has nothing.
func (s *restoreServer) day(ctx context.Context, project string, day catalog.Day) (list storedDay, err error) {
	err = s.do(ctx, http.MethodGet, "/restore/records", url.Values{"project": {project}, "day": {day.String()}}, nil, func(r io.Reader) (err error) {
		list, err = readStoredDay(r)
		return err
	})
	var refused *restoreRefused
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return nil, nil
	}
	return list, err
}

// readStoredDay reads what GET /restore/records answers.
func readStoredDay(from io.Reader) (list storedDay, err error) {
	r := bufio.NewReaderSize(from, 64<<10)
	const magic = "arbor records 1\n"
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
		return nil, fmt.Errorf("%q is no list of records (%w); is the server of another version?", head, err)
	}
	var shown []catalog.IngestID
	for frames := uint64(0); ; frames++ {
		kind, err := r.ReadByte()
		if err != nil {
			return nil, fmt.Errorf("it ends early: %w", err)
		}
		size := map[byte]int{'R': 2 * catalog.IngestIDSize, 'V': catalog.IngestIDSize, 'E': 8}[kind]
		var buffer [2 * catalog.IngestIDSize]byte
		b := buffer[:size]
		if _, err := io.ReadFull(r, b); err != nil || size == 0 {
			return nil, fmt.Errorf("a frame of kind %q is not whole: %w", kind, err)
		}
		switch kind {
		case 'R':
			list = append(list, storedRecord{id: catalog.IngestIDFromBytes(b), hash: event.Hash(b[catalog.IngestIDSize:])})
		case 'V':
			shown = append(shown, catalog.IngestIDFromBytes(b))
		case 'E':
			if n := binary.BigEndian.Uint64(b); n != frames {
				return nil, fmt.Errorf("%d frames came of %d", frames, n)
			}
			list.sort()
			list.show(shown)
			return list, nil
		}
	}
}

// makeProject makes the project that events are restored into beside.
func (s *restoreServer) makeProject(ctx context.Context, project, of string, c *catalog.Catalog) error {
	return s.do(ctx, http.MethodPost, "/restore/project", url.Values{"project": {project}, "of": {of}}, c.Encode(), func(io.Reader) error { return nil })
}

// takenAnswer is what the server says of records that it took.
type takenAnswer struct {
	Events, Deletes, Undos, Erased int
}

// send sends encoded batches, each behind its length.
func (s *restoreServer) send(ctx context.Context, project string, of *catalog.Project, body []byte) (taken takenAnswer, err error) {
	if err := s.pace.Wait(ctx, len(body), pace.Always(s.rate)); err != nil {
		return taken, err
	}
	q := url.Values{"project": {project}, "of": {of.Name}, "buckets": {fmt.Sprint(of.Buckets)}}
	err = s.do(ctx, http.MethodPost, "/restore/records", q, body, func(r io.Reader) error { return json.NewDecoder(r).Decode(&taken) })
	return taken, err
}
