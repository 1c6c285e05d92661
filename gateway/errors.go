package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer/analyzererrors"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
	goerrors "gopkg.in/src-d/go-errors.v1"

	"arbor/cluster"
	"arbor/cluster/tables"
)

// SQLSTATEs that are used more than once.
const (
	stateGeneral   = "HY000"
	stateSyntax    = "42000" // syntax error or access violation
	stateNoTable   = "42S02"
	stateNoColumn  = "42S22"
	stateIntegrity = "23000"
	stateData      = "22001"
	stateDate      = "22007"
	stateStopped   = "70100"
	stateLogin     = "28000"
)

// Codes that the protocol library does not name.
const (
	codeUnknown             = 1105
	codeSpecificAccess      = 1227
	codeNotSupported        = 1235
	codeNoSavepoint         = 1305
	codeLocked              = 3118
	codeSecureTransport     = 3159
	codeCapacity            = 3170
	codeTimeout             = 3024
	codeLockWait            = 1205
	codeIncompleteRollback  = 1196
	codeTooManyStatements   = 1461
	codeUnpreparable        = 1295
	codeTooManySavepoints   = 1105
	codeUnknownThread       = 1094
	codeNotOwner            = 1095
	codeNonUpdatable        = 1288
	codeIncorrectParameters = 1582
)

// Errors that the server itself makes, as clients get them.
var (
	errPacketTooLarge = mysql.NewSQLError(mysql.ERNetPacketTooLarge, "08S01",
		"Got a packet bigger than 'max_allowed_packet' bytes; send the statement in smaller parts or have max_allowed_packet raised")
	errInsecureTransport = mysql.NewSQLError(codeSecureTransport, stateGeneral,
		"Connections using insecure transport are prohibited while --require_secure_transport=ON.")
	errTooManyConnections = mysql.NewSQLError(mysql.ERConCount, "08004", "Too many connections")
	errInterrupted        = mysql.NewSQLError(mysql.ERQueryInterrupted, stateStopped, "Query execution was interrupted")
	errTimeout            = mysql.NewSQLError(codeTimeout, stateGeneral,
		"Query execution was interrupted, maximum statement execution time exceeded")
	// errStalled is what programs take for a reason to send a statement again.
	errStalled = mysql.NewSQLError(codeLockWait, stateGeneral,
		"Lock wait timeout exceeded; try restarting transaction: the storage takes too long. The rows may or may not have been stored; sending them again is right")
	errShutdown   = mysql.NewSQLError(mysql.ERServerShutdown, "08S01", "Server shutdown in progress")
	errEmptyQuery = mysql.NewSQLError(mysql.EREmptyQuery, stateSyntax, "Query was empty")
	errClientGone = errors.New("the client went away")
)

// kinds gives MySQL's code and SQLSTATE for the SQL library's errors. The
// first that fits decides.
var kinds = []struct {
	kind  *goerrors.Kind
	code  int
	state string
	// text makes MySQL's words from the library's, where they differ much.
	text func(string) string
}{
	{sql.ErrSyntaxError, mysql.ERParseError, stateSyntax, syntaxText},
	{sql.ErrInvalidSyntax, mysql.ERParseError, stateSyntax, nil},
	{sql.ErrUnsupportedSyntax, codeNotSupported, stateSyntax, nil},
	{sql.ErrUnsupportedFeature, codeNotSupported, stateSyntax, nil},
	{sql.ErrUnsupportedPreparedStatement, codeUnpreparable, stateGeneral, nil},
	{sql.ErrUnknownPreparedStatement, 1243, stateGeneral, nil},

	{sql.ErrTableNotFound, mysql.ERNoSuchTable, stateNoTable, noTable},
	{sql.ErrUnknownTable, 1051, stateNoTable, nil},
	{sql.ErrDatabaseNotFound, mysql.ERBadDb, stateSyntax, reword("database not found: ", "Unknown database '", "'")},
	{sql.ErrNoDatabaseSelected, mysql.ERNoDb, "3D000", constant("No database selected")},
	{sql.ErrDatabaseExists, mysql.ERDbCreateExists, stateGeneral, nil},
	{sql.ErrTableAlreadyExists, mysql.ERTableExists, "42S01", nil},
	{sql.ErrExistingView, mysql.ERTableExists, "42S01", nil},
	{sql.ErrViewDoesNotExist, mysql.ERNoSuchTable, stateNoTable, nil},
	{sql.ErrInvalidRefInView, 1356, stateGeneral, nil},
	{sql.ErrColumnNotFound, mysql.ERBadFieldError, stateNoColumn, quoted("Unknown column '", "'")},
	{sql.ErrTableColumnNotFound, mysql.ERBadFieldError, stateNoColumn, nil},
	{sql.ErrUnknownColumn, mysql.ERBadFieldError, stateNoColumn, unknownColumn},
	{sql.ErrMisusedAlias, mysql.ERBadFieldError, stateNoColumn, nil},
	{analyzererrors.ErrUnknownIndexColumns, 1072, stateSyntax, nil},
	{sql.ErrAmbiguousColumnName, mysql.ERNonUniq, stateIntegrity, nil},
	{sql.ErrAmbiguousColumnOrAliasName, mysql.ERNonUniq, stateIntegrity, nil},
	{sql.ErrAmbiguousColumnInOrderBy, mysql.ERNonUniq, stateIntegrity, nil},
	{sql.ErrColumnExists, 1060, "42S21", nil},
	{sql.ErrColumnSpecifiedTwice, mysql.ERFieldSpecifiedTwice, stateSyntax, nil},
	{sql.ErrDuplicateAliasOrTable, 1066, stateSyntax, nil},
	{sql.ErrFunctionNotFound, 1305, stateSyntax, quoted("FUNCTION ", " does not exist")},
	{sql.ErrTableFunctionNotFound, 1305, stateSyntax, nil},
	{sql.ErrStoredProcedureDoesNotExist, 1305, stateSyntax, suffixed("; arbor.procedures lists those that there are")},
	{sql.ErrCallIncorrectParameterCount, 1318, stateSyntax, nil},
	{sql.ErrInvalidArgumentNumber, codeIncorrectParameters, stateSyntax, nil},
	{sql.ErrUnknownWindowName, 3579, stateGeneral, nil},

	{sql.ErrPrimaryKeyViolation, mysql.ERDupEntry, stateIntegrity, duplicateEntry},
	{sql.ErrUniqueKeyViolation, mysql.ERDupEntry, stateIntegrity, duplicateEntry},
	{sql.ErrDuplicateEntry, mysql.ERDupEntry, stateIntegrity, nil},
	{sql.ErrInsertIntoNonNullableProvidedNull, mysql.ERBadNullError, stateIntegrity, nil},
	{sql.ErrInsertIntoNonNullableDefaultNullColumn, 1364, stateGeneral, nil},
	{sql.ErrColValCountMismatch, mysql.ERWrongValueCountOnRow, "21S01", nil},
	{sql.ErrInsertIntoMismatchValueCount, mysql.ERWrongValueCountOnRow, "21S01",
		constant("Column count doesn't match value count at row 1")},
	{sql.ErrGeneratedColumnValue, 3105, stateGeneral, nil},
	{sql.ErrCheckConstraintViolated, 3819, stateGeneral, nil},
	{sql.ErrInvalidValue, mysql.ERTruncatedWrongValueForField, stateGeneral, nil},
	{sql.ErrInvalidValueType, mysql.ERTruncatedWrongValueForField, stateGeneral, nil},
	{sql.ErrTruncatedIncorrect, 1292, stateDate, nil},
	{sql.ErrIncorrectValue, 1292, stateDate, nil},
	{types.ErrConvertingToTime, 1292, stateDate, nil},
	{types.ErrConvertingToTimeType, 1292, stateDate, nil},
	{types.ErrConvertingToTimeOutOfRange, 1292, stateDate, nil},
	{types.ErrConvertingToYear, 1292, stateDate, nil},
	{types.ErrConvertingToDecimal, mysql.ERTruncatedWrongValueForField, stateGeneral, nil},
	{types.ErrBadCharsetString, mysql.ERTruncatedWrongValueForField, stateGeneral, nil},
	{types.ErrDataTruncatedForColumn, 1265, "01000", nil},
	{types.ErrDataTruncatedForColumnAtRow, 1265, "01000", nil},
	{types.ErrConvertingToEnum, 1265, "01000", nil},
	{sql.ErrValueOutOfRange, 1264, "22003", nil},
	{types.ErrConvertToDecimalLimit, 1264, "22003", nil},
	{expression.ErrIntDivDataOutOfRange, 1690, "22003", nil},
	{types.ErrLengthBeyondLimit, 1406, stateData, nil},
	{types.ErrLengthTooLarge, 1074, stateSyntax, nil},
	{sql.ErrInvalidJSONText, 3141, "22032", nil},
	{sql.ErrInvalidJson, 3140, "22032", nil},
	{sql.ErrInvalidJSONArgument, 3146, "22032", nil},
	{sql.ErrJSONObjectAggNullKey, 3158, "22032", nil},
	{expression.ErrInvalidRegexp, 3685, stateGeneral, nil},
	{function.ErrDivisionByZero, 1365, "22012", nil},
	{function.ErrInvalidArgumentForLogarithm, 3020, "2201E", nil},
	{sql.ErrInvalidTimeZone, 1298, stateGeneral, nil},
	{sql.ErrInvalidArgumentDetails, 1210, stateGeneral, nil},

	{sql.ErrExpectedSingleRow, mysql.ERSubqueryNo1Row, "21000", constant("Subquery returns more than 1 row")},
	{sql.ErrMoreThanOneRow, 1172, stateSyntax, nil},
	{sql.ErrInvalidOperandColumns, mysql.EROperandColumns, "21000", nil},
	{sql.ErrNonAggregatedColumnWithoutGroupBy, mysql.ERMixOfGroupFuncAndFields, stateSyntax, nil},
	{analyzererrors.ErrValidationGroupBy, 1055, stateSyntax, nil},
	{analyzererrors.ErrValidationGroupByOrderBy, 1055, stateSyntax, nil},
	{sql.ErrAggregationUnsupported, 1111, stateGeneral, constant("Invalid use of group function")},
	{sql.ErrWindowUnsupported, 3593, stateGeneral, nil},
	{analyzererrors.ErrUnionSchemasMatch, 1222, "21000", nil},
	{planbuilder.ErrSelectsDifferentLength, 1222, "21000", nil},
	{sql.ErrColumnNumberDoesNotMatch, 1222, "21000", nil},
	{sql.ErrCteRecursionLimitExceeded, 3636, stateGeneral, nil},
	{sql.ErrStarUnsupported, mysql.ERParseError, stateSyntax, nil},

	{sql.ErrUnknownSystemVariable, mysql.ERUnknownSystemVariable, stateGeneral, nil},
	{sql.ErrSystemVariableReadOnly, mysql.ERIncorrectGlobalLocalVar, stateGeneral, nil},
	{sql.ErrSystemVariableSessionOnly, 1228, stateGeneral, nil},
	{sql.ErrSystemVariableGlobalOnly, 1229, stateGeneral, nil},
	{sql.ErrInvalidSystemVariableValue, mysql.ERWrongValueForVar, stateSyntax, nil},
	{sql.ErrCharSetUnknown, mysql.ERUnknownCharacterSet, stateSyntax, nil},
	{sql.ErrCollationUnknown, 1273, stateGeneral, nil},
	{sql.ErrCollationIllegalMix, 1267, stateGeneral, nil},
	{sql.ErrCollationInvalidForCharSet, 1253, stateSyntax, nil},

	{sql.ErrDatabaseAccessDeniedForUser, mysql.ERDBAccessDenied, stateSyntax, nil},
	{sql.ErrTableAccessDeniedForUser, 1142, stateSyntax, nil},
	{sql.ErrPrivilegeCheckFailed, 1142, stateSyntax, nil},
	{sql.ErrUserCreationFailure, 1396, stateGeneral, nil},
	{sql.ErrUserDeletionFailure, 1396, stateGeneral, nil},
	{sql.ErrUserAlterFailure, 1396, stateGeneral, nil},
	{sql.ErrRoleCreationFailure, 1396, stateGeneral, nil},
	{sql.ErrRoleDeletionFailure, 1396, stateGeneral, nil},
	{sql.ErrGrantUserDoesNotExist, 1410, stateSyntax, nil},
	{sql.ErrRevokeUserDoesNotExist, 1141, stateSyntax, nil},
	{sql.ErrShowGrantsUserDoesNotExist, 1141, stateSyntax, nil},
	{sql.ErrGrantRevokeIllegalPrivilege, 1144, stateSyntax, nil},
	{sql.ErrReadOnlyTransaction, 1792, "25006", constant("Cannot execute statement in a READ ONLY transaction.")},
	{sql.ErrLockDeadlock, mysql.ERLockDeadlock, mysql.SSLockDeadlock, nil},
	{sql.ErrReadOnly, 1290, stateGeneral, nil},
	{analyzererrors.ErrReadOnlyDatabase, 1290, stateGeneral, nil},
	{plan.ErrUpdateNotSupported, codeNonUpdatable, stateGeneral, nil},
	{plan.ErrUpdateForTableNotSupported, codeNonUpdatable, stateGeneral, nil},
	{plan.ErrDeleteFromNotSupported, codeNonUpdatable, stateGeneral, nil},
	{plan.ErrInsertIntoNotSupported, 1471, stateGeneral, nil},
	{plan.ErrReplaceIntoNotSupported, 1471, stateGeneral, nil},
	{plan.ErrOnDuplicateKeyUpdateNotSupported, codeNotSupported, stateSyntax, nil},
	{plan.ErrTruncateNotSupported, codeNotSupported, stateSyntax, nil},
	{sql.ErrAlterTableNotSupported, codeNotSupported, stateSyntax, nil},
	{sql.ErrCreateTableNotSupported, codeNotSupported, stateSyntax, nil},
	{sql.ErrDropTableNotSupported, codeNotSupported, stateSyntax, nil},
	{sql.ErrRenameTableNotSupported, codeNotSupported, stateSyntax, nil},
	{sql.ErrNoForeignKeySupport, codeNotSupported, stateSyntax, constant("FOREIGN KEY: mutable tables have none; a join finds rows that refer to nothing")},
	{sql.ErrTriggersNotSupported, codeNotSupported, stateSyntax, nil},
	{sql.ErrStoredProceduresNotSupported, codeNotSupported, stateSyntax, nil},
	{sql.ErrEventsNotSupported, codeNotSupported, stateSyntax, nil},
	{sql.ErrViewsNotSupported, codeNotSupported, stateSyntax, nil},
	{sql.ErrTemporaryTableNotSupported, codeNotSupported, stateSyntax, nil},
	{sql.ErrSecureFilePriv, 1290, stateGeneral, nil},
	{sql.ErrLockTimeout, 1205, stateGeneral, nil},
}

// sqlError is the error that a client gets for err, which has happened while a
// statement ran. Texts that may tell about the machine or the code are replaced
// by an id, under which log finds the text.
func sqlError(err error, log func(id string, err error)) *mysql.SQLError {
	if err == nil {
		return nil
	}
	var made *mysql.SQLError
	if errors.As(err, &made) {
		return made
	}
	err = unwrapConversion(err)
	if errors.As(err, &made) {
		return made
	}
	if e := ownError(err, log); e != nil {
		return e
	}
	if e := valueError(err); e != nil {
		return e
	}
	for _, k := range kinds {
		if k.kind.Is(err) {
			text := err.Error()
			if k.text != nil {
				text = k.text(text)
			}
			return mysql.NewSQLError(k.code, k.state, "%s", text)
		}
	}
	if internal(err) {
		return internalError(err, log)
	}
	if e := textError(err); e != nil {
		return e
	}
	if e := sql.CastSQLError(err); e.Num != codeUnknown {
		return e
	}
	return mysql.NewSQLError(codeUnknown, stateGeneral, "%s", err)
}

// Errors of values that a column does not hold, as the library words them.
var (
	wrongMoment = regexp.MustCompile(`(?s)^error: '(.*)' is not a valid value for '(date|datetime|timestamp|time)(?:\(\d\))?'$`)
	tooManyBits = regexp.MustCompile(`^\d+ is beyond the maximum value that can be held by \d+ bits$`)
)

// valueError gives MySQL's code of such an error, which the library has one kind for; nil for
// others.
func valueError(err error) *mysql.SQLError {
	if types.ErrConvertingToYear.Is(err) {
		return mysql.NewSQLError(erOutOfRange, "22003", "Out of range value: %s", err)
	}
	text := err.Error()
	if m := wrongMoment.FindStringSubmatch(text); m != nil {
		kind := m[2]
		if kind == "timestamp" {
			kind = "datetime"
		}
		return mysql.NewSQLError(erWrongValue, stateDate, "Incorrect %s value: '%s'", kind, clip(m[1]))
	}
	if tooManyBits.MatchString(text) {
		return mysql.NewSQLError(1406, "22001", "Data too long: %s", text)
	}
	return nil
}

// textError gives the code of an error that the library knows by its text alone, nil for
// others.
func textError(err error) *mysql.SQLError {
	text := err.Error()
	var number *strconv.NumError
	switch {
	case errors.As(err, &number) && number.Func == "ParseFloat":
		return mysql.NewSQLError(1367, "22007", "Illegal double '%s' value found during parsing", number.Num)
	case strings.Contains(text, "Invalid JSON path expression"):
		_, after, _ := strings.Cut(text, "Invalid JSON path expression")
		return mysql.NewSQLError(codeInvalidPath, stateSyntax, "Invalid JSON path expression%s", after)
	}
	return nil
}

// unwrapConversion takes off the wrappers that the library puts around errors
// of single values.
func unwrapConversion(err error) error {
	for {
		switch e := err.(type) {
		case sql.WrappedInsertError:
			err = e.Cause
		case sql.WrappedTypeConversionError:
			err = e.Err
		default:
			return err
		}
	}
}

// ownError gives the code of an error of arbor's own packages, nil for others.
func ownError(err error, log func(id string, err error)) *mysql.SQLError {
	switch {
	case errors.Is(err, sqlparser.ErrEmpty):
		return errEmptyQuery
	case errors.Is(err, errStorage) && errors.Is(err, context.DeadlineExceeded):
		return errStalled
	case errors.Is(err, context.DeadlineExceeded):
		return errTimeout
	case errors.Is(err, context.Canceled), errors.Is(err, errClientGone):
		return errInterrupted
	}
	for _, row := range ownErrors {
		if !errors.Is(err, row.err) {
			continue
		}
		text := row.text
		if text == "" {
			text = err.Error()
		} else if log != nil {
			log(faultID(), err)
		}
		return mysql.NewSQLError(row.code, row.state, "%s", text)
	}
	return nil
}

// What errors of storage say of that which was sent.
const (
	nothingStored = ". Nothing of this was stored; sending it again then is right"
	perhapsStored = ". What was sent may or may not have been stored; sending it again is right"
)

// ownErrors gives codes to arbor's errors. Where a text is given, the error's
// own may tell about the machine and goes to the log.
var ownErrors = []struct {
	err   error
	code  int
	state string
	text  string
}{
	{ErrRefused, 1210, stateGeneral, ""},
	{ErrBusy, codeLockWait, stateGeneral, ""},
	{ErrIdempotencyKey, 1210, stateGeneral, ""},
	{cluster.ErrTooLarge, mysql.ERNetPacketTooLarge, "08S01", ""},
	{tables.ErrConflict, 1213, "40001", "Deadlock found when trying to get lock; try restarting transaction"},
	{tables.ErrTableExists, 1050, "42S01", ""},
	{tables.ErrNoTable, 1146, "42S02", ""},
	{tables.ErrLimit, 1114, stateGeneral, ""},
	{errNoKey, 1170, "42000", ""},
	{cluster.ErrClosed, mysql.ERServerShutdown, "08S01", "Server shutdown in progress"},
	{cluster.ErrIncomplete, 1030, stateGeneral, ""},
	{cluster.ErrFull, 1021, stateGeneral, "Disk full: the server's disk is full, and it stores nothing until there is room" + nothingStored},
	{cluster.ErrUnavailable, 1030, stateGeneral,
		"Got error from storage engine: it is unavailable" + perhapsStored},
}

// duplicateEntry is MySQL's text for a row that is there already, of the library's.
func duplicateEntry(text string) string {
	_, which, _ := strings.Cut(text, "given: ")
	return "Duplicate entry " + which
}

// internal reports whether err is a fault of the server, or tells about its
// machine, so that its text is not for clients.
func internal(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	var call *os.SyscallError
	if errors.As(err, &path) || errors.As(err, &link) || errors.As(err, &call) {
		return true
	}
	text := err.Error()
	return strings.HasPrefix(text, "panic") || strings.Contains(text, "goroutine ") ||
		strings.Contains(text, "runtime error:") || strings.Contains(text, ".go:") ||
		strings.Contains(text, "This is a bug")
}

// internalError hides err behind an id and logs it.
func internalError(err error, log func(id string, err error)) *mysql.SQLError {
	id := faultID()
	if log != nil {
		log(id, err)
	}
	return mysql.NewSQLError(codeUnknown, stateGeneral,
		"Internal error %s; the server's log says more under this id", id)
}

// faultID names one internal error in the log and for the client.
func faultID() string {
	var b [6]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// libraryError gives MySQL's code for an error packet that the protocol
// library has made by itself.
func libraryError(code uint16, state, text string) *mysql.SQLError {
	if code != codeUnknown {
		return mysql.NewSQLError(int(code), state, "%s", text)
	}
	text = strings.TrimPrefix(text, "unknown error: ")
	switch {
	case strings.Contains(text, "syntax error"):
		_, text, _ = strings.Cut(text, "syntax error")
		text = "syntax error" + strings.TrimRight(text, "\n")
		return mysql.NewSQLError(mysql.ERParseError, stateSyntax, "%s", syntaxText(text))
	case strings.Contains(text, "multiple statements"):
		return mysql.NewSQLError(mysql.ERParseError, stateSyntax, "%s", syntaxText(text))
	case text == sqlparser.ErrEmpty.Error():
		return errEmptyQuery
	}
	return mysql.NewSQLError(int(code), state, "%s", text)
}
