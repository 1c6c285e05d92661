package exec

import (
	"fmt"
	"strconv"
	"strings"

	"arbor/catalog"
)

// A pattern describes a chain of events:
//
//	(?N)       an event that meets condition N, counted from 1
//	.          any event that meets some condition
//	.*         any number of events
//	(?t<=60)   any number of events, and the next event of the pattern is at most
//	           60 seconds after the last one; also <, >, >=, and parts of seconds
//
// Elements that stand side by side mean events that follow one another. A chain
// may begin at any event.

// Limits of patterns.
const (
	// MaxPatternBytes is how long a pattern may be.
	MaxPatternBytes = 4096
	// MaxPatternElements is how many elements it may have: with the .* before it
	// and the end of it, they are the bits of a word.
	MaxPatternElements = 62
)

// elementKind is what an element of a pattern is.
type elementKind uint8

const (
	elementCondition elementKind = iota
	elementAny
	elementStar
	elementAtMost  // (?t<=n), (?t<n)
	elementAtLeast // (?t>=n), (?t>n)
)

// element is a part of a pattern.
type element struct {
	kind      elementKind
	condition int   // from 0
	micros    int64 // of a time
	open      bool  // of a time: < or >, which the bound itself does not satisfy
}

func (e *element) timed() bool { return e.kind == elementAtMost || e.kind == elementAtLeast }

// consumes reports whether the element stands for an event.
func (e *element) consumes() bool { return e.kind == elementCondition || e.kind == elementAny }

// satisfied reports whether a moment is as far from the base as a time element wants.
func (e *element) satisfied(time, base int64) bool {
	length := uint64(time - base)
	switch {
	case e.kind == elementAtMost && e.open:
		return length < uint64(e.micros)
	case e.kind == elementAtMost:
		return length <= uint64(e.micros)
	case e.open:
		return length > uint64(e.micros)
	}
	return length >= uint64(e.micros)
}

// emptyAtEnd reports whether the element asks for nothing more where there are no
// more events.
func (e *element) emptyAtEnd() bool {
	return e.kind == elementStar || e.kind == elementAtMost || e.kind == elementAtLeast && e.micros == 0 && !e.open
}

// patternReader reads a pattern from its front.
type patternReader struct {
	name          string // of the function
	pattern, rest string
	conditions    int
	elements      []element
}

// parsePattern reads a pattern. The elements begin with the .* that stands for
// the events before the chain, and have no two .* side by side.
func parsePattern(name, pattern string, conditions int) ([]element, error) {
	if len(pattern) > MaxPatternBytes {
		return nil, incorrect(name, "pattern of %d bytes, at most %d", len(pattern), MaxPatternBytes)
	}
	r := &patternReader{name: name, pattern: pattern, rest: pattern, conditions: conditions, elements: []element{{kind: elementStar}}}
	events, written := 0, 0
	for r.rest != "" {
		e, err := r.next()
		if err != nil {
			return nil, err
		}
		if written++; written > MaxPatternElements {
			return nil, incorrect(name, "pattern of more than %d elements", MaxPatternElements)
		}
		last := &r.elements[len(r.elements)-1]
		switch {
		case e.kind == elementStar && last.kind == elementStar:
			continue
		case e.timed() && last.timed():
			return nil, r.wrong("a time must stand behind an event or .*")
		case e.consumes():
			events++
		}
		r.elements = append(r.elements, e)
	}
	if events == 0 {
		return nil, incorrect(name, "pattern %.80q names no event: write (?1) for one that meets the first condition", pattern)
	}
	return r.elements, nil
}

// wrong is an error at the place where the reader is.
func (r *patternReader) wrong(format string, args ...any) error {
	return incorrect(r.name, "pattern %.80q, at position %d: %s", r.pattern, len(r.pattern)-len(r.rest)+1, fmt.Sprintf(format, args...))
}

func (r *patternReader) next() (element, error) {
	switch {
	case r.take(".*"):
		return element{kind: elementStar}, nil
	case r.take("."):
		return element{kind: elementAny}, nil
	case r.take("(?t"):
		return r.time()
	case r.take("(?"):
		return r.condition()
	}
	return element{}, r.wrong("expected (?1), ., .* or (?t<=60)")
}

// take takes a text off the front, if it is there.
func (r *patternReader) take(text string) bool {
	var found bool
	r.rest, found = strings.CutPrefix(r.rest, text)
	return found
}

// digits are the digits at the front, and a point among them where they may have one.
func (r *patternReader) digits(point bool) string {
	n := 0
	for n < len(r.rest) && (r.rest[n] >= '0' && r.rest[n] <= '9' || point && r.rest[n] == '.') {
		n++
	}
	return r.rest[:n]
}

func (r *patternReader) condition() (element, error) {
	digits := r.digits(false)
	n, err := strconv.Atoi(digits)
	switch {
	case err != nil && digits == "":
		return element{}, r.wrong("expected the number of a condition, as in (?1), or a time, as in (?t<=60)")
	case err != nil || n < 1 || n > r.conditions:
		return element{}, r.wrong("there is no condition %s: they are numbered from 1 to %d", digits, r.conditions)
	}
	r.rest = r.rest[len(digits):]
	if !r.take(")") {
		return element{}, r.wrong("expected )")
	}
	return element{kind: elementCondition, condition: n - 1}, nil
}

func (r *patternReader) time() (element, error) {
	var e element
	switch {
	case r.take("<="):
		e = element{kind: elementAtMost}
	case r.take("<"):
		e = element{kind: elementAtMost, open: true}
	case r.take(">="):
		e = element{kind: elementAtLeast}
	case r.take(">"):
		e = element{kind: elementAtLeast, open: true}
	case r.take("=="), r.take("="):
		return e, r.wrong("a time cannot be asked for exactly: use <=, <, > or >=")
	default:
		return e, r.wrong("expected <=, <, > or >=")
	}
	digits := r.digits(true)
	length := catalog.Number(digits)
	if digits == "" || strings.Count(digits, ".") > 1 || digits == "." {
		return e, r.wrong("expected a number of seconds")
	}
	var err error
	if e.micros, err = seconds(r.name, "time in a pattern", length); err != nil {
		return e, err
	}
	r.rest = r.rest[len(digits):]
	if !r.take(")") {
		return e, r.wrong("expected )")
	}
	return e, nil
}
