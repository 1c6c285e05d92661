package gateway

import (
	"net/http"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
)

// arrowStreamType is the media type of Arrow's stream format.
const arrowStreamType = "application/vnd.apache.arrow.stream"

// serveArrow answers POST /query by a stream in Arrow's format. Its statement goes to
// the MySQL server like that of any other request, and its rows come from there
// without being made text. An error after the first part ends the connection, so
// that the stream has no end that a reader could take for its own.
func (g *Gateway) serveArrow(w http.ResponseWriter, r *http.Request, q query) error {
	body := &heldBody{resultBody: resultBody{w: w}}
	var stream *ipc.Writer
	rows := &arrowWriter{
		dictionaries: r.URL.Query().Get("dictionary") != "0",
		schemaOf:     func(s *arrow.Schema) error { stream = ipc.NewWriter(body, ipc.WithSchema(s)); return nil },
		sink: func(record arrow.Record) error {
			if err := stream.Write(record); err != nil {
				return arrowSinkError(body, err)
			}
			return nil
		},
	}
	defer rows.close()
	q.taker = rows
	db, err := g.openQuery(r, q)
	if err != nil {
		return err
	}
	defer db.Close()
	w.Header().Set("Content-Type", arrowStreamType)
	result, err := db.ExecContext(r.Context(), q.SQL)
	if err != nil {
		return err
	}
	begun, err := rows.end()
	if err != nil {
		return nil // the client is gone
	}
	if !begun {
		affected, err := result.RowsAffected()
		if err != nil {
			return err
		}
		stream = ipc.NewWriter(body, ipc.WithSchema(affectedSchema))
		record := affectedRecord(affected)
		defer record.Release()
		if err := stream.Write(record); err != nil {
			return err
		}
	}
	if err := stream.Close(); err != nil {
		return nil
	}
	_ = body.flush()
	return nil
}

// arrowSinkError is the error of a write: the client's leaving, or the library's own.
func arrowSinkError(body *heldBody, err error) error {
	if body.failed {
		return errClientGone
	}
	return err
}

// affectedSchema is that of the answer of a statement without rows.
var affectedSchema = arrow.NewSchema([]arrow.Field{{Name: "affected_rows", Type: arrow.PrimitiveTypes.Int64}}, nil)

func affectedRecord(rows int64) arrow.Record {
	b := array.NewRecordBuilder(arrowMemory, affectedSchema)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).Append(rows)
	return b.NewRecord()
}

// heldBody is an answer's body as a writer.
type heldBody struct {
	resultBody
	failed bool // a write failed: the client is gone
}

// Write adds to the body. What is long is sent at once, after what is held.
func (b *heldBody) Write(p []byte) (int, error) {
	if len(b.text)+len(p) < resultBuffer {
		b.text = append(b.text, p...)
		return len(p), nil
	}
	b.sent = true
	for _, part := range [][]byte{b.text, p} {
		if len(part) == 0 {
			continue
		}
		if _, err := b.w.Write(part); err != nil {
			b.failed = true
			return 0, err
		}
	}
	b.text = b.text[:0]
	return len(p), nil
}
