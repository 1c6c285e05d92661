package engine

import (
	"context"
	"fmt"

	"arbor/catalog"
	"arbor/engine/event"
)

// Digests gives the content of each of some slots that holds anything, as it is
// seen under the catalog in force: what replicas with the same dots compare. A slot
// that changes meanwhile has the content of some moment.
func (e *Engine) Digests(ctx context.Context, which func(catalog.Slot) bool) (map[catalog.Slot]event.Content, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	c := e.catalog.Load()
	slots := map[catalog.Slot]event.Content{}
	for _, s := range e.allShards() {
		slot := s.key.Slot()
		if !which(slot) {
			continue
		}
		content, err := e.contentOf(ctx, c, s)
		if err != nil {
			return nil, fmt.Errorf("digest of shard %s: %w", s.key, err)
		}
		if content != (event.Content{}) {
			slots[slot] = slots[slot].Add(content)
		}
	}
	return slots, nil
}

func (e *Engine) contentOf(ctx context.Context, c *catalog.Catalog, s *shard) (content event.Content, err error) {
	v, err := s.view(e)
	if err != nil {
		return content, err
	}
	defer v.release()
	if content.Records, err = v.digest(ctx, c); err != nil {
		return content, err
	}
	st, err := v.state(ctx, rulesFor(c, s.key, catalog.IngestID{}, nil))
	if err != nil {
		return content, err
	}
	content.Accepted, content.Deleted, content.Quarantined = st.accepted, st.deleted, st.quarantined
	for i, f := range v.files.files {
		for _, row := range st.files[i].hidden {
			id, err := f.reader.IngestID(int(row))
			if err != nil {
				return content, v.blame(err)
			}
			content.Hidden.AddID(id)
		}
	}
	if len(st.log.hidden) == 0 {
		return content, nil
	}
	next := 0
	err = v.eachLogged(ctx, func(number uint32, e *event.Event) {
		if next < len(st.log.hidden) && st.log.hidden[next] == number {
			content.Hidden.AddID(e.ID)
			next++
		}
	})
	return content, v.blame(err)
}
