package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"sijill"
	"sijill/internal/message"
)

// phrases are what a test looks for in each language.
var phrases = map[string]struct{ dir, inbox, sealed, entry, genuine, altered string }{
	"ar": {"rtl", "الوارد", "مختومة في القيد", "١٥٠", "أصيلة", "لم تثبت"},
	"en": {"ltr", "Inbox", "Sealed as entry", "150", "Genuine", "Not proven"},
}

// TestReading does at a desk what people do all day, in both languages: sign
// in, open, move by keys, search, come back.
func TestReading(t *testing.T) {
	o := newOffice(t, "127.0.0.1:9")
	b := browse(t, o.URL)
	for lang, say := range phrases {
		b.device(1280, 800, false)
		b.enter(records, lang)
		b.until(`document.documentElement.dir === "` + say.dir + `" && document.querySelector("#list-title").textContent === "` + say.inbox + `"`)

		// A message opens beside the list, without leaving the page.
		ask[bool](b, `window.stayed = true`)
		b.click("#rows li:nth-child(1) a")
		b.sees("#pane .sealed")
		b.until(`window.stayed && location.pathname.startsWith("/m/") && document.querySelector("#rows a[aria-current]") !== null`)
		first := ask[string](b, `document.querySelector("#subject").textContent`)
		if !strings.Contains(ask[string](b, `document.title`), first) || !strings.Contains(ask[string](b, `document.querySelector(".sealed").textContent`), say.sealed) {
			t.Errorf("%s: title or seal don't say what is open", lang)
		}

		// Keys move on; the message follows.
		b.press("j")
		b.until(`document.querySelector("#subject").textContent !== ` + fmt.Sprintf("%q", first))
		b.press("k")
		b.until(`document.querySelector("#subject").textContent === ` + fmt.Sprintf("%q", first))
		b.press("?")
		b.sees("dialog#keys")
		b.press("?")
		b.until(`!document.querySelector("dialog#keys").open`)
		b.press("h")
		b.until(`document.querySelector("#headers").open`)
		b.press("u")
		b.until(`location.pathname.startsWith("/f/")`)
		b.sees("#rows")

		b.press("j")
		b.until(`document.activeElement.closest("#rows li") === document.querySelector("#rows li")`)
		b.press("\r")
		b.sees("#pane .sealed")

		// Search, by key, in Arabic, and open what it finds.
		b.press("/")
		b.until(`document.activeElement.id === "q"`)
		b.types("#q", "الميزانيه\r")
		b.sees("#rows mark")
		b.click("#rows li:last-child a")
		b.sees("#subject mark")
		b.until(`location.search.includes("q=")`)
		ask[bool](b, `window.before = true`)
		b.do(chromedp.NavigateBack())
		b.until(`!window.before && location.pathname === "/search" && document.querySelector("#rows mark") !== null && document.readyState === "complete"`)
		b.press("g")
		b.press("i")
		b.until(`location.pathname.startsWith("/f/")`)
		b.quiet()
	}
}

// TestPhone: one pane at a time, and every place within reach of the thumb.
func TestPhone(t *testing.T) {
	o := newOffice(t, "127.0.0.1:9")
	b := browse(t, o.URL)
	for lang := range phrases {
		b.device(390, 844, true)
		b.enter(records, lang)
		shown := func(css string) string {
			return fmt.Sprintf(`(document.querySelector(%q) || {offsetParent: null}).offsetParent !== null`, css)
		}
		b.until(shown("#rows") + " && !(" + shown("#pane") + ")")
		b.click("#rows li:nth-child(2) a")
		b.until(shown("#subject") + " && !(" + shown("#rows") + ")")
		if wide := ask[float64](b, `document.documentElement.scrollWidth`); wide > 390 {
			t.Errorf("%s: the page is %v wide", lang, wide)
		}
		b.click("#back")
		b.until(shown("#rows"))
		b.click(".tabs a:nth-child(2)")
		b.sees(".folder-list")
		b.click(".tabs a:nth-child(4)")
		b.sees(".query-list")
		b.click(".tabs a:nth-child(5)")
		b.sees(".register-facts")
		b.quiet()
	}
}

// TestWithoutScript: reading needs none.
func TestWithoutScript(t *testing.T) {
	o := newOffice(t, "127.0.0.1:9")
	b := browse(t, o.URL)
	b.device(1280, 800, false)
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	b.goTo("/sign-in")
	b.types("#address", records)
	b.types("#password", password)
	b.follow("form[action='/sign-in'] button")
	b.sees("#pager")
	b.follow("#pager a[rel=next]")
	b.sees("#rows[start='51']")
	b.follow("#rows li:nth-child(3) a")
	b.sees("#pane .sealed")
	b.types("#q", "ledger\r")
	b.sees("#rows mark")
	b.goTo(fmt.Sprintf("/m/%d", o.entry(t, "<request-74@")))
	b.sees("iframe#letter")
	b.goTo(fmt.Sprintf("/m/%d/verify", o.entry(t, "<request-74@")))
	b.sees("noscript + * , main.verify pre")
	b.quiet()
}

// TestHostileMail opens a message that tries everything to be noticed or run.
// The canary counts who calls; nobody may before its images are asked for.
func TestHostileMail(t *testing.T) {
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
	b := browse(t, o.URL)
	b.device(1280, 800, false)
	b.enter(records, "en")
	for _, path := range []string{"", "/body"} {
		b.goTo(fmt.Sprintf("/m/%d%s", o.entry(t, "<prize@"), path))
		time.Sleep(time.Second) // Nothing marks the moment at which nothing more will happen.
		if ask[bool](b, `typeof window.pwned !== "undefined" || document.title === "pwned"`) {
			t.Errorf("a script of the message ran on %q", path)
		}
		b.quiet()
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d connections left the page", n)
	}

	// Its own picture is there, its links are harmless, its frame is as high as it.
	b.goTo(fmt.Sprintf("/m/%d", o.entry(t, "<prize@")))
	b.until(`(() => { const d = document.querySelector("#letter").contentDocument; const i = d && d.querySelector("img[src*='/cid/']"); return !!i && i.complete && i.naturalWidth === 10; })()`)
	b.until(`[...document.querySelector("#letter").contentDocument.querySelectorAll("a[href]")].every(a => a.target === "_blank" && a.rel.includes("noopener") && a.rel.includes("noreferrer"))`)
	b.until(`(() => { const f = document.querySelector("#letter"); return f.offsetHeight > 100 && f.contentDocument.documentElement.scrollHeight <= f.offsetHeight + 2; })()`)

	// Only asking for them fetches images, and asking is a click on our page.
	b.goTo(fmt.Sprintf("/m/%d?images=1", o.entry(t, "<prize@")))
	time.Sleep(300 * time.Millisecond)
	if n := calls.Load(); n != 0 {
		t.Errorf("a guessed address fetched images")
	}
	b.quiet()
	b.click("#images")
	for end := time.Now().Add(10 * time.Second); calls.Load() == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("images that were asked for were not fetched")
		}
	}
}

// TestVerifyInPage has the browser check a message, then one that the server
// altered, then one under another register's key.
func TestVerifyInPage(t *testing.T) {
	o := newOffice(t, "127.0.0.1:9")
	b := browse(t, o.URL)
	entry := o.entry(t, "budget-1@")
	for lang, say := range phrases {
		o.tamper = nil
		b.device(1280, 800, false)
		b.enter(records, lang)
		b.goTo(fmt.Sprintf("/m/%d", entry))
		b.press("v")
		b.until(`(document.querySelector("#verdict-word") || {}).textContent === "` + say.genuine + `"`)
		if !strings.Contains(ask[string](b, `document.querySelector("#verdict-text").textContent`), say.entry) {
			t.Errorf("%s: the verdict doesn't name the entry", lang)
		}
		states := ask[string](b, `[...document.querySelectorAll("[data-step]")].map(li => li.dataset.step + ":" + li.dataset.state).join(" ")`)
		if states != "proof:done units:done commitment:done envelope:skipped leaf:done inclusion:done origin:done signature:done" {
			t.Errorf("%s: %s", lang, states)
		}
		if ask[bool](b, `[...document.querySelectorAll(".step-said")].some(p => p.textContent.trim() === "" || p.textContent.includes("{"))`) {
			t.Errorf("%s: a step says nothing", lang)
		}

		ask[bool](b, `(document.querySelector("#key").value = "diwan.example/register+6758e14c+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", true)`)
		b.click("#run")
		b.until(`document.querySelector("#verdict-word").textContent === "` + say.altered + `" && document.querySelector("[data-step=signature]").dataset.state === "failed"`)

		o.tamper = func(raw []byte) []byte { raw[len(raw)-20] ^= 1; return raw }
		b.goTo(fmt.Sprintf("/m/%d/verify", entry))
		b.until(`document.querySelector("#verdict-word").textContent === "` + say.altered + `" && document.querySelector("[data-step=commitment]").dataset.state === "failed"`)
		b.quiet()
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
	ask[bool](b, `fetch("/sign-out", {method: "POST"}).then(() => true)`)
	b.goTo("/verify")
	choose := func(id, name string) {
		b.do(chromedp.SetUploadFiles(chromedp.CSS(id), []string{filepath.Join(dir, name)}))
	}
	choose("#file-proof", "m.tlog-proof")
	for name, verdict := range map[string]string{"m.eml": "genuine", "other.eml": "altered"} {
		choose("#file-message", name)
		b.click("#run")
		b.until(`document.querySelector("#verdict").dataset.verdict === "` + verdict + `"`)
	}
	b.quiet()
}

// TestAccessible has axe-core look at every page, in both languages, at the desk
// and on the phone, in light and in dark.
func TestAccessible(t *testing.T) {
	axe, err := os.ReadFile("../../node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Skip("no axe-core here (npm ci brings it): the pages are not checked for accessibility")
	}
	o := newOffice(t, "127.0.0.1:9")
	b := browse(t, o.URL)
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
	for i, lang := range []string{"ar", "en"} {
		for j, width := range []int64{1280, 390} {
			b.device(width, 800, (i+j)%2 == 1)
			b.enter(records, lang)
			these := pages
			if i != j { // The others have the same pages in another size.
				these = []string{"/", pages[6], "/search?q=before:someday", "/go/inbox?c=personal", "/compose?class=personal", wall, "/settings/security", "/admin/queue", "/sign-in"}
			}
			for _, page := range these {
				if page == "/sign-in" {
					ask[bool](b, `fetch("/sign-out", {method: "POST"}).then(() => true)`)
				}
				b.goTo(page)
				if strings.HasSuffix(page, "/verify") && page != "/verify" {
					b.sees("#verdict")
				}
				ask[bool](b, string(axe)+"; true")
				found := ask[[]string](b, `axe.run(document, {iframes: false}).then(r => r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + n.html.slice(0, 160) + " " + (n.any[0] || n.all[0] || n.none[0] || {}).message)))`)
				for _, f := range found {
					t.Errorf("%s %d %s: %s", lang, width, page, f)
				}
			}
		}
	}
}
