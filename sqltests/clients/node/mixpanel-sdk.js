// Sends events with Mixpanel's SDK for Node, unchanged but for the host, and sends
// again what was not acknowledged, as its users must.
//
//   node mixpanel-sdk.js URL TOKEN
"use strict";
const Mixpanel = require("mixpanel");
const { events, run } = require("./canon");

run(async (url, token) => {
  const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
  const client = Mixpanel.init(token, { host: url.replace("http://", ""), protocol: "http", logger: quiet });
  const list = events().map(({ name, user, time, properties }, i) =>
    ({ event: name, properties: { ...properties, distinct_id: user, time: time.getTime(), $insert_id: `id-${i}` } }));
  const errors = [];
  for (let attempt = 0; attempt < 4; attempt++) {
    const failed = await new Promise((resolve) => client.track_batch(structuredClone(list), resolve));
    if (!failed) return { errors };
    errors.push(...[].concat(failed).map((e) => e.message));
  }
  return { errors, gaveUp: true };
});
