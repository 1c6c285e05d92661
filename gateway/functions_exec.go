package gateway

import (
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/engine/exec"
)

// scalarFunctions evaluates scalars where the data is.
type scalarFunctions struct{}

// NewFunctions gives the functions that fragments of a gateway ask for. They need
// no gateway.
func NewFunctions() exec.Functions { return scalarFunctions{} }

// Function builds a scalar.
func (scalarFunctions) Function(encoded string) (f exec.Function, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, fmt.Errorf("%w: build: %v", exec.ErrFunction, p)
		}
	}()
	d, err := decodeScalar(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", exec.ErrFunction, err)
	}
	return ofMoments(d, &scalarFunction{decodedScalar: d, typ: d.expr.Type(d.ctx)}), nil
}

// scalarFunction is a scalar that is evaluated.
type scalarFunction struct {
	*decodedScalar
	typ sql.Type
}

// Eval gives the value of a row's arguments. The SQL library panics for some
// values, which is an error like others.
func (f *scalarFunction) Eval(args []catalog.Value) (v catalog.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			v, err = catalog.Null, fmt.Errorf("evaluate %s: %v", f.expr, p)
		}
	}()
	if len(args) < f.args {
		return catalog.Null, fmt.Errorf("evaluate %s: %d arguments of %d", f.expr, len(args), f.args)
	}
	x, err := f.eval(f.ctx, args, f.as)
	if err != nil {
		return catalog.Null, fmt.Errorf("evaluate %s: %w", f.expr, err)
	}
	if v, err = f.as.value(f.ctx, x, f.typ); err != nil {
		return catalog.Null, fmt.Errorf("evaluate %s: %w", f.expr, err)
	}
	return v, nil
}

// functionText is a scalar as SQL, whose columns have these names.
func functionText(encoded string, args []string) string {
	d, err := decodeScalar(encoded)
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(d.text(d.ctx, args))
}
