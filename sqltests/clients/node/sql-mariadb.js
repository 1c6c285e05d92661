// Writes and reads with mariadb: a batch, text and prepared.
"use strict";
const mariadb = require("mariadb");
const { rows, columns, insert, select, check, fails, run, assert } = require("./canon-sql");

run("mariadb", async (options) => {
  const db = await mariadb.createConnection({ ...options, timezone: "Z", bigIntAsNumber: false });
  const done = await db.batch(insert, rows.map((r) => columns.map((c) => r[c])));
  assert.strictEqual([].concat(done).reduce((n, d) => n + d.affectedRows, 0), 3);
  check(await db.query(select, ["buy"]));
  check(await db.execute(select, ["buy"]));
  await fails(() => db.query("SELECT * FROM nothing"));
  await db.ping();
  await db.end();
});
