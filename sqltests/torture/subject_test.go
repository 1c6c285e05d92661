package torture

import (
	"context"
	"math/rand/v2"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/sqltests/oracle"
)

// subject is what a history happens to.
type subject interface {
	cluster.Local
	// Tick does what is due by the history's clock.
	Tick(ctx context.Context) error
	// Reopen closes and opens.
	Reopen(ctx context.Context, c *catalog.Catalog) error
	// Crash cuts the power, and opens what the disk holds.
	Crash(ctx context.Context, c *catalog.Catalog, rng *rand.Rand) error
	// Fail has one of the next operations on files fail, or the machine stop
	// there, and says which.
	Fail(rng *rand.Rand) string
	// Heal ends what Fail began.
	Heal()
	// Crashed reports whether the machine stopped.
	Crashed() bool
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
	return func(c *catalog.Catalog, now func() time.Time) (subject, error) {
		s := &modelSubject{Model: oracle.New(c), mistake: mistake}
		s.Rule = rule
		return s, nil
	}
}

func (s *modelSubject) err(c *catalog.Catalog, when string) error {
	if s.mistake != nil {
		next := oracle.New(c)
		next.Rule = s.Rule
		next.Add(s.mistake(when, s.Records())...)
		s.Model = next
	}
	return nil
}

func (s *modelSubject) Index(ctx context.Context, project catalog.ProjectID, closeDays bool) error {
	return s.err(s.Catalog(), "index")
}
func (s *modelSubject) Tick(ctx context.Context) error { return nil }
func (s *modelSubject) Reopen(ctx context.Context, c *catalog.Catalog) error {
	return s.err(c, "reopen")
}
func (s *modelSubject) Crash(ctx context.Context, c *catalog.Catalog, rng *rand.Rand) error {
	return s.err(c, "crash")
}
func (s *modelSubject) Fail(rng *rand.Rand) string { return "nothing fails" }
func (s *modelSubject) Heal()                      {}
func (s *modelSubject) Crashed() bool              { return false }
