// Writes and reads with MariaDB Connector/J: batches, statements prepared by the
// server, streamed results, metadata.
//
//   java -cp mariadb-java-client.jar Jdbc.java HOST PORT DATABASE
import java.sql.*;
import java.util.*;

class Jdbc {
    static void check(Object got, Object want) {
        if (!Objects.equals(got, want)) throw new RuntimeException(got + " is not " + want);
    }

    public static void main(String[] args) throws Exception {
        for (String options : List.of("", "&useServerPrepStmts=true&rewriteBatchedStatements=true")) {
            String url = "jdbc:mariadb://" + args[0] + ":" + args[1] + "/" + args[2] + "?user=root&serverTimezone=UTC" + options;
            try (Connection db = DriverManager.getConnection(url)) {
                DatabaseMetaData about = db.getMetaData();
                if (options.isEmpty()) System.out.println(about.getDriverVersion().replaceAll("[^0-9.].*", ""));
                db.setAutoCommit(false);
                try (PreparedStatement insert = db.prepareStatement("INSERT INTO events (event, time, distinct_id, insert_id, amount, plan) VALUES (?, ?, ?, ?, ?, ?)")) {
                    for (String id : List.of("a", "b", "a")) {
                        insert.setString(1, "buy");
                        insert.setString(2, "2026-01-02 03:04:05.678");
                        insert.setString(3, "ann");
                        insert.setString(4, id);
                        insert.setLong(5, 9007199254740993L);
                        insert.setString(6, id.equals("a") ? "pro ü😀" : null);
                        insert.addBatch();
                    }
                    check(insert.executeBatch().length, 3);
                }
                db.commit();
                db.setAutoCommit(true);
                try (PreparedStatement query = db.prepareStatement("SELECT insert_id, amount, plan, time FROM events WHERE event = ? ORDER BY insert_id")) {
                    query.setFetchSize(1);
                    query.setString(1, "buy");
                    ResultSet rows = query.executeQuery();
                    check(rows.next(), true);
                    check(rows.getLong(2), 9007199254740993L);
                    check(rows.getString(3), "pro ü😀");
                    check(rows.getTimestamp(4).getNanos(), 678000000);
                    check(rows.next(), true);
                    check(rows.getString(3), null);
                    check(rows.next(), false);
                }
                List<String> tables = new ArrayList<>();
                try (ResultSet rows = about.getTables(args[2], null, "%", null)) { while (rows.next()) tables.add(rows.getString("TABLE_NAME")); }
                Collections.sort(tables);
                check(tables, List.of("events", "events_all"));
                Map<String, Integer> columns = new HashMap<>();
                try (ResultSet rows = about.getColumns(args[2], null, "events", "%")) { while (rows.next()) columns.put(rows.getString("COLUMN_NAME"), rows.getInt("DATA_TYPE")); }
                check(columns.get("amount"), Types.BIGINT);
                try (Statement s = db.createStatement()) {
                    s.executeQuery("SELECT * FROM nothing");
                    throw new RuntimeException("no error");
                } catch (SQLException e) {
                    check(e.getErrorCode() + " " + e.getSQLState(), "1146 42S02");
                }
                check(db.isValid(5), true);
            }
        }
    }
}
