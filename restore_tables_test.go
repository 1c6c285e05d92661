package main

import (
	"fmt"
	"strings"
	"testing"

	"gocloud.dev/blob/memblob"

	"arbor/backup"
	"arbor/engine/vfs"
)

// shopTables gives a shop's server tables of every kind: with keys, indexes, equal rows, no
// rows, more than are sent at once, and profiles.
func shopTables(t *testing.T, s *dayServer) {
	t.Helper()
	to := s.target(t)
	for _, statement := range []string{
		"CREATE TABLE shop.plans (id INT PRIMARY KEY, name VARCHAR(20), UNIQUE (name), KEY (id, name))",
		"INSERT INTO shop.plans VALUES (1, 'free'), (2, 'pro'), (3, NULL), (4, NULL), (5, 'team')",
		"CREATE TABLE shop.bag (distinct_id VARCHAR(20), n DECIMAL(9,2))",
		"INSERT INTO shop.bag VALUES ('u1', 1.5), ('u1', 1.5), ('u3', 2), (NULL, NULL)",
		"CREATE TABLE shop.nothing (a INT)",
		"CREATE TABLE shop.big (id INT PRIMARY KEY AUTO_INCREMENT, t MEDIUMTEXT)",
		"INSERT INTO shop.big (t) VALUES " + strings.TrimSuffix(strings.Repeat("(REPEAT('x', 200000)),", 12), ","),
	} {
		to.csv(statement)
	}
	project, _ := s.cluster.Catalog().Project("shop")
	var updates []string
	for n := range 6 {
		updates = append(updates, fmt.Sprintf(`{"$token":%q,"$distinct_id":"u%d","$set":{"n":%d}}`, project.Token, n, n))
	}
	post(t, to.url+"/engage", "", "["+strings.Join(updates, ",")+"]")
}

// rows is all that is in the tables of shopTables.
func (s restoreTarget) rows(project string) (all string) {
	for _, query := range []string{
		"SELECT * FROM %s.plans ORDER BY id", "SELECT * FROM %s.bag ORDER BY distinct_id, n", "SELECT * FROM %s.nothing",
		"SELECT id, CRC32(t) FROM %s.big ORDER BY id", "SELECT * FROM %s.people ORDER BY distinct_id", "SELECT id FROM %s.plans WHERE name = 'pro'",
		"SELECT table_name, column_name, index_name, non_unique FROM information_schema.statistics WHERE table_schema = '%s' ORDER BY 1, 3, 2",
	} {
		all += s.csv(fmt.Sprintf(query, project))
	}
	return all
}

// TestRestoreTables: mutable tables come back beside as they were, and in place what is
// missing does; what is here stays, and twice is once.
func TestRestoreTables(t *testing.T) {
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	s := shopServer(t, stores)
	shopTables(t, s)
	made := backedUp(t, s, stores)
	want := s.target(t).rows("shop")
	shop := intoOptions{projects: []string{"shop"}}
	inPlace := intoOptions{projects: []string{"shop"}, inPlace: true, yes: true}
	intoTargets(t, func(t *testing.T, to restoreTarget) {
		dry := shop
		dry.dryRun = true
		if _, said, err := restoreInto(t, to, stores, made.ID, "", dry); err != nil || !strings.Contains(said, "plans    0        5 ") {
			t.Errorf("a dry run: %v\n%s", err, said)
		}
		for range 2 {
			_, said, err := restoreInto(t, to, stores, made.ID, "", shop)
			if err != nil {
				t.Fatal(err, said)
			}
			if got := to.rows("shop_restored"); got != want {
				t.Fatalf("what came back is\n%s\nwant\n%s", got, want)
			}
		}
		// Some days alone bring no tables.
		if _, said, err := restoreInto(t, to, stores, made.ID, "2026-01-14", intoOptions{projects: []string{"shop"}, into: "some_days"}); err != nil || strings.Contains(said, "plans") {
			t.Errorf("a day: %v\n%s", err, said)
		}

		to.csv("CREATE DATABASE shop")
		if _, said, err := restoreInto(t, to, stores, made.ID, "", inPlace); err != nil {
			t.Fatal(err, said)
		}
		if got := to.rows("shop"); got != want {
			t.Fatalf("in place of nothing came back\n%s\nwant\n%s", got, want)
		}
		for _, statement := range []string{
			"DELETE FROM shop.plans WHERE id IN (1, 3, 5)", "UPDATE shop.plans SET name = 'expert' WHERE id = 2", "INSERT INTO shop.plans VALUES (9, 'team')",
			"DELETE FROM shop.bag WHERE distinct_id = 'u1' LIMIT 1", "DROP TABLE shop.people", "DROP TABLE shop.nothing",
			"DROP TABLE shop.big", "CREATE TABLE shop.big (id INT PRIMARY KEY, t INT)",
		} {
			to.csv(statement)
		}
		_, said, err := restoreInto(t, to, stores, made.ID, "", inPlace)
		if err == nil || !strings.Contains(err.Error(), "tables were not restored: big") {
			t.Errorf("a table with other columns: %v", err)
		}
		for _, words := range []string{"table plans: 1 rows are here with other values", "table plans: 1 rows have what another row here has in a unique index",
			"table big cannot be restored: its columns", "restored 9 rows of mutable tables", "plans    1        2                   1          1             1         0"} {
			if !strings.Contains(said, words) {
				t.Errorf("%q is not in\n%s", words, said)
			}
		}
		if got := to.csv("SELECT GROUP_CONCAT(id, COALESCE(name, '-') ORDER BY id) AS p FROM shop.plans"); got != "p\n\"1free,2expert,3-,4-,9team\"\n" {
			t.Errorf("plans are %s", got)
		}
		if got := to.csv("SELECT COUNT(*), COUNT(DISTINCT distinct_id) FROM shop.bag"); !strings.HasSuffix(got, "\n4,2\n") {
			t.Errorf("the bag has %s", got)
		}
		if got := to.csv("SELECT COUNT(*), (SELECT COUNT(*) FROM shop.nothing) FROM shop.people"); !strings.HasSuffix(got, "\n6,0\n") {
			t.Errorf("profiles are %s", got)
		}
		if got := to.csv("SELECT COUNT(*) FROM shop.big"); !strings.HasSuffix(got, "\n0\n") {
			t.Errorf("the other table has %s", got)
		}
	})
}

// TestRestoreTablesLeavesOutErased: rows of users who were erased do not come back, in
// place nor beside, whether the server or only a later backup knows of it; those who came
// back before the backup do.
func TestRestoreTablesLeavesOutErased(t *testing.T) {
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	s := shopServer(t, stores)
	to := s.target(t)
	shopTables(t, s)
	to.csv("CALL arbor.erase_user('shop', 'u5')")
	to.csv("INSERT INTO shop.bag VALUES ('u5', 7)") // came back
	made := backedUp(t, s, stores)
	to.csv("CALL arbor.erase_user('shop', 'u3')")
	want := to.rows("shop")
	check := func(to restoreTarget, project string) {
		t.Helper()
		if got := to.rows(project); got != want {
			t.Errorf("%s has\n%s\nwant\n%s", project, got, want)
		}
	}
	for _, o := range []intoOptions{{inPlace: true, yes: true}, {into: "beside"}} {
		o.projects = []string{"shop"}
		if _, said, err := restoreInto(t, to, stores, made.ID, "", o); err != nil {
			t.Fatal(err, said)
		}
		if o.inPlace {
			check(to, "shop")
		} else {
			check(to, "beside")
		}
	}
	backedUp(t, s, stores)
	other := openDay(t, vfs.NewMem(), nil, nil).target(t)
	if _, said, err := restoreInto(t, other, stores, made.ID, "", intoOptions{projects: []string{"shop"}}); err != nil {
		t.Fatal(err, said)
	}
	check(other, "shop_restored")
}
