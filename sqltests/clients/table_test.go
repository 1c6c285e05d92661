package clients

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"arbor/sqltests/server"
)

var rewrite = flag.Bool("rewrite", false, "write docs/clients.md anew")

// client is a client of MySQL, and the script that writes and reads with it. A
// script is given the server's host and port and a project's name, and FLIGHT_PORT in
// its environment, prints the client's version on its first line, and fails where something is not as it
// must be.
type client struct {
	name, run, exercised string
}

const canonical = "INSERT of a row twice, SELECT with parameters, 64-bit integers, emoji, NULL, microseconds, MySQL's error numbers"

var mysqlClients = []client{
	{"mariadb, mariadb-dump, mariadb-import, mariadb-check, mariadb-show, mariadb-admin", "scripts/mariadb.sh", "dump with --single-transaction and back, import of a file, check, ping"},
	{"mycli", "scripts/mycli.sh", "INSERT, SELECT as CSV, SHOW TABLES"},
	{"mydumper", "scripts/mydumper.sh", "dump of the events by four threads"},
	{"sysbench", "scripts/sysbench.sh", "INSERT and SELECT by four threads"},
	{"PyMySQL", "/usr/bin/python3 scripts/pymysql_client.py", canonical + "; streamed results"},
	{"mysqlclient", "/usr/bin/python3 scripts/mysqlclient_client.py", canonical + "; streamed results"},
	{"SQLAlchemy", "/usr/bin/python3 scripts/sqlalchemy_client.py", "reflection of tables, columns and keys; generated INSERT, GROUP BY, window, CASE, IN, LIMIT"},
	{"PHP PDO", "php scripts/pdo.php", canonical + "; prepared by client and server"},
	{"PHP mysqli", "php scripts/mysqli.php", canonical + "; several statements at once, change_user"},
	{"Perl DBD::mysql", "perl scripts/dbi.pl", canonical + "; prepared by client and server, tables"},
	{"Ruby mysql2", "ruby scripts/mysql2.rb", canonical + "; prepared by the server, streamed results"},
	{"MariaDB Connector/J", "java -cp /usr/share/java/mariadb-java-client.jar scripts/Jdbc.java", canonical + "; batches, prepared by client and server, fetch size, metadata"},
	{"MariaDB Connector/ODBC", "scripts/odbc.sh", "INSERT, SELECT, catalog, errors, by isql"},
	{"npm mysql2", "node node/sql-mysql2.js", canonical + "; pool, changeUser, prepared by the server"},
	{"npm mysql", "node node/sql-mysql.js", canonical + "; mysql_native_password, changeUser, streamed results"},
	{"npm mariadb", "node node/sql-mariadb.js", canonical + "; batches in bulk, prepared by the server"},
	{"npm knex", "node node/sql-knex.js", canonical + "; columns of a table"},
	{"npm sequelize", "node node/sql-sequelize.js", canonical + "; model, description of a table"},
	{"npm typeorm", "node node/sql-typeorm.js", canonical + "; entities, paging"},
	{"npm kysely", "node node/sql-kysely.js", canonical + "; introspection"},
	{"Adminer", "node node/webadmin.js adminer", "in Chromium: log-in, databases, tables, structure, rows, a statement, a row changed, an error"},
	{"phpMyAdmin", "node node/webadmin.js phpmyadmin", "in Chromium: log-in, databases, tables, structure, rows, a statement, a row changed, an error"},
	{"arrow-flight of Rust, by npm @lakehouse-rs/flight-sql-client", "node node/flight.js", "over Arrow Flight SQL: rows with the types that were announced, tables, refusals"},
	{"npm drizzle-orm", "node node/sql-drizzle.js", canonical + "; generated statements"},
}

// TestMySQLClients runs every client against one server, and holds the table of
// docs/clients.md to what came of it.
func TestMySQLClients(t *testing.T) {
	if err := installNode(); err != nil {
		t.Fatal(err)
	}
	flight := server.FreeAddress(t)
	s := server.Start(t, "--flight", flight)
	s.Exec(t, "CREATE USER old IDENTIFIED WITH mysql_native_password BY 'old'", "GRANT ALL ON *.* TO old", "CREATE USER reader IDENTIFIED BY 'pw'", "GRANT SELECT ON *.* TO reader")
	host, port, _ := strings.Cut(s.MySQL, ":")
	versions := make([]string, len(mysqlClients))
	t.Run("clients", func(t *testing.T) {
		for i, c := range mysqlClients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				project := fmt.Sprintf("client%d", i)
				s.Exec(t, "CREATE DATABASE "+project, "ALTER TABLE "+project+".events ADD COLUMN amount BIGINT, ADD COLUMN plan TEXT")
				args := append(strings.Fields(c.run), host, port, project)
				if strings.HasSuffix(args[0], ".sh") {
					args = append([]string{"bash", "-x"}, args...)
				}
				cmd := exec.Command(args[0], args[1:]...)
				cmd.Env = append(os.Environ(), "FLIGHT_PORT="+server.Port(flight))
				var complaint strings.Builder
				cmd.Stderr = &complaint
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%s: %v\n%s%s", c.run, err, out, complaint.String())
				}
				versions[i], _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
			})
		}
	})
	if t.Failed() || testing.Short() {
		return
	}
	var table strings.Builder
	table.WriteString("# Clients\n\nThe tests make this table: each row is a script of `sqltests/clients` that `make test` runs against a server, and `make clients` writes it. A version is that\n" +
		"of the day when the table was made. The SDKs that send events are in [http.md](http.md#the-sdks), and what BI tools write is in [bi.md](bi.md); go-sql-driver/mysql is used by the tests themselves.\n\n" +
		"| client | version | what was exercised | result |\n|---|---|---|---|\n")
	for i, c := range mysqlClients {
		fmt.Fprintf(&table, "| %s | %s | %s | works |\n", c.name, versions[i], c.exercised)
	}
	root, err := server.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "docs", "clients.md")
	if *rewrite {
		if err := os.WriteFile(path, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Another day's version is no other result.
	version := regexp.MustCompile(`(?m)^(\| [^|]* \|) [^|]* \|`)
	if version.ReplaceAllString(string(committed), "$1") != version.ReplaceAllString(table.String(), "$1") {
		t.Errorf("docs/clients.md is not what the tests make; make clients makes it anew")
	}
}
