package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/office"
	"sijill/internal/office/desk"
	"sijill/internal/web"
)

// person is somebody signed in at the pages, without a browser.
func (o *webOffice) person(who credentials) *browser {
	o.Helper()
	b := newBrowser(o.where, "127.0.0.1")
	if status, err := b.signIn(who.name, who.password); err != nil || status != http.StatusSeeOther {
		o.Fatalf("signing in: %d, %v", status, err)
	}
	return b
}

// page reads a page, after a form if there is one; redirects are followed.
func (o *webOffice) page(b *browser, path string, form url.Values) string {
	o.Helper()
	for range 5 {
		res, err := b.do(path, form)
		if err != nil {
			o.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			o.Fatal(err)
		}
		if res.StatusCode != http.StatusSeeOther {
			return string(body)
		}
		path, form = res.Header.Get("Location"), nil
	}
	o.Fatal("it leads from page to page")
	return ""
}

// writes sends a letter from the pages and gives the token that takes it back.
func (o *webOffice) writes(b *browser, from, subject string) string {
	o.Helper()
	page := o.page(b, "/compose", url.Values{"from": {from}, "to": {"friend@abroad.example"}, "subject": {subject}, "text": {"Words."}, "do": {"send"}, "back": {"/folders"}})
	_, rest, found := strings.Cut(page, `name="undo" value="`)
	token, _, _ := strings.Cut(rest, `"`)
	if !found || token == "" {
		o.Fatalf("%s can't be taken back", subject)
	}
	return token
}

// What can be taken back is kept in memory. A server that is killed within those
// ten seconds sends the letter all the same, once, and one that was taken back
// before stays a draft.
func TestUndoEndsWithServer(t *testing.T) {
	t.Parallel()
	o := newWebOffice(t)
	b := o.person(o.hind)
	o.writes(b, hindHome, "Personal, underway")
	token := o.writes(b, hind, "Underway")
	taken := o.writes(b, hind, "Taken back")
	if page := o.page(b, "/undo", url.Values{"undo": {taken}, "back": {"/"}}); !strings.Contains(page, `value="Taken back"`) {
		t.Error("what was taken back isn't on the page to be written on")
	}
	o.kill()
	o.start(o.home)
	o.page(b, "/undo", url.Values{"undo": {token}, "back": {"/"}})
	await(t, "both letters have left", func() bool { return o.far.received() >= 2 })
	for role, want := range map[string]string{"sent": "Underway", "drafts": "Taken back"} {
		page := o.page(b, "/go/"+role, nil)
		for _, subject := range []string{"Underway", "Taken back"} {
			if strings.Contains(page, ">"+subject+"<") != (subject == want) {
				t.Errorf("%s: %q is there or isn't", role, subject)
			}
		}
	}
	if page := o.page(b, "/go/sent?c=personal", nil); !strings.Contains(page, ">Personal, underway<") {
		t.Error("the personal letter isn't among what was sent")
	}
	o.stop()
	if n, left := o.far.received(), o.must("queue", "list", "--json"); n != 2 || left != "[]\n" && left != "null\n" {
		t.Errorf("%d letters left, and there are more: %s", n, left)
	}
	o.sound()
}

// A draft keeps half an address as it was typed. It is sent once, however often its
// page is posted, and its address opens nothing that was sent.
func TestDraftGoesOnce(t *testing.T) {
	t.Parallel()
	o := newWebOffice(t)
	b := o.person(o.hind)
	b.lang = "en"
	form := url.Values{"from": {hind}, "to": {"friend@abroad.example, هدى"}, "subject": {"Once"}, "text": {"Words."}, "do": {"save"}, "back": {"/folders"}}
	page := o.page(b, "/compose", form)
	_, rest, _ := strings.Cut(page, `name="draft" value="`)
	draft, _, _ := strings.Cut(rest, `"`)
	if draft == "" || !strings.Contains(page, `value="friend@abroad.example, هدى"`) {
		t.Fatalf("draft %q lacks what was typed", draft)
	}
	form.Set("to", "friend@abroad.example")
	form.Set("draft", draft)
	form.Set("do", "send")
	for range 2 {
		if page := o.page(b, "/compose", form); !strings.Contains(page, `id="undo"`) {
			t.Error("it isn't said that it is on its way")
		}
	}
	for path, say := range map[string]string{"/compose?draft=" + draft: "sent or saved again since", "/compose?draft=99999999": "sent or saved again since"} {
		if page := o.page(b, path, nil); !strings.Contains(page, say) || strings.Contains(page, "letter-form") {
			t.Errorf("%s opens something", path)
		}
	}
	form.Set("text", "Other words.")
	if page := o.page(b, "/compose", form); !strings.Contains(page, "was not sent now") || !strings.Contains(page, "Other words.") {
		t.Error("a page that was left open sends it again, or loses its words")
	}
	await(t, "the letter has left", func() bool { return o.far.received() > 0 })
	time.Sleep(time.Second) // What comes twice comes soon.
	if n := o.far.received(); n != 1 {
		t.Errorf("%d letters left", n)
	}
	if page := o.page(b, "/go/sent", nil); strings.Count(page, `<li class="row`) != 1 {
		t.Error("Sent doesn't hold one letter")
	}
	o.stop()
	o.sound()
}

// reportDays is how far back reports are shown.
const reportDays = 30

// report is an aggregate report (RFC 7489) of one day, as a message of another.
func report(org string, of, sent time.Time) []byte {
	xml := fmt.Sprintf("<feedback><report_metadata><org_name>%s</org_name><report_id>%s</report_id><date_range><begin>%d</begin><end>%d</end></date_range></report_metadata>"+
		"<policy_published><domain>diwan.example</domain><p>reject</p></policy_published><record><row><source_ip>192.0.2.7</source_ip><count>4321</count>"+
		"<policy_evaluated><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row><identifiers><header_from>diwan.example</header_from></identifiers></record></feedback>",
		org, org, of.Add(-24*time.Hour).Unix(), of.Unix())
	return fmt.Appendf(nil, "From: reports@abroad.example\r\nTo: postmaster@diwan.example\r\nSubject: Report domain: diwan.example Submitter: abroad.example Report-ID: %s\r\nDate: %s\r\nMessage-ID: <%s@abroad.example>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/xml\r\nContent-Disposition: attachment; filename=r.xml\r\n\r\n%s\r\n--b--\r\n",
		org, sent.Format(time.RFC1123Z), org, xml)
}

// Reports are counted for 30 days, and by whom they come to.
func TestReportsOfLastDays(t *testing.T) {
	t.Parallel()
	o := newWebOffice(t)
	now := time.Now()
	old := now.AddDate(0, 0, -reportDays-1).Add(-time.Hour)
	for org, days := range map[string][2]time.Time{"fresh": {now, now}, "edge": {now.AddDate(0, 0, -reportDays+1), now}, "late": {old, now}, "old": {old, old}} {
		o.delivers(report(org, days[0], days[1]), "postmaster@diwan.example")
	}
	b := o.person(o.laila)
	b.lang = "en"
	page := ""
	await(t, "the reports are read", func() bool {
		page = o.page(b, "/admin/health", nil)
		return strings.Contains(page, "<bdi>fresh</bdi>") && strings.Contains(page, "<bdi>edge</bdi>")
	})
	for _, org := range []string{"late", "old"} {
		if strings.Contains(page, "<bdi>"+org+"</bdi>") {
			t.Errorf("%s is of more than %d days ago", org, reportDays)
		}
	}
	for _, want := range []string{"last <bdi>30</bdi> days", "only those that came to your own mailbox", "postmaster@diwan.example</bdi>, which is yours", "4,321"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	o.must("user", "address", "add", hind, "postmaster@diwan.example")
	if page := o.page(b, "/admin/health", nil); !strings.Contains(page, "postmaster@diwan.example</bdi>, which <bdi>hind</bdi> has") {
		t.Error("it isn't said who has the address that reports go to")
	}
}

// The catch-all is that of the command, with its rules.
func TestCatchAllOnPage(t *testing.T) {
	t.Parallel()
	o := newWebOffice(t)
	b := o.person(o.laila)
	b.lang = "en"
	set := func(do, address string) string {
		return o.page(b, "/admin/domains/catch-all", url.Values{"domain": {"home.example"}, "do": {do}, "address": {address}})
	}
	if page := set("set", "nobody@home.example"); !strings.Contains(page, "Nobody here has the address") {
		t.Error("an address that nobody has is taken")
	}
	if page := set("set", hindHome); !strings.Contains(page, "goes to <bdi>"+hindHome) {
		t.Error("it isn't shown")
	}
	o.delivers(mailOf("astray", "sender@abroad.example", "astray@home.example"), "astray@home.example")
	h := o.person(o.hind)
	await(t, "what went astray is in her inbox", func() bool {
		return strings.Contains(o.page(h, "/go/inbox?c=personal", nil), "letter astray")
	})
	if page := set("none", ""); !strings.Contains(page, "is refused again") {
		t.Error("it doesn't end")
	}
	s := connect(t, o.smtp)
	if err := s.begin("again@home.example"); err == nil || !strings.Contains(err.Error(), "550") {
		t.Errorf("what goes astray is taken again: %v", err)
	}
	if page := o.page(h, "/admin/domains/catch-all", url.Values{"domain": {"home.example"}, "do": {"set"}, "address": {hindHome}}); strings.Contains(page, "goes to") {
		t.Error("she who runs nothing sets it")
	}
}

// A page that listens for news keeps neither a key nor an index in memory, and
// ends with its session.
func TestListeningHoldsNothing(t *testing.T) {
	t.Parallel()
	h, p := populatedHome(t, nil)
	d := desk.New(h.open())
	desk.Attended(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { listens(r.Context(), t, d, p.hind) })).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/events", nil))
}

func listens(ctx context.Context, t *testing.T, d *desk.Desk, who credentials) {
	v, err := d.SignIn(ctx, who.name, who.password, "", web.Caller{From: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	visit := v.Session.(*office.Visit)
	if visit.Shelf == nil {
		t.Fatal("personal mail isn't open")
	}
	_, stop := d.Watch(v)
	defer stop()
	if visit.Shelf != nil {
		t.Error("the index is held")
	}
	select {
	case <-visit.Session.Done():
	default:
		t.Error("the keys are held")
	}
	folders, err := d.Folders(ctx, v)
	if err != nil || !slices.ContainsFunc(folders, func(f web.Folder) bool { return f.Class == sijill.Personal }) {
		t.Errorf("%d folders, %v", len(folders), err)
	}
	if err := d.Lasts(ctx, v); err != nil {
		t.Errorf("while it lasts: %v", err)
	}
	if err := d.SignOut(ctx, v.Token); err != nil {
		t.Fatal(err)
	}
	if err := d.Lasts(ctx, v); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after signing out: %v", err)
	}
}
