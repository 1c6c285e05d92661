package gateway

import "net/http"

// serveIndex says what this is, for whoever opens the port in a browser.
func (g *Gateway) serveIndex(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write([]byte(indexPage))
	return nil
}

const indexPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>arbor</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem }
td { padding: .2rem 1rem .2rem 0; vertical-align: top }
code, pre { font-size: .9em } pre { background: #8881; padding: .8rem; overflow-x: auto }
</style>
<h1>arbor</h1>
<p>An event database that never counts an event twice and never loses one.
It takes the SDKs of Mixpanel, Segment, PostHog, Amplitude, RudderStack and Snowplow as they are, and answers SQL over the MySQL protocol.</p>
<table>
<tr><td><code>POST /track</code><td>events, each with its project's token, as Mixpanel's SDKs send them
<tr><td><code>POST /import</code><td>events of one project, whose token or secret is the Basic user name
<tr><td><code>POST /query</code><td>a SQL statement; the answer is JSON or CSV
<tr><td><a href="/metrics"><code>/metrics</code></a><td>for Prometheus
<tr><td><a href="/healthz"><code>/healthz</code></a>, <a href="/readyz"><code>/readyz</code></a><td>for whoever watches the server
</table>
<p>Make a project and look at its token with any MySQL client:</p>
<pre>CREATE DATABASE shop;
SELECT name, token FROM arbor.projects;
SELECT event, COUNT(*) FROM shop.events GROUP BY event;</pre>
</html>
`
