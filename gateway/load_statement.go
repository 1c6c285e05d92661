package gateway

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// errLocalDisabled is MySQL's for a LOCAL that one of the two sides has turned off.
var errLocalDisabled = mysql.NewSQLError(3948, stateSyntax,
	"Loading local data is disabled; this must be enabled on both the client and server sides")

// fileLoadOf makes an INSERT of a LOAD DATA LOCAL into events. Both are nil for
// any other statement.
func (h *handler) fileLoadOf(ctx *sql.Context, c *mysql.Conn, stmt sqlparser.Statement) (*sqlparser.Insert, *fileLoad, error) {
	load, ok := stmt.(*sqlparser.Load)
	if !ok {
		return nil, nil, nil
	}
	if !load.Local {
		return nil, nil, notSupported("LOAD DATA INFILE reads on the server, which it may not; use LOAD DATA LOCAL INFILE")
	}
	if h.events == nil || !h.events.holdsEvents(ctx, load.Table) {
		return nil, nil, nil
	}
	if _, enabled, _ := sql.SystemVariables.GetGlobal("local_infile"); enabled == int8(0) || !wireOf(c).canSendFiles() {
		return nil, nil, errLocalDisabled
	}
	if len(load.Partition) > 0 {
		return nil, nil, notSupported("LOAD DATA … PARTITION: events have no partitions")
	}
	l := &fileLoad{open: func() (io.ReadCloser, error) { return ctx.LoadInfile(load.Infile) }}
	if err := l.readFormat(load); err != nil {
		return nil, nil, err
	}
	if err := l.readCharset(load.Charset); err != nil {
		return nil, nil, err
	}
	insert, err := l.insert(ctx, h.events, load)
	return insert, l, err
}

// readFormat reads the clauses FIELDS, LINES and IGNORE.
func (l *fileLoad) readFormat(load *sqlparser.Load) error {
	l.format = loadFormat{fieldEnd: []byte("\t"), rowEnd: []byte("\n"), enclosed: -1, escaped: '\\'}
	if f := load.Fields; f != nil {
		if f.TerminatedBy != nil {
			l.format.fieldEnd = f.TerminatedBy.Val
		}
		if f.EnclosedBy != nil {
			if !oneByte(f.EnclosedBy.Delim, &l.format.enclosed) {
				return errSeparator
			}
		}
		if f.EscapedBy != nil && !oneByte(f.EscapedBy, &l.format.escaped) {
			return errSeparator
		}
	}
	if n := load.Lines; n != nil {
		if n.StartingBy != nil {
			l.format.rowStart = n.StartingBy.Val
		}
		if n.TerminatedBy != nil {
			l.format.rowEnd = n.TerminatedBy.Val
		}
	}
	if len(l.format.fieldEnd) == 0 {
		return notSupported("LOAD DATA with FIELDS TERMINATED BY '': rows of fixed width are not read; name what stands between the fields")
	}
	if load.IgnoreNum != nil {
		n, err := strconv.ParseInt(string(load.IgnoreNum.Val), 10, 64)
		if err != nil {
			return refuse(erWrongArguments, "HY000", "Incorrect arguments to IGNORE: %s", load.IgnoreNum.Val)
		}
		if len(l.format.rowEnd) > 0 && !bytes.Equal(l.format.rowEnd, l.format.fieldEnd) {
			l.ignore = n // without an end of rows there are none to skip
		}
	}
	return nil
}

// errSeparator is MySQL's for a separator that must be one character.
var errSeparator = mysql.NewSQLError(1083, stateSyntax, "Field separator argument is not what is expected; check the manual")

// oneByte reads a clause that names one byte, or none.
func oneByte(v *sqlparser.SQLVal, to *int) bool {
	switch len(v.Val) {
	case 0:
		*to = -1
	case 1:
		*to = int(v.Val[0])
	default:
		return false
	}
	return true
}

// readCharset finds out how to read a file in a character set.
func (l *fileLoad) readCharset(name string) error {
	switch strings.ToLower(name) {
	case "", "utf8mb4", "utf8", "utf8mb3", "binary", "ascii", "default":
		return nil
	case "ucs2", "utf16", "utf16le", "utf32":
		return refuse(erUnsupported, stateSyntax, "LOAD DATA of a file in %s is not supported; convert it to utf8mb4", name)
	}
	id, err := sql.ParseCharacterSet(strings.ToLower(name))
	if err != nil || id.Encoder() == nil {
		return refuse(mysql.ERUnknownCharacterSet, stateSyntax, "Unknown character set: '%s'", clip(name))
	}
	l.decode = id.Encoder().Decode
	return nil
}

// insert is the INSERT that the LOAD DATA runs as.
func (l *fileLoad) insert(ctx *sql.Context, g *Gateway, load *sqlparser.Load) (*sqlparser.Insert, error) {
	database := load.Table.DbQualifier.String()
	if database == "" {
		database = ctx.GetCurrentDatabase()
	}
	project, _ := g.catalogFor(ctx).Project(database)
	names := visibleColumns(project)
	given := load.Columns
	if len(given) == 0 {
		for _, name := range names {
			given = append(given, sqlparser.NewColIdent(name))
		}
	}
	set := make(map[string]bool, len(load.SetExprs))
	for _, e := range load.SetExprs {
		set[e.Name.Name.Lowered()] = true
	}
	ins := &sqlparser.Insert{Table: load.Table, Action: sqlparser.InsertStr, Auth: sqlparser.AuthInformation{
		AuthType:    sqlparser.AuthType_INSERT,
		TargetType:  sqlparser.AuthTargetType_SingleTableIdentifier,
		TargetNames: []string{load.Table.DbQualifier.String(), load.Table.Name.String()},
	}}
	if load.IgnoreOrReplace == sqlparser.ReplaceStr {
		ins.Action, ins.Auth.AuthType = sqlparser.ReplaceStr, sqlparser.AuthType_REPLACE
	}
	var row sqlparser.ValTuple
	variables := make(map[string]string, len(given)) // of columns that expressions may read
	for i, name := range given {
		f := loadField{column: -1}
		if text := name.String(); strings.HasPrefix(text, "@") {
			if strings.HasPrefix(text, "@@") {
				return nil, refuse(mysql.ERParseError, stateSyntax, "%s", syntaxText("LOAD DATA reads no system variable such as "+text))
			}
			f.variable = strings.ToLower(strings.Trim(text[1:], "`'\""))
		} else if len(set) > 0 {
			f.variable = loadVariable(i)
			variables[name.Lowered()] = f.variable
		}
		if !strings.HasPrefix(name.String(), "@") && !set[name.Lowered()] {
			f.column = len(row)
			ins.Columns = append(ins.Columns, name)
			row = append(row, sqlparser.NewStrVal(nil))
		}
		if f.variable != "" {
			// The planner looks at the types of variables.
			if err := ctx.SetUserVariable(ctx, f.variable, "", types.LongText); err != nil {
				return nil, err
			}
		}
		l.fields = append(l.fields, f)
	}
	for _, e := range load.SetExprs {
		value, err := loadExpr(e.Expr, names, variables)
		if err != nil {
			return nil, err
		}
		l.set = append(l.set, len(row))
		ins.Columns = append(ins.Columns, e.Name.Name)
		row = append(row, value)
	}
	if len(row) == 0 {
		return nil, refuse(erNoDefault, "HY000", "Field 'event' doesn't have a default value")
	}
	l.width, l.computed = len(row), make([]any, len(row))
	ins.Rows = &sqlparser.AliasedValues{Values: sqlparser.Values{row}}
	return ins, nil
}

// loadVariable is the variable that a field is to an expression: none that a
// statement can name.
func loadVariable(i int) string { return fmt.Sprintf("\x00field %d", i) }

// loadExpr is an expression of SET in which columns are the row's fields, and
// NULL where the row has none for them.
func loadExpr(e sqlparser.Expr, names []string, variables map[string]string) (sqlparser.Expr, error) {
	var refused error
	err := sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		switch n := n.(type) {
		case *sqlparser.Subquery:
			refused = notSupported("a subquery in the SET of LOAD DATA; load the file first, then INSERT … SELECT")
		case *sqlparser.ColName:
			name := n.Name.Lowered()
			if v, ok := variables[name]; ok {
				n.Name, n.Qualifier = sqlparser.NewColIdent("@"+v), sqlparser.TableName{}
			} else if slices.ContainsFunc(names, func(c string) bool { return strings.EqualFold(c, name) }) {
				n.Name, n.Qualifier = sqlparser.NewColIdent("@"+loadVariable(-1)), sqlparser.TableName{}
			}
		}
		return refused == nil, nil
	}, e)
	if refused != nil {
		err = refused
	}
	return e, err
}
