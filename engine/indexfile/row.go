package indexfile

import (
	"fmt"
	"strings"

	"arbor/catalog"
)

// Row is one stored event. Its fields are those of event.Event, in the same
// order, so that either converts to the other.
type Row struct {
	ID         catalog.IngestID
	Name       string
	Time       int64
	ServerTime bool
	DistinctID string
	InsertID   string
	Properties []catalog.Property
}

// Compare orders rows as a file holds them: by distinct id as bytes, then by
// time, then by ingest id.
func (r *Row) Compare(o *Row) int {
	if c := strings.Compare(r.DistinctID, o.DistinctID); c != 0 {
		return c
	}
	switch {
	case r.Time < o.Time:
		return -1
	case r.Time > o.Time:
		return 1
	}
	return r.ID.Compare(o.ID)
}

// check says what in a row no file can hold.
func (r *Row) check() error {
	for _, s := range [...]string{r.Name, r.DistinctID, r.InsertID} {
		if len(s) > MaxTextBytes {
			return fmt.Errorf("text of %d bytes, at most %d: %w", len(s), MaxTextBytes, ErrLimit)
		}
	}
	for i := range r.Properties {
		p := &r.Properties[i]
		if len(p.Name) > MaxTextBytes || len(p.Value.Text) > MaxTextBytes {
			return fmt.Errorf("property of %d+%d bytes, at most %d each: %w", len(p.Name), len(p.Value.Text), MaxTextBytes, ErrLimit)
		}
		if i > 0 && r.Properties[i-1].Name >= p.Name {
			return fmt.Errorf("property %q after %q: %w", p.Name, r.Properties[i-1].Name, ErrOrder)
		}
		if p.Value.Kind > catalog.KindJSON {
			return fmt.Errorf("property %q: kind %d: %w", p.Name, p.Value.Kind, ErrColumn)
		}
	}
	return nil
}
