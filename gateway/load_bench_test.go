package gateway

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"arbor/cluster"
	"arbor/sqltests/oracle"
)

// forgotten stores nothing, so that what is measured is the way to storage.
type forgotten struct{ *oracle.Model }

func (forgotten) Append(context.Context, [][]byte) error { return nil }

func (forgotten) Duplicates(context.Context, [][]byte) (int64, error) { return 0, nil }

func benchmarkedWorld(b *testing.B) *sql.DB {
	w := newSQLWorldOver(b, func(m *oracle.Model) cluster.Local { return forgotten{m} })
	w.must("CREATE DATABASE shop", "USE shop", "ALTER TABLE events ADD COLUMN n BIGINT, ADD COLUMN price DOUBLE, ADD COLUMN plan TEXT, ADD COLUMN page TEXT")
	db, err := sql.Open("mysql", "root@tcp("+w.listen()+")/shop")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	if err := db.Ping(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	start := cpuTime(b)
	b.Cleanup(func() { b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N), "cpu-ns/op") })
	return db
}

// BenchmarkLoadDataRow is what a row of LOAD DATA costs, without storage.
func BenchmarkLoadDataRow(b *testing.B) {
	db := benchmarkedWorld(b)
	var file strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&file, "Purchase\t2026-05-01 10:00:00.%06d\tuser-123456789\tid-123456789012\t%d\t25.5\tprofessional\thttps://example.com/a/b/c\n", i, i)
	}
	driver.RegisterReaderHandler("bench", func() io.Reader {
		return &repeated{text: []byte(file.String()), n: (b.N + 999) / 1000}
	})
	defer driver.DeregisterReaderHandler("bench")
	if _, err := db.Exec("LOAD DATA LOCAL INFILE 'Reader::bench' INTO TABLE events (event, time, distinct_id, insert_id, n, price, plan, page)"); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkInsertRow is what the same row costs in an INSERT of a thousand.
func BenchmarkInsertRow(b *testing.B) {
	db := benchmarkedWorld(b)
	var statement strings.Builder
	statement.WriteString("INSERT INTO events (event, time, distinct_id, insert_id, n, price, plan, page) VALUES ")
	for i := range 1000 {
		if i > 0 {
			statement.WriteString(",")
		}
		fmt.Fprintf(&statement, "('Purchase','2026-05-01 10:00:00.%06d','user-123456789','id-123456789012',%d,25.5,'professional','https://example.com/a/b/c')", i, i)
	}
	for range (b.N + 999) / 1000 {
		if _, err := db.Exec(statement.String()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInsertSingle is what an INSERT of one row costs.
func BenchmarkInsertSingle(b *testing.B) {
	db := benchmarkedWorld(b)
	for i := range b.N {
		if _, err := db.Exec(fmt.Sprintf("INSERT INTO events (event, time, distinct_id, insert_id, n, price, plan, page) VALUES ('Purchase','2026-05-01 10:00:00.%06d','user-123456789','id-123456789012',%d,25.5,'professional','https://example.com/a/b/c')", i%1000000, i)); err != nil {
			b.Fatal(err)
		}
	}
}
