package imapd

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	maxLine  = 50_000   // octets of a command, literals within it; the library takes 51,200
	maxFlood = 64 << 20 // octets that are read only to be dropped
	maxTag   = 255
)

var (
	errLong  = errors.New("line too long")
	errFlood = errors.New("too much to drop")
)

// command reads the next command and gives it to the library, or answers it.
func (g *guard) command() {
	if g.tired() {
		return
	}
	wait := g.srv.opt.Limits.Login
	if g.signedIn.Load() {
		wait = g.srv.opt.Limits.Idle
	}
	if !g.await(wait) {
		return
	}
	g.Conn.SetReadDeadline(time.Now().Add(g.srv.opt.Limits.Command))
	limit := maxLine
	if g.signedIn.Load() {
		limit = maxSetLine
	}
	line, err := g.line(limit)
	if err != nil && err != errLong {
		g.lost(err)
		return
	}
	args, ok := g.begin(line)
	switch {
	case err == errLong:
		g.answer(fmt.Sprintf("BAD The command is longer than %d octets", limit))
	case !ok:
		g.answer("BAD This is not a command")
	default:
		g.assemble(line, args)
	}
}

// tired ends connections of which nothing good can come.
func (g *guard) tired() bool {
	g.mu.Lock()
	errs := g.errors
	g.mu.Unlock()
	switch {
	case g.failures.Load() >= int64(g.srv.opt.Limits.Failures):
		g.bye("Too many sign-ins failed")
	case errs >= g.srv.opt.Limits.Errors:
		g.bye("Too many commands were not understood")
	default:
		return false
	}
	return true
}

// begin reads tag and name of a command. It returns where its arguments start,
// and false when there is no command on the line.
func (g *guard) begin(line []byte) (args int, ok bool) {
	g.srv.stats.commands.Add(1)
	tag, rest, _ := bytes.Cut(line, []byte(" "))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tag, g.name, g.set, g.tidy, g.answered, g.continued = "", "?", nil, nil, false, false
	if len(tag) == 0 || len(tag) > maxTag || !atom(tag) || bytes.IndexByte(tag, '+') >= 0 {
		return 0, false
	}
	g.tag = string(tag)
	name, rest, spaced := bytes.Cut(rest, []byte(" "))
	if strings.EqualFold(string(name), "UID") {
		var sub []byte
		sub, _, spaced = bytes.Cut(rest, []byte(" "))
		name = append(append(bytes.Clone(name), ' '), sub...)
		if !atom(sub) {
			return 0, false
		}
	} else if !atom(name) {
		return 0, false
	}
	g.name = strings.ToUpper(string(name))
	args = len(tag) + 1 + len(name)
	if spaced {
		args++
	}
	return args, true
}

// atom tells whether the library would take b for an atom (RFC 9051, section 9).
func atom(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || bytes.IndexByte([]byte(`(){%*"\]`), c) >= 0 {
			return false
		}
	}
	return len(b) > 0
}

// assemble reads the literals of a command and hands the whole over.
func (g *guard) assemble(line []byte, args int) {
	cmd := make([]byte, 0, len(line)+2)
	refusal := ""
	for {
		refusal = either(refusal, flaw(line))
		lit, ok := literalAt(line)
		if !ok {
			cmd = append(cmd, line...)
			break
		}
		cmd = append(cmd, line[:lit.at]...)
		if refusal == "" && g.current() == "APPEND" && len(bytes.TrimRight(cmd, "~")) > args {
			g.openMessage(g.encodeNames(cmd, args), lit)
			return
		}
		value, problem, err := g.value(lit, refusal, maxLine-len(cmd))
		if err != nil {
			g.lost(err)
			return
		}
		if refusal = either(refusal, problem); refusal != "" && lit.sync {
			break // the client sends nothing more of it
		}
		cmd = append(cmd, value...)
		if line, err = g.line(maxLine); err != nil && err != errLong {
			g.lost(err)
			return
		}
		if err == errLong || len(cmd)+len(line) > maxLine {
			refusal = either(refusal, "BAD The command is too long")
			cmd = cmd[:0]
		}
	}
	if refusal != "" {
		g.answer(refusal)
		return
	}
	g.hand(cmd, min(args, len(cmd)))
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// flaw says what is wrong with a line whatever the command: octets that have no
// place in one, or a quoted string that isn't closed on it. The library would
// look for the end of such a string in what follows.
func flaw(line []byte) string {
	if bytes.IndexByte(line, 0) >= 0 || bytes.IndexByte(line, '\r') >= 0 {
		return "BAD The command has a NUL or a stray CR in it"
	}
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case quoted && line[i] == '\\':
			i++
		}
	}
	if quoted {
		return "BAD A quoted string isn't closed"
	}
	return ""
}

// announced is the head of a literal at the end of a line.
type announced struct {
	at   int // where it starts, its "~" aside
	size int64
	sync bool // the client waits to be told to go on
}

// literalAt finds the head of a literal. The library takes one with a space
// after it for one too.
func literalAt(line []byte) (announced, bool) {
	line = bytes.TrimSuffix(line, []byte(" "))
	at := bytes.LastIndexByte(line, '{')
	if at < 0 || line[len(line)-1] != '}' {
		return announced{}, false
	}
	digits, plus := bytes.CutSuffix(line[at+1:len(line)-1], []byte("+"))
	if len(digits) == 0 || len(bytes.Trim(digits, "0123456789")) > 0 {
		return announced{}, false
	}
	size, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		size = math.MaxInt64
	}
	return announced{at: at, size: size, sync: !plus}, true
}

// value reads a literal that is no message and returns it as a quoted string,
// or says why not. One that is refused is dropped if it is on its way.
func (g *guard) value(lit announced, refused string, room int) (quoted []byte, problem string, err error) {
	switch {
	case refused != "" && lit.sync:
		return nil, "", nil
	case refused != "":
		return nil, "", g.drop(lit.size)
	case lit.size > int64(room):
		problem = "NO [TOOBIG] A literal is too long for this command"
		if lit.sync {
			return nil, problem, nil
		}
		return nil, problem, g.drop(lit.size)
	}
	if lit.sync {
		g.goAhead()
	}
	b := make([]byte, lit.size)
	if _, err := io.ReadFull(g.in, b); err != nil {
		return nil, "", err
	}
	if bytes.ContainsAny(b, "\x00\r\n") {
		return nil, "BAD A literal that is no message can't have line breaks", nil
	}
	return quote(b), "", nil
}

func quote(b []byte) []byte {
	out := make([]byte, 0, len(b)+2)
	out = append(out, '"')
	for _, c := range b {
		if c == '"' || c == '\\' {
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return append(out, '"')
}

// goAhead tells the client to send its literal.
func (g *guard) goAhead() {
	g.say("+ Go ahead")
	g.mu.Lock()
	g.flush()
	g.mu.Unlock()
}

// longPart finds part numbers that the library can't read and takes for none.
// Other numbers may have ten digits: those of a partial fetch have 63 bits.
var longPart = regexp.MustCompile(`(?i)\b(?:BODY|BINARY)(?:\.PEEK|\.SIZE)?\[[0-9.]*[0-9]{10}`)

// envelopes finds the items of FETCH that give envelopes: those of messages
// inside stand in structures.
var envelopes = regexp.MustCompile(`(?i)\b(?:ENVELOPE|ALL|FULL|BODYSTRUCTURE|BODY(?:[ )]|$))`)

// hand gives a whole command to the library, or answers those that it doesn't
// know or gets wrong.
func (g *guard) hand(cmd []byte, args int) {
	cmd = g.encodeNames(cmd, args)
	rest := cmd[args:]
	switch g.current() {
	case "ID":
		g.id(rest)
		return
	case "STARTTLS":
		if len(rest) == 0 && !g.secure && g.srv.opt.TLS != nil && !g.signedIn.Load() {
			g.startTLS()
			return
		}
	case "AUTHENTICATE":
		if _, initial, ok := bytes.Cut(rest, []byte(" ")); ok && string(initial) != "=" {
			if _, err := base64.StdEncoding.DecodeString(string(initial)); err != nil {
				g.answer("BAD The initial response is not base64")
				return
			}
		}
	case "FETCH", "UID FETCH":
		if longPart.Match(rest) {
			g.answer("BAD A part number is too large")
			return
		}
		if envelopes.Match(rest) {
			g.mu.Lock()
			g.tidy = &tidy{}
			g.mu.Unlock()
		}
	case "SEARCH", "UID SEARCH":
		cmd = append(cmd[:args:args], withoutSmaller(rest)...)
	}
	if len(cmd) > maxLine {
		short, ok := g.shorten(cmd, args)
		if !ok {
			g.answer(fmt.Sprintf("BAD The command is longer than %d octets", maxLine))
			return
		}
		cmd = short
	}
	g.feed = append(cmd, '\r', '\n')
}

// id answers ID (RFC 2971), which the library doesn't know.
func (g *guard) id(args []byte) {
	if len(args) == 0 {
		g.answer("BAD ID takes a list or NIL")
		return
	}
	g.say(`* ID ("name" "Sijill")`)
	g.answer("OK ID completed")
}

// continuation reads the line that the library asked for: DONE, or a response
// of AUTHENTICATE.
func (g *guard) continuation() {
	wait := g.srv.opt.Limits.Login
	idle := g.current() == "IDLE"
	if idle {
		wait = g.srv.opt.Limits.Idle
	}
	if !g.await(wait) {
		return
	}
	g.Conn.SetReadDeadline(time.Now().Add(g.srv.opt.Limits.Command))
	line, err := g.line(4000)
	switch {
	case err != nil:
		g.lost(err)
		return
	case idle:
		line = bytes.ToUpper(bytes.TrimSpace(line))
	case bytes.IndexByte(line, '\r') >= 0:
		line = []byte("*")
	}
	g.mu.Lock()
	g.continued = false
	g.mu.Unlock()
	g.feed = append(line, '\r', '\n')
}

// line reads a line without its end. Of one longer than limit it returns the
// beginning, and errLong; the rest is dropped.
func (g *guard) line(limit int) ([]byte, error) {
	var line []byte
	size := 0
	for {
		part, err := g.in.ReadSlice('\n')
		size += len(part)
		if room := limit + 2 - len(line); room > 0 {
			line = append(line, part[:min(room, len(part))]...)
		}
		if err == nil {
			break
		}
		if err != errBufferFull {
			return nil, err
		}
		if size > maxFlood {
			return nil, errFlood
		}
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if size > limit+2 || len(line) > limit {
		return line[:min(len(line), limit)], errLong
	}
	return line, nil
}

// drop reads n octets for nothing.
func (g *guard) drop(n int64) error {
	if n > maxFlood {
		return errFlood
	}
	_, err := io.CopyN(io.Discard, g.in, n)
	return err
}

// lost ends a connection on which nothing can be read any more.
func (g *guard) lost(err error) {
	if errors.Is(err, errFlood) || errors.Is(err, errLong) {
		g.bye("This is more than is read here")
		return
	}
	g.hang()
}
