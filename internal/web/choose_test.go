package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"sijill"
)

// Who has a password that somebody else knows finds one page, whatever they ask for,
// until they have chosen another.
func TestOwnPasswordFirst(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.gate.fresh, o.own.stale = true, true
	c := o.signIn(t, records)
	for _, path := range []string{"/", "/folders", "/m/1", "/compose", "/settings", "/settings/apps", "/admin", "/open", "/register", "/help", "/events/now", "/nowhere"} {
		a := get(t, c, o.URL+path, "Accept-Language", "en")
		if a.Request.URL.Path != "/settings/password" || a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Somebody else knows") {
			t.Errorf("%s leads to %s: %s", path, a.Request.URL.Path, a.Status)
		}
	}
	page := get(t, c, o.URL+"/", "Accept-Language", "en")
	if strings.Contains(page.body, `href="/compose"`) || strings.Contains(page.body, "/f/") || strings.Contains(page.body, `name="q"`) || !strings.Contains(page.body, `action="/sign-out"`) || !strings.Contains(page.body, `name="old"`) {
		t.Error("the page leads elsewhere, or not out, or doesn't ask for the password")
	}
	if a := get(t, c, o.URL+"/rows?f=1", "HX-Request", "true"); a.StatusCode != http.StatusUnauthorized || a.Header.Get("HX-Redirect") != "/settings/password" {
		t.Errorf("to a script: %s", a.Status)
	}
	post(t, c, o.URL+"/settings/forwarding", url.Values{"class": {"personal"}, "to": {"me@mills.example"}})
	if o.own.forwards[sijill.Personal].To != "" {
		t.Error("a form was taken")
	}
	if a := post(t, c, o.URL+"/language", url.Values{"lang": {"ar"}, "back": {"/settings/password"}}); !strings.Contains(a.body, "اختر كلمة مرور لك") {
		t.Error("the language can't be chosen")
	}
	form := url.Values{"old": {"nope"}, "password": {"a long new one"}, "again": {"another"}}
	for _, step := range []struct{ field, value, word string }{{"", "", "differ"}, {"again", "a long new one", "that you were given is not right"}} {
		form.Set(step.field, step.value)
		if a := post(t, c, o.URL+"/settings/password", form, "Accept-Language", "en", "Cookie", languageCookie+"=en"); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, step.word) || !strings.Contains(a.body, "Somebody else knows") {
			t.Errorf("%s: %s", step.word, a.Status)
		}
	}
	form.Set("old", password)
	a := post(t, c, o.URL+"/settings/password", form)
	if !strings.Contains(a.body, "AFTER-CHANGE-12") || !strings.Contains(a.body, `class="button button-main" href="/"`) {
		t.Errorf("the new code isn't shown, or doesn't lead to the mail: %s", a.Status)
	}
	if a := get(t, c, o.URL+"/folders"); a.Request.URL.Path != "/folders" {
		t.Errorf("afterwards: %s", a.Request.URL.Path)
	}
	if a := get(t, c, o.URL+"/settings/password"); a.Request.URL.Path != "/settings/security" {
		t.Errorf("the page, afterwards: %s", a.Request.URL.Path)
	}
}

// Who has shown a passkey or code isn't asked for the password that they were given:
// they may not have it.
func TestOwnPasswordByPasskey(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.gate.fresh = true
	c := o.signIn(t, records)
	for token := range o.gate.sessions {
		o.gate.deepen(token)
	}
	if a := get(t, c, o.URL+"/"); strings.Contains(a.body, `name="old"`) || !strings.Contains(a.body, `name="again"`) {
		t.Errorf("%s", a.Status)
	}
}

// What is set for closed personal mail isn't shown; where its forwarding was
// suspended, its owner is told.
func TestClosedSettings(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.own.forwards[sijill.Personal] = Forwarding{Suspended: "me@mills.example"}
	c := o.signIn(t, records)
	if a := get(t, c, o.URL+"/settings", "Accept-Language", "en"); !strings.Contains(a.body, "me@mills.example") || !strings.Contains(a.body, "was stopped then") {
		t.Errorf("suspended: %s", a.Status)
	}
	o.gate.shut = true
	c = o.signIn(t, records)
	a := get(t, c, o.URL+"/settings", "Accept-Language", "en")
	if strings.Contains(a.body, "me@mills.example") || strings.Contains(a.body, `name="class" value="personal"`) || !strings.Contains(a.body, `href="/open?back=/settings"`) {
		t.Errorf("closed: %s", a.Status)
	}
}
