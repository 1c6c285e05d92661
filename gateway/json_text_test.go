package gateway

import "testing"

func TestJSONIsStoredAsItIsPrinted(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop", "USE shop")
	w.session.SetCurrentDatabase("shop")
	w.must(`INSERT INTO events (event, time, insert_id, properties) VALUES
		('a', '2026-01-02 03:04:05.5', '1', JSON_OBJECT('x', 1.10, 'd', CAST('12345678901234567890.12' AS DECIMAL(30,2)), 'i', 7, 'f', 1e300, 'z', -0e0,
			'n', NULL, 's', 'a<b>&é"\\', 'b', true, 'u', 18446744073709551615)),
		('b', '2026-01-02', '2', JSON_OBJECT('dt', CAST('2026-01-01' AS DATETIME), 'day', CAST('2026-01-01' AS DATE), 'tm', CAST('10:20:30' AS TIME),
			'list', JSON_ARRAY(1.50, CAST('2026-01-01 01:02:03.4' AS DATETIME(6)), JSON_OBJECT('q', 0.10)))),
		('c', '2026-01-02', '3', JSON_MERGE_PATCH(JSON_OBJECT('x', 2.20), JSON_OBJECT('g', 0.30)))`)
	w.want("SELECT properties FROM events WHERE insert_id = '1'",
		`{"b":true,"d":12345678901234567890.12,"f":1e+300,"i":7,"n":null,"s":"a<b>&é\"\\","u":18446744073709551615,"x":1.10,"z":-0.0}`)
	w.want("SELECT properties FROM events WHERE insert_id = '2'",
		`{"day":"2026-01-01","dt":"2026-01-01 00:00:00.000000","list":[1.50,"2026-01-01 01:02:03.400000",{"q":0.10}],"tm":"10:20:30.000000"}`)
	w.want("SELECT properties FROM events WHERE insert_id = '3'", `{"g":0.3,"x":2.2}`)
	w.want("SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'events' AND column_name IN ('x', 'd', 'dt', 'list') ORDER BY 1",
		"d double", "dt longtext", "list json", "x double")
	w.want("SELECT JSON_OBJECT('t', time, 'd', DATE(time), 'x', 1.10), JSON_ARRAYAGG(time), JSON_OBJECTAGG(insert_id, DATE(time)) FROM events WHERE insert_id = '1' GROUP BY time",
		`{"d": "2026-01-02", "t": "2026-01-02 03:04:05.500000", "x": 1.10} ["2026-01-02 03:04:05.500000"] {"1": "2026-01-02"}`)
	w.want("SELECT JSON_OBJECT('a', TIMEDIFF('10:00:00', '08:30:00'))", `{"a": "01:30:00.000000"}`)
	w.must("ALTER TABLE events ADD COLUMN j JSON", "INSERT INTO events (event, insert_id, j) SELECT 'd', '4', JSON_ARRAY(1.10, CAST('2026-01-01' AS DATE))",
		"INSERT INTO events (event, insert_id, j) VALUES ('e', '5', CAST('2026-01-01' AS DATETIME)), ('f', '6', 2.50)")
	w.want("SELECT j FROM events WHERE insert_id IN ('4', '5', '6') ORDER BY insert_id", `[1.10,"2026-01-01"]`, `"2026-01-01 00:00:00.000000"`, `2.50`)
}

func TestJSONIsChangedWhole(t *testing.T) {
	w := newSQLWorld(t)
	doc := `JSON_OBJECT('x', 1.10, 't', CAST('2026-01-01 01:02:03' AS DATETIME), 'a', JSON_ARRAY(2.5, NULL))`
	w.want("SELECT JSON_SET("+doc+", '$.y', 3.50)", `{"a": [2.5, null], "t": "2026-01-01 01:02:03.000000", "x": 1.1, "y": 3.50}`)
	w.want("SELECT JSON_REMOVE(JSON_SET("+doc+", '$.y', 3.50), '$.a')", `{"t": "2026-01-01 01:02:03.000000", "x": 1.1, "y": 3.5}`)
	w.want("SELECT JSON_INSERT("+doc+", '$.a[5]', 1), JSON_REPLACE("+doc+", '$.a', 1), JSON_ARRAY_APPEND("+doc+", '$.a', 1), JSON_ARRAY_INSERT("+doc+", '$.a[0]', 1)",
		`{"a": [2.5, null, 1], "t": "2026-01-01 01:02:03.000000", "x": 1.1} {"a": 1, "t": "2026-01-01 01:02:03.000000", "x": 1.1} `+
			`{"a": [2.5, null, 1], "t": "2026-01-01 01:02:03.000000", "x": 1.1} {"a": [1, 2.5, null], "t": "2026-01-01 01:02:03.000000", "x": 1.1}`)
	w.want("SELECT JSON_MERGE_PATCH("+doc+", '{\"t\": null}'), JSON_MERGE_PRESERVE("+doc+", "+doc+")",
		`{"a": [2.5, null], "x": 1.1} {"a": [2.5, null, 2.5, null], "t": ["2026-01-01 01:02:03.000000", "2026-01-01 01:02:03.000000"], "x": [1.1, 1.1]}`)
	w.refused("SELECT JSON_SET(JSON_OBJECT('x', 12345678901234567890.12), '$.y', 1)", 1235, "would lose digits")
	w.want("SELECT JSON_SET('{\"a\": 1.10}', '$.b', NULL), JSON_SET(NULL, '$.b', 1)", `{"a": 1.1, "b": null} NULL`)
}
