package catalog

// Type is a column's type in SQL.
type Type uint8

// The types. The numbers are on disk: append only.
const (
	TypeNull     Type = 0 // only nulls seen yet; shown as a string column
	TypeBool     Type = 1 // TINYINT(1)
	TypeInt      Type = 2 // BIGINT
	TypeDouble   Type = 3 // DOUBLE
	TypeString   Type = 4 // LONGTEXT, utf8mb4_bin
	TypeJSON     Type = 5 // JSON
	TypeDatetime Type = 6 // DATETIME(6), microseconds since 1970 UTC; pinned only
	TypeDecimal  Type = 7 // DECIMAL(Precision, Scale); pinned only
)

// Column is a property's column in a project's events table.
type Column struct {
	// Property is the property's name as sent.
	Property string
	// Name is the column's name in SQL: unique without regard to case, at most
	// MaxColumnName characters, equal to Property where that is possible.
	Name string
	Type Type
	// Precision and Scale are those of a TypeDecimal.
	Precision, Scale uint8
	// Pinned columns keep the type that ALTER TABLE gave them; the others widen
	// to hold what arrives.
	Pinned bool
}
