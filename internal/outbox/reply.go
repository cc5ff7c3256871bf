package outbox

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

// reply is a server's answer (RFC 5321 section 4.2).
type reply struct {
	code   int
	status string // Enhanced status code (RFC 3463), or one made from code.
	text   string // On one line, what can't be shown left out.
}

// Bounds on an answer, which a stranger sends.
const (
	maxReplyLine  = 4096
	maxReplyLines = 200
	maxReplyText  = 1024
)

var errReply = errors.New("the server's answer can't be understood")

// readReply reads an answer of one or more lines. lines holds the texts as
// they came, for the answer to EHLO.
func readReply(r *bufio.Reader) (rep reply, lines []string, err error) {
	for range maxReplyLines {
		line, err := readLine(r)
		if err != nil {
			return rep, nil, err
		}
		code, more, text, ok := splitReply(line)
		if !ok || rep.code != 0 && code != rep.code {
			return rep, nil, errReply
		}
		rep.code = code
		lines = append(lines, text)
		if !more {
			rep.finish(lines)
			return rep, lines, nil
		}
	}
	return rep, nil, errReply
}

func readLine(r *bufio.Reader) (string, error) {
	b, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errReply
	}
	if err != nil {
		return "", fmt.Errorf("reading an answer: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// splitReply takes a line apart: three digits, "-" where more follows, text.
func splitReply(line string) (code int, more bool, text string, ok bool) {
	if len(line) < 3 {
		return 0, false, "", false
	}
	for _, c := range []byte(line[:3]) {
		if c < '0' || c > '9' {
			return 0, false, "", false
		}
		code = 10*code + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, false, "", false
	}
	if len(line) == 3 {
		return code, false, "", true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", false
	}
	return code, line[3] == '-', line[4:], true
}

func (r *reply) finish(lines []string) {
	r.status = enhanced(lines[0])
	var words []string
	for _, l := range lines {
		if e := enhanced(l); e != "" {
			l = l[len(e):]
		}
		words = append(words, strings.Fields(showable(l))...)
	}
	r.text = strings.Join(words, " ")
	if len(r.text) > maxReplyText {
		r.text = strings.ToValidUTF8(r.text[:maxReplyText], "")
	}
	if r.status == "" || r.status[0] != byte('0'+r.code/100) {
		r.status = fmt.Sprintf("%d.0.0", r.code/100)
	}
}

// enhanced gives the status code that a text begins with (RFC 2034 section 4),
// or nothing.
func enhanced(text string) string {
	word, _, _ := strings.Cut(text, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || strings.IndexByte("245", parts[0][0]) < 0 {
		return ""
	}
	for _, p := range parts[1:] {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return ""
		}
	}
	return word
}

// showable makes a stranger's text fit for one line of a report.
func showable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || control(r):
			return ' '
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f:
			return -1 // They would turn the line around them.
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

func (r reply) ok() bool        { return r.code/100 == 2 }
func (r reply) temporary() bool { return r.code/100 == 4 }
