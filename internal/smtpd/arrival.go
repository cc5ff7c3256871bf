package smtpd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// MaxEvidence is how many bytes of evidence a Verdict may carry.
const MaxEvidence = 1 << 20

// Arrival is a message that is here whole and not yet sealed. Nothing of it
// may be changed.
type Arrival struct {
	Door    string     // smtp or lmtp
	Peer    netip.Addr // zero without an IP address
	Hello   string     // the EHLO, HELO or LHLO name
	From    string     // MAIL FROM; empty for the null sender
	To      []string   // RCPT TO
	TLS     string     // version and cipher suite; empty in the clear
	UTF8    bool       // SMTPUTF8 was given
	Journal bool       // it came to a journal address: the peer is another server of the office
	Holders []Holder   // whose it will be
	Message []byte
}

// Verdict is what a check says of an Arrival. The zero Verdict lets it in and
// says nothing.
type Verdict struct {
	// Refuse answers the peer in place of sealing. Refused mail is not on
	// record.
	Refuse *Refusal
	// Trace are header fields, each ended by CRLF, to be presented above all
	// others: Authentication-Results (RFC 8601).
	Trace string
	// Junk says that it belongs into the junk folder.
	Junk bool
	// Evidence is what the verdict rests on, to be kept with the entry; at most
	// MaxEvidence bytes.
	Evidence []byte
	// Facts are short results such as dmarc: pass, for programs to read.
	Facts map[string]string
}

// judge has the message checked, within the time that is left for it and
// against the memory of messages in flight, since a check may take as much
// again as the message itself. It returns a reply where there is to be no
// sealing.
func (s *session) judge(m *Mail) reply {
	g := s.g
	check := g.srv.opt.Check
	if check == nil {
		return nil
	}
	release, ok := g.borrow(int64(len(m.Message)))
	if !ok {
		return replyMemory
	}
	defer release()
	l := &g.srv.opt.Limits
	by := time.Now().Add(l.Check)
	if end := g.letter.began.Add(l.Data); end.Before(by) {
		by = end
	}
	ctx, cancel := context.WithDeadline(g.srv.ctx, by)
	defer cancel()
	v := check(ctx, &Arrival{
		Door: g.role.door, Peer: g.peer, Hello: s.conn.Hostname(), From: s.from, To: s.to, TLS: g.tls, UTF8: s.utf8,
		Journal: s.journal, Holders: m.Holders, Message: m.Message,
	})
	if v.Refuse != nil {
		g.srv.stats.refused.Add(1)
		return v.Refuse.reply()
	}
	return s.note(m, &v)
}

// note writes a verdict into the envelope. A verdict that can't be kept as it
// is refuses the message for now: half of it would be a false record.
func (s *session) note(m *Mail, v *Verdict) reply {
	log := s.g.srv.opt.Log
	switch {
	case len(v.Evidence) > MaxEvidence:
		log.Error("arrival check gives too much evidence", "bytes", len(v.Evidence))
		return replyUnchecked
	case v.Trace != "" && (inspect([]byte(v.Trace)) != nil || !strings.HasSuffix(v.Trace, "\r\n") || strings.Contains(v.Trace, "\r\n\r\n")):
		log.Error("arrival check gives malformed trace fields")
		return replyUnchecked
	}
	e := &m.Envelope
	e.Trace = below(e.Trace, v.Trace)
	e.Junk = v.Junk
	e.Auth = facts(v.Facts)
	if len(v.Evidence) > 0 {
		digest := sha256.Sum256(v.Evidence)
		e.Evidence = hex.EncodeToString(digest[:])
	}
	m.Evidence, m.Facts = v.Evidence, v.Facts
	return nil
}

// below puts fields under Return-Path, which stays on top of everything (RFC
// 5321 section 4.4).
func below(trace, fields string) string {
	if !strings.HasPrefix(trace, "Return-Path:") {
		return fields + trace
	}
	end := strings.Index(trace, "\r\n") + 2
	return trace[:end] + fields + trace[end:]
}

// facts writes facts as words, in order: "dkim=pass dmarc=pass spf=fail".
func facts(f map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word(name) + "=" + word(f[name]))
	}
	return b.String()
}

// word makes one printable word of ASCII of s.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == '=' {
			return '_'
		}
		return r
	}, s)
}

// borrow takes n bytes of the memory of messages for as long as a message is
// worked on; release gives them back.
func (g *guard) borrow(n int64) (release func(), ok bool) {
	if !g.reserve(n) {
		return nil, false
	}
	return func() { g.srv.memory.Release(n) }, true
}
