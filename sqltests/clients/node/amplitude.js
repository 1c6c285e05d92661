// Sends events with Amplitude's SDK for Node, unchanged but for the host.
//
//   node amplitude.js URL TOKEN [PATH]
"use strict";
const amplitude = require("@amplitude/analytics-node");
const { events, run } = require("./canon");

run(async (url, token) => {
  const errors = [];
  const client = amplitude.createInstance();
  await client.init(token, { serverUrl: url + (process.argv[4] || "/2/httpapi"), flushQueueSize: 10, flushIntervalMillis: 50, flushMaxRetries: 5, logLevel: amplitude.Types.LogLevel.None }).promise;
  const answers = events().map(({ name, user, time, properties }) =>
    client.track(name, properties, { user_id: user, time: time.getTime() }).promise);
  answers.push(client.identify(new amplitude.Identify().set("plan", "pro"), { user_id: "user 0" }).promise);
  for (const { code, message } of await Promise.all(answers)) if (code !== 200) errors.push(`${code}: ${message}`);
  return { errors };
});
