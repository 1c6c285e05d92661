// Writes and reads with mysql2, prepared by the server.
"use strict";
const mysql = require("mysql2/promise");
const { rows, columns, insert, select, check, fails, run, assert } = require("./canon-sql");

run("mysql2", async (options) => {
  const pool = mysql.createPool({ ...options, timezone: "Z", supportBigNumbers: true, bigNumberStrings: true });
  const db = await pool.getConnection();
  await db.beginTransaction();
  for (const row of rows) assert.strictEqual((await db.execute(insert, columns.map((c) => row[c])))[0].affectedRows, 1);
  await db.commit();
  check((await db.execute(select, ["buy"]))[0]);
  check((await db.query(select, ["buy"]))[0]);
  await fails(() => db.execute("SELECT * FROM nothing"));
  await db.ping();
  await db.changeUser({ user: "old", password: "old", database: options.database });
  assert.strictEqual((await db.query("SELECT CURRENT_USER() AS who"))[0][0].who, "old@%");
  check((await db.execute(select, ["buy"]))[0]);
  db.release();
  await pool.end();
});
