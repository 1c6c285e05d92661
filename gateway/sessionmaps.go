package gateway

import (
	"sync"
	"sync/atomic"

	"github.com/dolthub/go-mysql-server/sql"
)

// The SQL library makes sessions of its own while it plans, three for a SELECT
// without a table, and asks them for nothing. For each it copies all system and
// status variables, hundreds of them, and that is most of what a small statement
// costs. sessionMaps stands before the registries of both, and gives copies only
// to the sessions that are asked for something.
type sessionMaps struct {
	// wanted is how many such sessions are being made at this moment. The library's
	// get copies too meanwhile, which does no harm.
	wanted atomic.Int32
}

// installSessionMaps puts sessionMaps in its place, once.
var installSessionMaps = sync.OnceValue(func() *sessionMaps {
	m := &sessionMaps{}
	sql.SystemVariables = systemMaps{sql.SystemVariables, m}
	sql.StatusVariables = statusMaps{sql.StatusVariables, m}
	return m
})

// systemMaps are the system variables.
type systemMaps struct {
	sql.SystemVariableRegistry
	maps *sessionMaps
}

// NewSessionMap is the system variables of a new session.
func (s systemMaps) NewSessionMap() map[string]sql.SystemVarValue {
	if s.maps.wanted.Load() == 0 {
		return nil
	}
	return s.SystemVariableRegistry.NewSessionMap()
}

// statusMaps are the status variables.
type statusMaps struct {
	sql.StatusVariableRegistry
	maps *sessionMaps
}

// NewSessionMap is the status variables of a new session.
func (s statusMaps) NewSessionMap() map[string]sql.StatusVarValue {
	if s.maps.wanted.Load() == 0 {
		return nil
	}
	return s.StatusVariableRegistry.NewSessionMap()
}

// withVariables makes a session that has variables.
func withVariables(session func() *sql.BaseSession) *sql.BaseSession {
	if s, ok := sql.SystemVariables.(systemMaps); ok {
		s.maps.wanted.Add(1)
		defer s.maps.wanted.Add(-1)
	}
	return session()
}
