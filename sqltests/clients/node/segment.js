// Sends events with Segment's SDK for Node, unchanged but for the host.
//
//   node segment.js URL TOKEN
"use strict";
const { Analytics } = require("@segment/analytics-node");
const { events, run } = require("./canon");

run(async (url, token) => {
  const errors = [];
  const client = new Analytics({ writeKey: token, host: url, flushAt: 10, flushInterval: 1e6, maxRetries: 5 });
  client.on("error", (e) => errors.push(`${e.code}: ${e.reason}`));
  for (const { name, user, time, properties } of events()) {
    client.track({ event: name, userId: user, timestamp: time, properties });
  }
  client.identify({ userId: "user 0", traits: { plan: "pro" } });
  client.group({ userId: "user 0", groupId: "acme", traits: { size: 3 } });
  client.alias({ userId: "user 0", previousId: "anonymous 0" });
  client.page({ anonymousId: "anonymous 0", name: "Home", properties: { path: "/" } });
  client.screen({ anonymousId: "anonymous 0", name: "Main", properties: { rotated: true } });
  await client.closeAndFlush();
  return { errors };
});
