package gateway

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"arbor/cluster"
)

func TestErrorsForClients(t *testing.T) {
	var logged []string
	log := func(id string, err error) { logged = append(logged, err.Error()) }
	for _, test := range []struct {
		err   error
		code  int
		state string
		text  string
	}{
		{sql.ErrSyntaxError.New("syntax error at position 3 near 'x'"), 1064, "42000", "You have an error in your SQL syntax; syntax error at position 3 near 'x'"},
		{sql.ErrTableNotFound.New("t"), 1146, "42S02", "Table 't' doesn't exist"},
		{sql.ErrTableNotFound.New("t, maybe you mean tt?"), 1146, "42S02", "Table 't' doesn't exist; maybe you mean tt?"},
		{sql.ErrDatabaseNotFound.New("d"), 1049, "42000", "Unknown database 'd'"},
		{sql.ErrColumnNotFound.New("c"), 1054, "42S22", "Unknown column 'c'"},
		{sql.ErrInsertIntoNonNullableDefaultNullColumn.New("c"), 1364, "HY000", "Field 'c' doesn't have a default value"},
		{sql.NewUniqueKeyErr("k", true, nil), 1062, "23000", ""},
		{sql.ErrTruncatedIncorrect.New("datetime", "x"), 1292, "22007", ""},
		{fmt.Errorf("wrapped: %w", mysql.NewSQLError(4711, "HY123", "said so")), 4711, "HY123", "said so"},
		{cluster.ErrTooLarge, 1153, "08S01", ""},
		{fmt.Errorf("%w: %w", cluster.ErrUnavailable, &os.PathError{Op: "write", Path: "/var/arbor/1", Err: errors.New("full")}), 1030, "HY000",
			"Got error from storage engine: it is unavailable. What was sent may or may not have been stored; sending it again is right"},
		{errors.New("something else"), 1105, "HY000", "something else"},
	} {
		e := sqlError(test.err, log)
		if e.Num != test.code || e.State != test.state || test.text != "" && e.Message != test.text {
			t.Errorf("%v: %d (%s) %s; want %d (%s) %s", test.err, e.Num, e.State, e.Message, test.code, test.state, test.text)
		}
	}
	for _, secret := range []error{
		&os.PathError{Op: "open", Path: "/var/arbor/secret", Err: errors.New("no")}, errors.New("panic recovered: secret\ngoroutine 7 [running]:"),
		errors.New("runtime error: secret"), errors.New("secret at file.go:17"),
	} {
		logged = nil
		e := sqlError(fmt.Errorf("read: %w", secret), log)
		if e.Num != 1105 || strings.Contains(e.Message, "secret") || len(logged) != 1 || !strings.Contains(logged[0], "secret") {
			t.Errorf("%v: %d %s; logged %q", secret, e.Num, e.Message, logged)
		}
	}
}
