package track

import "arbor/catalog"

// postHog reads a message of PostHog's SDKs:
//
//	{"event": NAME, "distinct_id": ID, "uuid": ID, "timestamp": T, "properties": {…}, "api_key": T}
//
// of which distinct_id and the token may stand among the properties, too. An
// SDK that gives its messages no uuid still counts once: see byContent.
func (m *message) postHog() {
	m.namedBy(m.takeField("event"))
	properties := m.takeField("properties")
	m.given.time = m.takeField("timestamp")
	m.given.distinctID = m.takeField("distinct_id", "$distinct_id")
	m.given.insertID = m.takeField("uuid")
	if m.given.token = m.takeField("api_key", "token"); m.envelope != "" {
		m.given.token = catalog.String(m.envelope)
	}
	m.drop("sent_at", "offset", "type", "historical_migration")
	m.rest()
	m.spread("properties", properties)
	for name, to := range map[string]*catalog.Value{
		"distinct_id": &m.given.distinctID, "token": &m.given.token, "$insert_id": &m.given.insertID,
	} {
		if v := m.takeProperty(name); to.Kind == catalog.KindNull && !isEmpty(v) {
			*to = v
		}
	}
	m.takeProperty("$sent_at")
	m.byContent()
}
