package gateway

import "testing"

func TestNumbersAsMoments(t *testing.T) {
	for s, want := range map[string]string{
		"20260102": "2026-01-02 00:00:00", "20260102030405": "2026-01-02 03:04:05", "20260102030405.5": "2026-01-02 03:04:05.5",
		"20260102030405.1234567": "2026-01-02 03:04:05.123456", "260102": "2026-01-02 00:00:00", "691231": "2069-12-31 00:00:00",
		"700101": "1970-01-01 00:00:00", "101": "2000-01-01 00:00:00", "260102030405": "2026-01-02 03:04:05", "101000000": "2000-01-01 00:00:00",
		"10000101": "1000-01-01 00:00:00", "99991231235959": "9999-12-31 23:59:59", "0": "-0001-11-30 00:00:00",
		"1": "", "99": "", "100": "", "-1": "", "-20260102": "", "1767312000": "", "1767312000000": "", "20261301": "", "20260132": "", "20260229": "",
		"2026": "", "202601": "", "1000101": "", "9991231": "", "20260102240000": "", "20260102006000": "", "99991231235959999": "", "1e300": "", "0.5": "", "NaN": "", "": "-0001-11-30 00:00:00",
	} {
		got, ok := parseNumberMoment(s)
		if text := got.Format(datetimeLayout); ok != (want != "") || ok && text != want {
			t.Errorf("%s: %s, %v; want %q", s, text, ok, want)
		}
	}
}

func TestTimeComparedWithNumbers(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE shop")
	w.session.SetCurrentDatabase("shop")
	w.must(`INSERT INTO events (event, time, insert_id, properties) VALUES ('A', '2026-01-01 10:00:00', '1', '{"n": 20260101, "f": 20260101100000.0}'),
		('A', '2026-01-02', '2', '{"n": 20260102}'), ('A', '2026-01-03 00:00:00.5', '3', '{"n": 20260103, "f": 20260103000000.5}')`)
	for where, ids := range map[string]string{
		"time >= 20260102": "2,3", "20260102 <= time": "2,3", "time = 20260102": "2", "time > 20260102": "3", "time < 20260102": "1", "time <= 20260102": "1,2",
		"time <> 20260102": "1,3", "NOT time >= 20260102": "1", "time <=> 20260102": "2", "time BETWEEN 20260102 AND 20260103": "2", "time NOT BETWEEN 20260102 AND 20260103": "1,3",
		"time BETWEEN '2026-01-02' AND 20260104": "2,3", "20260102 BETWEEN '2026-01-01' AND time": "2,3", "time >= 20260103000000.5": "3", "time = 20260101100000": "1", "time > 20260101 + 1": "3",
		"DATE(time) = 20260102": "2", "CAST(time AS DATE) >= 20260102": "2,3", "time > 0": "1,2,3", "time > -0.0": "1,2,3", "time >= 260102": "2,3", "time >= n": "1,2,3", "time = n": "2", "time = f": "1,3",
		"IF(time >= 20260102, 1, 0)": "2,3", "CASE WHEN time < 20260102 THEN 1 ELSE 0 END": "1", "time >= (SELECT 20260102)": "2,3", "time > NULL": "", "time < 20260102 OR time > 20260102": "1,3",
		"EXISTS (SELECT 1 FROM events x WHERE x.time > 20260103 AND x.insert_id = events.insert_id)": "3",
	} {
		want := ids
		if want == "" {
			want = "NULL"
		}
		w.want("SELECT GROUP_CONCAT(insert_id ORDER BY insert_id) FROM events WHERE "+where, want)
	}
	w.want("SELECT insert_id, time >= 20260102, time BETWEEN 20260101 AND 20260102 FROM events ORDER BY 1", "1 0 1", "2 1 1", "3 1 0")
	w.want("SELECT SUM(time >= 20260102), COUNT(CASE WHEN time = 20260102 THEN 1 END) FROM events", "2 1")
	w.want("SELECT COUNT(*) FROM events GROUP BY event HAVING MAX(time) > 20260102", "3")
	w.want("SELECT COUNT(*) FROM events a JOIN events b ON a.time > b.n AND a.time < 20260103", "2")
	w.want("SELECT COUNT(*) FROM events a LEFT JOIN events b ON a.time = b.n AND b.time > 20260101", "3")
	for _, where := range []string{"time >= 1767312000", "time = 1", "time > UNIX_TIMESTAMP('2026-01-02')", "time > UNIX_TIMESTAMP()", "time BETWEEN 1767312000 AND 1767398400",
		"time >= 1767312000000", "time < 20261301", "time IN (1767312000)", "time >= 2026", "time < -1", "NOT time > 1e12"} {
		w.refused("SELECT COUNT(*) FROM events WHERE "+where, 1292, "Incorrect datetime value")
	}
	w.refused("SELECT time >= 1767312000 FROM events", 1292)
	w.refused("SELECT SUM(time >= 1767312000) FROM events", 1292)
	w.refused("DELETE FROM events WHERE time < 1767312000", 1292)
	w.must("DELETE FROM events WHERE time < 20260102")
	w.want("SELECT COUNT(*) FROM events", "2")
}
