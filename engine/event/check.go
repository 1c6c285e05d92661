package event

import (
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"

	"arbor/catalog"
)

// CheckError says what is wrong with an event: which field, why, and what to do
// about it. It wraps ErrLimit or ErrInvalid.
type CheckError struct {
	// Field is "event", "time", "distinct_id", "insert_id", "properties", or the
	// name of a property.
	Field string
	// Problem is what is wrong, with the limit if there is one.
	Problem string
	// Advice is what the sender can do.
	Advice string
	cause  error
}

// Error is the whole in one line.
func (c *CheckError) Error() string {
	return fmt.Sprintf("%s: %s; %s", c.Field, c.Problem, c.Advice)
}

// Unwrap gives ErrLimit or ErrInvalid.
func (c *CheckError) Unwrap() error { return c.cause }

func overLimit(field string, got, limit int, what, advice string) error {
	return &CheckError{clip(field), fmt.Sprintf("%d %s, at most %d are allowed", got, what, limit), advice, ErrLimit}
}

func invalid(field, problem, advice string) error {
	return &CheckError{clip(field), problem, advice, ErrInvalid}
}

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// Check holds an event to the limits and forms that all of arbor counts on, its
// ingest id aside. The first fault found is returned, as a CheckError.
func Check(e *Event) error {
	if err := checkFields(e); err != nil {
		return err
	}
	for _, f := range [...]struct{ name, text string }{{"event", e.Name}, {"distinct_id", e.DistinctID}, {"insert_id", e.InsertID}} {
		if !utf8.ValidString(f.text) {
			return invalid(f.name, "it is not valid UTF-8", "encode text as UTF-8")
		}
	}
	for i := range e.Properties {
		if err := checkProperty(&e.Properties[i]); err != nil {
			return err
		}
		if i > 0 && e.Properties[i].Name <= e.Properties[i-1].Name {
			return invalid(e.Properties[i].Name, "it is out of order or there twice", "sort properties by name and keep one of each")
		}
	}
	return checkSize(e)
}

// CheckLimits is Check for an event that a decoder has made of JSON text: its
// strings are known to be UTF-8, its values to be well-formed and nested no
// deeper than MaxDepth, its properties to be sorted, each name there once. What
// is left are the limits.
func CheckLimits(e *Event) error {
	if err := checkFields(e); err != nil {
		return err
	}
	for i := range e.Properties {
		if name := e.Properties[i].Name; len(name) > MaxPropertyName {
			return longName(name)
		}
	}
	return checkSize(e)
}

// checkFields holds what is not a property to its limits.
func checkFields(e *Event) error {
	switch {
	case e.Name == "":
		return invalid("event", "the name is missing", "name what happened")
	case len(e.Name) > MaxEventName:
		return overLimit("event", len(e.Name), MaxEventName, "bytes", "shorten the name, and put what varies into a property")
	case len(e.DistinctID) > MaxDistinctID:
		return overLimit("distinct_id", len(e.DistinctID), MaxDistinctID, "bytes", "send a shorter id, such as a hash of it")
	case len(e.InsertID) > MaxInsertID:
		return overLimit("insert_id", len(e.InsertID), MaxInsertID, "bytes", "send a shorter id, such as a UUID")
	case len(e.Properties) > MaxProperties:
		return overLimit("properties", len(e.Properties), MaxProperties, "properties", "nest some of them in an object")
	case e.Time < catalog.MinDatetime || e.Time > catalog.MaxDatetime:
		return invalid("time", fmt.Sprintf("%d µs since 1970 is not in the years 1 to 9999", e.Time), "send seconds or milliseconds since 1970")
	}
	return nil
}

func checkSize(e *Event) error {
	n := CanonicalSize(e)
	if n <= MaxEventBytes {
		return nil
	}
	for i := range e.Properties {
		if p := &e.Properties[i]; len(p.Value.Text) > MaxEventBytes/2 {
			return overLimit(p.Name, n, MaxEventBytes, "bytes in the whole event", "it is most of them; send less in one event")
		}
	}
	return overLimit("properties", n, MaxEventBytes, "bytes in the whole event", "send less in one event")
}

func longName(name string) error {
	return overLimit(name, len(name), MaxPropertyName, "bytes in a property's name", "shorten the name")
}

func checkProperty(p *Property) error {
	if len(p.Name) > MaxPropertyName {
		return longName(p.Name)
	}
	if !utf8.ValidString(p.Name) {
		return invalid(fmt.Sprintf("%q", p.Name), "the property's name is not valid UTF-8", "encode text as UTF-8")
	}
	v := p.Value
	switch v.Kind {
	case catalog.KindNull, catalog.KindInt:
		return nil
	case catalog.KindBool:
		if v.Bits > 1 {
			return invalid(p.Name, "the bool is neither true nor false", "send true or false")
		}
		return nil
	case catalog.KindDouble:
		if math.IsNaN(v.Double()) || math.IsInf(v.Double(), 0) {
			return invalid(p.Name, "the number is not finite", "send null or text in its place")
		}
		return nil
	case catalog.KindString:
		if !utf8.ValidString(v.Text) {
			return invalid(p.Name, "it is not valid UTF-8", "encode text as UTF-8")
		}
		return nil
	case catalog.KindNumber:
		if !isNumber(v.Text) {
			return invalid(p.Name, fmt.Sprintf("%q is not a JSON number", clip(v.Text)), "write it as JSON does, or send it as text")
		}
		return nil
	case catalog.KindJSON:
		return checkJSON(p.Name, v.Text)
	}
	return invalid(p.Name, fmt.Sprintf("the value is of the unknown kind %d", v.Kind), "send a JSON value")
}

// isNumber reports whether s is the literal of a JSON number.
func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || '0' <= s[0] && s[0] <= '9') && s[len(s)-1] >= '0' && json.Valid([]byte(s))
}

// checkJSON wants the compact text of an array or object, not nested too deep.
func checkJSON(name, text string) error {
	if text == "" || text[0] != '{' && text[0] != '[' {
		return invalid(name, "it is neither an array nor an object", "send it as the scalar it is")
	}
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++
			}
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			return invalid(name, "the JSON text is not compact", "leave out the white space")
		}
	}
	if deepest > MaxDepth {
		return overLimit(name, deepest, MaxDepth, "levels of nesting", "flatten the value")
	}
	if !utf8.ValidString(text) {
		return invalid(name, "it is not valid UTF-8", "encode text as UTF-8")
	}
	if !json.Valid([]byte(text)) {
		return invalid(name, "it is not JSON", "send valid JSON")
	}
	return nil
}
