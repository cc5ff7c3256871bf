package junk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Rspamd asks an rspamd server by its protocol over HTTP.
type Rspamd struct {
	endpoint string
	password string
	timeout  time.Duration
	client   *http.Client
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// NewRspamd returns a Scorer that asks the normal worker at base, such as
// http://127.0.0.1:11333. The password may be empty. A timeout of 0 is ten
// seconds.
func NewRspamd(base, password string, timeout time.Duration) (*Rspamd, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("junk: rspamd's address is not an http or https URL")
	}
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	return &Rspamd{
		endpoint: u.JoinPath("checkv2").String(), password: password, timeout: timeout,
		client: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Score implements Scorer.
func (r *Rspamd) Score(ctx context.Context, m *Mail) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	a, err := r.ask(ctx, m)
	if err != nil {
		return Result{Mark: "unreachable"}, fmt.Errorf("asking rspamd: %w", err)
	}
	return a.result()
}

// answer is what rspamd says, as far as it matters.
type answer struct {
	Action  string  `json:"action"`
	Score   float64 `json:"score"`
	Skipped bool    `json:"is_skipped"`
}

func (r *Rspamd) ask(ctx context.Context, m *Mail) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.endpoint, bytes.NewReader(m.Message))
	if err != nil {
		return nil, err
	}
	r.describe(req.Header, m)
	resp, err := r.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL, in which a password might be
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers with status %d", resp.StatusCode)
	}
	var a answer
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&a); err != nil {
		return nil, fmt.Errorf("reading its answer: %w", err)
	}
	return &a, nil
}

// describe writes how the message came into the header of the request.
func (r *Rspamd) describe(h http.Header, m *Mail) {
	if m.Peer.IsValid() {
		h.Set("IP", m.Peer.String())
	}
	if m.Hello != "" {
		h.Set("Helo", oneLine(m.Hello))
	}
	h.Set("From", "<"+oneLine(m.From)+">")
	for _, to := range m.To {
		h.Add("Rcpt", "<"+oneLine(to)+">")
	}
	if r.password != "" {
		h.Set("Password", r.password)
	}
}

// oneLine takes out what a header of HTTP can't hold.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, s)
}

// result turns an action into a Result. Of an action that is not known, nothing
// is concluded.
func (a *answer) result() (Result, error) {
	if a.Skipped && a.Action == "no action" {
		return Result{Mark: "skipped"}, nil // its settings spare this mail
	}
	r := Result{Known: true, Score: a.Score, Mark: strings.ReplaceAll(a.Action, " ", "_")}
	switch a.Action {
	case "reject":
		r.Junk, r.Reject = true, true
	case "add header", "rewrite subject":
		r.Junk = true
	case "soft reject", "greylist":
		r.Defer = true
	case "no action":
	default:
		return Result{Mark: "unknown"}, errors.New("asking rspamd: its action is not known")
	}
	return r, nil
}
