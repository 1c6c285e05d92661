package torture

import (
	"context"
	"math/rand/v2"
	"time"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/sqltests/oracle"
)

// subject is what a history happens to.
type subject interface {
	scanner
	describer
	Append(ctx context.Context, records [][]byte) error
	Duplicates(ctx context.Context, records [][]byte) (int64, error)
	Index(ctx context.Context, project catalog.ProjectID, closeDays bool) error
	Check(ctx context.Context, project catalog.ProjectID) (*exec.Table, error)
	// Catalog is the catalog in force, and Change makes the next one.
	Catalog() *catalog.Catalog
	Change(ctx context.Context, change catalog.Change) error
	// Tick does what is due by the history's clock.
	Tick(ctx context.Context) error
	// Reopen closes and opens.
	Reopen(ctx context.Context) error
	// Crash cuts the power, and opens what the disk holds.
	Crash(ctx context.Context, rng *rand.Rand) error
	// Fail has one of the next operations on files fail, or the machine stop
	// there, and says which.
	Fail(rng *rand.Rand) string
	// Heal ends what Fail began.
	Heal()
	// Failed reports whether an operation on files has failed since the subject
	// was opened: it may refuse to write until it is opened again.
	Failed() bool
	// Crashed reports whether the machine stopped.
	Crashed() bool
	// Opened reports whether the subject runs: it does not after Reopen failed.
	Opened() bool
	Close() error
}

// modelSubject is a subject without a disk, to test the harness itself: a
// Model with a rule of its own and, perhaps, a mistake.
type modelSubject struct {
	*oracle.Model
	// mistake is made when the subject indexes or is opened again.
	mistake func(when string, records []oracle.Record) []oracle.Record
}

func openModel(rule func([]oracle.Record, func(catalog.Day) catalog.Policy, []catalog.Truncation, catalog.IngestID) oracle.Answer,
	mistake func(string, []oracle.Record) []oracle.Record) newSubject {
	return func(context.Context, func() time.Time) (subject, error) {
		s := &modelSubject{Model: oracle.New(nil), mistake: mistake}
		s.Functions = nameFunctions{}
		s.Rule = rule
		return s, nil
	}
}

func (s *modelSubject) err(when string) error {
	if s.mistake != nil {
		next := oracle.New(s.Catalog())
		next.Rule, next.Functions = s.Rule, s.Functions
		next.Add(s.mistake(when, s.Records())...)
		s.Model = next
	}
	return nil
}

func (s *modelSubject) Change(ctx context.Context, change catalog.Change) error {
	c, err := s.Catalog().Apply(change)
	if err == nil {
		s.SetCatalog(c)
	}
	return err
}

func (s *modelSubject) Index(context.Context, catalog.ProjectID, bool) error { return s.err("index") }
func (s *modelSubject) Tick(context.Context) error                           { return nil }
func (s *modelSubject) Reopen(context.Context) error                         { return s.err("reopen") }
func (s *modelSubject) Crash(context.Context, *rand.Rand) error              { return s.err("crash") }
func (s *modelSubject) Fail(*rand.Rand) string                               { return "nothing fails" }
func (s *modelSubject) Heal()                                                {}
func (s *modelSubject) Failed() bool                                         { return false }
func (s *modelSubject) Crashed() bool                                        { return false }
func (s *modelSubject) Opened() bool                                         { return true }
