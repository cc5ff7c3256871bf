package outbox

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill/internal/resolve"
)

func sum256(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
func sum512(b []byte) string { s := sha512.Sum512(b); return hex.EncodeToString(s[:]) }

func TestDANE(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	config := ca.issue(t, "mx.abroad.example")
	strange := ca.issue(t, "elsewhere.example")
	leaf, wrong := config.Certificates[0].Leaf, strange.Certificates[0].Leaf
	spki := leaf.RawSubjectPublicKeyInfo
	tests := []struct {
		name    string
		config  *tls.Config // nil: the server offers no TLS.
		unsure  bool        // DNS proves nothing.
		records []any
		want    string // Status, enhanced status, policy and whether it is proven.
	}{
		{"its own key", config, false, []any{resolve.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: sum256(spki)}}, "delivered 2.0.0 dane true"},
		{"one of several", config, false, []any{resolve.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: sum256(nil)}, resolve.TLSA{Usage: 3, Selector: 0, Matching: 2, Data: sum512(leaf.Raw)}}, "delivered 2.0.0 dane true"},
		{"whole certificate, any name", strange, false, []any{resolve.TLSA{Usage: 3, Selector: 0, Matching: 0, Data: hex.EncodeToString(wrong.Raw)}}, "delivered 2.0.0 dane true"},
		{"another key", config, false, []any{resolve.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: sum256(wrong.RawSubjectPublicKeyInfo)}}, "deferred 4.7.5 - false"},
		{"authority", config, false, []any{resolve.TLSA{Usage: 2, Selector: 0, Matching: 1, Data: sum256(ca.cert.Raw)}}, "delivered 2.0.0 dane true"},
		{"authority in DNS", config, false, []any{resolve.TLSA{Usage: 2, Selector: 0, Matching: 0, Data: hex.EncodeToString(ca.cert.Raw)}}, "delivered 2.0.0 dane true"},
		{"authority, another name", strange, false, []any{resolve.TLSA{Usage: 2, Selector: 0, Matching: 1, Data: sum256(ca.cert.Raw)}}, "deferred 4.7.5 - false"},
		{"another authority", config, false, []any{resolve.TLSA{Usage: 2, Selector: 0, Matching: 1, Data: sum256(other.cert.Raw)}}, "deferred 4.7.5 - false"},
		{"nothing usable", config, false, []any{resolve.TLSA{Usage: 1, Selector: 1, Matching: 1, Data: sum256(nil)}}, "delivered 2.0.0 dane-unusable false"},
		{"nothing usable, no TLS", nil, false, []any{resolve.TLSA{Usage: 0, Selector: 1, Matching: 1, Data: sum256(nil)}}, "deferred 4.7.5 - false"},
		{"no TLS", nil, false, []any{resolve.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: sum256(spki)}}, "deferred 4.7.5 - false"},
		{"not proven by DNS", config, true, []any{resolve.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: sum256(nil)}}, "delivered 2.0.0 opportunistic false"},
		{"DNS forged", config, false, []any{errors.New("SERVFAIL")}, "deferred 4.7.5 - false"},
		{"none", config, false, nil, "delivered 2.0.0 opportunistic false"},
		{"none, no TLS", nil, false, nil, "delivered 2.0.0 - false"},
	}
	for _, tt := range tests {
		g := newOffice(t, nil)
		s := newSink(t, "mx.abroad.example", func(s *sink) { s.tls = tt.config })
		g.domain("abroad.example", "192.0.2.1", s)
		if tt.records != nil {
			g.dns.set("_25._tcp.mx.abroad.example", tt.records...)
		}
		if !tt.unsure {
			g.dns.sign("abroad.example", "mx.abroad.example", "_25._tcp.mx.abroad.example")
		}
		sent := g.send(letterTo("a@abroad.example"))
		g.run()
		e := g.ends(sent, 1)[0]
		got := e.Result + " " + e.Outcome.Status + " - false"
		if c := e.Outcome.TLS; c != nil {
			got = fmt.Sprintf("%s %s %s %t", e.Result, e.Outcome.Status, c.Policy, c.Verified)
		}
		if got != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
		for _, d := range s.deliveries() {
			if d.tls != (tt.config != nil) || d.tls && d.sni != "mx.abroad.example" {
				t.Errorf("%s: tls %t, sni %q", tt.name, d.tls, d.sni)
			}
		}
		g.stop()
	}
}

// policies serves MTA-STS policies under any name, with a certificate for it.
type policies struct {
	*httptest.Server
	ca *authority

	mu    sync.Mutex // Guards what follows.
	text  map[string]string
	asked int
}

func newPolicies(t *testing.T, ca *authority) *policies {
	p := &policies{ca: ca, text: map[string]string{}}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked++
		text, ok := p.text[r.Host]
		switch {
		case r.URL.Path != "/.well-known/mta-sts.txt" || !ok:
			http.NotFound(w, r)
		case strings.HasPrefix(text, "http"):
			http.Redirect(w, r, text, http.StatusFound)
		default:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprint(w, text)
		}
	}))
	p.Server.TLS = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := ca.issue(t, h.ServerName)
		return &c.Certificates[0], nil
	}}
	p.Server.StartTLS()
	t.Cleanup(p.Server.Close)
	return p
}

func (p *policies) set(host, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text[host] = text
}

func (p *policies) client() *http.Client {
	c := policyClient(p.ca.pool())
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, p.Listener.Addr().String())
	}
	return c
}

const enforce = "version: STSv1\r\nmode: enforce\r\nmx: *.abroad.example\r\nmax_age: 604800\r\n"

func TestMTASTS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	web := newPolicies(t, ca)
	for _, tt := range []struct {
		name, policy string
		config       *tls.Config
		want         string
	}{
		{"kept", enforce, ca.issue(t, "mx.abroad.example"), "delivered 2.0.0 mta-sts true"},
		{"unknown authority", enforce, other.issue(t, "mx.abroad.example"), "deferred 4.7.5 - false"},
		{"another name", enforce, ca.issue(t, "mx.elsewhere.example"), "deferred 4.7.5 - false"},
		{"no TLS", enforce, nil, "deferred 4.7.5 - false"},
		{"another server", strings.Replace(enforce, "*.abroad", "*.mx.abroad", 1), ca.issue(t, "mx.abroad.example"), "deferred 4.7.5 - false"},
		{"testing", strings.Replace(enforce, "enforce", "testing", 1), other.issue(t, "mx.abroad.example"), "delivered 2.0.0 mta-sts-testing false"},
		{"none", strings.Replace(enforce, "enforce", "none", 1), nil, "delivered 2.0.0 - false"},
		{"broken", "version: STSv1\r\nmode: enforce\r\n", nil, "delivered 2.0.0 - false"},
		{"elsewhere", "https://mta-sts.other.example/", nil, "delivered 2.0.0 - false"},
	} {
		f := newOffice(t, func(o *Options) { o.Roots, o.HTTP = ca.pool(), web.client() })
		s := newSink(t, "mx.abroad.example", func(s *sink) { s.tls = tt.config })
		f.domain("abroad.example", "192.0.2.1", s)
		f.dns.set("_mta-sts.abroad.example", "v=STSv1; id=20261122T1;")
		web.set("mta-sts.abroad.example", tt.policy)
		sent := f.send(letterTo("a@abroad.example"))
		f.run()
		e := f.ends(sent, 1)[0]
		got := e.Result + " " + e.Outcome.Status + " - false"
		if c := e.Outcome.TLS; c != nil {
			got = fmt.Sprintf("%s %s %s %t", e.Result, e.Outcome.Status, c.Policy, c.Verified)
		}
		if got != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
		f.stop()
	}
}

// A policy binds until it expires, though DNS and the web deny it; a new id has
// it fetched anew.
func TestPolicyIsKept(t *testing.T) {
	ca := newAuthority(t)
	web := newPolicies(t, ca)
	f := newOffice(t, func(o *Options) { o.Roots, o.HTTP = ca.pool(), web.client() })
	f.dns.set("_mta-sts.abroad.example", "v=STSv1; id=1")
	web.set("mta-sts.abroad.example", enforce)
	check := func(what string, want bool, fetched int) {
		t.Helper()
		p, err := f.o.sts(t.Context(), "abroad.example")
		if err != nil || (p != nil) != want {
			t.Errorf("%s: policy %v %v", what, p, err)
		}
		web.mu.Lock()
		defer web.mu.Unlock()
		if web.asked != fetched {
			t.Errorf("%s: fetched %d times, not %d", what, web.asked, fetched)
		}
	}
	check("first", true, 1)
	check("again", true, 1)
	f.dns.set("_mta-sts.abroad.example", errors.New("SERVFAIL"))
	check("DNS fails", true, 1)
	f.dns.set("_mta-sts.abroad.example", "v=STSv1; id=2")
	web.set("mta-sts.abroad.example", "nonsense")
	check("the web fails", true, 2)
	check("and is not asked again at once", true, 2)
	f.pass(time.Hour)
	web.set("mta-sts.abroad.example", strings.Replace(enforce, "enforce", "none", 1))
	check("given up", false, 3)
	f.dns.set("_mta-sts.abroad.example", "v=STSv1; id=3")
	web.set("mta-sts.abroad.example", enforce)
	check("anew", true, 4)
	f.dns.set("_mta-sts.abroad.example")
	f.pass(6 * 24 * time.Hour)
	check("before its end", true, 4)
	f.pass(2 * 24 * time.Hour)
	check("expired", false, 4)
}

func TestParsePolicy(t *testing.T) {
	for text, ok := range map[string]bool{
		enforce:                                         true,
		strings.ReplaceAll(enforce, "\r", ""):           true,
		enforce + "future: thing\n":                     true,
		"version: STSv1\nmode: none\nmax_age: 1":        true,
		strings.Replace(enforce, "604800", "-1", 1):     false,
		strings.Replace(enforce, "STSv1", "STSv2", 1):   false,
		strings.Replace(enforce, "enforce", "force", 1): false,
		strings.Replace(enforce, "max_age", "age", 1):   false,
		"": false,
	} {
		if _, err := parsePolicy(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	p := &policy{mx: []string{"mx.a.example", "*.b.example"}}
	for host, ok := range map[string]bool{"MX.a.example": true, "x.mx.a.example": false, "x.b.example": true, "y.x.b.example": false, "b.example": false} {
		if p.allows(host) != ok {
			t.Errorf("%s: %t", host, !ok)
		}
	}
	for id, texts := range map[string][]string{
		"1":  {"v=STSv1; id=1;", "another text"},
		"2 ": {"v=STSv1;id=2 ;x=y"},
		"":   {"v=STSv1; id=1", "v=STSv1; id=2"},
	} {
		if got := policyID(texts); got != strings.TrimSpace(id) {
			t.Errorf("%q: %q", texts, got)
		}
	}
}

// Where TLS is only offered and fails, mail goes without; where it is asked for
// it does not.
func TestBrokenTLS(t *testing.T) {
	f := newOffice(t, nil)
	s := newSink(t, "mx.abroad.example", func(s *sink) { s.tls = &tls.Config{} }) // No certificate: every handshake fails.
	f.domain("abroad.example", "192.0.2.1", s)
	sent := f.send(letterTo("a@abroad.example"))
	f.run()
	if e := f.ends(sent, 1); statuses(e) != "delivered" || e[0].Outcome.TLS != nil {
		t.Errorf("%+v", e)
	}
	l := letterTo("a@abroad.example")
	l.RequireTLS = true
	if e := f.ends(f.send(l), 1); statuses(e) != "bounced" || e[0].Outcome.Status != "5.7.30" {
		t.Errorf("%+v", e)
	}
	f.dns.sign("abroad.example", "mx.abroad.example")
	f.pass(2 * downFor)
	l = letterTo("b@abroad.example")
	l.RequireTLS = true
	if e := f.ends(f.send(l), 1); statuses(e) != "deferred" || e[0].Outcome.Status != "4.7.5" {
		t.Errorf("%+v", e)
	}
}

func TestRequireTLS(t *testing.T) {
	ca := newAuthority(t)
	f := newOffice(t, func(o *Options) { o.Roots = ca.pool() })
	s := newSink(t, "mx.abroad.example", func(s *sink) { s.tls = ca.issue(t, "mx.abroad.example") })
	f.domain("abroad.example", "192.0.2.1", s)
	f.dns.sign("abroad.example")
	l := letterTo("a@abroad.example")
	l.RequireTLS = true
	sent := f.send(l)
	f.run()
	if e := f.ends(sent, 1); statuses(e) != "delivered" || e[0].Outcome.TLS.Policy != "requiretls" || !e[0].Outcome.TLS.Verified {
		t.Errorf("%+v", e)
	}
	if got := s.deliveries(); !strings.HasSuffix(got[0].mail, " REQUIRETLS") {
		t.Error(got[0].mail)
	}
}

func TestSmarthost(t *testing.T) {
	ca := newAuthority(t)
	for _, mode := range []string{"starttls", "implicit"} {
		s := newSink(t, "relay.example", func(s *sink) {
			s.tls, s.implicit = ca.issue(t, "relay.example"), mode == "implicit"
			s.extensions = append(s.extensions, "AUTH LOGIN PLAIN")
			s.answer = func(line string) string {
				if strings.HasPrefix(line, "AUTH") && line != "AUTH PLAIN AGhpbmQAc2VjcmV0" {
					return "535 5.7.8 no"
				}
				return ""
			}
		})
		f := newOffice(t, func(o *Options) {
			o.Roots = ca.pool()
			o.Smarthost = &Smarthost{Addr: "relay.example:587", User: "hind", Password: "secret", TLS: mode}
		})
		f.routes["relay.example:587"] = s.listener.Addr().String()
		sent := f.send(letterTo("a@one.example", "b@two.example"))
		f.run()
		e := f.ends(sent, 2)
		if statuses(e) != "delivered delivered" || e[0].Outcome.TLS.Policy != "smarthost" || s.said("AUTH") != s.connections() {
			t.Errorf("%s: %+v", mode, e)
		}
		f.await("the connections to be idle", func() bool {
			f.o.pool.mu.Lock()
			defer f.o.pool.mu.Unlock()
			return len(f.o.pool.idle["smarthost"]) == s.connections()
		})
		f.o.opts.Smarthost.Password = "wrong"
		f.o.pool.sweep(f.now().Add(time.Hour), false)
		if e := f.ends(f.send(letterTo("c@one.example")), 1); statuses(e) != "deferred" || e[0].Outcome.Status != "4.7.8" {
			t.Errorf("%s: %+v", mode, e)
		}
		f.stop()
	}
	for _, bad := range []*Smarthost{{Addr: "relay.example"}, {Addr: "relay.example:0"}, {Addr: "r:25", TLS: "ssl"}, {Addr: "r:25", TLS: "none", User: "u"}} {
		if bad.check() == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
}
