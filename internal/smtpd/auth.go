package smtpd

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"sijill/internal/people"
)

// The prompts of LOGIN, "Username:" and "Password:", and how long a name and a
// password may be.
const (
	promptUser     = "VXNlcm5hbWU6"
	promptPassword = "UGFzc3dvcmQ6"
	maxCredential  = 1024
)

// longestPause bounds how long an answer to a failed sign-in is held back.
const longestPause = 5 * time.Second

// auth takes AUTH (RFC 4954), which go-smtp would read as lines of commands
// through the guard.
func (g *guard) auth(text, line []byte) {
	fields := strings.Fields(string(text))
	switch {
	case !g.role.submits || !strings.EqualFold(fields[0], "AUTH"):
		g.idle++
		g.feed = line // go-smtp refuses it
	case g.session == nil || !g.extended:
		g.answer(replyGreetFirst)
	case g.tls == "":
		g.answer(replyAuthClear)
	case g.sender != nil:
		g.answer(replyAuthTwice)
	case g.session.mail || g.chunks:
		g.answer(replyAuthLate)
	case len(fields) < 2 || len(fields) > 3:
		g.answer(replyAuthSyntax)
	default:
		clear(line) // the credentials are in it
		g.signIn(fields[1], append(fields, "")[2])
	}
}

// signIn does the exchange of one mechanism; initial is what came with AUTH.
func (g *guard) signIn(mechanism, initial string) {
	var user, password string
	var r reply
	switch {
	case strings.EqualFold(mechanism, "PLAIN"):
		user, password, r = g.plain(initial)
	case strings.EqualFold(mechanism, "LOGIN"):
		user, password, r = g.login(initial)
	default:
		r = replyAuthMechanism
	}
	switch {
	case g.ended != nil: // the peer is gone, or told why
	case r != nil:
		g.answer(r)
	default:
		g.authenticate(user, password)
	}
}

// plain does the exchange of RFC 4616. To act for another is nobody's right.
func (g *guard) plain(initial string) (user, password string, r reply) {
	b, r := g.response(initial, "")
	if r != nil || g.ended != nil {
		return "", "", r
	}
	parts := bytes.Split(b, []byte{0})
	switch {
	case len(parts) != 3:
		return "", "", replyAuthSyntax
	case len(parts[0]) > 0 && !bytes.Equal(parts[0], parts[1]):
		return "", "", replyCredentials
	}
	return string(parts[1]), string(parts[2]), nil
}

// login does the exchange that some clients know instead; it was never a
// standard.
func (g *guard) login(initial string) (user, password string, r reply) {
	name, r := g.response(initial, promptUser)
	if r != nil || g.ended != nil {
		return "", "", r
	}
	secret, r := g.response("", promptPassword)
	return string(name), string(secret), r
}

// response decodes an answer of the client, which it asks for unless it came
// along already. "=" is an empty one (RFC 4954 section 4).
func (g *guard) response(given, prompt string) ([]byte, reply) {
	if given == "" {
		g.send(append(append(append(g.out, "334 "...), prompt...), "\r\n"...))
		line, err := g.line()
		if err != nil {
			g.end(err)
			return nil, nil
		}
		ok := clean(line)
		given = string(bytes.TrimSpace(line))
		clear(line)
		switch {
		case given == "*":
			return nil, replyAuthCancelled
		case !ok:
			return nil, replyBadLine
		}
	}
	if given == "=" {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(given)
	if err != nil {
		return nil, replyAuthBase64
	}
	return b, nil
}

// authenticate asks the Submitter and answers. Every failure makes the next
// answer of this connection later, whatever the Submitter counts besides.
func (g *guard) authenticate(user, password string) {
	r := replyCredentials
	if fit(user) && fit(password) {
		ctx, cancel := context.WithTimeout(g.srv.ctx, lookupTime)
		sender, err := g.srv.opt.Submitter.Authenticate(ctx, user, password, g.peer)
		cancel()
		if err == nil {
			g.sender, g.errors, g.idle, g.refusals = sender, 0, 0, 0
			g.watch(sender)
			g.srv.stats.signIns.Add(1)
			g.answer(replyAuthDone)
			return
		}
		r = g.srv.unauthenticated(err)
	}
	g.srv.stats.signInFailures.Add(1)
	g.refusals++
	g.pause()
	if g.refusals >= g.srv.opt.Limits.SignIns {
		g.answer(r)
		g.end(replyTooManyErrors)
		return
	}
	g.answer(r)
}

// ending is a Sender whose sign-in may end while it is used: its password was
// revoked, its account suspended.
type ending interface {
	// Done is closed when the sign-in is over, by Close too.
	Done() <-chan struct{}
}

// watch cuts the connection when the sign-in ends elsewhere. One that has ended
// by itself is closed already.
func (g *guard) watch(s Sender) {
	e, ok := s.(ending)
	if !ok {
		return
	}
	go func() {
		<-e.Done()
		g.raw.Close()
	}()
}

func fit(s string) bool {
	return s != "" && len(s) <= maxCredential && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// unauthenticated turns an error of the Submitter into a reply.
func (s *Server) unauthenticated(err error) reply {
	var slow people.ErrSlowDown
	switch {
	case errors.Is(err, people.ErrCredentials):
		return replyCredentials
	case errors.As(err, &slow):
		return replySlowDown
	}
	s.opt.Log.Error("client not authenticated", "err", err)
	return replyAuthLater
}

// pause holds an answer back, each time twice as long.
func (g *guard) pause() {
	t := time.NewTimer(min(g.srv.opt.Limits.SignInPause<<min(g.refusals-1, 10), longestPause))
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.srv.ctx.Done():
	}
}
