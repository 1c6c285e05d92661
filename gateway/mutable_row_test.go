package gateway

import (
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
)

// FuzzMutableRow reads rows and definitions of any bytes: they are refused, or are
// the same when they are written and read again.
func FuzzMutableRow(f *testing.F) {
	ctx := sql.NewEmptyContext()
	shape, err := newMutableShape([]byte(`{"collation":"utf8mb4_bin","columns":[{"id":1,"name":"a","type":"bigint"},{"id":2,"name":"b","type":"json"},{"id":3,"name":"c","type":"decimal(20,5)"},{"id":5,"name":"d","type":"blob"}],"key":[1],"last_id":5}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{1, keptInt64, 1, 0, 0, 0, 0, 0, 0, 0, 2, keptJSON, 2, '{', '}', 3, keptDecimal, 3, '1', '.', '5', 4, keptText, 1, 'x', 5, keptBytes, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := shape.readRow(b, nil)
		if err != nil {
			return
		}
		once, err := shape.appendRow(ctx, nil, row)
		if err != nil {
			return // JSON that is none
		}
		again, err := shape.readRow(once, nil)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := shape.appendRow(ctx, nil, again); err != nil || string(twice) != string(once) {
			t.Errorf("%x is written as %x and then as %x, %v", b, once, twice, err)
		}
	})
}
