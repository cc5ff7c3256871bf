package outbox

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sijill/internal/db"
)

// policy is what a domain says of the servers that take its mail (RFC 8461).
type policy struct {
	id      string
	mode    string // "enforce", "testing" or "none".
	mx      []string
	maxAge  time.Duration
	expires time.Time
}

// Bounds of a policy (RFC 8461 sections 3.2 and 3.3).
const (
	maxPolicy     = 64 << 10
	maxPolicyAge  = 31557600 * time.Second
	fetchPatience = time.Minute
	askAgain      = 5 * time.Minute // After a policy could not be had.
)

var errPolicy = errors.New("this is no MTA-STS policy")

// policyClient trusts roots and follows nothing (RFC 8461 section 3.3).
func policyClient(roots *x509.CertPool) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	t.Proxy, t.MaxIdleConns, t.MaxResponseHeaderBytes = nil, 8, 16<<10
	return &http.Client{Transport: t}
}

// parsePolicy reads a policy (RFC 8461 section 3.2).
func parsePolicy(text string) (*policy, error) {
	p, version := &policy{}, ""
	age := int64(-1)
	seen := map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || seen[key] && key != "mx" {
			continue // The first of a key counts.
		}
		seen[key] = true
		switch key {
		case "version":
			version = value
		case "mode":
			p.mode = value
		case "max_age":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return nil, errPolicy
			}
			age = n
		case "mx":
			p.mx = append(p.mx, strings.ToLower(strings.TrimSuffix(value, ".")))
		}
	}
	known := p.mode == "enforce" || p.mode == "testing" || p.mode == "none"
	if lines.Err() != nil || version != "STSv1" || !known || age < 0 || p.mode != "none" && len(p.mx) == 0 {
		return nil, errPolicy
	}
	p.maxAge = time.Duration(min(age, int64(maxPolicyAge/time.Second))) * time.Second
	return p, nil
}

// allows tells whether a host is one of the policy's (RFC 8461 section 4.1): a
// wildcard stands for exactly one label.
func (p *policy) allows(host string) bool {
	host = strings.ToLower(host)
	for _, pattern := range p.mx {
		if pattern == host {
			return true
		}
		if rest, ok := strings.CutPrefix(pattern, "*."); ok {
			if _, parent, ok := strings.Cut(host, "."); ok && parent == rest {
				return true
			}
		}
	}
	return false
}

// policyID reads the TXT records of _mta-sts (RFC 8461 section 3.1); empty
// unless there is exactly one that is valid.
func policyID(texts []string) string {
	found, ids := 0, ""
	for _, text := range texts {
		fields := strings.Split(text, ";")
		if strings.TrimSpace(fields[0]) != "v=STSv1" {
			continue
		}
		found++
		for _, f := range fields[1:] {
			key, value, _ := strings.Cut(strings.TrimSpace(f), "=")
			if strings.TrimSpace(key) == "id" {
				ids = strings.TrimSpace(value)
			}
		}
	}
	if found != 1 || len(ids) > 32 {
		return ""
	}
	return ids
}

// sts gives the policy of a domain, or nil where it has none that binds. A
// policy that is known binds until it expires, whatever DNS and the web say
// meanwhile: that is what it is for.
func (o *Outbox) sts(ctx context.Context, domain string) (*policy, error) {
	if strings.HasPrefix(domain, "[") {
		return nil, nil
	}
	known, err := o.knownPolicy(ctx, domain)
	if err != nil {
		return nil, err
	}
	answer, err := o.opts.Resolver.TXT(ctx, "_mta-sts."+domain)
	id := ""
	if err == nil {
		id = policyID(answer.Records)
	}
	if id == "" || known != nil && known.id == id || !o.mayAsk(domain+" "+id) {
		return binding(known), nil
	}
	fresh, err := o.fetchPolicy(ctx, domain)
	if err != nil {
		o.opts.Log.Info("a policy of MTA-STS can't be had", "error", err)
		return binding(known), nil
	}
	fresh.id, fresh.expires = id, o.now().Add(fresh.maxAge)
	if err := o.keepPolicy(domain, fresh); err != nil {
		o.opts.Log.Warn("a policy of MTA-STS can't be kept", "error", err)
	}
	return binding(fresh), nil
}

func binding(p *policy) *policy {
	if p == nil || p.mode == "none" {
		return nil
	}
	return p
}

// mayAsk keeps a policy from being asked for again and again in vain (RFC 8461
// section 3.3).
func (o *Outbox) mayAsk(what string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	for k, at := range o.asked {
		if now.Sub(at) >= askAgain || now.Before(at) {
			delete(o.asked, k)
		}
	}
	if _, asked := o.asked[what]; asked {
		return false
	}
	o.asked[what] = now
	return true
}

// fetchPolicy asks the domain's web server. Errors don't name it.
func (o *Outbox) fetchPolicy(ctx context.Context, domain string) (*policy, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mta-sts."+domain+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return nil, errPolicy
	}
	client := *o.opts.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Jar = nil
	resp, err := client.Do(req)
	if err != nil {
		return nil, errors.New("the web server can't be reached, or proves nothing")
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || kind != "text/plain" {
		return nil, fmt.Errorf("the web server answered %d: %w", resp.StatusCode, errPolicy)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPolicy+1))
	if err != nil || len(b) > maxPolicy {
		return nil, errPolicy
	}
	return parsePolicy(string(b))
}

func (o *Outbox) knownPolicy(ctx context.Context, domain string) (*policy, error) {
	p, patterns, expires := &policy{}, "", int64(0)
	err := o.opts.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT id, mode, mx, expires FROM outbox_policy WHERE domain = ?", []any{domain}, &p.id, &p.mode, &patterns, &expires)
	})
	if p.expires = fromMicro(expires); errors.Is(err, fs.ErrNotExist) || err == nil && !p.expires.After(o.now()) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a policy of MTA-STS: %w", err)
	}
	p.mx = strings.Split(patterns, "\n")
	return p, nil
}

// keepPolicy keeps a policy, and throws away what has expired.
func (o *Outbox) keepPolicy(domain string, p *policy) error {
	return o.writes.do(func(tx *db.Tx) error {
		if _, err := tx.Exec("DELETE FROM outbox_policy WHERE expires <= ?", micro(o.now())); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO outbox_policy (domain, id, mode, mx, expires) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (domain) DO UPDATE SET id = excluded.id, mode = excluded.mode, mx = excluded.mx, expires = excluded.expires`,
			domain, p.id, p.mode, strings.Join(p.mx, "\n"), micro(p.expires))
		return err
	})
}
