package gateway

import (
	"errors"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/engine/event"
)

// rowEvent makes an event of a row, unchecked.
func (in *insertion) rowEvent(ctx *sql.Context, row sql.Row) (event.Event, error) {
	e := event.Event{ServerTime: true}
	var all []catalog.Property // of `properties`
	for i := range in.columns {
		c := &in.columns[i]
		v, err := sql.UnwrapAny(ctx, row[c.source])
		if err == nil && v == nil {
			err = refuseNull(c)
		}
		if err != nil {
			return e, err
		}
		if v == nil {
			continue
		}
		if c.name == propertiesColumn.name {
			if all, err = in.properties(ctx, v); err != nil {
				return e, err
			}
			continue
		}
		value, err := in.value(ctx, c, v)
		if err != nil {
			if !in.ignore || !c.nullable {
				return e, err
			}
			in.warn(ctx, err)
			continue
		}
		in.set(&e, c, value)
	}
	e.Properties = in.merge(all, e.Properties)
	return e, nil
}

// refuseNull is the error of a NULL for a column that takes none, or nil.
func refuseNull(c *insertColumn) error {
	if c.nullable || c.name == propertiesColumn.name {
		return nil
	}
	return refuse(erBadNull, "23000", "Column '%s' cannot be null", c.name)
}

// set puts a column's value where it belongs.
func (in *insertion) set(e *event.Event, c *insertColumn, v catalog.Value) {
	switch c.name {
	case firstColumns[columnEvent].name:
		e.Name = v.Text
	case firstColumns[columnTime].name:
		if v.Int() != serverTimeMicros {
			e.Time, e.ServerTime = v.Int(), false
		}
	case firstColumns[columnDistinctID].name:
		e.DistinctID = v.Text
	case firstColumns[columnInsertID].name:
		e.InsertID = v.Text
	default:
		e.Properties = append(e.Properties, catalog.Property{Name: c.exec.Property, Value: v})
	}
}

// merge joins the properties of `properties` with those of columns.
func (in *insertion) merge(all, columns []catalog.Property) []catalog.Property {
	if len(all) == 0 {
		all = columns
	} else {
		places := make(map[string]int, len(all))
		for i := range all {
			places[all[i].Name] = i
		}
		for _, p := range columns {
			i, ok := places[p.Name]
			if !ok {
				all = append(all, p)
			} else if !in.shows(all[i].Value, p) {
				all[i].Value = p.Value
			}
		}
	}
	byName := func(a, b catalog.Property) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(all, byName) {
		slices.SortFunc(all, byName)
	}
	return all
}

// shows reports whether the property's column shows, for a value, what a row
// gives the column.
func (in *insertion) shows(v catalog.Value, given catalog.Property) bool {
	c, ok := in.project.ColumnOf(given.Name)
	if !ok {
		return false
	}
	shown, ok := catalog.Convert(v, c.Type, c.Precision, c.Scale)
	if !ok {
		return false
	}
	same, ok := catalog.Convert(given.Value, c.Type, c.Precision, c.Scale)
	return ok && shown == same
}

// check holds the event to arbor's limits, in MySQL's words.
func (in *insertion) check(e *event.Event) error {
	now := int64(in.options.ID.Time / 1000)
	if !e.ServerTime && e.Time > now+MaxFuture {
		return refuse(erWrongValue, "22007", "Incorrect datetime value for column 'time' at row %d: it is more than 48 hours ahead of the server's clock", in.row)
	}
	at := *e
	if e.ServerTime {
		at.Time = now
	}
	err := event.Check(&at)
	var fault *event.CheckError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &fault):
		return err
	case errors.Is(err, event.ErrLimit) && fault.Field == "properties" && len(e.Properties) > event.MaxProperties:
		return refuse(erTooManyFields, "HY000", "Too many properties at row %d: %s; %s", in.row, fault.Problem, fault.Advice)
	case errors.Is(err, event.ErrLimit):
		return refuse(erDataTooLong, "22001", "Data too long for column '%s' at row %d: %s; %s", fault.Field, in.row, fault.Problem, fault.Advice)
	default:
		return refuse(erWrongFieldValue, "HY000", "Incorrect value for column '%s' at row %d: %s; %s", fault.Field, in.row, fault.Problem, fault.Advice)
	}
}
