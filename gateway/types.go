package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"

	"arbor/catalog"
	"arbor/engine/event"
)

// eventsCollation compares and groups strings by their code points, which is
// also how the scans below compare them.
const eventsCollation = sql.Collation_utf8mb4_bin

// The SQL types of columns that do not depend on a catalog.
var (
	stringType   = types.MustCreateString(sqltypes.Text, types.LongTextBlobMax, eventsCollation)
	nameType     = varchar(event.MaxEventName)
	ingestIDType = varchar(2 * catalog.IngestIDSize)
	kindType     = varchar(8)
	fileType     = varchar(255)
	shardType    = varchar(64)
	textType     = varchar(1024)
	datetimeType = types.DatetimeMaxPrecision
)

func varchar(length int64) sql.StringType {
	return types.MustCreateString(sqltypes.VarChar, length, eventsCollation)
}

// sqlType is the SQL type of a property's column.
//
//	null, string   LONGTEXT      string
//	bool           TINYINT(1)    int8
//	int            BIGINT        int64
//	double         DOUBLE        float64
//	json           JSON          storedJSON
//	datetime       DATETIME(6)   time.Time
//	decimal        DECIMAL(p,s)  *apd.Decimal
func sqlType(t catalog.Type, precision, scale uint8) sql.Type {
	switch t {
	case catalog.TypeBool:
		return types.Boolean
	case catalog.TypeInt:
		return types.Int64
	case catalog.TypeDouble:
		return types.Float64
	case catalog.TypeJSON:
		return types.JSON
	case catalog.TypeDatetime:
		return datetimeType
	case catalog.TypeDecimal:
		d, err := types.CreateColumnDecimalType(precision, scale)
		if err == nil {
			return d
		}
	}
	return stringType
}
