package message

import (
	"bytes"
	"io"
)

// base64Value maps a byte to its six bits, or to skip or pad.
var base64Value = func() (t [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range t {
		t[i] = base64Skip
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	t['='] = base64Pad
	return t
}()

const (
	base64Skip = 64 // a byte outside the alphabet: RFC 2045 section 6.8 ignores it
	base64Pad  = 65
)

// base64Decoder decodes base64 in pieces. After padding it starts afresh, so
// that concatenated texts decode as they should.
type base64Decoder struct {
	bits uint32
	n    int // characters in bits
}

// decode appends what src decodes to.
func (d *base64Decoder) decode(out, src []byte) []byte {
	for i := 0; i < len(src); {
		for d.n == 0 && i+4 <= len(src) {
			a, b, c, e := base64Value[src[i]], base64Value[src[i+1]], base64Value[src[i+2]], base64Value[src[i+3]]
			if a|b|c|e >= 64 {
				break
			}
			v := uint32(a)<<18 | uint32(b)<<12 | uint32(c)<<6 | uint32(e)
			out = append(out, byte(v>>16), byte(v>>8), byte(v))
			i += 4
		}
		if i >= len(src) {
			break
		}
		v := base64Value[src[i]]
		i++
		switch {
		case v == base64Pad:
			out = d.flush(out)
		case v < 64:
			d.bits = d.bits<<6 | uint32(v)
			if d.n++; d.n == 4 {
				out = append(out, byte(d.bits>>16), byte(d.bits>>8), byte(d.bits))
				d.bits, d.n = 0, 0
			}
		}
	}
	return out
}

// flush appends the whole bytes of an unfinished group: padding may be missing.
func (d *base64Decoder) flush(out []byte) []byte {
	switch d.n {
	case 2:
		out = append(out, byte(d.bits>>4))
	case 3:
		out = append(out, byte(d.bits>>10), byte(d.bits>>2))
	}
	d.bits, d.n = 0, 0
	return out
}

func appendBase64(out []byte, s string) []byte {
	var d base64Decoder
	return d.flush(d.decode(out, []byte(s)))
}

// appendQP decodes quoted-printable (RFC 2045 section 6.7); a broken escape is
// kept as it stands.
func appendQP(out, src []byte) []byte {
	for len(src) > 0 {
		end := lineEnd(src, 0)
		line := src[:end]
		src = src[end:]
		text := bytes.TrimRight(line, " \t\r\n")
		soft := bytes.HasSuffix(text, []byte("="))
		if soft {
			text = text[:len(text)-1]
		}
		out = appendQPLine(out, text)
		switch {
		case soft:
		case bytes.HasSuffix(line, []byte("\r\n")):
			out = append(out, '\r', '\n')
		case bytes.HasSuffix(line, []byte("\n")):
			out = append(out, '\n')
		}
	}
	return out
}

func appendQPLine(out, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '=')
		if i < 0 {
			return append(out, text...)
		}
		out = append(out, text[:i]...)
		text = text[i:]
		if len(text) >= 3 {
			if c, ok := unhex(text[1], text[2]); ok {
				out = append(out, c)
				text = text[3:]
				continue
			}
		}
		out = append(out, '=')
		text = text[1:]
	}
}

// Decoded returns the body with its transfer encoding undone. Bytes that the
// encoding forbids are skipped or kept, never an error. The result may be part
// of the message's bytes: it must not be changed. For large parts see Reader.
func (p *Part) Decoded() []byte {
	body := p.Body()
	switch p.bodyEncoding() {
	case "base64":
		var d base64Decoder
		return d.flush(d.decode(make([]byte, 0, len(body)/4*3+3), body))
	case "quoted-printable":
		return appendQP(make([]byte, 0, len(body)), body)
	}
	return body
}

// bodyEncoding is the encoding to be undone: a multipart has none, whatever it
// says (RFC 2045 section 6.4).
func (p *Part) bodyEncoding() string {
	if len(p.Children) > 0 {
		return ""
	}
	return p.Encoding
}

// Reader returns what Decoded does, a piece at a time.
func (p *Part) Reader() io.Reader {
	switch p.bodyEncoding() {
	case "base64", "quoted-printable":
		return &partReader{src: p.Body(), qp: p.Encoding == "quoted-printable"}
	}
	return bytes.NewReader(p.Body())
}

type partReader struct {
	src   []byte
	qp    bool
	b64   base64Decoder
	buf   []byte
	ready []byte
}

func (r *partReader) Read(b []byte) (int, error) {
	for len(r.ready) == 0 {
		if len(r.src) == 0 {
			return 0, io.EOF
		}
		r.fill()
	}
	n := copy(b, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// fill decodes some 32 KiB more: whole lines of quoted-printable, since a line
// decides at its end what its spaces mean.
func (r *partReader) fill() {
	n := min(len(r.src), 32<<10)
	if r.qp {
		n = lineEnd(r.src, n)
		r.buf = appendQP(r.buf[:0], r.src[:n])
	} else {
		r.buf = r.b64.decode(r.buf[:0], r.src[:n])
		if n == len(r.src) {
			r.buf = r.b64.flush(r.buf)
		}
	}
	r.src = r.src[n:]
	r.ready = r.buf
}

// decodedSize returns the length of Decoded without decoding, exact where the
// encoding is not broken.
func (p *Part) decodedSize() int64 {
	body := p.Body()
	count := func(s string) int { return bytes.Count(body, []byte(s)) }
	switch p.bodyEncoding() {
	case "base64":
		return int64((len(body) - count("\n") - count("\r") - count("=")) * 3 / 4)
	case "quoted-printable":
		lf, crlf := count("=\n"), count("=\r\n")
		return int64(max(0, len(body)-2*lf-3*crlf-2*(count("=")-lf-crlf)))
	}
	return int64(len(body))
}
