// Builds statements with knex.
"use strict";
const knex = require("knex");
const { rows, check, fails, run, assert } = require("./canon-sql");

run("knex", async (options) => {
  const db = knex({ client: "mysql2", connection: { ...options, timezone: "Z", supportBigNumbers: true, bigNumberStrings: true } });
  await db.transaction((t) => t("events").insert(rows));
  check(await db("events").select("insert_id", "amount", "plan", "time").where({ event: "buy" }).orderBy("insert_id"));
  assert.deepStrictEqual((await db("events").count({ n: "*" }).groupBy("plan").orderByRaw("plan IS NULL")).map((r) => Number(r.n)), [1, 1]);
  assert.strictEqual(await db.schema.hasTable("events"), true);
  assert.strictEqual((await db("events").columnInfo()).amount.type, "bigint");
  await fails(() => db("nothing").select());
  await db.destroy();
});
