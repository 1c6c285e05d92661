package gateway

import (
	"fmt"
	"net/http"
)

// What SDKs ask for before they send anything: arbor has no flags, recordings or
// destinations, and says so in the words of each.

// postHogSettings is what PostHog's SDK for browsers asks for at its start.
type postHogSettings struct {
	SupportedCompression []string `json:"supportedCompression"`
	HasFeatureFlags      bool     `json:"hasFeatureFlags"`
	AutocaptureOptOut    bool     `json:"autocapture_opt_out"`
	AutocaptureErrors    bool     `json:"autocaptureExceptions"`
	CaptureDeadClicks    bool     `json:"captureDeadClicks"`
	CapturePerformance   bool     `json:"capturePerformance"`
	ElementsAsString     bool     `json:"elementsChainAsString"`
	SessionRecording     bool     `json:"sessionRecording"`
	Heatmaps             bool     `json:"heatmaps"`
	Surveys              bool     `json:"surveys"`
	SiteApps             []string `json:"siteApps"`
}

var noPostHogExtras = postHogSettings{SupportedCompression: []string{"gzip", "gzip-js"}, ElementsAsString: true, SiteApps: []string{}}

// postHogFlags is the answer of /flags and /decide, in both of their forms.
type postHogFlags struct {
	postHogSettings
	Flags    struct{} `json:"flags"`
	Features struct{} `json:"featureFlags"`
	Payloads struct{} `json:"featureFlagPayloads"`
	Errors   bool     `json:"errorsWhileComputingFlags"`
}

// serveFlags answers which features are on for somebody: none.
func (g *Gateway) serveFlags(w http.ResponseWriter, r *http.Request) error {
	drain(r.Body)
	writeJSON(w, http.StatusOK, postHogFlags{postHogSettings: noPostHogExtras})
	return nil
}

func (g *Gateway) servePostHogConfig(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, noPostHogExtras)
	return nil
}

// servePostHogScript is servePostHogConfig as a script.
func (g *Gateway) servePostHogScript(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	_, err := fmt.Fprintf(w, "(function(){window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{};window._POSTHOG_REMOTE_CONFIG[%s]={config:%s,siteApps:[]};})();\n",
		jsonText(writeKeyOf(r, "/array/", "/config.js")), jsonText(noPostHogExtras))
	return err
}

// segmentSettings is what Segment's SDK for browsers asks for at its start: the
// only destination is this server, as the page knows it.
type segmentSettings struct {
	Integrations       map[string]segmentDestination `json:"integrations"`
	Plan               segmentPlan                   `json:"plan"`
	MiddlewareSettings struct{}                      `json:"middlewareSettings"`
	EnabledMiddleware  struct{}                      `json:"enabledMiddleware"`
	Metrics            segmentMetrics                `json:"metrics"`
	RemotePlugins      []string                      `json:"remotePlugins"`
}

type segmentDestination struct {
	Key       string   `json:"apiKey"`
	Host      string   `json:"apiHost"`
	Protocol  string   `json:"protocol"`
	Unbundled []string `json:"unbundledIntegrations"`
	Bundled   bool     `json:"addBundledMetadata"`
}

type segmentPlan struct {
	Track    struct{} `json:"track"`
	Identify struct{} `json:"identify"`
	Group    struct{} `json:"group"`
}

type segmentMetrics struct {
	SampleRate int `json:"sampleRate"`
}

func (g *Gateway) serveSegmentSettings(w http.ResponseWriter, r *http.Request) error {
	protocol := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		protocol = "https"
	}
	writeJSON(w, http.StatusOK, segmentSettings{
		Integrations: map[string]segmentDestination{"Segment.io": {
			Key: writeKeyOf(r, "/v1/projects/", "/settings"), Host: r.Host + "/v1", Protocol: protocol, Unbundled: []string{}, Bundled: true,
		}},
		RemotePlugins: []string{},
	})
	return nil
}
