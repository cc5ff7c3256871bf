package office

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"sijill/internal/junk"
	"sijill/internal/mailauth"
	"sijill/internal/smtpd"
)

// judge looks at arriving mail before it is sealed.
type judge struct {
	o         *Office
	dns       mailauth.DNS
	overrides mailauth.Overrides
	exempt    []netip.Prefix
	rspamd    junk.Scorer // nil without one
}

// Refusals of the checks.
var (
	refusedAuthors = &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 6, 0}, Text: "a message has one From field (RFC 5322 section 3.6)"}
	refusedPolicy  = &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 26}, Text: "the author's domain asks to refuse what it did not send (DMARC)"}
	refusedJunk    = &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Text: "this message looks like junk"}
	deferredJunk   = &smtpd.Refusal{Code: 451, Enhanced: [3]int{4, 7, 1}, Text: "come back later"}
)

// check implements smtpd.Options.Check.
func (j *judge) check(ctx context.Context, a *smtpd.Arrival) smtpd.Verdict {
	if a.Door != "smtp" || a.Journal || slices.ContainsFunc(j.exempt, func(p netip.Prefix) bool { return p.Contains(a.Peer) }) {
		return smtpd.Verdict{}
	}
	r := mailauth.Judge(ctx, mailauth.Options{DNS: j.dns, AuthservID: j.o.Config.ServerName()}, a.Message,
		mailauth.Peer{IP: a.Peer, Helo: a.Hello, MailFrom: a.From})
	v := smtpd.Verdict{Trace: r.Header, Facts: authFacts(r)}
	d, why := r.Disposition(j.overrides)
	switch {
	case why == mailauth.ReasonFroms:
		return smtpd.Verdict{Refuse: refusedAuthors}
	case d == mailauth.Reject:
		return smtpd.Verdict{Refuse: refusedPolicy}
	case d == mailauth.Quarantine:
		v.Junk = true
		v.Facts["policy"] = string(why)
	}
	var err error
	if v.Evidence, err = r.Evidence.Bytes(); err != nil {
		j.o.Log.Error("the evidence of a message can't be kept", "error", err)
	}
	return j.score(ctx, a, v)
}

// score asks rspamd, where there is one. If it fails, mail is let in.
func (j *judge) score(ctx context.Context, a *smtpd.Arrival, v smtpd.Verdict) smtpd.Verdict {
	if j.rspamd == nil {
		return v
	}
	s, err := j.rspamd.Score(ctx, &junk.Mail{Peer: a.Peer, Hello: a.Hello, From: a.From, To: a.To, Message: a.Message})
	if err != nil {
		j.o.Log.Warn("rspamd gave no answer; the mail was let in", "error", err)
	}
	v.Facts["rspamd"] = s.Mark
	switch {
	case s.Reject:
		return smtpd.Verdict{Refuse: refusedJunk}
	case s.Defer:
		return smtpd.Verdict{Refuse: deferredJunk}
	}
	v.Junk = v.Junk || s.Junk
	return v
}

// authFacts are the results in words.
func authFacts(r *mailauth.Result) map[string]string {
	dkim := mailauth.None
	for _, s := range r.Signatures {
		if dkim != mailauth.Pass {
			dkim = s.Result
		}
	}
	return map[string]string{"spf": string(r.SPF.Result), "dkim": string(dkim), "dmarc": string(r.DMARC.Result), "arc": string(r.ARC.Result)}
}

// Checks gives the function that judges what arrives by SMTP, nil where the settings
// say that nothing is judged. It is an error when rspamd's URL can't be one.
func (o *Office) Checks() (func(context.Context, *smtpd.Arrival) smtpd.Verdict, error) {
	c := o.Config.Checks
	if c.Off {
		return nil, nil
	}
	j := &judge{o: o, dns: o.resolver, exempt: c.ExemptPeers,
		overrides: mailauth.Overrides{TrustedSealers: c.TrustedSealers, Accept: c.Exempt}}
	if c.Rspamd != "" {
		r, err := junk.NewRspamd(c.Rspamd, "", rspamdTime)
		if err != nil {
			return nil, err
		}
		j.rspamd = r
	}
	return j.check, nil
}

// rspamdTime is how long rspamd may take.
const rspamdTime = 8 * time.Second
