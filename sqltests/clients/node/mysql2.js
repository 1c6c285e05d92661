// Writes and reads with mysql2, prepared and not.
//
//   node mysql2.js HOST PORT
"use strict";
const mysql = require("mysql2/promise");

const [host, port] = process.argv.slice(2);

async function main() {
  const results = {};
  const root = await mysql.createConnection({ host, port, user: "root" });
  await root.query("CREATE DATABASE mysql2");
  await root.query("ALTER TABLE mysql2.events ADD COLUMN amount BIGINT, ADD COLUMN plan TEXT");
  await root.end();

  const pool = mysql.createPool({
    host, port, user: "root", database: "mysql2", timezone: "Z",
    supportBigNumbers: true, bigNumberStrings: true,
  });
  const insert =
    "INSERT INTO events (event, time, distinct_id, insert_id, amount, plan, properties) VALUES (?, ?, ?, ?, ?, ?, ?)";
  const at = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
  for (let i = 0; i < 3; i++) {
    // The last repeats the first.
    const [ok] = await pool.execute(insert, [
      "buy", at, "ann", `id ${i % 2}`, "9007199254740993", i % 2 ? null : "pro ü😀", JSON.stringify({ nested: [1, { a: null }] }),
    ]);
    results.affected = (results.affected || []).concat(ok.affectedRows);
  }
  const [rows] = await pool.execute(
    "SELECT event, time, distinct_id, insert_id, amount, plan, properties FROM events WHERE amount = ? ORDER BY insert_id",
    ["9007199254740993"],
  );
  results.rows = rows;
  const [[all]] = await pool.query("SELECT COUNT(*) AS copies, SUM(_duplicate) AS duplicates FROM events_all");
  results.all = all;
  results.errors = [];
  for (const sql of ["SELECT nothing FROM events", "SELECT * FROM nothing", "SELEC 1", "USE nothing"]) {
    try {
      await pool.query(sql);
    } catch (e) {
      results.errors.push([e.errno, e.sqlState, e.code]);
    }
  }
  const { Readable } = require("stream");
  const [loaded] = await pool.query({
    sql: "LOAD DATA LOCAL INFILE 'any' INTO TABLE events FIELDS TERMINATED BY ',' (event, distinct_id, amount)",
    infileStreamFactory: () => Readable.from([Buffer.from("load,ann,1\nlo"), Buffer.from("ad,bob,2\n")]),
  });
  results.loaded = [loaded.affectedRows, loaded.info];
  await pool.end();
  console.log(JSON.stringify(results));
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
