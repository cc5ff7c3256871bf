package mailauth

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"sijill/internal/message"
)

// Options says how to judge.
type Options struct {
	// DNS answers the questions: a resolve.Client, or Replay.
	DNS DNS
	// Time is when the message arrived; zero means now.
	Time time.Time
	// AuthservID names us in Authentication-Results (RFC 8601 section 2.5).
	AuthservID string
	// Timeout bounds all questions together; 0 means 20 seconds (RFC 7208
	// section 4.6.4). What isn't known by then is a temperror.
	Timeout time.Duration
}

// Result is what Judge found. It holds addresses: treat it like the message.
type Result struct {
	Time time.Time `json:"time"` // by which it was judged
	// Froms counts the From fields. More than one: refuse the message.
	Froms int `json:"froms"`
	SPF   SPF `json:"spf"`
	// Signatures are the DKIM signatures from the top, as many as are judged.
	Signatures []*Signature `json:"signatures,omitempty"`
	// Unjudged counts the DKIM signatures beyond those.
	Unjudged int   `json:"unjudged,omitempty"`
	DMARC    DMARC `json:"dmarc"`
	ARC      Chain `json:"arc"`
	// Forged counts Authentication-Results fields in the message that claim to
	// be ours; Clean drops them.
	Forged int `json:"forged,omitempty"`
	// Header is our Authentication-Results field, folded and ended by CRLF.
	Header string `json:"header"`
	// Evidence is every answer of DNS that was used. It is stored on its own.
	Evidence Evidence `json:"-"`
}

// Judge checks a message as it arrives from its peer. The bytes are those of
// DATA, with CRLF line ends and without fields of ours. It takes as long as
// DNS does, and ends early when ctx does; what was not known by then is a
// temperror.
func Judge(ctx context.Context, o Options, raw []byte, p Peer) *Result {
	now := o.Time
	if now.IsZero() {
		now = time.Now()
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	m, rec := parse(raw), NewRecorder(o.DNS)
	r := &Result{Time: now.UTC().Truncate(time.Second), Froms: len(m.fields["from"]), Forged: len(forged(m, o.AuthservID))}
	now = r.Time
	r.readSignatures(m, now)
	authors := authorDomains(m)
	var asking sync.WaitGroup
	asking.Go(func() { r.SPF = checkSPF(ctx, rec, p) })
	r.foresee(ctx, &asking, m, rec, authors)
	for _, s := range r.Signatures {
		if s.Result == "" {
			m.verify(ctx, rec, s)
		}
	}
	r.ARC = m.validate(ctx, rec, now)
	asking.Wait()
	r.judgeAuthors(ctx, rec, authors)
	r.Header = r.format(o.AuthservID, p)
	r.Evidence = rec.Evidence()
	return r
}

func (r *Result) readSignatures(m *mail, now time.Time) {
	all := m.fields["dkim-signature"]
	r.Unjudged = max(0, len(all)-maxSignatures)
	for _, at := range all[:len(all)-r.Unjudged] {
		r.Signatures = append(r.Signatures, m.readSignature(at, now))
	}
}

// foresee asks the questions that are sure to come, all at once: DNS is where
// the time goes. The recorder keeps the answers.
func (r *Result) foresee(ctx context.Context, asking *sync.WaitGroup, m *mail, rec *Recorder, authors []string) {
	ask := func(name string) {
		asking.Go(func() { rec.Exchange(ctx, name, dns.TypeTXT) }) // whoever needs the answer sees the error
	}
	for _, s := range r.Signatures {
		if s.Result == "" {
			ask(s.Selector + "._domainkey." + s.Domain)
		}
	}
	for _, domain := range authors {
		if domain = toASCII(domain); isName(domain) && strings.Contains(domain, ".") {
			ask("_dmarc." + domain)
		}
	}
	for _, name := range m.arcKeys() {
		ask(name)
	}
}

// arcKeys returns the names of the keys that validate will want.
func (m *mail) arcKeys() (names []string) {
	sets, reason := m.sets()
	if reason != "" || len(sets) == 0 {
		return nil
	}
	for _, s := range sets {
		names = append(names, keyName(s.sealTags))
	}
	names = append(names, keyName(sets[len(sets)-1].messageTags))
	valid := names[:0]
	for _, n := range names {
		if n != "" {
			valid = append(valid, n)
		}
	}
	return valid
}

func keyName(t tagList) string {
	d, s := strings.ToLower(t.compact("d")), t.compact("s")
	if !isName(d) || !isName(s) {
		return ""
	}
	return s + "._domainkey." + d
}

// maxAuthors is how many domains of authors are judged.
const maxAuthors = 5

// authorDomains returns the domains of the first From field, each once.
func authorDomains(m *mail) (list []string) {
	at := m.fields["from"]
	if len(at) == 0 {
		return nil
	}
	seen := make(map[string]bool)
	for _, a := range message.ParseAddresses(m.value(at[0])) {
		_, domain, ok := cutLast(a.Addr, '@')
		if domain = strings.ToLower(domain); ok && !seen[domain] {
			seen[domain] = true
			list = append(list, domain)
		}
	}
	return list
}

// judgeAuthors judges DMARC by each author's domain and keeps what is the
// strictest. Without an author, or with more than can be judged, it is a
// permerror.
func (r *Result) judgeAuthors(ctx context.Context, rec *Recorder, authors []string) {
	r.DMARC = DMARC{Result: PermError}
	if len(authors) > maxAuthors {
		return
	}
	for i, domain := range authors {
		if d := checkDMARC(ctx, rec, domain, r.SPF, r.Signatures); i == 0 || d.stricter(r.DMARC) {
			r.DMARC = d
		}
	}
}
