package track

import (
	"encoding/base64"
	"strings"

	"arbor/catalog"
)

// snowplowEvents are the names that Snowplow gives to the events of its tracker
// protocol. A "ue" is named by its own schema.
var snowplowEvents = map[string]string{
	"pv": "page_view", "pp": "page_ping", "se": "event", "tr": "transaction", "ti": "transaction_item",
}

// snowplow reads a message of Snowplow's tracker protocol, whose values are all
// texts:
//
//	{"e": "ue", "eid": ID, "aid": T, "uid": ID, "duid": ID, "dtm": T, "ue_pr": SELF-DESCRIBING JSON, "co": CONTEXTS}
//
// The application's id, aid, is the project's token. The data of a self-describing
// event become properties, with its schema; the contexts stay whole; all else
// keeps the protocol's short names.
func (m *message) snowplow() {
	kind := m.takeField("e")
	m.given.insertID = m.takeField("eid")
	m.given.time = m.takeField("ttm")
	if created := m.takeField("dtm"); m.given.time.Kind == catalog.KindNull {
		m.given.time = created
	}
	for _, name := range []string{"uid", "duid", "nuid", "tnuid"} {
		if v := m.get(name); m.given.distinctID.Kind == catalog.KindNull && !isEmpty(v) {
			m.given.distinctID = v
		}
	}
	m.drop("uid")
	m.given.token = m.takeField("aid")
	m.drop("stm")
	described := m.encoded("ue_pr", "ue_px")
	contexts := m.encoded("co", "cx")
	m.rest()
	if contexts != "" {
		m.contexts(contexts)
	}
	switch name, known := snowplowEvents[kind.Text]; {
	case known:
		m.namedBy(catalog.String(name))
	case kind.Text == "ue" && described != "":
		m.described(described)
	default:
		m.refuse("e", "'e' is %q; it must be pv, pp, se, tr, ti, or ue with ue_pr or ue_px", cut([]byte(kind.Text)))
	}
}

// encoded takes the JSON of a field, or of the one that holds it in base64.
func (m *message) encoded(plain, inBase64 string) string {
	text, encoded := m.takeField(plain), m.takeField(inBase64)
	if text.Kind == catalog.KindString {
		return text.Text
	}
	if encoded.Kind != catalog.KindString {
		return ""
	}
	decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(encoded.Text), "="))
	if err != nil {
		m.refuse(inBase64, "'%s' is not base64", inBase64)
		return ""
	}
	return string(decoded)
}

// selfDescribing reads {"schema": …, "data": …}.
func (m *message) selfDescribing(what, text string) (schema string, data field) {
	err := m.inner(text, func(s *scanner, key string, _ bool) {
		value, depth := m.valueOf(s, key, maxSnowplowDepth)
		switch key {
		case "schema":
			schema = value.Text
		case "data":
			data = field{what, value, depth}
		}
	})
	if err != nil {
		m.refuse(what, "'%s' is invalid: %v", what, err)
	}
	return schema, data
}

// maxSnowplowDepth is how deep an event and its two descriptions may nest.
const maxSnowplowDepth = 18

// contexts makes the contexts of an event one property.
func (m *message) contexts(text string) {
	_, data := m.selfDescribing("contexts", text)
	m.checkDepth(data)
	m.decoder.properties = append(m.decoder.properties, catalog.Property{Name: "contexts", Value: data.value})
}

// described reads a self-describing event inside its description.
func (m *message) described(text string) {
	_, outer := m.selfDescribing("ue_pr", text)
	if outer.value.Kind != catalog.KindJSON {
		m.refuse("ue_pr", "'ue_pr' describes nothing; send {\"schema\": …, \"data\": {\"schema\": …, \"data\": {…}}}")
		return
	}
	schema, data := m.selfDescribing("ue_pr", outer.value.Text)
	// iglu:VENDOR/NAME/jsonschema/VERSION
	parts := strings.Split(strings.TrimPrefix(schema, "iglu:"), "/")
	if len(parts) != 4 {
		m.refuse("ue_pr", "'ue_pr' has the schema %q; it must be iglu:VENDOR/NAME/jsonschema/VERSION", cut([]byte(schema)))
		return
	}
	m.namedBy(catalog.String(parts[1]))
	m.decoder.properties = append(m.decoder.properties, catalog.Property{Name: "schema", Value: catalog.String(schema)})
	m.spread("ue_pr", data.value)
}
