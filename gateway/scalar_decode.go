package gateway

import (
	"context"
	"fmt"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/transform"
)

// stockFunctions are the SQL library's functions by their names.
var stockFunctions = sync.OnceValue(function.NewRegistry)

// scalarProgram is an expression that was built again.
type scalarProgram struct {
	expr   sql.Expression
	inputs []scalarInput
	row    sql.Row // of the inputs' values
}

// scalarInput is where a column of a program's row comes from.
type scalarInput struct {
	typ     sql.Type
	null    bool
	arg     int // of the function's arguments, where program is nil and constant is not set
	form    resultForm
	program *scalarProgram
	// constant says that value is the value.
	constant bool
	value    any
}

// decodedScalar is a scalar that was built again.
type decodedScalar struct {
	*scalarProgram
	as  resultForm
	ctx *sql.Context
	// columns are the arguments, as many as the program reads.
	args int
}

// decodeScalar builds a scalar. Its expressions are for one goroutine.
func decodeScalar(encoded string) (*decodedScalar, error) {
	r := &scalarReader{rest: encoded}
	if v := r.byte(); v != scalarVersion {
		return nil, fmt.Errorf("%w: version %d, this is %d", errScalar, v, scalarVersion)
	}
	d := &decodedScalar{as: resultForm(r.byte())}
	if d.as >= forms {
		return nil, fmt.Errorf("%w: form %d", errScalar, d.as)
	}
	s := &scalarSession{BaseSession: plainSession()}
	for i := range scalarSettings {
		s.settings[i] = r.text()
	}
	if err := s.parse(); err != nil {
		return nil, err
	}
	d.ctx = sql.NewContext(context.Background(), sql.WithSession(s))
	b := &scalarDecoder{reader: r, scalar: d}
	var err error
	if d.scalarProgram, err = b.program(0); err != nil {
		return nil, err
	}
	if r.bad || r.rest != "" {
		return nil, errScalar
	}
	return d, nil
}

// scalarDecoder reads programs.
type scalarDecoder struct {
	reader *scalarReader
	scalar *decodedScalar
	nodes  int
}

func (d *scalarDecoder) program(depth int) (*scalarProgram, error) {
	if depth > maxScalarDepth {
		return nil, fmt.Errorf("%w: programs nested deeper than %d", errScalar, maxScalarDepth)
	}
	p := &scalarProgram{}
	for range d.reader.number(maxScalarNodes) {
		in, err := d.input(depth)
		if err != nil {
			return nil, err
		}
		p.inputs = append(p.inputs, in)
	}
	p.row = make(sql.Row, len(p.inputs))
	var err error
	p.expr, err = d.node(p.inputs, depth)
	return p, err
}

func (d *scalarDecoder) input(depth int) (in scalarInput, err error) {
	if d.nodes++; d.nodes > maxScalarNodes {
		return in, fmt.Errorf("%w: more than %d parts", errScalar, maxScalarNodes)
	}
	r := d.reader
	kind := r.byte()
	if kind == inputArgument {
		in.arg = r.number(maxScalarNodes)
		if in.form = resultForm(r.byte()); in.form >= forms {
			return in, fmt.Errorf("%w: form %d", errScalar, in.form)
		}
		d.scalar.args = max(d.scalar.args, in.arg+1)
	}
	in.null = r.byte() != 0
	if in.typ, err = parseScalarType(r.text()); err != nil {
		return in, err
	}
	switch kind {
	case inputArgument:
	case inputConstant:
		in.constant = true
		k := r.byte()
		in.value, err = parseScalarValue(k, r.text())
	case inputProgram:
		in.program, err = d.program(depth + 1)
	default:
		err = fmt.Errorf("%w: input of kind %d", errScalar, kind)
	}
	return in, err
}

func (d *scalarDecoder) node(inputs []scalarInput, depth int) (sql.Expression, error) {
	if d.nodes++; d.nodes > maxScalarNodes || depth > maxScalarDepth+2 {
		return nil, fmt.Errorf("%w: more than %d parts, or nested deeper than %d", errScalar, maxScalarNodes, maxScalarDepth)
	}
	r := d.reader
	switch kind := r.byte(); kind {
	case nodeField:
		i := r.number(len(inputs))
		if i >= len(inputs) {
			return nil, fmt.Errorf("%w: input %d of %d", errScalar, i, len(inputs))
		}
		return expression.NewGetField(i, inputs[i].typ, "input", inputs[i].null), nil
	case nodeLiteral:
		t, err := parseScalarType(r.text())
		if err != nil {
			return nil, err
		}
		k := r.byte()
		v, err := parseScalarValue(k, r.text())
		if err != nil {
			return nil, err
		}
		return expression.NewLiteral(v, t), nil
	case nodeOther:
		return d.other(inputs, depth)
	default:
		return nil, fmt.Errorf("%w: node of kind %d", errScalar, kind)
	}
}

func (d *scalarDecoder) other(inputs []scalarInput, depth int) (sql.Expression, error) {
	r := d.reader
	n := scalarNode{tag: r.text()}
	const mostWords = 8
	for range r.number(mostWords) {
		n.words = append(n.words, r.text())
	}
	for range r.number(maxScalarNodes) {
		c, err := d.node(inputs, depth+1)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, c)
	}
	if r.bad {
		return nil, errScalar
	}
	e, err := buildScalar(d.scalar.ctx, n)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errScalar, err)
	}
	return e, nil
}

// scalarSession is the session in which a scalar is evaluated: the settings are
// those of the one that it comes from.
type scalarSession struct {
	*sql.BaseSession
	settings  [len(scalarSettings)]string
	collation sql.CollationID
	charset   sql.CharacterSetID
}

// plainSession is a session of nobody, which nothing changes.
var plainSession = sync.OnceValue(func() *sql.BaseSession { return withVariables(sql.NewBaseSession) })

func (s *scalarSession) parse() (err error) {
	if s.collation, err = sql.ParseCollation("", s.settings[2], false); err != nil {
		return fmt.Errorf("%w: %w", errScalar, err)
	}
	if s.charset, err = sql.ParseCharacterSet(s.settings[3]); err != nil {
		return fmt.Errorf("%w: %w", errScalar, err)
	}
	return nil
}

// GetSessionVariable gives the settings, and of other variables the defaults.
func (s *scalarSession) GetSessionVariable(ctx *sql.Context, name string) (any, error) {
	for i, known := range scalarSettings {
		if known == name {
			return s.settings[i], nil
		}
	}
	return s.BaseSession.GetSessionVariable(ctx, name)
}

// GetCollation is that of the connection.
func (s *scalarSession) GetCollation() sql.CollationID { return s.collation }

// GetCharacterSet is that of the connection.
func (s *scalarSession) GetCharacterSet() sql.CharacterSetID { return s.charset }

// Warn forgets the warning: nobody here would read it.
func (s *scalarSession) Warn(*sql.Warning) {}

// WarningCount is 0.
func (s *scalarSession) WarningCount() uint16 { return 0 }

// text is the program as SQL; args are the names of the arguments.
func (p *scalarProgram) text(ctx *sql.Context, args []string) string {
	named, _, err := transform.Expr(ctx, p.expr, func(_ *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		f, ok := e.(*expression.GetField)
		if !ok {
			return e, transform.SameTree, nil
		}
		in, name := &p.inputs[f.Index()], "?"
		switch {
		case in.constant:
			name = expression.NewLiteral(in.value, in.typ).String()
		case in.program != nil:
			name = in.program.text(ctx, args)
		case in.arg < len(args):
			name = args[in.arg]
		}
		return expression.NewGetField(f.Index(), in.typ, name, in.null), transform.NewTree, nil
	})
	if err != nil {
		return "?"
	}
	return named.String()
}
