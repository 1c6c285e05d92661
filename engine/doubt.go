package engine

import (
	"context"
	"errors"
	"fmt"
)

// What must be there of named batches is said by the log and the ledger. When one of
// them is damaged, what is held may be less than was acknowledged, and nobody can tell
// of which slot. That is kept on record, for the next opening finds no damage: a
// ledger is begun anew, and segments of the log go.

// errDistrusted is why no set may be believed after an opening that found it on
// record.
var errDistrusted = errors.New("the log or the ledger was damaged or lost")

// distrust says that no set may be believed. It is recorded with the next entry, at
// the end of opening at the latest, and so before anything may go.
func (e *Engine) distrust(why string) {
	e.holdings.distrust(errors.New(why))
	e.ledger.turn.Lock()
	defer e.ledger.turn.Unlock()
	e.ledger.lost = true
}

// reckonDoubt is the last step of opening but for the ledger's own: whether what is here can
// be believed to be all. A directory that has named batches and no ledger has lost
// it: the ledger is begun before the first of them is taken.
func (e *Engine) reckonDoubt() {
	l := &e.ledger
	l.turn.Lock()
	lost := l.lost || l.void && e.holdings.some()
	l.turn.Unlock()
	if lost {
		e.distrust(errDistrusted.Error())
	}
}

// begin sees to it that there is a ledger.
func (l *ledger) begin() error {
	if l.begun.Load() {
		return nil
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.void {
		if err := l.snapshot(); err != nil {
			return err
		}
	}
	l.begun.Store(true)
	return nil
}

// Trust says that what is here is all that counts from now on: whoever answered for
// more is gone. Only who has dropped all slots may say so, and takes them up under another
// name.
func (e *Engine) Trust(ctx context.Context) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	l := &e.ledger
	l.turn.Lock()
	defer l.turn.Unlock()
	if err := ctx.Err(); err != nil || !l.lost {
		return err
	}
	l.lost = false
	if err := l.recordAll(nil, func() {}); err != nil {
		l.lost = true
		return fmt.Errorf("trust what is here: %w", err)
	}
	e.holdings.trust()
	return nil
}
