package track

import "arbor/catalog"

// amplitude reads a message of Amplitude's SDKs:
//
//	{"event_type": NAME, "user_id": ID, "device_id": ID, "insert_id": ID, "time": T, "event_properties": {…}, "user_properties": {…}}
//
// The members of event_properties become properties; user_properties and whatever
// else there is stay whole.
func (m *message) amplitude() {
	m.namedBy(m.takeField("event_type"))
	m.given.insertID = m.takeField("insert_id")
	m.given.time = m.takeField("time")
	m.given.distinctID = m.takeField("user_id")
	if m.given.distinctID.Kind == catalog.KindNull {
		m.given.distinctID = m.get("device_id")
	}
	m.given.token = m.takeField("api_key")
	properties := m.takeField("event_properties")
	m.rest()
	m.spread("event_properties", properties)
}
