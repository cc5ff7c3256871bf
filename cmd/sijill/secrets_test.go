package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sijill/internal/config"
	"sijill/internal/people/peopletest"
)

// confidant remembers every secret that it shows to a server.
type confidant struct {
	*running
	who     credentials
	secrets map[string]string // By what they are.
}

func (c *confidant) secret(what, value string) string {
	c.secrets[what] = value
	return value
}

// post sends JSON and reads JSON.
func (b *browser) post(t *testing.T, path string, body, into any) (status int) {
	t.Helper()
	j, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, b.base+path, strings.NewReader(string(j)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if b.cookie != "" {
		req.AddCookie(&http.Cookie{Name: "sijill", Value: b.cookie})
	}
	res, err := b.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil && res.StatusCode < 400 {
		t.Fatalf("%s: %v", path, err)
	}
	return res.StatusCode
}

// keyStep is one step with a passkey; it returns the next, if there is one.
type keyStep struct {
	ID         string          `json:"id"`
	Options    json.RawMessage `json:"options,omitempty"`
	Name       string          `json:"name"`
	Credential json.RawMessage `json:"credential"`
}

// byPasskeys registers a passkey and signs in with it, and with another's answer.
func (c *confidant) byPasskeys(t *testing.T, b *browser, origin string) {
	t.Helper()
	a := &peopletest.Authenticator{Origin: origin, PRF: true}
	var now, next keyStep
	if status := b.post(t, "/settings/passkey/begin", struct{}{}, &now); status != http.StatusOK {
		t.Fatalf("beginning: %d", status)
	}
	made := a.Create(t, now.Options)
	if status := b.post(t, "/settings/passkey", keyStep{ID: now.ID, Name: "phone", Credential: made}, &next); status != http.StatusOK {
		t.Fatalf("registering: %d", status)
	}
	if next.Options != nil {
		used := a.Get(t, next.Options)
		c.secret("the answer that opens", string(used))
		c.secret("the passkey's own secret", prfOf(t, used))
		if status := b.post(t, "/settings/passkey/opening", keyStep{ID: next.ID, Credential: used}, &keyStep{}); status != http.StatusOK {
			t.Fatalf("opening: %d", status)
		}
	}
	fresh := newBrowser(c.http, "127.0.0.1")
	for n, spoil := range []bool{true, false} {
		var in keyStep
		fresh.post(t, "/sign-in/passkey/begin", struct{}{}, &in)
		used := a.Get(t, in.Options)
		if spoil {
			used = []byte(strings.Replace(string(used), `"signature":"`, `"signature":"AAAA`, 1))
		}
		c.secret(fmt.Sprintf("answer %d of the passkey", n), string(used))
		if status := fresh.post(t, "/sign-in/passkey", keyStep{ID: in.ID, Credential: used}, &keyStep{}); (status == http.StatusOK) == spoil {
			t.Errorf("signing in by passkey, spoiled %t: %d", spoil, status)
		}
	}
}

// prfOf is what the secret function of a passkey gave, as it stands in its answer.
func prfOf(t *testing.T, answer []byte) string {
	t.Helper()
	m := regexp.MustCompile(`"first":"([^"]{20,})"`).FindSubmatch(answer)
	if m == nil {
		t.Fatal("the passkey has no secret")
	}
	return string(m[1])
}

var totpSecret = regexp.MustCompile(`[?&;]secret=([A-Z2-7]{16,})|name="?secret"? value="?([A-Z2-7]{16,})`)

// byWeb signs in with right and wrong passwords, codes of an authenticator and
// recovery codes, and shows them where they don't belong.
func (c *confidant) byWeb(t *testing.T, origin string) {
	t.Helper()
	b := newBrowser(c.http, "127.0.0.1")
	for _, password := range []string{c.secret("a wrong password", "no such Passw0rd سر"), c.secret("the password", c.who.password)} {
		if _, err := b.signIn("hind", password); err != nil {
			t.Fatal(err)
		}
	}
	c.secret("the cookie", b.cookie)
	for _, path := range []string{"/?token=" + c.secret("a token", "t0ken-in-a-url-7391"), "/sign-in?password=" + url.QueryEscape(c.who.password), "/m/" + c.who.app, "/log/" + c.who.recovery} {
		b.get(t, path)
	}
	for _, code := range []string{c.secret("a wrong code", "aaaa-bbbb-cccc-dddd"), c.secret("the recovery code", c.who.recovery)} {
		if _, err := b.do("/open", url.Values{"code": {code}}); err != nil {
			t.Fatal(err)
		}
	}
	c.byPasskeys(t, b, origin)
	res, err := b.do("/settings/totp/begin", url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(res.Body)
	m := totpSecret.FindSubmatch(page)
	if m == nil {
		t.Fatalf("no secret for an authenticator: %d", res.StatusCode)
	}
	secret := c.secret("the authenticator's secret", string(m[1])+string(m[2]))
	if res, err = b.do("/settings/totp", url.Values{"code": {codeOf(t, secret, time.Now())}, "secret": {secret}, "uri": {"otpauth://totp/x?secret=" + secret}}); err != nil || res.StatusCode != http.StatusSeeOther {
		t.Fatal(res.StatusCode, err)
	}
	for _, code := range []string{"000000", codeOf(t, secret, time.Now().Add(30*time.Second))} {
		again := newBrowser(c.http, "127.0.0.1")
		if _, err := again.do("/sign-in", url.Values{"address": {"hind"}, "password": {c.who.password}, "code": {code}, "back": {"/"}}); err != nil {
			t.Fatal(err)
		}
	}
	for n, code := range []string{c.secrets["a wrong code"], c.who.recovery} {
		next := c.secret(fmt.Sprintf("new password %d", n), fmt.Sprintf("chosen-anew-%d-Passw0rd", n))
		if _, err := b.do("/recover", url.Values{"address": {"hind"}, "code": {code}, "password": {next}, "again": {next}}); err != nil {
			t.Fatal(err)
		}
	}
}

// byPrograms signs in by IMAP and submission, with and without TLS, in every way
// and in some that are none.
func (c *confidant) byPrograms(t *testing.T, app string) {
	t.Helper()
	c.secret("app password "+app, app)
	c.secret("app password "+app+", plainly", strings.ReplaceAll(app, "-", ""))
	c.secret("SASL PLAIN of "+app, plainAuth("hind", app))
	c.secret("SASL PLAIN of "+app+" as oneself", base64.StdEncoding.EncodeToString([]byte("hind\x00hind\x00"+app)))
	for _, line := range []string{"a LOGIN hind " + app, "a LOGIN hind {%d+}", "a AUTHENTICATE PLAIN " + plainAuth("hind", app), "a LOGIN " + app, "a " + app + " b", "a AUTHENTICATE " + plainAuth("hind", app), app} {
		line = strings.ReplaceAll(line, "{%d+}", fmt.Sprintf("{%d+}\r\n%s", len(app), app))
		for door, secure := range map[string]bool{"imaps": true, "imap": false} {
			c.says(t, door, secure, line)
		}
	}
	for _, line := range []string{"AUTH PLAIN " + plainAuth("hind", app), "AUTH LOGIN\r\n" + base64.StdEncoding.EncodeToString([]byte("hind")) + "\r\n" + base64.StdEncoding.EncodeToString([]byte(app)),
		"AUTH " + plainAuth("hind", app), "AUTH PLAIN " + app, app, "MAIL FROM:<" + app + "@diwan.example>", "RCPT TO:<" + app + ">"} {
		for door, secure := range map[string]bool{"submissions": true, "submission": false} {
			c.says(t, door, secure, "EHLO "+app+".example\r\n"+line)
		}
	}
}

// says sends lines to a door and reads what is answered, for a short while.
func (c *confidant) says(t *testing.T, door string, secure bool, lines string) {
	t.Helper()
	conn, err := dialFrom("127.0.0.1", c.door(door), secure)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	end := map[bool]string{true: "z LOGOUT\r\n", false: "QUIT\r\n"}[strings.HasPrefix(door, "imap")]
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, lines+"\r\n"+end); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // The server hangs up, or the time is over.
}

// Whatever people show to the server to be let in, right or wrong, at the right
// place or not, at none of its doors does it get into the log, however much is
// logged, nor into metrics, entries or the tables.
func TestCredentialsAreKeptQuiet(t *testing.T) {
	t.Parallel()
	const origin = "https://mail.diwan.example"
	h, p := populatedHome(t, func(c *config.Config) { c.HTTP.URL = origin })
	c := &confidant{who: p.hind, secrets: map[string]string{}}
	c.running = h.serve("--submission", "127.0.0.1:0", "--imap", "127.0.0.1:0", "--submissions", "127.0.0.1:0", "--imaps", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
	connect(t, c.smtp).deliver(t, letter("quiet", 1), hind)
	c.byPrograms(t, c.who.app)
	c.byWeb(t, origin)
	c.byPrograms(t, "wrong-wrong-wrong-4711")
	_, metrics := fetch(t, "http://"+c.door("metrics")+"/metrics")
	places := map[string]string{"the metrics": metrics}
	var entries strings.Builder
	for n := range h.size() {
		entries.WriteString(h.must("show", "--json", fmt.Sprint(n)))
	}
	c.stop()
	places["the log"], places["the entries"] = c.log.String(), entries.String()
	places["the tables"] = steal(t, h.dir).pages.String()
	for place, has := range map[string]string{"the log": `"DEBUG"`, "the metrics": "sijill_", "the entries": `"submission"`, "the tables": "quiet letter"} {
		if !strings.Contains(places[place], has) {
			t.Errorf("%s lacks %s", place, has)
		}
	}
	for _, has := range []string{`"imap"`, `"web"`, "passkey", "totp", "recovery"} {
		if !strings.Contains(places["the entries"], has) {
			t.Errorf("nobody was let in by %s", has)
		}
	}
	if len(c.secrets) < 15 {
		t.Errorf("only %d secrets were shown", len(c.secrets))
	}
	for what, s := range c.secrets {
		for form, written := range map[string]string{"as it is": s, "in base64": base64.RawStdEncoding.EncodeToString([]byte(s)), "in base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(s)),
			"in hex": hex.EncodeToString([]byte(s)), "in a URL": url.QueryEscape(s), "quoted": strings.Trim(fmt.Sprintf("%+q", s), `"`)} {
			for place, text := range places {
				if written != "" && strings.Contains(text, written) {
					t.Errorf("%s is in %s, %s", what, place, form)
				}
			}
		}
	}
}
