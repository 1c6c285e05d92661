package catalog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Unit is what a setting's value counts.
type Unit uint8

// The units: plain numbers; bytes, written as 32MiB; durations, written as 1h30m.
const (
	UnitCount    Unit = 0
	UnitBytes    Unit = 1
	UnitDuration Unit = 2
)

// Setting is a cluster-wide setting that SetSetting changes. Values are held as
// numbers: counts, bytes or nanoseconds.
type Setting struct {
	Name              string
	Unit              Unit
	Default, Min, Max int64
	// Doc is a sentence for arbor.settings.
	Doc string
}

// Names of the settings.
const (
	SettingSealAfterBytes  = "seal_after_bytes"
	SettingSealAfterAge    = "seal_after_age"
	SettingCloseGrace      = "close_grace"
	SettingTrashRetention  = "trash_retention"
	SettingDropRetention   = "drop_retention"
	SettingMaxColumns      = "max_columns"
	SettingMaxQueryMemory  = "max_query_memory"
	SettingReplicas        = "replicas"
	SettingIndexMemory     = "index_memory"
	SettingBackupEvery     = "backup_every"
	SettingBackupRate      = "backup_rate"
	SettingBackupRetention = "backup_retention"
	SettingDrillEvery      = "drill_every"
	SettingScrubRate       = "scrub_rate"
	SettingScrubWholeEvery = "scrub_whole_every"
	SettingMoveRate        = "move_rate"

	SettingLoginFailures      = "login_failures"
	SettingLoginLockTime      = "login_lock_time"
	SettingMaxUserConnections = "max_user_connections"
	SettingMaxExecutionTime   = "max_execution_time"
	SettingAuditBytes         = "audit_bytes"
	SettingMaxIngestRate      = "max_ingest_rate"
	SettingIndexVersion       = "index_version"
)

const day = int64(24 * time.Hour)

// Settings are all settings, in the order in which they are shown.
var Settings = []Setting{
	{SettingSealAfterBytes, UnitBytes, 32 << 20, 4 << 10, 1 << 30,
		"A shard's unindexed events are indexed once they have this many bytes."},
	{SettingSealAfterAge, UnitDuration, int64(time.Minute), int64(time.Millisecond), 7 * day,
		"A shard's unindexed events are indexed once the oldest was taken in this long ago."},
	{SettingCloseGrace, UnitDuration, 2 * int64(time.Hour), 0, 30 * day,
		"A day's files become one this long after the day has ended, and again when late events came."},
	{SettingTrashRetention, UnitDuration, 72 * int64(time.Hour), 0, 365 * day,
		"Files that were replaced are kept in the trash for this long."},
	{SettingDropRetention, UnitDuration, 7 * day, 0, 365 * day,
		"The data of a dropped project can be brought back for this long."},
	{SettingMaxColumns, UnitCount, MaxColumns, 0, MaxColumns,
		"Properties seen after a project has this many columns are in its properties column only."},
	{SettingMaxQueryMemory, UnitBytes, 2 << 30, 1 << 20, 1 << 40,
		"A statement whose groups, sorted rows and other state take more memory than this fails; it is counted apart beside the data and in the SQL layer."},
	{SettingReplicas, UnitCount, 0, 0, 8,
		"Members that each event is stored on, as far as there are so many; 0 stands for 3. A change moves what is stored."},
	{SettingIndexMemory, UnitBytes, 512 << 20, 1 << 20, 1 << 40,
		"About what indexing may take in memory; what is over goes to a temporary file in the data directory."},
	{SettingBackupEvery, UnitDuration, day, 0, 365 * day,
		"A backup is made this long after the last one, if the server was given where to; 0 makes none by itself."},
	{SettingBackupRate, UnitBytes, 64 << 20, 0, 1 << 40,
		"A backup reads and sends at most this many bytes a second; 0 is without bound."},
	{SettingBackupRetention, UnitDuration, 35 * day, 0, 3650 * day,
		"A backup is kept for this long at least; then arbor collect-backups may forget it."},
	{SettingDrillEvery, UnitDuration, 7 * day, 0, 365 * day,
		"The last backup is restored and compared this long after the last time, if the server was given where to; 0 never."},
	{SettingScrubRate, UnitBytes, 1 << 20, 0, 1 << 40,
		"Everything stored is read again and compared, over and over, at this many bytes a second; 0 is never."},
	{SettingScrubWholeEvery, UnitDuration, 30 * day, 0, 3650 * day,
		"Every value of a file is read again by the first scrub that meets it, and this long after the last time; else its checksums are; 0 is by every scrub."},
	{SettingMoveRate, UnitBytes, 64 << 20, 0, 1 << 40,
		"A member takes files from others, to hold them too, and batches of what is new to it, at this many bytes a second at most; 0 is without bound."},
	{SettingLoginFailures, UnitCount, 10, 0, 1_000_000,
		"An account is locked for an address after this many failed logins from there; 0 never."},
	{SettingLoginLockTime, UnitDuration, 5 * int64(time.Minute), int64(time.Second), 365 * day,
		"An account that failed logins have locked is locked for this long after the last."},
	{SettingMaxUserConnections, UnitCount, 0, 0, 1_000_000,
		"A user may have this many MySQL connections at once, queries over HTTP included; 0 is without bound."},
	{SettingMaxExecutionTime, UnitDuration, 0, 0, 30 * day,
		"A SELECT may run no longer than this, whatever its session or hint says; 0 is without bound."},
	{SettingAuditBytes, UnitBytes, 64 << 20, 1 << 20, 1 << 40,
		"The files of a member's audit trail are at most about this large together; the oldest are removed."},
	{SettingMaxIngestRate, UnitCount, 0, 0, 1_000_000_000,
		"A project may send a member this many events a second over HTTP; what is more is answered with 429 and Retry-After; 0 is without bound."},
	{SettingIndexVersion, UnitCount, defaultIndexVersion, 1, NewestIndexVersion,
		"The version of the indexer, and so of the files that it writes; those of all versions are read. Members of a cluster change it by CALL arbor.stage."},
}

// Setting returns the value in force of the setting of that name, as text.
func (c *Catalog) Setting(name string) (string, bool) {
	s, ok := settingNamed(name)
	if !ok {
		return "", false
	}
	return s.Format(c.setting(s)), true
}

// SealAfterBytes is the setting seal_after_bytes.
func (c *Catalog) SealAfterBytes() int64 { return c.number(SettingSealAfterBytes) }

// SealAfterAge is the setting seal_after_age.
func (c *Catalog) SealAfterAge() time.Duration {
	return time.Duration(c.number(SettingSealAfterAge))
}

// CloseGrace is the setting close_grace.
func (c *Catalog) CloseGrace() time.Duration { return time.Duration(c.number(SettingCloseGrace)) }

// TrashRetention is the setting trash_retention.
func (c *Catalog) TrashRetention() time.Duration {
	return time.Duration(c.number(SettingTrashRetention))
}

// DropRetention is the setting drop_retention.
func (c *Catalog) DropRetention() time.Duration {
	return time.Duration(c.number(SettingDropRetention))
}

// MaxColumns is the setting max_columns.
func (c *Catalog) MaxColumns() int { return int(c.number(SettingMaxColumns)) }

// MaxQueryMemory is the setting max_query_memory.
func (c *Catalog) MaxQueryMemory() int64 { return c.number(SettingMaxQueryMemory) }

// Replicas is the setting replicas.
func (c *Catalog) Replicas() int { return int(c.number(SettingReplicas)) }

// IndexMemory is the setting index_memory.
func (c *Catalog) IndexMemory() int64 { return c.number(SettingIndexMemory) }

// ScrubRate is the setting scrub_rate.
func (c *Catalog) ScrubRate() int64 { return c.number(SettingScrubRate) }

// ScrubWholeEvery is the setting scrub_whole_every.
func (c *Catalog) ScrubWholeEvery() time.Duration {
	return time.Duration(c.number(SettingScrubWholeEvery))
}

// MoveRate is the setting move_rate.
func (c *Catalog) MoveRate() int64 { return c.number(SettingMoveRate) }

// BackupEvery is the setting backup_every.
func (c *Catalog) BackupEvery() time.Duration { return time.Duration(c.number(SettingBackupEvery)) }

// BackupRate is the setting backup_rate.
func (c *Catalog) BackupRate() int64 { return c.number(SettingBackupRate) }

// BackupRetention is the setting backup_retention.
func (c *Catalog) BackupRetention() time.Duration {
	return time.Duration(c.number(SettingBackupRetention))
}

// DrillEvery is the setting drill_every.
func (c *Catalog) DrillEvery() time.Duration { return time.Duration(c.number(SettingDrillEvery)) }

// LoginFailures is the setting login_failures.
func (c *Catalog) LoginFailures() int { return int(c.number(SettingLoginFailures)) }

// LoginLockTime is the setting login_lock_time.
func (c *Catalog) LoginLockTime() time.Duration {
	return time.Duration(c.number(SettingLoginLockTime))
}

// MaxUserConnections is the setting max_user_connections.
func (c *Catalog) MaxUserConnections() int { return int(c.number(SettingMaxUserConnections)) }

// MaxExecutionTime is the setting max_execution_time.
func (c *Catalog) MaxExecutionTime() time.Duration {
	return time.Duration(c.number(SettingMaxExecutionTime))
}

// MaxIngestRate is the setting max_ingest_rate.
func (c *Catalog) MaxIngestRate() int64 { return c.number(SettingMaxIngestRate) }

// AuditBytes is the setting audit_bytes.
func (c *Catalog) AuditBytes() int64 { return c.number(SettingAuditBytes) }

func (c *Catalog) number(name string) int64 {
	s, ok := settingNamed(name)
	if !ok {
		panic("catalog: no setting " + name)
	}
	return c.setting(s)
}

func (c *Catalog) setting(s *Setting) int64 {
	text, ok := c.Settings[s.Name]
	if !ok {
		return s.Default
	}
	n, err := s.Parse(text)
	if err != nil { // set by a version that allowed it
		return s.Default
	}
	return n
}

func settingNamed(name string) (*Setting, bool) {
	for i := range Settings {
		if strings.EqualFold(Settings[i].Name, name) {
			return &Settings[i], true
		}
	}
	return nil, false
}

// Parse reads a value of the setting and holds it to the setting's bounds.
func (s *Setting) Parse(text string) (int64, error) {
	var n int64
	var err error
	switch s.Unit {
	case UnitBytes:
		n, err = parseBytes(text)
	case UnitDuration:
		var d time.Duration
		d, err = time.ParseDuration(text)
		n = int64(d)
	default:
		n, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil {
		return 0, fmt.Errorf("%s = %q: %w: want %s", s.Name, clip(text), ErrSetting, s.example())
	}
	if n < s.Min || n > s.Max {
		return 0, fmt.Errorf("%s = %q: %w: want %s to %s", s.Name, clip(text), ErrSetting, s.Format(s.Min), s.Format(s.Max))
	}
	return n, nil
}

func (s *Setting) example() string {
	switch s.Unit {
	case UnitBytes:
		return "bytes, such as 1048576, 512KiB or 32MiB"
	case UnitDuration:
		return "a duration, such as 90s or 1h30m"
	default:
		return "a whole number"
	}
}

// Format writes a value of the setting as Parse reads it.
func (s *Setting) Format(n int64) string {
	switch s.Unit {
	case UnitBytes:
		return formatBytes(n)
	case UnitDuration:
		return time.Duration(n).String()
	default:
		return strconv.FormatInt(n, 10)
	}
}

// byteUnits are tried from the greatest to the least.
var byteUnits = []struct {
	suffix string
	size   int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func parseBytes(text string) (int64, error) {
	size := int64(1)
	for _, u := range byteUnits {
		if cut, ok := strings.CutSuffix(text, u.suffix); ok {
			text, size = strings.TrimRight(cut, " "), u.size
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (n > (1<<62)/size || n < 0) {
		err = ErrSetting
	}
	return n * size, err
}

func formatBytes(n int64) string {
	for _, u := range byteUnits {
		if n >= u.size && n%u.size == 0 && u.size > 1 {
			return strconv.FormatInt(n/u.size, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}
