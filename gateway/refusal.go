package gateway

import (
	"errors"
	"fmt"

	"github.com/dolthub/vitess/go/mysql"

	"arbor/catalog"
	"arbor/cluster"
)

// MySQL's error codes that this package gives, beside those that
// go-mysql-server gives by itself.
const (
	erDatabaseExists    = 1007
	erUnknownDatabase   = 1049
	erReadOnlyTable     = 1036
	erBadNull           = 1048
	erTableExists       = 1050
	erUnknownTable      = 1051
	erBadField          = 1054
	erDuplicateColumn   = 1060
	erWrongDatabaseName = 1102
	erGeneral           = 1105
	erTooManyFields     = 1117
	erSpecificDenied    = 1142
	erWrongArguments    = 1210
	erWrongValueForVar  = 1231
	erUnsupported       = 1235
	erOutOfRange        = 1264
	erWrongValue        = 1292
	erFieldOverflow     = 1441
	erNoDefault         = 1364
	erViewRecursion     = 1462
	erWrongFieldValue   = 1366
	erDataTooLong       = 1406
	erInvalidJSON       = 3140
)

// refuse makes an error with MySQL's code and SQLSTATE.
func refuse(code int, state, format string, args ...any) error {
	return mysql.NewSQLError(code, state, format, args...)
}

// unsupported says that a statement is one that arbor does not run, and what to
// do instead.
func unsupported(format string, args ...any) error {
	return refuse(erUnsupported, "42000", format, args...)
}

// refuseVariable says why a session variable cannot have a value.
func refuseVariable(name string, value any, why error) error {
	return refuse(erWrongValueForVar, "42000", "Variable '%s' can't be set to the value of '%.80v': %s", name, value, why)
}

// catalogCodes give the errors of catalog.Apply MySQL's codes.
var catalogCodes = []struct {
	is    error
	code  int
	state string
}{
	{catalog.ErrProjectExists, erDatabaseExists, "HY000"},
	{catalog.ErrNoProject, erUnknownDatabase, "42000"},
	{catalog.ErrName, erWrongDatabaseName, "42000"},
	{catalog.ErrNoColumn, erBadField, "42S22"},
	{catalog.ErrColumnExists, erDuplicateColumn, "42S21"},
	{catalog.ErrNoView, erUnknownTable, "42S02"},
	{catalog.ErrViewExists, erTableExists, "42S01"},
	{catalog.ErrPolicy, erWrongArguments, "HY000"},
	{catalog.ErrSetting, erWrongArguments, "HY000"},
	{catalog.ErrNoSetting, erWrongArguments, "HY000"},
	{catalog.ErrStaged, erWrongArguments, "HY000"},
	{catalog.ErrType, erWrongArguments, "HY000"},
	{catalog.ErrLimit, erTooManyFields, "HY000"},
	{catalog.ErrNoTruncation, erWrongArguments, "HY000"},
	{catalog.ErrProjectLive, erDatabaseExists, "HY000"},
}

// catalogError gives an error of a catalog change MySQL's code; other errors
// stay as they are.
func catalogError(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range catalogCodes {
		if errors.Is(err, c.is) {
			return refuse(c.code, c.state, "%s", err)
		}
	}
	if errors.Is(err, cluster.ErrRefused) {
		return refuse(erWrongArguments, stateGeneral, "%s", err)
	}
	return fmt.Errorf("change the catalog: %w", err)
}
