package gateway

import (
	"time"

	"github.com/dolthub/go-mysql-server/sql"
)

// What MySQL's databases may hold and arbor's do not.

// noTriggers is a database without triggers.
type noTriggers struct{}

// GetTriggers lists none.
func (noTriggers) GetTriggers(*sql.Context) ([]sql.TriggerDefinition, error) { return nil, nil }

// CreateTrigger refuses.
func (noTriggers) CreateTrigger(_ *sql.Context, t sql.TriggerDefinition) error {
	return unsupported("CREATE TRIGGER %s: arbor has no triggers", t.Name)
}

// DropTrigger finds none.
func (noTriggers) DropTrigger(_ *sql.Context, name string) error {
	return sql.ErrTriggerDoesNotExist.New(name)
}

// noEvents is a database without events of a schedule.
type noEvents struct{}

// GetEvent finds none.
func (noEvents) GetEvent(*sql.Context, string) (sql.EventDefinition, bool, error) {
	return sql.EventDefinition{}, false, nil
}

// GetEvents lists none.
func (noEvents) GetEvents(*sql.Context) ([]sql.EventDefinition, any, error) { return nil, nil, nil }

// SaveEvent refuses.
func (noEvents) SaveEvent(_ *sql.Context, e sql.EventDefinition) (bool, error) {
	return false, unsupported("CREATE EVENT %s: arbor has no schedule", e.Name)
}

// DropEvent finds none.
func (noEvents) DropEvent(_ *sql.Context, name string) error { return sql.ErrUnknownEvent.New(name) }

// UpdateEvent finds none.
func (noEvents) UpdateEvent(_ *sql.Context, name string, _ sql.EventDefinition) (bool, error) {
	return false, sql.ErrUnknownEvent.New(name)
}

// UpdateLastExecuted finds none.
func (noEvents) UpdateLastExecuted(_ *sql.Context, name string, _ time.Time) error {
	return sql.ErrUnknownEvent.New(name)
}

// NeedsToReloadEvents is false: there are none.
func (noEvents) NeedsToReloadEvents(*sql.Context, any) (bool, error) { return false, nil }

// noProcedures is a database without procedures of its own: those of arbor are
// found before a database is asked.
type noProcedures struct{}

// GetStoredProcedure finds none.
func (noProcedures) GetStoredProcedure(*sql.Context, string) (sql.StoredProcedureDetails, bool, error) {
	return sql.StoredProcedureDetails{}, false, nil
}

// GetStoredProcedures lists none.
func (noProcedures) GetStoredProcedures(*sql.Context) ([]sql.StoredProcedureDetails, error) {
	return nil, nil
}

// SaveStoredProcedure refuses.
func (noProcedures) SaveStoredProcedure(*sql.Context, sql.StoredProcedureDetails) error {
	return refuseProcedures()
}

// DropStoredProcedure finds none.
func (noProcedures) DropStoredProcedure(_ *sql.Context, name string) error {
	return sql.ErrStoredProcedureDoesNotExist.New(name)
}

func refuseProcedures() error {
	return unsupported("arbor's procedures are built in; SELECT * FROM arbor.procedures lists them")
}
