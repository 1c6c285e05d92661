// Sets profiles of users and groups with Mixpanel's own SDK, unchanged but for the
// host, in every way that it has, and prints what its callbacks were given.
//
//   node mixpanel-people.js HOST:PORT TOKEN
"use strict";
const Mixpanel = require("mixpanel");

const [host, token] = process.argv.slice(2);
const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const { people, groups } = Mixpanel.init(token, { host, protocol: "http", logger: quiet });

const call = (send) =>
  new Promise((resolve) => send((errors) => resolve(errors ? [].concat(errors).map((e) => e.message) : null)));

async function main() {
  const results = {};
  results.set = await call((done) => people.set("ann", { $name: "Ann Ö", plan: "pro", visits: 1, tags: ["a"] }, done));
  results.setOne = await call((done) => people.set("ann", "city", "Bern", done));
  results.setOnce = await call((done) => people.set_once("ann", { plan: "free", first: 7 }, done));
  results.increment = await call((done) => people.increment("ann", { visits: 2, points: 1.5 }, done));
  results.incrementOne = await call((done) => people.increment("ann", "visits", done));
  results.append = await call((done) => people.append("ann", { tags: "b", bought: { sku: 1 } }, done));
  results.union = await call((done) => people.union("ann", { tags: ["b", "c"] }, done));
  results.remove = await call((done) => people.remove("ann", { tags: "a" }, done));
  results.unset = await call((done) => people.unset("ann", ["city"], done));
  results.charge = await call((done) => people.track_charge("ann", 12.5, { $time: "2026-01-02T03:04:05" }, done));
  results.bob = await call((done) => people.set("bob", { plan: "free" }, done));
  results.gone = await call((done) => people.set("gone", { plan: "free" }, done));
  results.deleteUser = await call((done) => people.delete_user("gone", done));
  results.groupSet = await call((done) => groups.set("company", "acme", { seats: 5, tags: ["x"] }, done));
  results.groupSetOnce = await call((done) => groups.set_once("company", "acme", { seats: 9, since: 2020 }, done));
  results.groupUnion = await call((done) => groups.union("company", "acme", { tags: ["x", "y"] }, done));
  results.groupRemove = await call((done) => groups.remove("company", "acme", { tags: "x" }, done));
  results.groupUnset = await call((done) => groups.unset("company", "acme", ["since"], done));
  results.groupGone = await call((done) => groups.set("company", "gone", { seats: 1 }, done));
  results.deleteGroup = await call((done) => groups.delete_group("company", "gone", done));
  console.log(JSON.stringify(results));
}

main();
