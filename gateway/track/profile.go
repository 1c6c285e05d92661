package track

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Profile is one update of /engage or /groups,
//
//	{"$token": T, "$distinct_id": ID, "$set": {NAME: VALUE, …}}
//	{"$token": T, "$group_key": KEY, "$group_id": ID, "$set": {…}}
//
// where $set may be any of the operations below, and several may be there.
type Profile struct {
	// Index is the update's place in the request, from 0.
	Index int
	Token string
	// Key is empty for a user, ID the user's or the group's.
	Key, ID string
	// Set, SetOnce, Add, Append, Union and Remove are by property, Unset are
	// properties.
	Set, SetOnce, Add, Append, Union, Remove map[string]any
	Unset                                    []string
	Delete                                   bool
	// Silent says that the update is no sign of life of the user.
	Silent bool
}

// Limits of profiles' names.
const (
	MaxProfileID = 255
)

// DecodeProfiles reads the updates of a request's texts, of groups or else of users,
// and says what is wrong with those that are no good. Numbers are json.Number.
func DecodeProfiles(texts [][]byte, groups bool, most int) (all []Profile, failed []RecordError, err error) {
	n := 0
	take := func(raw json.RawMessage) error {
		if n++; n > most {
			return fmt.Errorf("%w: at most %d are allowed; send smaller batches", ErrTooManyRecords, most)
		}
		p := Profile{Index: n - 1}
		if problem := p.read(raw, groups); problem != nil {
			problem.Index = p.Index
			failed = append(failed, *problem)
			return nil
		}
		all = append(all, p)
		return nil
	}
	for _, text := range texts {
		d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, byteOrderMark)))
		for {
			var raw json.RawMessage
			if err := d.Decode(&raw); err == io.EOF {
				break
			} else if err != nil {
				return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
			}
			if raw[0] != '[' {
				if err := take(raw); err != nil {
					return nil, nil, err
				}
				continue
			}
			var several []json.RawMessage
			if err := json.Unmarshal(raw, &several); err != nil {
				return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
			}
			for _, raw := range several {
				if err := take(raw); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	if n == 0 {
		return nil, nil, fmt.Errorf("%w: send a JSON array of profile updates, or one JSON object", ErrEmpty)
	}
	return all, failed, nil
}

// read reads one update.
func (p *Profile) read(raw []byte, groups bool) *RecordError {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil || fields == nil {
		return &RecordError{Message: "the update is not a JSON object"}
	}
	p.Token, _ = fields["$token"].(string)
	if p.Token == "" {
		p.Token, _ = fields["token"].(string)
	}
	if p.Silent, _ = fields["$ignore_time"].(bool); !p.Silent {
		p.Silent = fields["$ignore_time"] == "true"
	}
	id := "$distinct_id"
	if groups {
		id = "$group_id"
		if p.Key = textOf(fields["$group_key"]); p.Key == "" || len(p.Key) > MaxProfileID {
			return &RecordError{Field: "$group_key", Message: fmt.Sprintf("'$group_key' is missing, or longer than %d bytes", MaxProfileID)}
		}
	}
	if p.ID = textOf(fields[id]); p.ID == "" || len(p.ID) > MaxProfileID {
		return &RecordError{Field: id, Message: fmt.Sprintf("'%s' is missing, or longer than %d bytes", id, MaxProfileID)}
	}
	done := false
	for name, to := range map[string]*map[string]any{"$set": &p.Set, "$set_once": &p.SetOnce, "$add": &p.Add, "$append": &p.Append, "$union": &p.Union, "$remove": &p.Remove} {
		v, ok := fields[name]
		if !ok {
			continue
		}
		if *to, ok = v.(map[string]any); !ok {
			return &RecordError{Field: name, Message: fmt.Sprintf("'%s' is not an object of properties", name)}
		}
		done = true
	}
	for name, v := range p.Add {
		if _, ok := v.(json.Number); !ok {
			return &RecordError{Field: "$add", Message: fmt.Sprintf("'$add' of %q is not a number", clipName(name))}
		}
	}
	for name, v := range p.Union {
		if _, ok := v.([]any); !ok {
			return &RecordError{Field: "$union", Message: fmt.Sprintf("'$union' of %q is not a list", clipName(name))}
		}
	}
	if v, ok := fields["$unset"]; ok {
		names, isList := v.([]any)
		if !isList {
			return &RecordError{Field: "$unset", Message: "'$unset' is not a list of properties"}
		}
		for _, name := range names {
			p.Unset = append(p.Unset, textOf(name))
		}
		done = true
	}
	if _, p.Delete = fields["$delete"]; !done && !p.Delete {
		return &RecordError{Message: "the update has none of $set, $set_once, $add, $append, $union, $remove, $unset and $delete"}
	}
	return nil
}

// clipName shortens a property's name in an error.
func clipName(name string) string { return strings.ToValidUTF8(name[:min(len(name), 64)], "") }

// textOf is a string, or a number or bool as JSON writes it, and empty for all else.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	}
	return ""
}

// Apply makes the properties of a profile those after the update. They are changed in
// place. Delete is the caller's.
func (p *Profile) Apply(properties map[string]any) {
	for name, v := range p.Set {
		properties[name] = v
	}
	for name, v := range p.SetOnce {
		if _, there := properties[name]; !there {
			properties[name] = v
		}
	}
	for name, v := range p.Add {
		properties[name] = sumOf(properties[name], v)
	}
	for name, v := range p.Append {
		properties[name] = append(listOf(properties, name), v)
	}
	for name, v := range p.Union {
		list := listOf(properties, name)
		for _, item := range v.([]any) {
			if !contains(list, item) {
				list = append(list, item)
			}
		}
		properties[name] = list
	}
	for name, v := range p.Remove {
		list, ok := properties[name].([]any)
		if !ok {
			continue
		}
		kept := []any{}
		for _, item := range list {
			if !equalJSON(item, v) {
				kept = append(kept, item)
			}
		}
		properties[name] = kept
	}
	for _, name := range p.Unset {
		delete(properties, name)
	}
}

// sumOf adds numbers; what is none counts as 0.
func sumOf(a, b any) json.Number {
	x, _ := a.(json.Number)
	y, _ := b.(json.Number)
	m, errM := x.Int64()
	n, errN := y.Int64()
	if x == "" {
		m, errM = 0, nil
	}
	if sum := m + n; errM == nil && errN == nil && (sum > m) == (n > 0) {
		return json.Number(fmt.Sprint(sum))
	}
	f, _ := x.Float64()
	g, _ := y.Float64()
	text, err := json.Marshal(f + g)
	if err != nil {
		return x // past what a number can be
	}
	return json.Number(text)
}

// listOf is a property as a list: a value that is none is its only item.
func listOf(properties map[string]any, name string) []any {
	v, there := properties[name]
	if !there {
		return []any{}
	}
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

func contains(list []any, v any) bool {
	for _, item := range list {
		if equalJSON(item, v) {
			return true
		}
	}
	return false
}

// equalJSON compares by text: the same value is written the same.
func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
