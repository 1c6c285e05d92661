// Sends events with Mixpanel's own SDK, unchanged but for the host, in every way
// that it has, and prints what its callbacks were given.
//
//   node mixpanel.js HOST:PORT TOKEN
"use strict";
const Mixpanel = require("mixpanel");

const [host, token] = process.argv.slice(2);
const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const client = (token, config) =>
  Mixpanel.init(token, { host, protocol: "http", logger: quiet, ...config });

// call gives what an SDK function passes to its callback: null, or messages.
const call = (send) =>
  new Promise((resolve) =>
    send((errors) => resolve(errors ? [].concat(errors).map((e) => e.message) : null)),
  );

const time = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const plus = "~~~>>>???éü😀"; // has a plus and a slash in base64, and more than ASCII
const event = (name, i) => ({
  event: name,
  properties: { distinct_id: `user ${i % 7}`, $insert_id: `${name}-${i}`, time, n: i, plus },
});

async function main() {
  const results = {};
  const plain = client(token);
  const verbose = client(token, { verbose: true });
  const importer = client(token, { key: token });

  results.track = await call((done) =>
    plain.track("track", { distinct_id: "u", $insert_id: "track", time: new Date(time), plus }, done));
  results.trackVerbose = await call((done) =>
    verbose.track("track verbose", { distinct_id: "u", $insert_id: "track verbose", geo: true }, done));
  results.noProperties = await call((done) => plain.track("no properties", done));
  results.alias = await call((done) => plain.alias("u", "alias", done));

  const batch = Array.from({ length: 120 }, (_, i) => event("batch", i));
  results.trackBatch = await call((done) => plain.track_batch(structuredClone(batch), done));
  results.trackBatchAgain = await call((done) => plain.track_batch(structuredClone(batch), done));
  results.trackBatchVerbose = await call((done) =>
    verbose.track_batch([event("batch verbose", 1)], done));

  results.import = await call((done) =>
    importer.import("import", time, { distinct_id: "u", $insert_id: "import" }, done));
  results.importBatch = await call((done) =>
    importer.import_batch(Array.from({ length: 60 }, (_, i) => event("import batch", i)), {}, done));

  // What is wrong reaches the callback, and nothing else is harmed.
  results.wrongToken = await call((done) => client("wrong").track("lost", {}, done));
  results.wrongTokenVerbose = await call((done) =>
    client("wrong", { verbose: true }).track("lost", {}, done));
  results.wrongKey = await call((done) => client(token, { key: "wrong" }).import("lost", time, {}, done));
  results.badTime = await call((done) => plain.track("lost", { time: 17 }, done));
  results.people = await call((done) => plain.people.set("u", { plan: "pro" }, done));
  console.log(JSON.stringify(results));
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
