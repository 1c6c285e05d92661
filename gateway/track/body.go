package track

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// zstdMaxWindow is the most memory that a zstd stream may ask its reader to
// keep; the zstd command stays below it up to level 19.
const zstdMaxWindow = 8 << 20

// Compression says how a body is compressed, by its first bytes.
type Compression uint8

// The compressions that are read.
const (
	Plain Compression = iota
	Gzip
	Zstd
)

// CompressionOf looks at a body's first bytes. No text in JSON, form or base64
// encoding starts like a compressed one.
func CompressionOf(body []byte) Compression {
	switch {
	case bytes.HasPrefix(body, []byte("\x1f\x8b")):
		return Gzip
	case bytes.HasPrefix(body, []byte("\x28\xb5\x2f\xfd")):
		return Zstd
	}
	return Plain
}

// Decompress gives the decompressed body, appended to dst; a plain one is given
// as it is. All members of a gzip body and all frames of a zstd body count
// together: past limit bytes it stops with ErrTooLarge.
func Decompress(dst, body []byte, limit int) ([]byte, error) {
	switch CompressionOf(body) {
	case Gzip:
		return gunzip(dst, body, limit)
	case Zstd:
		return unzstd(dst, body, limit)
	}
	if len(body) > limit {
		return nil, tooLarge(limit)
	}
	return body, nil
}

func tooLarge(limit int) error {
	return fmt.Errorf("%w: it has more than %d bytes when decompressed; send smaller batches", ErrTooLarge, limit)
}

var gzipReaders sync.Pool

func gunzip(dst, body []byte, limit int) ([]byte, error) {
	source := bytes.NewReader(body)
	r, _ := gzipReaders.Get().(*gzip.Reader)
	var err error
	if r == nil {
		r, err = gzip.NewReader(source)
	} else {
		err = r.Reset(source)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: gzip: %w", ErrMalformed, err)
	}
	defer gzipReaders.Put(r)
	return readAll(dst, r, limit, "gzip")
}

var zstdReaders sync.Pool

func unzstd(dst, body []byte, limit int) ([]byte, error) {
	r, _ := zstdReaders.Get().(*zstd.Decoder)
	if r == nil {
		var err error
		// With a concurrency of one it starts no goroutines, so the pool may
		// forget it.
		r, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdMaxWindow))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
	}
	defer zstdReaders.Put(r)
	if err := r.Reset(bytes.NewReader(body)); err != nil {
		return nil, fmt.Errorf("%w: zstd: %w", ErrMalformed, err)
	}
	defer r.Reset(nil)
	return readAll(dst, r, limit, "zstd")
}

// readAll appends what r gives to dst, at most limit bytes.
func readAll(dst []byte, r io.Reader, limit int, what string) ([]byte, error) {
	start := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), start+limit+1)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-start > limit:
			return nil, tooLarge(limit)
		case err == io.EOF:
			return dst, nil
		case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return nil, fmt.Errorf("%w: its zstd window is larger than %d bytes; compress it at level 19 or below", ErrTooLarge, zstdMaxWindow)
		case err != nil:
			return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, what, err)
		}
	}
}

// Unwrap gives the JSON texts of a decompressed body: the body itself, or the
// data fields of a form, each JSON or base64 of JSON, with the form's other
// fields. It may change body. limit is for what is compressed inside base64.
func Unwrap(body []byte, limit int) (texts [][]byte, form url.Values, err error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, byteOrderMark))
	if len(body) == 0 {
		return nil, nil, fmt.Errorf("%w: the body is empty", ErrEmpty)
	}
	if looksLikeForm(body) {
		return unwrapForm(body, limit)
	}
	if looksLikeJSON(body) {
		return [][]byte{joinSurrogates(body)}, nil, nil
	}
	text, err := Data(body, limit)
	if err != nil {
		return nil, nil, err
	}
	return [][]byte{text}, nil, nil
}

// looksLikeJSON tells a JSON text, whole or broken, from base64 and from a form.
func looksLikeJSON(b []byte) bool { return b[0] == '{' || b[0] == '[' }

// looksLikeForm tells a form by the name of its first field. A text in base64
// has an '=' at its very end only.
func looksLikeForm(b []byte) bool {
	if bytes.HasPrefix(b, []byte("data=")) {
		return true
	}
	name, value, ok := bytes.Cut(b, []byte("="))
	return ok && len(name) <= maxFieldName && len(value) > 0 && value[0] != '=' && !bytes.ContainsAny(name, "{[\"+/ \t\r\n")
}

func unwrapForm(body []byte, limit int) (texts [][]byte, form url.Values, err error) {
	form = url.Values{}
	for field := range bytes.SplitSeq(body, []byte("&")) {
		name, value, _ := bytes.Cut(field, []byte("="))
		decoded, ok := unescapeForm(value)
		if !ok {
			return nil, nil, fmt.Errorf("%w: form field %q has a '%%' that two hexadecimal digits must follow", ErrMalformed, cut(name))
		}
		if string(name) != "data" {
			if len(form) < maxFields && len(name) <= maxFieldName && len(decoded) <= maxFieldValue {
				form.Add(string(name), string(decoded))
			}
			continue
		}
		text, err := Data(decoded, limit)
		if err != nil {
			return nil, nil, err
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return nil, nil, fmt.Errorf("%w: the form has no field named data", ErrMalformed)
	}
	return texts, form, nil
}

// Of the fields beside data only short ones mean anything, and few of them.
const (
	maxFieldName  = 64
	maxFieldValue = 1024
	maxFields     = 32
)

// cut shortens what is quoted in an error.
func cut(b []byte) []byte { return b[:min(len(b), 64)] }

// unescapeForm decodes a form's value in place.
func unescapeForm(b []byte) ([]byte, bool) {
	n := bytes.IndexAny(b, "%+")
	if n < 0 {
		return b, true
	}
	out := b[:n]
	for i := n; i < len(b); i++ {
		c := b[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(b) {
				return nil, false
			}
			h, l := hexDigit(b[i+1]), hexDigit(b[i+2])
			if h < 0 || l < 0 {
				return nil, false
			}
			c = byte(h<<4 | l)
			i += 2
		}
		out = append(out, c)
	}
	return out, true
}

// hexDigit is the value of a hexadecimal digit, -1 if c is none.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Data reads a data field: JSON as it is, or base64, standard or for URLs,
// padded or not, of JSON or of compressed JSON. Some SDKs do not escape base64's
// '+' in a form, which makes it a space. It may change b.
func Data(b []byte, limit int) ([]byte, error) {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, byteOrderMark))
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: data is empty", ErrEmpty)
	}
	if looksLikeJSON(b) {
		return joinSurrogates(b), nil
	}
	n := 0
	for _, c := range b {
		switch c {
		case '\r', '\n', '\t', '=':
			continue
		case ' ', '-':
			c = '+'
		case '_':
			c = '/'
		}
		b[n] = c
		n++
	}
	text := make([]byte, base64.RawStdEncoding.DecodedLen(n))
	n, err := base64.RawStdEncoding.Decode(text, b[:n])
	if err != nil {
		return nil, errNoData
	}
	if text, err = Decompress(nil, text[:n], limit); err != nil {
		return nil, err
	}
	text = bytes.TrimSpace(bytes.TrimPrefix(text, byteOrderMark))
	if len(text) == 0 || !looksLikeJSON(text) {
		return nil, errNoData
	}
	return joinSurrogates(text), nil
}

// joinSurrogates makes UTF-8 of a text, in place, in which characters beyond
// U+FFFF are written as two surrogates of three bytes each, as Mixpanel's SDK for
// browsers writes every emoji. Half a pair becomes U+FFFD. What else is wrong with
// the text stays.
func joinSurrogates(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	n := 0
	for i := 0; i < len(b); {
		high, ok := surrogate(b[i:])
		if !ok {
			b[n] = b[i]
			n++
			i++
			continue
		}
		i += 3
		r := utf8.RuneError
		if low, ok := surrogate(b[i:]); ok {
			if r = utf16.DecodeRune(high, low); r != utf8.RuneError {
				i += 3
			}
		}
		n += utf8.EncodeRune(b[n:], r)
	}
	return b[:n]
}

// surrogate reads half a pair, written as if it were a character.
func surrogate(b []byte) (half rune, ok bool) {
	if len(b) < 3 || b[0] != 0xed || b[1] < 0xa0 || b[1] > 0xbf || b[2] < 0x80 || b[2] > 0xbf {
		return 0, false
	}
	return 0xd000 | rune(b[1]&0x3f)<<6 | rune(b[2]&0x3f), true
}

// errNoData says that neither encoding leads to events.
var errNoData = fmt.Errorf("%w: it is neither a JSON object or array nor base64 of one", ErrMalformed)
