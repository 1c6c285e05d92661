package consensus

import (
	"errors"
	"strings"

	"arbor/catalog"
	"arbor/cluster/tables"
)

// codes are the errors that a command can end with, by the number under which
// they are remembered and sent: append only. Whoever gets one from another
// member can decide by errors.Is as if it had come from here.
var codes = []error{
	1: catalog.ErrProjectExists, 2: catalog.ErrNoProject, 3: catalog.ErrProjectLive, 4: catalog.ErrTokenExists,
	5: catalog.ErrName, 6: catalog.ErrLimit, 7: catalog.ErrNoColumn, 8: catalog.ErrColumnExists, 9: catalog.ErrType,
	10: catalog.ErrPolicy, 11: catalog.ErrNoTruncation, 12: catalog.ErrTruncationExists, 13: catalog.ErrNoView,
	14: catalog.ErrViewExists, 15: catalog.ErrNoSetting, 16: catalog.ErrSetting, 17: catalog.ErrCorrupt, 18: catalog.ErrVersion,
	19: ErrMember, 20: ErrNoMember, 21: ErrMemberExists, 22: ErrRemoved, 23: ErrStaleBoot, 24: ErrLastMember, 25: ErrSecret,
	26: ErrEpoch, 27: ErrLimit, 28: ErrCorrupt, 29: ErrVersion, 30: ErrNoLeader, 31: errNotLeader,
	32: catalog.ErrGrantsChanged,
	33: tables.ErrConflict, 34: tables.ErrTableExists, 35: tables.ErrNoTable, 36: tables.ErrLimit, 37: tables.ErrCorrupt, 38: tables.ErrVersion,
	39: catalog.ErrErasurePending, 40: catalog.ErrNoErasure, 41: catalog.ErrEraseKey, 42: catalog.ErrStaged, 43: catalog.ErrNotStaged,
}

// codeOther is of errors that are none of those.
const codeOther = 0xffff

// maxErrorText bounds what is remembered of an error.
const maxErrorText = 1000

// remoteError is an error that was told by number and text.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

func encodeError(err error) (code uint16, text string) {
	if err == nil {
		return 0, ""
	}
	text = err.Error()
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	for i := 1; i < len(codes); i++ {
		if errors.Is(err, codes[i]) {
			return uint16(i), text
		}
	}
	return codeOther, text
}

func decodeError(code uint16, text string) error {
	switch {
	case code == 0:
		return nil
	case int(code) < len(codes):
		return &remoteError{text: text, is: codes[code]}
	default:
		return errors.New(text)
	}
}
