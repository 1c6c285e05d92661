// Sends events with RudderStack's SDK for Node, unchanged but for the host.
//
//   node rudder.js URL TOKEN
"use strict";
const Rudder = require("@rudderstack/rudder-sdk-node");
const { events, run } = require("./canon");

run(async (url, token) => {
  const errors = [];
  const client = new (Rudder.default || Rudder)(token, { dataPlaneUrl: url, flushAt: 10, flushInterval: 1e6, gzip: true, maxFlushSizeInBytes: 1e6, logLevel: "silent" });
  for (const { name, user, time, properties } of events()) {
    client.track({ event: name, userId: user, originalTimestamp: time, properties });
  }
  client.identify({ userId: "user 0", traits: { plan: "pro" } });
  client.group({ userId: "user 0", groupId: "acme", traits: { size: 3 } });
  client.alias({ userId: "user 0", previousId: "anonymous 0" });
  client.page({ anonymousId: "anonymous 0", name: "Home", properties: { path: "/" } });
  client.screen({ anonymousId: "anonymous 0", name: "Main", properties: { rotated: true } });
  await client.flush();
  return { errors };
});
