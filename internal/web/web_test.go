package web

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"sijill"
	"sijill/internal/message"
)

// reply is what came back, read.
type reply struct {
	*http.Response
	body string
}

func get(tb testing.TB, c *http.Client, address string, headers ...string) reply {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), "GET", address, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return do(tb, c, req, headers...)
}

func post(tb testing.TB, c *http.Client, address string, form url.Values, headers ...string) reply {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), "POST", address, strings.NewReader(form.Encode()))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return do(tb, c, req, headers...)
}

func do(tb testing.TB, c *http.Client, req *http.Request, headers ...string) reply {
	tb.Helper()
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return reply{res, string(body)}
}

// still doesn't follow redirects.
func still(c *http.Client) *http.Client {
	d := *c
	d.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &d
}

// private are the pages of a message that only its holders may see.
func private(entry int64) []string {
	m := fmt.Sprintf("/m/%d", entry)
	return []string{m, m + "/body", m + "/part/0", m + "/cid/0", m + "/original.eml", m + "/presented.eml", m + "/proof", m + "/verify"}
}

func TestStrangersSeeNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := still(newClient(t))
	for _, path := range append(private(o.entry(t, "<prize@")), "/", "/f/1", "/folders", "/search?q=budget", "/rows?f=1") {
		a := get(t, c, o.URL+path)
		if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/sign-in?back=") {
			t.Errorf("%s: %s %s", path, a.Status, a.Header.Get("Location"))
		}
		a = get(t, c, o.URL+path, "HX-Request", "true")
		if a.StatusCode != http.StatusUnauthorized || a.Header.Get("HX-Redirect") != "/sign-in" || a.body != "" {
			t.Errorf("%s for a script: %s", path, a.Status)
		}
	}
	for _, path := range []string{"/register", "/verify", "/help", "/sign-in", "/log/checkpoint", "/healthz"} {
		if a := get(t, c, o.URL+path); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
}

func TestAccountsSeeOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	hers := o.signIn(t, noura)
	theirs := o.signIn(t, records)
	secret, shared := o.entry(t, "<prize@"), o.entry(t, "<request-74@")
	for _, path := range private(secret) {
		if a := get(t, hers, o.URL+path); a.StatusCode != http.StatusNotFound || strings.Contains(a.body, "lottery") {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	if a := get(t, hers, o.URL+fmt.Sprintf("/m/%d", shared)); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "1974") && !strings.Contains(a.body, "١٩٧٤") {
		t.Errorf("her own message: %s", a.Status)
	}
	folders, err := o.store.Folders(t.Context(), &Viewer{Account: 1, Office: true, Personal: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if a := post(t, hers, o.URL+"/act", url.Values{"do": {"delete"}, "all": {fmt.Sprint(f.ID)}}); a.StatusCode != http.StatusBadRequest {
			t.Errorf("acting on another's folder: %s", a.Status)
		}
		for _, path := range []string{fmt.Sprintf("/f/%d", f.ID), fmt.Sprintf("/rows?f=%d&from=0&n=50", f.ID)} {
			if a := get(t, hers, o.URL+path); a.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %s", path, a.Status)
			}
		}
		// Her own message is shown in the folder that it lies in.
		if a := get(t, hers, o.URL+fmt.Sprintf("/m/%d?f=%d", shared, f.ID)); a.StatusCode != http.StatusOK || strings.Contains(a.body, fmt.Sprintf("/rows?f=%d\"", f.ID)) || strings.Contains(a.body, fmt.Sprintf("/f/%d\"", f.ID)) {
			t.Errorf("beside another's folder: %s", a.Status)
		}
	}
	if a := get(t, hers, o.URL+"/search?q=lottery"); strings.Contains(a.body, "/m/") {
		t.Error("search finds what she doesn't hold")
	}
	if a := get(t, theirs, o.URL+"/search?q=winner"); !strings.Contains(a.body, fmt.Sprintf("/m/%d?", secret)) {
		t.Error("search doesn't find what they hold")
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := still(newClient(t))
	wrong := post(t, c, o.URL+"/sign-in", url.Values{"address": {records}, "password": {"nope"}}, "Accept-Language", "en")
	if wrong.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(wrong.body, "not right") || strings.Contains(wrong.body, "nope") {
		t.Errorf("wrong password: %s", wrong.Status)
	}
	form := url.Values{"address": {records}, "password": {password}, "back": {"/help"}}
	a := post(t, c, o.URL+"/sign-in", form)
	cookie := a.Cookies()[0]
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/help" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("%s %v", a.Status, cookie)
	}
	// Signing in again ends the session before and makes another.
	again := post(t, c, o.URL+"/sign-in", form)
	if again.Cookies()[0].Value == cookie.Value {
		t.Error("the session isn't new")
	}
	if _, err := o.gate.Resume(t.Context(), cookie.Value); err == nil {
		t.Error("the session before goes on")
	}
	post(t, c, o.URL+"/sign-out", nil)
	if _, err := o.gate.Resume(t.Context(), again.Cookies()[0].Value); err == nil {
		t.Error("the session goes on after signing out")
	}
	for _, back := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "javascript:alert(1)", "/\tevil", "evil", ""} {
		form.Set("back", back)
		if a := post(t, c, o.URL+"/sign-in", form); a.Header.Get("Location") != "/" {
			t.Errorf("%q leads to %q", back, a.Header.Get("Location"))
		}
	}
}

func TestTooManyTries(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	for lang, word := range map[string]string{"ar": "محاولات كثيرة", "en": "Too many tries"} {
		c := newClient(t)
		for try := 0; ; try++ {
			a := post(t, c, o.URL+"/sign-in", url.Values{"address": {"x@diwan.example"}, "password": {"nope"}}, "Accept-Language", lang)
			if a.StatusCode == http.StatusTooManyRequests {
				if a.Header.Get("Retry-After") == "" || a.Header.Get("Retry-After") == "0" || !strings.Contains(a.body, word) {
					t.Errorf("%s: Retry-After %q", lang, a.Header.Get("Retry-After"))
				}
				break
			}
			if try > 50 {
				t.Fatal("one may try for ever")
			}
		}
	}
}

func TestSecureCookie(t *testing.T) {
	t.Parallel()
	s := &site{Config: Config{Secure: true}}
	w := newRecorder()
	s.setSession(w, "token")
	got := w.Header().Get("Set-Cookie")
	for _, part := range []string{"__Host-sijill=token", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
		if !strings.Contains(got, part) {
			t.Errorf("%s lacks %s", got, part)
		}
	}
}

func TestOtherSitesCantPost(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	for _, h := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		for _, path := range []string{"/sign-in", "/sign-out", "/language", "/act", "/compose", "/undo", "/settings/recovery", "/admin/accounts"} {
			a := post(t, c, o.URL+path, nil, append(h, "Accept-Language", "en")...)
			if a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "another site") {
				t.Errorf("%v %s: %s", h, path, a.Status)
			}
		}
	}
	if a := get(t, still(c), o.URL+"/folders"); a.StatusCode != http.StatusOK {
		t.Error("signed out by another site")
	}
}

func TestEveryAnswerIsProtected(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	prize := o.entry(t, "<prize@")
	paths := append(private(prize), "/", "/folders", "/search?q=x", "/register", "/verify", "/help", "/nowhere", "/log/checkpoint", "/m/99999999")
	for _, path := range paths {
		h := get(t, c, o.URL+path).Header
		policy := h.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors") || strings.Contains(policy, "unsafe-eval") ||
			strings.Contains(policy, "'unsafe-inline'") && !strings.HasSuffix(path, "/body") {
			t.Errorf("%s: policy %s", path, policy)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" || h.Get("X-Frame-Options") == "" {
			t.Errorf("%s: %v", path, h)
		}
		if cache := h.Get("Cache-Control"); !strings.Contains(cache, "no-store") && !strings.Contains(cache, "private") {
			t.Errorf("%s may be cached: %q", path, cache)
		}
	}
	body := get(t, c, o.URL+fmt.Sprintf("/m/%d/body", prize)).Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(body, "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; ") || strings.Contains(body, "script") || !strings.Contains(body, "img-src 'self';") {
		t.Error(body)
	}
}

func TestOriginalAndProof(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	keys, err := sijill.ParseKeys(recordsOf{o}.Key())
	if err != nil {
		t.Fatal(err)
	}
	for entry := o.entry(t, "budget-1@"); entry < int64(len(o.books.raw)); entry++ {
		at := fmt.Sprintf("%s/m/%d", o.URL, entry)
		original := get(t, c, at+"/original.eml")
		if original.body != string(o.books.raw[entry]) {
			t.Fatalf("entry %d isn't what was sealed", entry)
		}
		proof, err := sijill.ParseProof([]byte(get(t, c, at+"/proof").body))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := sijill.Verify(proof, []byte(original.body), keys); err != nil || !v.Whole {
			t.Errorf("entry %d: %v", entry, err)
		}
		presented := get(t, c, at+"/presented.eml").body
		if !strings.HasPrefix(presented, "Return-Path: ") || !strings.HasSuffix(presented, original.body) {
			t.Errorf("entry %d isn't presented with its trace", entry)
		}
		if d := original.Header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment; filename=sijill-") {
			t.Error(d)
		}
	}
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	offer, prize := o.entry(t, "offer-2027"), o.entry(t, "<prize@")
	a := get(t, c, fmt.Sprintf("%s/m/%d/part/1", o.URL, offer))
	if d := a.Header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment; filename*=utf-8''") || a.Header.Get("Content-Type") != "application/octet-stream" {
		t.Error(d, a.Header.Get("Content-Type"))
	}
	if !strings.HasPrefix(a.body, "PK stand-in") || !strings.HasPrefix(a.Header.Get("Content-Security-Policy"), "sandbox;") {
		t.Error("not the attachment, or not in a sandbox")
	}
	page := get(t, c, fmt.Sprintf("%s/m/%d", o.URL, prize))
	if strings.Contains(page.body, "\u202e") || !strings.Contains(page.body, "claimfdp.html") {
		t.Error("the name of a file can be turned round")
	}
	for i := range 2 {
		a := get(t, c, fmt.Sprintf("%s/m/%d/part/%d", o.URL, prize, i))
		if strings.Contains(a.Header.Get("Content-Type"), "html") || strings.Contains(a.Header.Get("Content-Disposition"), "..") {
			t.Errorf("%v", a.Header)
		}
		if inline := get(t, c, fmt.Sprintf("%s/m/%d/cid/%d", o.URL, prize, i)); (inline.StatusCode == http.StatusOK) != (inline.Header.Get("Content-Type") == "image/png") {
			t.Errorf("shown within a page: %s %s", inline.Status, inline.Header.Get("Content-Type"))
		}
	}
	for _, bad := range []string{"99", "-1", "x", "0x0"} {
		if a := get(t, c, fmt.Sprintf("%s/m/%d/part/%s", o.URL, prize, bad)); a.StatusCode != http.StatusNotFound {
			t.Errorf("part %s: %s", bad, a.Status)
		}
	}
}

func TestImagesAreAskedForOnThePage(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	mine, another := o.signIn(t, records), o.signIn(t, records)
	at := fmt.Sprintf("%s/m/%d", o.URL, o.entry(t, "<gazette-48@"))
	page := get(t, mine, at)
	_, rest, ok := strings.Cut(page.body, "images=")
	token, _, _ := strings.Cut(rest, `"`)
	if !ok || token == "" {
		t.Fatal("the page doesn't offer images")
	}
	allowed := func(c *http.Client, token string) bool {
		a := get(t, c, at+"/body?images="+token)
		policy := a.Header.Get("Content-Security-Policy")
		if strings.Contains(policy, "https:") != strings.Contains(a.body, "press.example/masthead.png") {
			t.Errorf("policy and text disagree: %s", policy)
		}
		return strings.Contains(policy, "https:")
	}
	if !allowed(mine, token) {
		t.Error("asked for, and not allowed")
	}
	if allowed(another, token) || allowed(mine, "1") || allowed(mine, "") {
		t.Error("allowed without being asked for in this session")
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	first := get(t, c, o.URL+"/")
	folder := first.Request.URL.Path
	if n := strings.Count(first.body, `<li class="row`); n != window {
		t.Errorf("%d rows", n)
	}
	for _, q := range []string{"?page=2", "?page=%D9%A2", "?at=50"} {
		if a := get(t, c, o.URL+folder+q); !strings.Contains(a.body, `start="51"`) {
			t.Errorf("%s doesn't begin at row 51", q)
		}
	}
	if a := get(t, c, o.URL+folder+"?at=999999999"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, `<li class="row`) {
		t.Errorf("beyond the end: %s", a.Status)
	}
	for _, bad := range []string{"?at=-1", "?at=x", "?page=1e9", "?at=99999999999999999999"} {
		if a := get(t, c, o.URL+folder+bad); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", bad, a.Status)
		}
	}
	for _, bad := range []string{"/f/999", "/f/x", "/m/x", "/m/-1", "/m/1e3"} {
		if a := get(t, c, o.URL+bad); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", bad, a.Status)
		}
	}
	rows := get(t, c, o.URL+"/rows?f="+strings.TrimPrefix(folder, "/f/")+"&from=10&n=100000")
	if n := strings.Count(rows.body, `<li class="row`); n > scriptWindow || !strings.Contains(rows.body, `data-at="10"`) {
		t.Errorf("%d rows for a script", n)
	}
}

func TestReadAndUnread(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	entry := o.entry(t, "<contract@")
	seen := func() bool {
		row, err := o.store.Get(t.Context(), &Viewer{Account: 1, Office: true}, entry)
		if err != nil {
			t.Fatal(err)
		}
		return row.Seen
	}
	get(t, c, fmt.Sprintf("%s/m/%d", o.URL, entry))
	if !seen() {
		t.Error("opened and not read")
	}
	_, rest, _ := strings.Cut(get(t, c, fmt.Sprintf("%s/m/%d", o.URL, entry)).body, `name="at" value="`)
	at, _, _ := strings.Cut(rest, `"`)
	if a := post(t, still(c), o.URL+"/act", url.Values{"do": {"unread"}, "at": {at}, "back": {"/folders"}}); !strings.HasPrefix(a.Header.Get("Location"), "/folders?did=") || seen() {
		t.Errorf("%s; read: %v", a.Status, seen())
	}
}

func TestSearchErrorIsShownAtItsPlace(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	for q, want := range map[string]string{
		"عقد before:someday <b>":        "<code>عقد before:<mark>someday</mark> &lt;b&gt;</code>",
		`"annual budget`:                "<mark>",
		"(":                             "<mark>",
		"from:":                         "<mark>",
		strings.Repeat("ميزانية ", 900): "<mark>",
	} {
		a := get(t, c, o.URL+"/search?q="+url.QueryEscape(q))
		if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `role="alert"`) || !strings.Contains(a.body, want) {
			t.Errorf("%.40s: %s", q, a.Status)
		}
	}
}

// broken is a register whose disk has died.
type broken struct{ recordsOf }

var errDisk = errors.New("disk sda1: secret of records@diwan.example")

func (broken) Original(context.Context, *Viewer, int64) ([]byte, message.Envelope, error) {
	return nil, message.Envelope{}, errDisk
}

func TestErrorsAreKeptFromReaders(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	o.swap(t, broken{recordsOf{o}})
	for _, lang := range []string{"ar", "en"} {
		a := get(t, c, fmt.Sprintf("%s/m/%d", o.URL, 1), "Accept-Language", lang)
		if a.StatusCode != http.StatusInternalServerError || strings.Contains(a.body, "sda1") || !strings.Contains(a.body, `lang="`+lang) {
			t.Errorf("%s: %s", lang, a.Status)
		}
	}
	if !strings.Contains(o.log.String(), "sda1") {
		t.Error("the log doesn't say what happened")
	}
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := newClient(t)
	if a := get(t, c, o.URL+"/sign-in", "Accept-Language", "en-GB"); !strings.Contains(a.body, `<html lang="en" dir="ltr"`) {
		t.Error("the browser's language isn't taken")
	}
	a := post(t, c, o.URL+"/language", url.Values{"lang": {"ar"}, "back": {"/help"}}, "Accept-Language", "en")
	if a.Request.URL.Path != "/help" || !strings.Contains(a.body, `<html lang="ar" dir="rtl"`) {
		t.Errorf("the language that was chosen isn't kept: %s", a.Request.URL)
	}
}

func TestLogIsPublicAndEntriesAreNot(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := newClient(t)
	if a := get(t, c, o.URL+"/log/checkpoint"); a.body != string(o.books.checkpoint) {
		t.Error("not the checkpoint")
	}
	register := html.UnescapeString(get(t, c, o.URL+"/register").body)
	for _, part := range []string{`aria-label="Ed25519"`, `aria-label="ML-DSA-44"`, origin, strings.TrimSpace(o.books.signers[0].VerifierKey())[:30]} {
		if !strings.Contains(register, part) {
			t.Errorf("the register's page lacks %s", part)
		}
	}
	if a := get(t, c, o.URL+fmt.Sprintf("/log/tile/0/000.p/%d", len(o.books.raw))); len(a.body) != 32*len(o.books.raw) || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("%s, %d bytes", a.Status, len(a.body))
	}
	for _, bad := range []string{"/log/tile/entries/000.p/1", "/log/", "/log/tile/../checkpoint2", "/log/secret"} {
		if a := get(t, c, o.URL+bad); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", bad, a.Status)
		}
	}
}

func TestPeer(t *testing.T) {
	t.Parallel()
	s := &site{Config: Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:5", "", "192.0.2.1"},
		{"192.0.2.1:5", "198.51.100.9", "192.0.2.1"},
		{"10.1.2.3:5", "203.0.113.1, 198.51.100.9", "198.51.100.9"},
		{"[::ffff:10.1.2.3]:5", "2001:db8::1", "2001:db8::1"},
		{"10.1.2.3:5", "nonsense", "10.1.2.3"},
		{"nonsense", "", "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": {c.forwarded}}}
		if got := s.peer(r).String(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := newClient(t)
	if a := get(t, c, o.URL+"/healthz"); a.body != "ok\n" {
		t.Error(a.body)
	}
	o.health = errDisk
	if a := get(t, c, o.URL+"/healthz"); a.StatusCode != http.StatusServiceUnavailable || strings.Contains(a.body, "sda1") {
		t.Error(a.Status, a.body)
	}
}
