package exec

import "arbor/catalog"

// sessions is sessions and session_seconds. A session is a run of events of which
// none is later than the one before by more than the time-out. The value is how
// many there are, or how long they are together, in seconds from the first event
// of each to its last.
//
//	word 0   the number of sessions
//	word 1   the moment of the last event
//	word 2   the length of the sessions in microseconds
type sessions struct {
	timeout int64
	lengths bool
}

func newSessions(name string, params []catalog.Value, conditions int) (Behaviour, error) {
	if len(params) != 1 || conditions != 0 {
		return nil, incorrect(name, "it takes the time-out in seconds and nothing else: write %s(1800), and choose events by WHERE", name)
	}
	timeout, err := seconds(name, "time-out", params[0])
	if err != nil {
		return nil, err
	}
	return &sessions{timeout: timeout, lengths: name == BehaviourSessionSeconds}, nil
}

func (s *sessions) Result() catalog.Type {
	if s.lengths {
		return catalog.TypeDouble
	}
	return catalog.TypeInt
}

func (s *sessions) Conditions() int { return 0 }
func (s *sessions) Skips() bool     { return false }
func (s *sessions) Ordered() bool   { return true }
func (s *sessions) Words() int      { return 3 }
func (s *sessions) New() State      { return newState(s) }

// Wants are all events, each of which moves the last moment.
func (s *sessions) Wants([]int64) uint64 { return ^uint64(0) }

func (s *sessions) Step(state []int64, time int64, _ uint64) {
	if state[0] == 0 || !within(time, state[1], s.timeout) {
		state[0]++
	} else {
		state[2] += time - state[1]
	}
	state[1] = time
}

func (s *sessions) Value(state []int64) catalog.Value {
	if s.lengths {
		return catalog.Double(float64(state[2]) / microsPerSecond)
	}
	return catalog.Int(state[0])
}
