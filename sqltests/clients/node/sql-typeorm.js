// Maps and builds statements with typeorm.
"use strict";
const { DataSource, EntitySchema } = require("typeorm");
const { rows, columns, check, fails, run, assert } = require("./canon-sql");

run("typeorm", async ({ host, port, user, database }) => {
  const entity = new EntitySchema({ name: "events", columns: {
    event: { type: "varchar" }, time: { type: "datetime", precision: 6 }, distinct_id: { type: "varchar" }, insert_id: { type: "varchar", primary: true },
    amount: { type: "bigint" }, plan: { type: "text", nullable: true },
  } });
  const db = await new DataSource({ type: "mysql", host, port, username: user, database, entities: [entity], timezone: "Z" }).initialize();
  await db.transaction((t) => t.createQueryBuilder().insert().into("events", columns).values(rows).updateEntity(false).execute());
  const events = db.getRepository("events");
  check(await events.find({ where: { event: "buy" }, order: { insert_id: "ASC" } }));
  assert.deepStrictEqual(await events.findAndCount({ take: 1, order: { insert_id: "DESC" } }).then(([list, n]) => [list.length, n]), [1, 2]);
  await fails(() => db.query("SELECT * FROM nothing"));
  await db.destroy();
});
