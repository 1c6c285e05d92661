// Sends events with an SDK for browsers in Chromium, from a page of another
// origin: some that are sent in peace, some just before the page is reloaded, and
// some just before it is left.
//
//   node browser.js SDK URL TOKEN
"use strict";
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { chromium } = require("playwright-core");
const { run } = require("./canon");

const sdks = {
  mixpanel: {
    script: "mixpanel-browser/dist/mixpanel.umd.js",
    start: `mixpanel.init(TOKEN, { api_host: URL, track_pageview: false, batch_flush_interval_ms: 1000, persistence: "localStorage" });`,
    track: `mixpanel.track(name, { ...properties, time: time.getTime() / 1000 });`,
    // What it is given it keeps a moment later; before that a reload loses it.
    kept: `Object.values(localStorage).join().includes('"n":' + n + ',')`, // of event n
  },
  posthog: {
    script: "posthog-js/dist/array.full.no-external.js",
    start: `posthog.init(TOKEN, { api_host: URL, autocapture: false, capture_pageview: false, capture_pageleave: false,
      request_queue_config: { flush_interval_ms: 250 }, persistence: "localStorage", disable_session_recording: true, opt_out_useragent_filter: true });`,
    forgets: true,
    // With a batch key the queue takes it, as it takes events without a time of their own.
    track: `posthog.capture(name, properties, { timestamp: time, _batchKey: "events" });`,
  },
  segment: {
    script: "@segment/analytics-next/dist/umd/index.js",
    forgets: true,
    start: `window.analytics = AnalyticsNext.AnalyticsBrowser.load({ writeKey: TOKEN, cdnURL: URL });`,
    track: `analytics.track(name, properties, { timestamp: time });`,
  },
};

run(async (name, url, token) => {
  const sdk = sdks[name];
  const script = require.resolve(sdk.script.replace(/\/dist\/.*/, "/package.json")).replace("package.json", sdk.script.replace(/^.*?\/(dist\/)/, "$1"));
  const html = `<!doctype html><title>shop</title><script src="/sdk/${path.basename(script)}"></script><script>
    const URL = ${JSON.stringify(url)}, TOKEN = ${JSON.stringify(token)};
    ${sdk.start}
    window.send = (from, to) => {
      for (let n = from; n < to; n++) {
        const name = "buy", time = new Date(Date.UTC(2026, 0, 2, 3, 4, 5 + n, 678));
        const properties = { n, price: 17.25, text: "~~~>>>???éü😀", nested: { list: [1, { a: null }] }, yes: true };
        ${sdk.track}
      }
    };
  </script>`;
  const server = http.createServer((request, response) => {
    const file = path.join(path.dirname(script), path.basename(request.url));
    if (request.url.startsWith("/sdk/") && fs.existsSync(file)) {
      response.setHeader("Content-Type", "text/javascript");
      response.end(fs.readFileSync(file));
      return;
    }
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end(request.url === "/" ? html : "");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const home = `http://127.0.0.1:${server.address().port}/`;
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-proxy-server"],
  });
  const errors = [];
  try {
    const page = await browser.newPage();
    page.on("pageerror", (e) => errors.push(String(e)));
    await page.goto(home);
    // In peace: every answer that a page waits for is there.
    await page.evaluate(() => send(0, 10));
    await settled(url, 10);
    // Just before the page is reloaded, and just after.
    await page.evaluate(() => send(10, 15));
    await kept(page, url, sdk, 10, 15);
    await page.reload();
    await page.evaluate(() => send(15, 20));
    await settled(url, 20);
    // Just before the page is left; what was kept for later is sent from the next visit.
    await page.evaluate(() => send(20, 25));
    await kept(page, url, sdk, 20, 25);
    await page.goto(home + "left");
    await page.goto(home);
    await settled(url, 25);
  } finally {
    await browser.close();
    server.close();
  }
  return { errors };
});

// kept waits until the SDK will not lose events when their page is left. One that
// forgets loses what is still on its way. Another keeps in the page what was not
// acknowledged, and sends it again as the page is left, or at the next visit.
async function kept(page, url, sdk, from, to) {
  await until(url, async (stored) => {
    for (let n = from; n < to; n++) {
      if (!stored.includes(n) && (sdk.forgets || !(await page.evaluate(`(() => { const n = ${n}; return ${sdk.kept}; })()`)))) return false;
    }
    return true;
  });
}

// settled waits until the server has so many events.
async function settled(url, n) {
  await until(url, (stored) => stored.length >= n);
}

// until waits for what the server has stored to be as done tells.
async function until(url, done) {
  let stored = []; // the time bounds a failure, not a success
  for (const end = Date.now() + 120000; Date.now() < end; await new Promise((r) => setTimeout(r, 100))) {
    stored = await (await fetch(url + "/stored")).json();
    if (await done(stored)) return;
  }
  throw new Error(`of the events came ${stored}`);
}
