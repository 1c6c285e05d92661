// Reads over Arrow Flight SQL with the client of Arrow's Rust library.
"use strict";
const native = "@lakehouse-rs/flight-sql-client-linux-x64-gnu";
const mysql = require("mysql2/promise");
const { createFlightSqlClient } = require(native);
const { tableFromIPC } = require("apache-arrow");
const { rows, columns, insert, run, assert } = require("./canon-sql");

const plain = (v) => (typeof v === "bigint" ? String(v) : v);
const read = async (client, statement) => {
  const table = tableFromIPC(await client.query(statement));
  return { types: table.schema.fields.map((f) => `${f.name} ${f.type}`), rows: table.toArray().map((r) => Object.values(r.toJSON()).map(plain)) };
};

run(native, async (options) => {
  const db = await mysql.createConnection({ ...options, timezone: "Z" });
  for (const row of rows) await db.execute(insert, columns.map((c) => row[c]));
  await db.end();
  const login = { host: options.host, port: Number(process.env.FLIGHT_PORT), tls: false, username: "reader", password: "pw", headers: [{ key: "database", value: options.database }] };
  const client = await createFlightSqlClient(login);
  assert.deepStrictEqual(await read(client, "SELECT insert_id, amount, plan, CAST(time AS DATE) = '2026-01-02' AS day FROM events ORDER BY insert_id"), {
    types: ["insert_id Utf8", "amount Int64", "plan Utf8", "day Int8"], rows: [["a", "9007199254740993", "pro ü😀", 1], ["b", "9007199254740993", null, 1]],
  });
  assert.deepStrictEqual(await read(client, `SELECT COUNT(*) AS n FROM ${options.database}.events_all`), { types: ["n Int64"], rows: [["3"]] });
  assert.deepStrictEqual((await read(client, "SELECT event FROM events WHERE 1 = 0")).types, ["event Utf8"]);
  const tables = tableFromIPC(await client.getTables({ dbSchemaFilterPattern: options.database, tableTypes: ["BASE TABLE"] }));
  assert.deepStrictEqual(tables.toArray().map((r) => r.toJSON().table_name), ["events", "events_all"]);
  await assert.rejects(client.query("SELECT * FROM nothing"));
  await assert.rejects(client.query("INSERT INTO events (event) VALUES ('x')"));
});
