package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"

	"arbor/catalog"
)

type eventName struct {
	text   string
	priced bool
}

// eventNames, the most frequent first.
var eventNames = []eventName{
	{"page viewed", false}, {"item viewed", true}, {"searched", false}, {"scrolled", false}, {"item added", true},
	{"clicked", false}, {"session started", false}, {"checkout started", true}, {"order placed", true}, {"signed in", false},
	{"video started", false}, {"video ended", false}, {"link shared", false}, {"item saved", true}, {"signed up", false},
	{"signed out", false}, {"list filtered", false}, {"list sorted", false}, {"review opened", false}, {"review written", false},
	{"voucher used", true}, {"item removed", true}, {"payment refused", true}, {"message opened", false}, {"letter opened", false},
	{"profile changed", false}, {"help asked", false}, {"refund asked", true}, {"plan bought", true}, {"account closed", false},
}

// devices are the systems with the browsers seen on each.
var devices = []struct {
	share    int
	system   string
	browsers []string
}{
	{34, "Windows", []string{"Chrome", "Chrome", "Chrome", "Edge", "Firefox"}},
	{22, "iOS", []string{"Mobile Safari", "Mobile Safari", "Mobile Safari", "Chrome iOS"}},
	{20, "Android", []string{"Chrome", "Chrome", "Chrome", "Chrome", "Samsung Internet", "Firefox"}},
	{14, "macOS", []string{"Chrome", "Safari", "Safari", "Firefox"}},
	{4, "Linux", []string{"Chrome", "Firefox"}},
	{3, "iPadOS", []string{"Mobile Safari", "Chrome iOS"}},
	{2, "Chrome OS", []string{"Chrome"}},
	{1, "Other", []string{"Other"}},
}

var (
	countries = []string{"US", "IN", "GB", "BR", "DE", "FR", "CA", "JP", "AU", "ES", "MX", "IT", "NL", "ID", "TR", "PL", "KR", "SE", "AR", "PH",
		"CO", "ZA", "NG", "VN", "TH", "MY", "CH", "BE", "AT", "PT", "DK", "NO", "FI", "IE", "CZ", "RO", "GR", "HU", "IL", "SG"}
	widths    = []int64{1920, 390, 1536, 1366, 412, 2560, 1440, 375, 1280, 810, 1024, 3440}
	sources   = []string{"google", "newsletter", "facebook", "bing", "instagram", "tiktok", "partner", "reddit", "youtube", "podcast"}
	discounts = []int64{100, 100, 100, 100, 100, 100, 100, 90, 90, 80}
	sections  = []string{"items", "items", "items", "topics", "journal", "find", "me", "help", "makers", "offers"}
	colours   = []string{"amber", "olive", "slate", "ivory", "indigo", "coral", "walnut", "charcoal", "sand", "moss"}
	things    = []string{"teapot", "armchair", "notebook", "lantern", "rucksack", "kettle", "blanket", "bookshelf", "raincoat", "bicycle"}
)

// user is somebody's unchanging traits.
type user struct {
	id                                     string
	system, browser, country, plan, screen catalog.Value
}

func makeUser(r *rand.Rand, i int) user {
	u := user{id: "$device:" + uuid(r)}
	if r.IntN(10) < 4 {
		u.id = fmt.Sprintf("customer-%08d", 10_000_019+i*7)
	}
	share := r.IntN(100)
	for _, d := range devices {
		if share -= d.share; share < 0 {
			u.system = catalog.String(d.system)
			u.browser = catalog.String(d.browsers[r.IntN(len(d.browsers))])
			break
		}
	}
	u.country = catalog.String(countries[int(float64(len(countries))*math.Pow(r.Float64(), 2.5))])
	u.plan = catalog.String([]string{"free", "plus", "team", "company"}[int(4*math.Pow(r.Float64(), 4))])
	u.screen = catalog.Int(widths[int(float64(len(widths))*math.Pow(r.Float64(), 1.6))])
	return u
}

// page is a page of the shop, with the price of what it shows.
type page struct {
	url   catalog.Value
	cents int64
}

func makePage(r *rand.Rand, i int) page {
	section := sections[r.IntN(len(sections))]
	what := colours[r.IntN(len(colours))] + "-" + things[r.IntN(len(things))]
	url := fmt.Sprintf("https://www.example.com/%s/%s-%05d", section, what, i)
	switch {
	case section == "find":
		url = fmt.Sprintf("https://www.example.com/find?words=%s&page=%d", what, i)
	case i%50 == 7:
		url = fmt.Sprintf("https://www.example.com/checkout/step-%d?basket=%05d", i%4, i)
	}
	return page{url: catalog.String(url), cents: 99 + int64(math.Exp(4+4*r.Float64()))}
}

// price writes whole amounts as integers, as JSON does.
func price(cents int64) catalog.Value {
	if cents%100 == 0 {
		return catalog.Int(cents / 100)
	}
	return catalog.Double(float64(cents) / 100)
}
