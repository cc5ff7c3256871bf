package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sijill"
)

func TestSignInWithCode(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.gate.totp = "123456"
	c := newClient(t)
	form := url.Values{"address": {"salma"}, "password": {password}, "back": {"/folders"}}
	a := post(t, c, o.URL+"/sign-in", form, "Accept-Language", "en")
	if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, `name="code"`) || strings.Contains(a.body, password) || len(a.Cookies()) > 0 {
		t.Errorf("%s", a.Status)
	}
	form.Set("code", "111111")
	if a := post(t, c, o.URL+"/sign-in", form, "Accept-Language", "en"); !strings.Contains(a.body, "not right") {
		t.Errorf("a wrong code: %s", a.Status)
	}
	form.Set("code", "١٢٣٤٥٦")
	if a := post(t, c, o.URL+"/sign-in", form); a.Request.URL.Path != "/folders" {
		t.Errorf("a right code: %s", a.Status)
	}
}

func TestRecover(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := newClient(t)
	if a := get(t, c, o.URL+"/recover", "Accept-Language", "en"); !strings.Contains(a.body, "closed for ever") {
		t.Error("it isn't said what is lost")
	}
	form := url.Values{"address": {"salma"}, "code": {"wrong"}, "password": {"a new long password"}, "again": {"a new long password"}}
	if a := post(t, c, o.URL+"/recover", form); a.StatusCode != http.StatusUnprocessableEntity {
		t.Error(a.Status)
	}
	form.Set("code", recoveryCode)
	form.Set("again", "another")
	if a := post(t, c, o.URL+"/recover", form); a.StatusCode != http.StatusUnprocessableEntity {
		t.Error(a.Status)
	}
	form.Set("again", "a new long password")
	a := post(t, c, o.URL+"/recover", form)
	if !strings.Contains(a.body, "FRESH-CODE-77") || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("%s", a.Status)
	}
	if a := get(t, c, o.URL+"/folders"); a.Request.URL.Path != "/folders" {
		t.Error("not signed in")
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	ok := func(path string, form url.Values, want int, word string) {
		t.Helper()
		if a := post(t, c, o.URL+path, form, "Accept-Language", "en"); a.StatusCode != want || !strings.Contains(a.body, word) {
			t.Errorf("%s %v: %s, no %q", path, form, a.Status, word)
		}
	}
	ok("/settings/identity", url.Values{"address": {own}, "class": {"personal"}, "name": {"  Salma   H. "}, "signature": {"S.\r\nH.\r\n"}}, 200, "Saved.")
	if i := o.own.identities[0]; i.Name != "Salma H." || i.Signature != "S.\nH." || i.Class != sijill.Personal {
		t.Errorf("%+v", i)
	}
	ok("/settings/vacation", url.Values{"class": {"office"}, "on": {"1"}, "text": {"Away"}, "from": {"2026-12-01"}, "until": {"2026-12-05"}}, 200, "Saved.")
	if v := o.own.vacations[sijill.Office]; !v.On || v.From.Day() != 1 || v.Text != "Away" {
		t.Errorf("%+v", v)
	}
	ok("/settings/vacation", url.Values{"class": {"office"}, "on": {"1"}, "text": {"Away"}, "from": {"2026-12-05"}, "until": {"2026-12-01"}}, 422, "Nothing was changed")
	ok("/settings/vacation", url.Values{"class": {"office"}, "from": {"soon"}}, 422, "Nothing was changed")
	ok("/settings/forwarding", url.Values{"class": {"personal"}, "to": {"me@mills.example"}}, 200, "Saved.")
	ok("/settings/forwarding", url.Values{"class": {"office"}, "to": {"me@mills.example"}}, 422, "forwarded to elsewhere")
	ok("/settings/password", url.Values{"old": {"nope"}, "password": {"a long new one"}, "again": {"a long new one"}}, 422, "present password")
	ok("/settings/password", url.Values{"old": {password}, "password": {"short"}, "again": {"short"}}, 422, "too easy")
	ok("/settings/password", url.Values{"old": {password}, "password": {"a long new one"}, "again": {"a long new one"}}, 200, "was changed")
	ok("/settings/totp/begin", nil, 200, "JBSWY3DPEHPK3PXP")
	ok("/settings/totp", url.Values{"code": {"1"}, "secret": {"JBSWY3DPEHPK3PXP"}, "uri": {"otpauth://totp/x"}}, 422, "qr-ink")
	ok("/settings/totp", url.Values{"code": {"123456"}}, 200, "From now on")
	ok("/settings/recovery", nil, 200, "MARBLE-WHEAT-93-HARBOUR-17-CEDAR")
	ok("/settings/apps", url.Values{"label": {" "}, "scope": {"both"}}, 422, "which program")
	ok("/settings/apps", url.Values{"label": {"mutt"}, "scope": {"personal"}}, 200, "kmtq-rvba-xwen-jdos")
	if a := o.own.apps[len(o.own.apps)-1]; a.Office || !a.Personal {
		t.Errorf("%+v", a)
	}
	if a := get(t, c, o.URL+"/settings/apps"); strings.Contains(a.body, "kmtq") || !strings.Contains(a.body, "mutt") {
		t.Error("an app password is shown twice, or not listed")
	}
	ok("/settings/apps/revoke", url.Values{"id": {"a1"}}, 200, "no longer works")
	ok("/settings/preferences", url.Values{"language": {"en"}, "digits": {"arab"}}, 200, "Saved.")
	if a := get(t, c, o.URL+"/folders"); !strings.Contains(a.body, "١٥٨ messages") && !strings.Contains(a.body, "<bdi>١٥٨</bdi> messages") {
		t.Error("the digits that were chosen aren't used")
	}
	ok("/settings/preferences", url.Values{"digits": {"roman"}}, 400, "not understood")
}

// Each passkey says in plain words what it opens, and can be renamed by whose it is.
func TestPasskeysAreTold(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.own.keys = []Passkey{
		{ID: "k1", Name: "Deep", Opens: true, Everyday: true, Created: now.Add(-900 * time.Hour), Used: now.Add(-30 * time.Hour)},
		{ID: "k2", Name: "Shallow", Everyday: true, Created: now},
		{ID: "k3", Name: "Plain", Created: now},
	}
	c := o.signIn(t, records)
	for lang, words := range map[string][3]string{
		"en": {"and older mail for an hour", "older mail not yet", "Signs in only: the password is still needed"},
		"ar": {"والأقدم لساعة", "ولا يفتح الأقدم بعد", "كلمة المرور لازمة للبريد الشخصي"},
	} {
		list := strings.Split(get(t, c, o.URL+"/settings/security", "Accept-Language", lang).body, `class="line-name"`)[1:]
		for i, k := range list {
			never := strings.Contains(k, map[string]string{"en": "Never used", "ar": "لم تُستعمل قط"}[lang])
			if !strings.Contains(k, words[i]) || never != (i > 0) {
				t.Errorf("%s: passkey %d says %q", lang, i+1, k[:600])
			}
		}
	}
	rename := func(id, name string) reply {
		return post(t, c, o.URL+"/settings/passkey/rename", url.Values{"id": {id}, "name": {name}}, "Accept-Language", "en")
	}
	if a := rename("k3", "  مفتاح   البيت "); a.StatusCode != http.StatusOK || o.own.keys[2].Name != "مفتاح البيت" || !strings.Contains(a.body, "was renamed") {
		t.Errorf("renamed: %s, %q", a.Status, o.own.keys[2].Name)
	}
	for _, bad := range []string{" ", strings.Repeat("x", 1000)} {
		if a := rename("k3", bad); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "be the name of a passkey") {
			t.Errorf("%.10q: %s", bad, a.Status)
		}
	}
	if a := rename("k9", "x"); a.StatusCode != http.StatusNotFound {
		t.Errorf("one that isn't there: %s", a.Status)
	}
}

// A domain that can't be one is told from the others that can't be added.
func TestAddDomain(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	for name, say := range map[string]string{"my domain": "is no name of a domain", "diwan.example": "in use"} {
		a := post(t, c, o.URL+"/admin/domains", url.Values{"name": {name}}, "Accept-Language", "en")
		if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, say) || !strings.Contains(a.body, `name="name" value="`+name+`"`) {
			t.Errorf("%q: %s", name, a.Status)
		}
	}
}

// What comes to no address of a domain goes where an administrator says.
func TestCatchAll(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	set := func(domain, do, address string) reply {
		return post(t, c, o.URL+"/admin/domains/catch-all", url.Values{"domain": {domain}, "do": {do}, "address": {address}}, "Accept-Language", "en")
	}
	if a := get(t, c, o.URL+"/admin/domains", "Accept-Language", "en"); !strings.Contains(a.body, "is refused, so that") {
		t.Error("it isn't said that there's none")
	}
	if a := set("diwan.example", "set", "nobody@diwan.example"); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Nobody here has the address") || !strings.Contains(a.body, `value="nobody@diwan.example"`) {
		t.Errorf("to nobody: %s", a.Status)
	}
	if a := set("diwan.example", "set", " "+records); a.StatusCode != http.StatusOK || o.bureau.domains[0].CatchAll != records || !strings.Contains(a.body, "goes to <bdi>"+records) {
		t.Errorf("set: %s, %+v", a.Status, o.bureau.domains[0].CatchAll)
	}
	if a := set("elsewhere.example", "set", records); a.StatusCode != http.StatusNotFound {
		t.Errorf("of a foreign domain: %s", a.Status)
	}
	if a := set("diwan.example", "set", ""); a.StatusCode != http.StatusBadRequest || o.bureau.domains[0].CatchAll == "" {
		t.Errorf("to nothing: %s", a.Status)
	}
	if a := set("diwan.example", "none", records); a.StatusCode != http.StatusOK || o.bureau.domains[0].CatchAll != "" {
		t.Errorf("ended: %s", a.Status)
	}
	if a := post(t, o.signIn(t, noura), o.URL+"/admin/domains/catch-all", url.Values{"domain": {"diwan.example"}, "do": {"set"}, "address": {records}}); a.StatusCode != http.StatusNotFound || o.bureau.domains[0].CatchAll != "" {
		t.Errorf("by others: %s", a.Status)
	}
}

// The page of reports says how far it looks, and to whom reports come.
func TestReportsSayWhose(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.bureau.reportsTo = append(o.bureau.reportsTo, ReportsTo{Domain: "new.example", Address: "postmaster@new.example", Whose: ReportsNobody})
	a := get(t, o.signIn(t, records), o.URL+"/admin/health", "Accept-Language", "en")
	for _, want := range []string{"last <bdi>30</bdi> days", "only those that came to your own mailbox", "postmaster@diwan.example</bdi>, which is yours",
		"postmaster@bayt.example</bdi>, which <bdi>نورة السالم</bdi> has", "postmaster@new.example</bdi>, which nobody has"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("it doesn't say %q", want)
		}
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c, other, hers := o.signIn(t, records), o.signIn(t, records), o.signIn(t, noura)
	a := get(t, c, o.URL+"/settings/sessions")
	if n := strings.Count(a.body, `name="id"`); n != 1 {
		t.Errorf("%d sessions to end", n)
	}
	_, rest, _ := strings.Cut(a.body, `name="id" value="`)
	id, _, _ := strings.Cut(rest, `"`)
	post(t, hers, o.URL+"/settings/sessions/end", url.Values{"id": {id}})
	if a := get(t, still(other), o.URL+"/folders"); a.StatusCode != http.StatusOK {
		t.Error("another ended it")
	}
	post(t, c, o.URL+"/settings/sessions/end", url.Values{"id": {id}})
	if a := get(t, still(other), o.URL+"/folders"); a.StatusCode != http.StatusSeeOther {
		t.Error("it goes on")
	}
	if got := browserOf("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"); got != "Chrome · Linux" {
		t.Error(got)
	}
	if got := browserOf(strings.Repeat("ع", 300)); len([]rune(got)) != 81 {
		t.Error(got)
	}
}

// What runs the server is for those who run it.
func TestAdmin(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c, hers := o.signIn(t, records), o.signIn(t, noura)
	for _, path := range []string{"/admin", "/admin/accounts/1", "/admin/domains", "/admin/queue", "/admin/health"} {
		if a := get(t, hers, o.URL+path); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s to others: %s", path, a.Status)
		}
		if a := get(t, c, o.URL+path); a.StatusCode != http.StatusOK || strings.Contains(a.body, "/m/") {
			t.Errorf("%s: %s, or it leads to mail", path, a.Status)
		}
	}
	for path, form := range map[string]url.Values{"/admin/accounts": {"name": {"x"}, "office": {"x@diwan.example"}}, "/admin/accounts/1": {"do": {"suspend"}}, "/admin/domains": {"name": {"x"}}, "/admin/queue": {"do": {"drop"}, "id": {"q1"}, "reason": {"x"}}} {
		if a := post(t, hers, o.URL+path, form); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s by others: %s", path, a.Status)
		}
	}
	a := post(t, c, o.URL+"/admin/accounts", url.Values{"name": {"هدى"}, "signin": {"huda"}, "office": {"huda@diwan.example, h@diwan.example"}, "personal": {"huda@bayt.example"}, "role": {"records"}})
	if made := o.bureau.accounts[2]; !strings.Contains(a.body, "maple candle forty") || !strings.Contains(a.body, "QUILT-STONE-58") || len(made.Addresses) != 3 || made.Addresses[2].Class != sijill.Personal || !made.Roles.Records || made.Roles.Owner {
		t.Errorf("%+v; %s", made, a.Status)
	}
	for _, bad := range []url.Values{{"name": {"x"}}, {"name": {"x"}, "office": {records}}} {
		if a := post(t, c, o.URL+"/admin/accounts", bad); a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%v: %s", bad, a.Status)
		}
	}
	account := o.URL + "/admin/accounts/2"
	ask := post(t, c, account, url.Values{"do": {"reset"}}, "Accept-Language", "en")
	if !strings.Contains(ask.body, "lost for good") || strings.Contains(ask.body, "cobalt") {
		t.Error("resetting a password doesn't warn")
	}
	if a := post(t, c, account, url.Values{"do": {"reset"}, "sure": {"1"}}); !strings.Contains(a.body, "cobalt rain thirteen") {
		t.Error(a.Status)
	}
	if a := post(t, c, o.URL+"/admin/accounts/1", url.Values{"do": {"roles"}, "role": {"administrator"}}); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("without an owner: %s", a.Status)
	}
	post(t, c, account, url.Values{"do": {"resume"}})
	post(t, c, account, url.Values{"do": {"add"}, "address": {"n@bayt.example"}, "class": {"personal"}})
	if a := post(t, c, o.URL+"/admin/queue", url.Values{"do": {"drop"}, "id": {"q1"}}); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("given up without a reason: %s", a.Status)
	}
	for _, f := range []url.Values{{"do": {"hold"}, "id": {"q1"}}, {"do": {"release"}, "id": {"q2"}}, {"do": {"retry"}, "id": {"q1"}}, {"do": {"drop"}, "id": {"q1"}, "reason": {"moved away"}}} {
		post(t, c, o.URL+"/admin/queue", f)
	}
	post(t, c, o.URL+"/admin/domains", url.Values{"name": {"bayt.example"}})
	if a := get(t, c, o.URL+"/admin/domains"); strings.Contains(a.body, `action="/admin/domains/remove"`) {
		t.Error("the office's own domain can be removed")
	}
	if a := post(t, c, o.URL+"/admin/domains/remove", url.Values{"name": {"diwan.example"}}, "Accept-Language", "en"); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "somebody has an address in it") {
		t.Errorf("a domain in use: %s", a.Status)
	}
	if a := post(t, c, o.URL+"/admin/domains/remove", url.Values{"name": {"elsewhere.example"}}); a.StatusCode != http.StatusNotFound {
		t.Errorf("a foreign domain: %s", a.Status)
	}
	if a := post(t, c, o.URL+"/admin/domains/remove", url.Values{"name": {"mistyped.example"}}); a.StatusCode != http.StatusOK || !strings.Contains(strings.Join(o.bureau.done(), "\n"), "no domain mistyped.example") {
		t.Errorf("a domain that nobody is in: %s", a.Status)
	}
	if a := get(t, c, account); strings.Contains(a.body, `value="factor"`) {
		t.Error("a second factor that isn't there can be ended")
	}
	o.bureau.accounts[1].TOTP = true
	if a := get(t, c, account); !strings.Contains(a.body, `value="factor"`) {
		t.Error("a second factor can't be ended")
	}
	if a := post(t, c, account, url.Values{"do": {"factor"}}); a.StatusCode != http.StatusOK || o.bureau.accounts[1].TOTP {
		t.Errorf("ending a second factor: %s", a.Status)
	}
	if got, want := fmt.Sprint(o.bureau.done()), "[reset add n@bayt.example personal hold q1 release q2 retry q1 drop q1 moved away domain bayt.example no domain mistyped.example]"; got != want || o.bureau.accounts[1].Suspended {
		t.Errorf("%s", got)
	}
}

// Without what stands behind them there are no pages, and no links to them.
func TestReadingOnly(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.config.Post, o.config.Settings, o.config.Admin, o.config.Watcher = nil, nil, nil, nil
	o.swap(t, o.config.Records)
	c := o.signIn(t, records)
	page := get(t, c, fmt.Sprintf("%s/m/%d", o.URL, o.entry(t, "<contract@")))
	for _, link := range []string{"/compose", "/settings", "/admin", "/events"} {
		if strings.Contains(page.body, `"`+link) {
			t.Errorf("a link to %s", link)
		}
		if a := get(t, c, o.URL+link); a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusNoContent {
			t.Errorf("%s: %s", link, a.Status)
		}
	}
}

func TestDeedsAreForgotten(t *testing.T) {
	var d deeds
	first := d.put(deed{account: 1, at: now})
	for range maxDeeds {
		d.put(deed{account: 1, at: now})
	}
	if _, ok := d.get(first, 1, now, false); ok || len(d.all) != maxDeeds || len(d.order) != maxDeeds {
		t.Errorf("%d deeds are remembered", len(d.all))
	}
	d.put(deed{account: 1, at: now.Add(2 * deedLife)})
	if len(d.all) != 1 {
		t.Errorf("%d old ones are left", len(d.all)-1)
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{"a\nb": "> a\n> b\n", "> x\n\n y": ">> x\n>\n>  y\n", "": ""} {
		if got := quoted(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	if unsigned("a\n\n-- \nme") != "\na\n" || strings.TrimSpace(unsigned("\n\n-- \nme")) != "" {
		t.Error("a signature counts as text")
	}
	if !sameAddress("salma+lists@bayt.example", "Salma@Bayt.example") || sameAddress("", "") || sameAddress("a@x", "b@x") {
		t.Error("addresses are compared wrongly")
	}
	for _, bad := range []string{"", "a", "@b", "a@", "a b@c", "a@b,c", "a@b>", "a@b\n"} {
		if isAddress(bad) {
			t.Errorf("%q is taken for an address", bad)
		}
	}
}

// Who changes what opens their mail shows who they are, once, and what they asked
// for is done then.
func TestProve(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.gate.strict = true
	c := o.signIn(t, records)
	form := url.Values{"label": {"mutt <x>"}, "scope": {"office"}}
	a := post(t, c, o.URL+"/settings/apps", form, "Accept-Language", "en")
	if a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, `name="proof"`) || !strings.Contains(a.body, "mutt &lt;x&gt;") || len(o.own.apps) != 2 {
		t.Fatalf("%s", a.Status)
	}
	form.Set("next", "/settings/apps")
	form.Set("proof", "nope")
	if a := post(t, c, o.URL+"/prove", form); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "mutt &lt;x&gt;") || strings.Contains(a.body, "nope") {
		t.Errorf("a wrong password: %s", a.Status)
	}
	form.Set("proof", password)
	if a := post(t, c, o.URL+"/prove", form); !strings.Contains(a.body, "kmtq-rvba-xwen-jdos") || o.own.apps[2].Label != "mutt <x>" {
		t.Errorf("the form that waited: %s at %s", a.Status, a.Request.URL)
	}
	for _, next := range []string{"//evil.example", "https://evil.example/settings/", "/sign-out", "/settings/../sign-out?x", ""} {
		if a := post(t, still(c), o.URL+"/prove", url.Values{"proof": {password}, "next": {next}}); a.StatusCode == http.StatusTemporaryRedirect {
			t.Errorf("%q is followed to %s", next, a.Header.Get("Location"))
		}
	}
}

// A code that comes with a new password is shown; giving up old mail is agreed to.
func TestNewCodes(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.gate.shut, o.own.stale = true, true
	c := o.signIn(t, records)
	if a := post(t, c, o.URL+"/settings/password", url.Values{"old": {password}, "password": {"a long new one"}, "again": {"a long new one"}}); !strings.Contains(a.body, "AFTER-CHANGE-12") {
		t.Errorf("changing the password: %s", a.Status)
	}
	if a := get(t, c, o.URL+"/open", "Accept-Language", "en"); !strings.Contains(a.body, "lost for good") {
		t.Error("it isn't said what is lost")
	}
	if a := post(t, c, o.URL+"/open/anew", nil); a.StatusCode != http.StatusBadRequest {
		t.Errorf("without agreeing: %s", a.Status)
	}
	if a := post(t, c, o.URL+"/open/anew", url.Values{"agreed": {"1"}}); !strings.Contains(a.body, "ANEW-CODE-31") {
		t.Errorf("agreed: %s", a.Status)
	}
}
