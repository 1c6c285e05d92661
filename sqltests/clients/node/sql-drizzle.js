// Builds statements with drizzle.
"use strict";
const { drizzle } = require("drizzle-orm/mysql2");
const { mysqlTable, varchar, datetime, bigint, text } = require("drizzle-orm/mysql-core");
const { eq, count, sql } = require("drizzle-orm");
const mysql = require("mysql2/promise");
const { rows, check, fails, run, assert } = require("./canon-sql");

run("drizzle-orm", async (options) => {
  const pool = mysql.createPool({ ...options, timezone: "Z", supportBigNumbers: true, bigNumberStrings: true });
  const db = drizzle(pool);
  const events = mysqlTable("events", {
    event: varchar("event", { length: 255 }), time: datetime("time", { fsp: 6 }), distinct_id: varchar("distinct_id", { length: 255 }), insert_id: varchar("insert_id", { length: 255 }),
    amount: bigint("amount", { mode: "bigint" }), plan: text("plan"),
  });
  await db.transaction((t) => t.insert(events).values(rows.map((r) => ({ ...r, amount: BigInt(r.amount) }))));
  check(await db.select().from(events).where(eq(events.event, "buy")).orderBy(events.insert_id));
  assert.deepStrictEqual(await db.select({ n: count() }).from(events), [{ n: 2 }]);
  await fails(() => db.execute(sql`SELECT * FROM nothing`));
  await pool.end();
});
