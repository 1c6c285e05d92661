// What every Node client of MySQL writes and must read back.
"use strict";
const assert = require("node:assert");

const at = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
const rows = ["a", "b", "a"].map((id) => ({
  event: "buy", time: at, distinct_id: "ann", insert_id: id, amount: "9007199254740993", plan: id === "a" ? "pro ü😀" : null,
}));
const columns = Object.keys(rows[0]);
const insert = `INSERT INTO events (${columns}) VALUES (?, ?, ?, ?, ?, ?)`;
const select = "SELECT insert_id, amount, plan, time FROM events WHERE event = ? ORDER BY insert_id";
const check = (got) =>
  assert.deepStrictEqual(got.map((r) => [r.insert_id, String(r.amount), r.plan, new Date(r.time).getTime()]),
    [["a", "9007199254740993", "pro ü😀", at.getTime()], ["b", "9007199254740993", null, at.getTime()]]);
const fails = async (ask, number = 1146) => {
  try {
    await ask();
  } catch (e) {
    const fault = [e, e.cause, e.parent, e.original, e.driverError].find((f) => f && f.errno);
    assert.strictEqual(fault && fault.errno, number, e);
    return;
  }
  throw new Error("no error");
};
// run prints the version of a package and runs its script.
const run = (name, main) => {
  const fs = require("node:fs"), path = require("node:path");
  const about = path.join(__dirname, "node_modules", name, "package.json");
  console.log(JSON.parse(fs.readFileSync(about)).version);
  const [host, port, database] = process.argv.slice(2);
  main({ host, port: Number(port), user: "root", database }).catch((e) => {
    console.error(e);
    process.exit(1);
  });
};
module.exports = { assert, at, rows, columns, insert, select, check, fails, run };
