// Sends events with PostHog's SDK for Node, unchanged but for the host.
//
//   node posthog.js URL TOKEN
"use strict";
const { PostHog } = require("posthog-node");
const { events, run } = require("./canon");

run(async (url, token) => {
  const errors = [];
  const client = new PostHog(token, { host: url, flushAt: 10, flushInterval: 1e6, fetchRetryDelay: 20, disableGeoip: true });
  client.on("error", (e) => errors.push(String(e)));
  for (const { name, user, time, properties } of events()) {
    client.capture({ event: name, distinctId: user, timestamp: time, properties });
  }
  client.identify({ distinctId: "user 0", properties: { plan: "pro" } });
  client.groupIdentify({ groupType: "company", groupKey: "acme", properties: { size: 3 }, distinctId: "user 0" });
  client.alias({ distinctId: "user 0", alias: "anonymous 0" });
  await client.shutdown();
  return { errors };
});
