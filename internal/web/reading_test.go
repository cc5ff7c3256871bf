package web

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/web/webtest"
)

// phrases are what a test looks for in each language.
var phrases = map[string]struct{ dir, inbox, sealed, entry, genuine, altered string }{
	"ar": {"rtl", "الوارد", "مختومة في القيد", "١٥٠", "أصيلة", "لم تثبت"},
	"en": {"ltr", "Inbox", "Sealed as entry", "150", "Genuine", "Not proven"},
}

// TestReading does at a desk what people do all day, in both languages: sign
// in, open, move by keys, search, come back.
func TestReading(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	b := webtest.Open(t, o.URL)
	for lang, say := range phrases {
		b.Device(1280, 800, false)
		b.Enter(records, password, lang)
		b.Until(`document.documentElement.dir === "` + say.dir + `" && document.querySelector("#list-title").textContent === "` + say.inbox + `"`)

		// A message opens beside the list, without leaving the page.
		webtest.Ask[bool](b, `window.stayed = true`)
		b.Click("#rows li:nth-child(1) a")
		b.Sees("#pane .sealed")
		b.Until(`window.stayed && location.pathname.startsWith("/m/") && document.querySelector("#rows a[aria-current]") !== null`)
		first := webtest.Ask[string](b, `document.querySelector("#subject").textContent`)
		if !strings.Contains(webtest.Ask[string](b, `document.title`), first) || !strings.Contains(webtest.Ask[string](b, `document.querySelector(".sealed").textContent`), say.sealed) {
			t.Errorf("%s: title or seal don't say what is open", lang)
		}

		// Keys move on; the message follows.
		b.Press("j")
		b.Until(`document.querySelector("#subject").textContent !== ` + fmt.Sprintf("%q", first))
		b.Press("k")
		b.Until(`document.querySelector("#subject").textContent === ` + fmt.Sprintf("%q", first))
		b.Press("?")
		b.Sees("dialog#keys")
		b.Press("?")
		b.Until(`!document.querySelector("dialog#keys").open`)
		b.Press("h")
		b.Until(`document.querySelector("#headers").open`)
		b.Press("u")
		b.Until(`location.pathname.startsWith("/f/")`)
		b.Sees("#rows")

		b.Press("j")
		b.Until(`document.activeElement.closest("#rows li") === document.querySelector("#rows li")`)
		b.Press("\r")
		b.Sees("#pane .sealed")

		// Search, by key, in Arabic, and open what it finds.
		b.Press("/")
		b.Until(`document.activeElement.id === "q"`)
		b.Types("#q", "الميزانيه\r")
		b.Sees("#rows mark")
		b.Click("#rows li:last-child a")
		b.Sees("#subject mark")
		b.Until(`location.search.includes("q=")`)
		webtest.Ask[bool](b, `window.before = true`)
		b.Do(chromedp.NavigateBack())
		b.Until(`!window.before && location.pathname === "/search" && document.querySelector("#rows mark") !== null && document.readyState === "complete"`)
		b.Press("g")
		b.Press("i")
		b.Until(`location.pathname.startsWith("/f/")`)
		b.Quiet()
	}
}

// TestPhone: one pane at a time, and every place within reach of the thumb.
func TestPhone(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	b := webtest.Open(t, o.URL)
	for lang := range phrases {
		b.Device(390, 844, true)
		b.Enter(records, password, lang)
		shown := func(css string) string {
			return fmt.Sprintf(`(document.querySelector(%q) || {offsetParent: null}).offsetParent !== null`, css)
		}
		b.Until(shown("#rows") + " && !(" + shown("#pane") + ")")
		b.Click("#rows li:nth-child(2) a")
		b.Until(shown("#subject") + " && !(" + shown("#rows") + ")")
		if wide := webtest.Ask[float64](b, `document.documentElement.scrollWidth`); wide > 390 {
			t.Errorf("%s: the page is %v wide", lang, wide)
		}
		b.Click("#back")
		b.Until(shown("#rows"))
		b.Click(".tabs a:nth-child(2)")
		b.Sees(".folder-list")
		b.Click(".tabs a:nth-child(4)")
		b.Sees(".query-list")
		b.Click(".tabs a:nth-child(5)")
		b.Sees(".register-facts")
		b.Quiet()
	}
}

// TestWithoutScript: reading needs none.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	b := webtest.Open(t, o.URL)
	b.Device(1280, 800, false)
	b.WithoutScript()
	b.GoTo("/sign-in")
	b.Types("#address", records)
	b.Types("#password", password)
	b.Follow("form[action='/sign-in'] button")
	b.Sees("#pager")
	b.Follow("#pager a[rel=next]")
	b.Sees("#rows[start='51']")
	b.Follow("#rows li:nth-child(3) a")
	b.Sees("#pane .sealed")
	b.Types("#q", "ledger\r")
	b.Sees("#rows mark")
	b.GoTo(fmt.Sprintf("/m/%d", o.entry(t, "<request-74@")))
	b.Sees("iframe#letter")
	b.GoTo(fmt.Sprintf("/m/%d/verify", o.entry(t, "<request-74@")))
	b.Sees("noscript + * , main.verify pre")
	b.Quiet()
}

// TestHostileMail opens a message that tries everything to be noticed or run.
// The canary counts who calls; nobody may before its images are asked for.
func TestHostileMail(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	canary := &http.Server{ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			calls.Add(1)
		}
	}}
	go canary.Serve(listener)
	defer canary.Close()

	o := newOffice(t, listener.Addr().String())
	b := webtest.Open(t, o.URL)
	b.Device(1280, 800, false)
	b.Enter(records, password, "en")
	for _, path := range []string{"", "/body"} {
		b.GoTo(fmt.Sprintf("/m/%d%s", o.entry(t, "<prize@"), path))
		time.Sleep(time.Second) // Nothing marks the moment at which nothing more will happen.
		if webtest.Ask[bool](b, `typeof window.pwned !== "undefined" || document.title === "pwned"`) {
			t.Errorf("a script of the message ran on %q", path)
		}
		b.Quiet()
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d connections left the page", n)
	}

	// Its own picture is there, its links are harmless, its frame is as high as it.
	b.GoTo(fmt.Sprintf("/m/%d", o.entry(t, "<prize@")))
	own := `(() => { const d = document.querySelector("#letter").contentDocument; const i = d && d.querySelector("img[src*='/cid/']"); return !!i && i.complete && i.naturalWidth === 10; })()`
	b.Until(own)
	b.Until(`[...document.querySelector("#letter").contentDocument.querySelectorAll("a[href]")].every(a => a.target === "_blank" && a.rel.includes("noopener") && a.rel.includes("noreferrer"))`)
	b.Until(`(() => { const f = document.querySelector("#letter"); return f.offsetHeight > 100 && f.contentDocument.documentElement.scrollHeight <= f.offsetHeight + 2; })()`)

	// Only asking for them fetches images, and asking is a click on our page.
	b.GoTo(fmt.Sprintf("/m/%d?images=1", o.entry(t, "<prize@")))
	b.Until(own) // Others would have been asked for by the time its own picture is there.
	if n := calls.Load(); n != 0 {
		t.Errorf("a guessed address fetched images")
	}
	b.Quiet()
	b.Click("#images")
	for end := time.Now().Add(webtest.Patience); calls.Load() == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("images that were asked for were not fetched")
		}
	}
}

// TestVerifyInPage has the browser check a message, then one that the server
// altered, then one under another register's key.
func TestVerifyInPage(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	b := webtest.Open(t, o.URL)
	entry := o.entry(t, "budget-1@")
	for lang, say := range phrases {
		o.tamper = nil
		b.Device(1280, 800, false)
		b.Enter(records, password, lang)
		b.GoTo(fmt.Sprintf("/m/%d", entry))
		b.Press("v")
		b.Until(`(document.querySelector("#verdict-word") || {}).textContent === "` + say.genuine + `"`)
		if !strings.Contains(webtest.Ask[string](b, `document.querySelector("#verdict-text").textContent`), say.entry) {
			t.Errorf("%s: the verdict doesn't name the entry", lang)
		}
		states := webtest.Ask[string](b, `[...document.querySelectorAll("[data-step]")].map(li => li.dataset.step + ":" + li.dataset.state).join(" ")`)
		if states != "proof:done units:done commitment:done envelope:skipped leaf:done inclusion:done origin:done signature:done" {
			t.Errorf("%s: %s", lang, states)
		}
		if webtest.Ask[bool](b, `[...document.querySelectorAll(".step-said")].some(p => p.textContent.trim() === "" || p.textContent.includes("{"))`) {
			t.Errorf("%s: a step says nothing", lang)
		}

		webtest.Ask[bool](b, `(document.querySelector("#key").value = "diwan.example/register+6758e14c+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", true)`)
		b.Click("#run")
		b.Until(`document.querySelector("#verdict-word").textContent === "` + say.altered + `" && document.querySelector("[data-step=signature]").dataset.state === "failed"`)

		o.tamper = func(raw []byte) []byte { raw[len(raw)-20] ^= 1; return raw }
		b.GoTo(fmt.Sprintf("/m/%d/verify", entry))
		b.Until(`document.querySelector("#verdict-word").textContent === "` + say.altered + `" && document.querySelector("[data-step=commitment]").dataset.state === "failed"`)
		b.Quiet()
	}
	o.tamper = nil

	// A stranger has two files and no account.
	proof, err := recordsOf{o}.Proof(t.Context(), &Viewer{Account: 1, Open: true}, entry)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string][]byte{"m.tlog-proof": proof, "m.eml": o.books.raw[entry], "other.eml": o.books.raw[entry+1]}
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	webtest.Ask[bool](b, `fetch("/sign-out", {method: "POST"}).then(() => true)`)
	b.GoTo("/verify")
	choose := func(id, name string) {
		b.Do(chromedp.SetUploadFiles(chromedp.CSS(id), []string{filepath.Join(dir, name)}))
	}
	choose("#file-proof", "m.tlog-proof")
	for name, verdict := range map[string]string{"m.eml": "genuine", "other.eml": "altered"} {
		choose("#file-message", name)
		b.Click("#run")
		b.Until(`document.querySelector("#verdict").dataset.verdict === "` + verdict + `"`)
	}
	b.Quiet()
}

// TestAccessible has axe-core look at every page: in both languages, at the desk
// and on the phone, in light and in dark, though not in all of them together.
func TestAccessible(t *testing.T) {
	t.Parallel()
	axe := webtest.Axe(t, "../..")
	o := newOffice(t, "127.0.0.1:9")
	entry, err := o.mailer.SaveDraft(t.Context(), &Viewer{Account: 1}, -1, &Letter{From: message.Address{Addr: own}, Class: sijill.Personal,
		To: []message.Address{{Addr: "miriam@orchard.example"}}, Subject: "Article 4", Text: "yes", Answers: -1, Files: []Attached{{Name: "a.txt", Type: "text/plain", Data: []byte("a")}}})
	if err != nil {
		t.Fatal(err)
	}
	wall := draftLink(entry) + "&wall=1"
	pages := []string{
		"/", "/folders", "/search", "/search?q=%D8%B9%D9%82%D8%AF", "/search?q=nothinglikethis", "/search?q=before:someday",
		fmt.Sprintf("/m/%d", o.entry(t, "offer-2027")), fmt.Sprintf("/m/%d", o.entry(t, "<prize@")), fmt.Sprintf("/m/%d?view=text", o.entry(t, "<gazette-48@")),
		fmt.Sprintf("/m/%d/verify", o.entry(t, "budget-1@")), "/verify", "/register", "/help", "/absent",
		"/go/inbox?c=personal", fmt.Sprintf("/m/%d", o.entry(t, "<article-4@")), fmt.Sprintf("/compose?re=%d&how=all", o.entry(t, "budget-1@")), "/compose?class=personal", wall,
		"/reminders", "/open", "/settings", "/settings/security", "/settings/apps", "/settings/sessions",
		"/admin", "/admin/accounts/2", "/admin/domains", "/admin/queue", "/admin/health", "/recover", "/sign-in",
	}
	// Each page is looked at in one way, and those that everyone sees also in the
	// opposite one.
	often := []string{"/", pages[6], "/go/inbox?c=personal", "/compose?class=personal", wall, "/settings/security", "/sign-in"}
	for way, lang := range []string{"ar", "en", "ar", "en"} {
		width := []int64{1280, 390, 390, 1280}[way]
		var these []string
		for n, page := range pages {
			if n%4 == way || n%4 == (way^1) && slices.Contains(often, page) {
				these = append(these, page)
			}
		}
		t.Run(fmt.Sprint(lang, width), func(t *testing.T) {
			t.Parallel()
			b := webtest.Open(t, o.URL)
			b.Device(width, 800, way > 1)
			b.Enter(records, password, lang)
			for _, page := range these {
				if page == "/sign-in" {
					b.Leave()
				}
				b.GoTo(page)
				if strings.HasSuffix(page, "/verify") && page != "/verify" {
					b.Sees("#verdict")
				}
				b.Accessible(axe, page)
			}
		})
	}
}
