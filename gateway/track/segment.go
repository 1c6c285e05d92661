package track

import "arbor/catalog"

// segment reads a message of Segment's and RudderStack's SDKs:
//
//	{"type": "track", "messageId": ID, "userId": ID, "anonymousId": ID, "timestamp": T, "event": NAME, "properties": {…}, "context": {…}}
//
// A track is the event that it names; any other message is "$" with its type.
// The members of properties become properties; traits, context and whatever else
// there is stay whole.
func (m *message) segment() {
	kind := m.takeField("type")
	if kind.Kind == catalog.KindNull && m.kind != "" {
		kind = catalog.String(m.kind)
	}
	switch kind.Text {
	case "track", "":
		m.namedBy(m.takeField("event"))
	case "identify", "page", "screen", "group", "alias":
		m.namedBy(catalog.String("$" + kind.Text))
	default:
		m.refuse("type", "'type' is %q; it must be track, identify, page, screen, group or alias", cut([]byte(kind.Text)))
	}
	m.given.insertID = m.takeField("messageId")
	m.given.time = m.takeField("timestamp", "originalTimestamp")
	m.given.distinctID = m.takeField("userId")
	if m.given.distinctID.Kind == catalog.KindNull {
		m.given.distinctID = m.get("anonymousId")
	}
	m.given.token = m.takeField("writeKey", "write_key")
	properties := m.takeField("properties")
	m.drop("sentAt", "receivedAt", "_metadata")
	m.rest()
	m.spread("properties", properties)
}
