package exec

import "arbor/catalog"

// retention says which conditions a user met who met the first: bit i-1 of the
// value is condition i, and the value is 0 where the first was never met. The
// order of events does not matter. The state is the bits.
type retention struct{ conditions int }

func newRetention(params []catalog.Value, conditions int) (Behaviour, error) {
	const usage = "write retention(event = 'Signup', event = 'Visit')"
	if err := needConditions(BehaviourRetention, conditions, usage); err != nil {
		return nil, err
	}
	if len(params) != 0 {
		return nil, incorrect(BehaviourRetention, "it takes conditions only: %s", usage)
	}
	return &retention{conditions: conditions}, nil
}

func (r *retention) Result() catalog.Type { return catalog.TypeInt }
func (r *retention) Conditions() int      { return r.conditions }
func (r *retention) Skips() bool          { return true }
func (r *retention) Ordered() bool        { return false }
func (r *retention) Words() int           { return 1 }
func (r *retention) New() State           { return newState(r) }

func (r *retention) Step(state []int64, _ int64, mask uint64) { state[0] |= int64(mask) }

func (r *retention) Wants(state []int64) uint64 {
	return conditionMask(r.conditions) &^ uint64(state[0])
}

func (r *retention) Value(state []int64) catalog.Value {
	if state[0]&1 == 0 {
		return catalog.Int(0)
	}
	return catalog.Int(state[0])
}
