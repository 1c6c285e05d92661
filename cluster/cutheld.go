package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/engine/event"
)

// heldCuts are the cuts that a member keeps for those who asked.
type heldCuts struct {
	mu   sync.Mutex // guards what follows
	held map[string]*heldCut
	shut bool
}

// heldCut is one of them. Reading holds it, so that its end waits.
type heldCut struct {
	reading sync.RWMutex
	over    bool // guarded by reading
	cut     *event.FileCut
	files   map[string]*event.CutFile
	lease   *time.Timer
}

// cutBuckets answers the plan of a cut.
func (m *Members) cutBuckets(ctx context.Context, mine map[protocol.Bucket]bool, strict bool, send func([]byte) error) error {
	cut, err := m.o.Engine.CutFiles(ctx, func(s catalog.Slot) bool { return mine[bucketOf(s)] })
	if err != nil {
		return err
	}
	if strict && len(cut.Damaged) > 0 {
		cut.Release()
		b, err := json.Marshal(cutPiece{FileCut: event.FileCut{Damaged: cut.Damaged[:1]}})
		if err != nil {
			return err
		}
		return send(b)
	}
	token, err := m.cuts.keep(cut)
	if err != nil {
		cut.Release()
		return err
	}
	piece := cutPiece{Token: m.o.Member.String() + "." + token, FileCut: event.FileCut{Catalog: cut.Catalog, LogEnd: cut.LogEnd, Damaged: cut.Damaged}}
	shards := cut.Shards
	for first := true; first || len(shards) > 0; first = false {
		n := min(cutPieceShards, len(shards))
		piece.Shards = shards[:n]
		shards = shards[n:]
		b, err := json.Marshal(piece)
		if err == nil {
			err = send(b)
		}
		if err != nil {
			m.cuts.end(token)
			return err
		}
		piece.Damaged = nil
	}
	return nil
}

// keep keeps a cut under a new token.
func (h *heldCuts) keep(cut *event.FileCut) (string, error) {
	var name [16]byte
	rand.Read(name[:]) // never gives an error
	token := hex.EncodeToString(name[:])
	c := &heldCut{cut: cut, files: map[string]*event.CutFile{}}
	for i := range cut.Shards {
		for j := range cut.Shards[i].Files {
			f := &cut.Shards[i].Files[j]
			c.files[f.Path] = f
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shut || len(h.held) >= maxHeldCuts {
		return "", errManyCuts
	}
	if h.held == nil {
		h.held = map[string]*heldCut{}
	}
	h.held[token] = c
	c.lease = time.AfterFunc(cutLease, func() { h.end(token) })
	return token, nil
}

// get finds a cut and lengthens its lease.
func (h *heldCuts) get(token string) (*heldCut, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.held[token]
	if c == nil {
		return nil, ErrCutGone
	}
	c.lease.Reset(cutLease)
	return c, nil
}

// end lets go of a cut, once nobody reads it. A second end is none.
func (h *heldCuts) end(token string) {
	h.mu.Lock()
	c := h.held[token]
	delete(h.held, token)
	h.mu.Unlock()
	if c == nil {
		return
	}
	c.lease.Stop()
	c.reading.Lock()
	defer c.reading.Unlock()
	c.over = true
	c.cut.Release()
}

// close lets go of all, and keeps none any more.
func (h *heldCuts) close() {
	h.mu.Lock()
	h.shut = true
	var tokens []string
	for t := range h.held {
		tokens = append(tokens, t)
	}
	h.mu.Unlock()
	for _, t := range tokens {
		h.end(t)
	}
}

// answerCut answers what another member asks about a cut.
func (m *Members) answerCut(ctx context.Context, _ protocol.MemberID, request []byte) ([]byte, error) {
	var a cutAsk
	if err := json.Unmarshal(request, &a); err != nil {
		return nil, fmt.Errorf("request about a cut: %w", err)
	}
	if a.End {
		m.cuts.end(a.Token)
		return nil, nil
	}
	c, err := m.cuts.get(a.Token)
	if err != nil {
		return nil, err
	}
	c.reading.RLock()
	defer c.reading.RUnlock()
	if c.over {
		return nil, ErrCutGone
	}
	switch {
	case a.Sum != "":
		f, err := c.file(a.Sum)
		if err != nil {
			return nil, err
		}
		hash, quick, err := f.Sum(ctx)
		if a.Quick && quick != "" {
			hash += " " + quick
		}
		return []byte(hash), err
	case a.Read != "":
		f, err := c.file(a.Read)
		if err != nil {
			return nil, err
		}
		if a.Bytes < 0 || a.Bytes > cutPieceBytes || a.At < 0 || a.At+int64(a.Bytes) > f.Size {
			return nil, fmt.Errorf("read %d bytes of %s at byte %d: it has %d", a.Bytes, a.Read, a.At, f.Size)
		}
		b := make([]byte, a.Bytes)
		n, err := f.Content.ReadAt(b, a.At)
		if n == len(b) {
			err = nil
		}
		return b[:n], err
	}
	return nil, nil
}

func (c *heldCut) file(path string) (*event.CutFile, error) {
	if f := c.files[path]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("%s is not in the cut: %w", path, ErrCutGone)
}
