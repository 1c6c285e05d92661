// Writes and reads with mysql, which knows mysql_native_password only: as a user of
// that plugin.
"use strict";
const { promisify } = require("node:util");
const mysql = require("mysql");
const { rows, columns, insert, select, check, fails, run, assert } = require("./canon-sql");

run("mysql", async (options) => {
  const db = mysql.createConnection({ ...options, user: "old", password: "old", charset: "utf8mb4", timezone: "Z", supportBigNumbers: true, bigNumberStrings: true });
  const query = promisify(db.query).bind(db);
  await promisify(db.beginTransaction).call(db);
  for (const row of rows) assert.strictEqual((await query(insert, columns.map((c) => row[c]))).affectedRows, 1);
  await promisify(db.commit).call(db);
  check(await query(select, ["buy"]));
  const streamed = [];
  await new Promise((resolve, reject) => db.query("SELECT ?? FROM events", ["insert_id"]).on("result", (r) => streamed.push(r)).on("end", resolve).on("error", reject));
  assert.strictEqual(streamed.length, 2);
  await fails(() => query("SELECT * FROM nothing"));
  await promisify(db.changeUser).call(db, { user: "old", password: "old" });
  check(await query(select, ["buy"]));
  await promisify(db.ping).call(db);
  await promisify(db.end).call(db);
});
