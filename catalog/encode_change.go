package catalog

import "fmt"

// A change's first field is its kind. The numbers are on disk: append only.
const (
	kindCreateProject  = 1
	kindDropProject    = 2
	kindUndropProject  = 3
	kindPurgeProject   = 4
	kindRotateToken    = 5
	kindObserve        = 6
	kindModifyColumn   = 7
	kindAddPolicy      = 8
	kindRemovePolicies = 9
	kindTruncate       = 10
	kindUndoTruncate   = 11
	kindCreateView     = 12
	kindDropView       = 13
	kindSetSetting     = 14
	kindSetGrants      = 15
	kindReplaceGrants  = 16
	kindBeginErasure   = 17
	kindCountErasure   = 18
	kindEndErasure     = 19
	kindBeginStage     = 20
	kindStopStage      = 21
	kindPromoteStage   = 22
	kindRollBackStage  = 23
	kindRolledBack     = 24

	kindCountErasedRows = 25
	kindSetWriteQuorum  = 26
)

// changes are the empty changes, by kind.
var changes = [...]Change{
	kindCreateProject:  CreateProject{},
	kindDropProject:    DropProject{},
	kindUndropProject:  UndropProject{},
	kindPurgeProject:   PurgeProject{},
	kindRotateToken:    RotateToken{},
	kindObserve:        Observe{},
	kindModifyColumn:   ModifyColumn{},
	kindAddPolicy:      AddPolicy{},
	kindRemovePolicies: RemovePolicies{},
	kindTruncate:       Truncate{},
	kindUndoTruncate:   UndoTruncate{},
	kindCreateView:     CreateView{},
	kindDropView:       DropView{},
	kindSetSetting:     SetSetting{},
	kindSetGrants:      SetGrants{},
	kindReplaceGrants:  ReplaceGrants{},
	kindBeginErasure:   BeginErasure{},
	kindCountErasure:   CountErasure{},
	kindEndErasure:     EndErasure{},
	kindBeginStage:     BeginStage{},
	kindStopStage:      StopStage{},
	kindPromoteStage:   PromoteStage{},
	kindRollBackStage:  RollBackStage{},
	kindRolledBack:     RolledBack{},

	kindCountErasedRows: CountErasedRows{},
	kindSetWriteQuorum:  SetWriteQuorum{},
}

// EncodeChange gives the bytes of a change that Apply accepts.
func EncodeChange(change Change) []byte {
	return encode(changeKind, formatVersion, codeChange, &change)
}

// DecodeChange reads what EncodeChange wrote. The change is of one of the
// package's types, not a pointer to one, and does not alias b.
func DecodeChange(b []byte) (Change, error) {
	var change Change
	if err := decode(changeKind, formatVersion, b, codeChange, &change); err != nil {
		return nil, fmt.Errorf("catalog change: %w", err)
	}
	return change, nil
}

func codeChange(change *Change, k *coder) {
	var kind uint8
	if !k.decoding {
		kind = (*change).kind()
	}
	unsigned(k, "change kind", &kind)
	if k.decoding {
		if int(kind) >= len(changes) || changes[kind] == nil {
			k.fail("there is no change of kind %d", kind)
			return
		}
		*change = changes[kind]
	}
	*change = (*change).code(k)
}

func (o *Observed) code(k *coder) {
	text(k, "property", &o.Name, MaxPropertyName)
	unsigned(k, "value kind", &o.Kind)
}

func (CreateProject) kind() uint8  { return kindCreateProject }
func (DropProject) kind() uint8    { return kindDropProject }
func (UndropProject) kind() uint8  { return kindUndropProject }
func (PurgeProject) kind() uint8   { return kindPurgeProject }
func (RotateToken) kind() uint8    { return kindRotateToken }
func (Observe) kind() uint8        { return kindObserve }
func (ModifyColumn) kind() uint8   { return kindModifyColumn }
func (AddPolicy) kind() uint8      { return kindAddPolicy }
func (RemovePolicies) kind() uint8 { return kindRemovePolicies }
func (Truncate) kind() uint8       { return kindTruncate }
func (UndoTruncate) kind() uint8   { return kindUndoTruncate }
func (CreateView) kind() uint8     { return kindCreateView }
func (DropView) kind() uint8       { return kindDropView }
func (SetSetting) kind() uint8     { return kindSetSetting }
func (SetGrants) kind() uint8      { return kindSetGrants }
func (ReplaceGrants) kind() uint8  { return kindReplaceGrants }

func (c CreateProject) code(k *coder) Change {
	text(k, "name", &c.Name, maxNameBytes)
	text(k, "token", &c.Token, MaxToken)
	text(k, "secret", &c.Secret, MaxToken)
	unsigned(k, "buckets", &c.Buckets)
	signed(k, "at", &c.At)
	return c
}

func (c DropProject) code(k *coder) Change {
	unsigned(k, "project id", &c.ID)
	signed(k, "at", &c.At)
	return c
}

func (c UndropProject) code(k *coder) Change {
	unsigned(k, "project id", &c.ID)
	text(k, "name", &c.Name, maxNameBytes)
	return c
}

func (c PurgeProject) code(k *coder) Change {
	unsigned(k, "project id", &c.ID)
	return c
}

func (c RotateToken) code(k *coder) Change {
	unsigned(k, "project id", &c.Project)
	text(k, "token", &c.Token, MaxToken)
	text(k, "secret", &c.Secret, MaxToken)
	return c
}

func (c Observe) code(k *coder) Change {
	unsigned(k, "project id", &c.Project)
	list(k, "properties", &c.Properties, MaxObserved, (*Observed).code)
	return c
}

func (c ModifyColumn) code(k *coder) Change {
	unsigned(k, "project id", &c.Project)
	c.Column.code(k)
	k.bool("add", &c.Add)
	return c
}

func (c AddPolicy) code(k *coder) Change {
	unsigned(k, "project id", &c.Project)
	signed(k, "from day", &c.From)
	signed(k, "to day", &c.To)
	c.Policy.code(k)
	return c
}

func (c RemovePolicies) code(k *coder) Change {
	unsigned(k, "project id", &c.Project)
	return c
}

func (c Truncate) code(k *coder) Change {
	unsigned(k, "project id", &c.Project)
	k.ingestID("truncation id", &c.ID)
	k.ingestID("truncation up to", &c.UpTo)
	return c
}

func (c UndoTruncate) code(k *coder) Change {
	unsigned(k, "project id", &c.Project)
	k.ingestID("truncation id", &c.ID)
	return c
}

func (c CreateView) code(k *coder) Change {
	unsigned(k, "project id", &c.Project)
	c.View.code(k)
	k.bool("replace", &c.Replace)
	return c
}

func (c DropView) code(k *coder) Change {
	unsigned(k, "project id", &c.Project)
	text(k, "view name", &c.Name, maxNameBytes)
	return c
}

func (c SetSetting) code(k *coder) Change {
	text(k, "setting name", &c.Name, MaxSettingValue)
	text(k, "setting value", &c.Value, MaxSettingValue)
	return c
}

func (c SetGrants) code(k *coder) Change {
	text(k, "grants", &c.Blob, MaxGrants)
	return c
}

func (c ReplaceGrants) code(k *coder) Change {
	over := c.Over[:]
	text(k, "sum of the grants before", &over, len(c.Over))
	if copy(c.Over[:], over) != len(c.Over) {
		k.fail("a sum of %d bytes", len(over))
	}
	text(k, "grants", &c.Blob, MaxGrants)
	return c
}
