// Describes tables and builds statements with sequelize.
"use strict";
const { Sequelize, DataTypes, Op } = require("sequelize");
const { rows, check, fails, run, assert } = require("./canon-sql");

run("sequelize", async ({ host, port, user, database }) => {
  const db = new Sequelize(database, user, "", { host, port, dialect: "mysql", logging: false, timezone: "+00:00", dialectOptions: { supportBigNumbers: true, bigNumberStrings: true } });
  await db.authenticate();
  const model = db.define("events", {
    event: DataTypes.STRING, time: DataTypes.DATE(6), distinct_id: DataTypes.STRING, insert_id: { type: DataTypes.STRING, primaryKey: true }, amount: DataTypes.BIGINT, plan: DataTypes.TEXT,
  }, { timestamps: false, freezeTableName: true });
  await db.transaction((transaction) => model.bulkCreate(rows, { transaction }));
  check(await model.findAll({ where: { event: "buy", amount: { [Op.gt]: 1 } }, order: ["insert_id"], raw: true }));
  assert.strictEqual(await model.count(), 2);
  assert.match((await db.getQueryInterface().describeTable("events")).amount.type, /^BIGINT/);
  await fails(() => db.query("SELECT * FROM nothing"));
  await db.close();
});
