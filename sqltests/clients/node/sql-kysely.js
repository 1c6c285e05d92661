// Builds statements and reads the schema with kysely.
"use strict";
const { Kysely, MysqlDialect } = require("kysely");
const { createPool } = require("mysql2");
const { rows, check, fails, run, assert } = require("./canon-sql");

run("kysely", async (options) => {
  const db = new Kysely({ dialect: new MysqlDialect({ pool: createPool({ ...options, timezone: "Z", supportBigNumbers: true, bigNumberStrings: true }) }) });
  await db.transaction().execute((t) => t.insertInto("events").values(rows).execute());
  check(await db.selectFrom("events").select(["insert_id", "amount", "plan", "time"]).where("event", "=", "buy").orderBy("insert_id").execute());
  const tables = await db.introspection.getTables();
  assert.strictEqual(tables.find((t) => t.name === "events").columns.find((c) => c.name === "amount").dataType, "bigint");
  await fails(() => db.selectFrom("nothing").selectAll().execute());
  await db.destroy();
});
