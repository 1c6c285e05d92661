// Sends events with Snowplow's tracker for Node, unchanged but for the host; the
// application's id is the project's token.
//
//   node snowplow.js URL TOKEN [base64]
"use strict";
const { newTracker, buildSelfDescribingEvent, buildPageView, buildStructEvent } = require("@snowplow/node-tracker");
const { events, run } = require("./canon");

run(async (url, token) => {
  const errors = [];
  let left = events().length + 2;
  let finished;
  const sent = new Promise((resolve) => (finished = resolve));
  const tracker = newTracker(
    { namespace: "arbor", appId: token, encodeBase64: process.argv[4] === "base64" },
    { endpoint: url, eventMethod: "post", bufferSize: 10,
      retryStatusCodes: [503],
      onRequestSuccess: (batch) => (left -= batch.length) || finished(),
      onRequestFailure: ({ message, willRetry }) => willRetry || finished(errors.push(message)) },
  );
  for (const { name, user, time, properties } of events()) {
    tracker.setUserId(user);
    tracker.track(buildSelfDescribingEvent({ event: { schema: `iglu:com.acme/${name}/jsonschema/1-0-0`, data: properties } }), [{ schema: "iglu:com.acme/page/jsonschema/1-0-0", data: { a: 1 } }], { type: "dtm", value: time.getTime() });
  }
  tracker.track(buildPageView({ pageUrl: "http://x/", pageTitle: "Home" }));
  tracker.track(buildStructEvent({ category: "shop", action: "add", label: "x", property: "y", value: 2.5 }));
  // What was not acknowledged goes out with a later flush.
  const flushing = setInterval(() => tracker.flush(), 50);
  await sent;
  clearInterval(flushing);
  return { errors };
});
