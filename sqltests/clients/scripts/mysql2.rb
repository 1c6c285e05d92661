# Writes and reads with Ruby's mysql2.
#
#   ruby mysql2.rb HOST PORT DATABASE
require "mysql2"

host, port, database = ARGV
puts Mysql2::VERSION
def check(got, want) = got == want || raise("#{got.inspect} is not #{want.inspect}")
db = Mysql2::Client.new(host: host, port: port.to_i, username: "root", database: database, encoding: "utf8mb4", database_timezone: :utc)
insert = db.prepare("INSERT INTO events (event, time, distinct_id, insert_id, amount, plan) VALUES (?, ?, ?, ?, ?, ?)")
at = Time.utc(2026, 1, 2, 3, 4, 5, 678000)
db.query("BEGIN")
%w[a b a].each do |id|
  insert.execute("buy", at, "ann", id, 9007199254740993, id == "a" ? "pro ü😀" : nil)
  check(insert.affected_rows, 1)
end
db.query("COMMIT")
rows = db.prepare("SELECT time, insert_id, amount, plan FROM events WHERE event = ? ORDER BY insert_id").execute("buy").to_a
check(rows.map { |r| r.values_at("time", "insert_id", "amount", "plan") }, [[at, "a", 9007199254740993, "pro ü😀"], [at, "b", 9007199254740993, nil]])
check(db.query("SELECT COUNT(*) AS n FROM events", stream: true, cache_rows: false).to_a, [{ "n" => 2 }])
check(db.escape("a'b"), "a\\'b")
begin
  db.query("SELECT * FROM nothing")
  raise "no error"
rescue Mysql2::Error => e
  check([e.error_number, e.sql_state], [1146, "42S02"])
end
check(db.ping, true)
