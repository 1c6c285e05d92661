package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Outcomes of what a record is about.
const (
	OK     = "ok"
	Failed = "failed"
	// Unknown is the outcome of what was begun and whose end was not written down:
	// it runs, or the process ended before it did.
	Unknown = "unknown"
)

// KindGap is the kind of the records that Read makes where lines are missing or changed.
const KindGap = "gap"

// Record is who did what, from where, and how it ended.
type Record struct {
	ID         uint64    `json:"id"`
	At         time.Time `json:"at"`
	Kind       string    `json:"kind"`
	User       string    `json:"user,omitempty"`
	Host       string    `json:"host,omitempty"`    // the account's, as in user@host
	Address    string    `json:"address,omitempty"` // the client's
	Via        string    `json:"via,omitempty"`
	Connection uint32    `json:"connection,omitempty"`
	// Project and ProjectID are the one project that it is about; empty for none or several.
	Project   string `json:"project,omitempty"`
	ProjectID uint32 `json:"project_id,omitempty"`
	Statement string `json:"statement,omitempty"`
	Outcome   string `json:"outcome,omitempty"`
	Code      uint16 `json:"code,omitempty"`
}

// line is a line of a file: a record, or the end of one, and what it is chained by.
type line struct {
	Record
	// Ends is the id of the record whose outcome the line has.
	Ends  uint64 `json:"ends,omitempty"`
	Chain string `json:"chain,omitempty"`
}

// header is a file's first line.
type header struct {
	Version int `json:"arbor_audit"`
	// After is the chain of the last line of the file before.
	After string `json:"after"`
}

const version = 1

// errBroken says that a line is not the one that was written behind the line before it.
var errBroken = errors.New("the chain of lines is broken")

// chainBytes is how much of a SHA-256 a line has.
const chainBytes = 16

// chainOf is what the line with the given text, which has no chain yet, is chained by.
func chainOf(before string, text []byte) string {
	h := sha256.New()
	h.Write([]byte(before))
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil)[:chainBytes])
}

// encode gives a line's bytes and its chain. The chain is the last member, so that what
// it is of is what stands before it.
func encode(l line, before string) ([]byte, string, error) {
	l.Chain = ""
	text, err := json.Marshal(l)
	if err != nil {
		return nil, "", err
	}
	chain := chainOf(before, text)
	text = append(text[:len(text)-1], `,"chain":"`...)
	return append(append(text, chain...), "\"}\n"...), chain, nil
}

// decode reads a line without its end, and checks its chain.
func decode(text []byte, before string) (line, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return l, fmt.Errorf("%w: %w", errBroken, err)
	}
	at := bytes.LastIndex(text, []byte(`,"chain":"`))
	if at < 0 || chainOf(before, append(bytes.Clone(text[:at]), '}')) != l.Chain {
		return l, errBroken
	}
	return l, nil
}
