package web

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sijill"
	"sijill/internal/web/webtest"
)

// TestWriting writes a letter in each language with the keyboard alone: people
// are completed, the draft is saved as one types, and it's sent by Ctrl+Enter.
func TestWriting(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	b := webtest.Open(t, o.URL)
	for lang, text := range map[string]string{"ar": "السلام عليكم،\nموعدنا الأحد.\nSee you there.", "en": "Dear Laila,\nموعدنا الأحد\nthe rest in English."} {
		o.mailer.delivered = nil
		b.Device(1280, 800, lang == "en")
		b.Enter(records, password, lang)
		b.Until(`window.sijillDesk !== undefined`) // The scripts are there, and the keys with them.
		b.Press("c")
		b.Sees("#to[role=combobox]")
		b.Until(`document.activeElement.id === "to"`)
		b.Press("ليل")
		b.Sees("#to-offers [role=option]")
		b.Until(`document.querySelector("#to").getAttribute("aria-activedescendant") === "to-offers-0"`)
		b.Press("\r")
		b.Until(`document.querySelectorAll("[data-people=to] .chip").length === 1`)
		b.Press("mil")
		b.Sees("#to-offers [role=option]")
		b.Press(kb.ArrowDown + "\r")
		b.Until(`document.querySelector("input[type=hidden][name=to]").value.includes("laila@diwan.example") && document.querySelectorAll("[data-people=to] .chip").length === 2`)
		b.Press(kb.Backspace)
		b.Until(`document.querySelectorAll("[data-people=to] .chip").length === 1`)
		b.Types("#subject", "موعد Sunday")
		b.Do(chromedp.SendKeys(chromedp.CSS("#text"), "x"))
		webtest.Ask[bool](b, `(document.querySelector("#text").value = `+quote(text)+`, document.querySelector("#text").dispatchEvent(new Event("input", {bubbles: true})))`)

		// Each paragraph goes its own way.
		if dir := webtest.Ask[string](b, `getComputedStyle(document.querySelector("#text")).unicodeBidi`); dir != "plaintext" {
			t.Errorf("%s: paragraphs are all of one direction: %s", lang, dir)
		}
		b.Until(`location.search.startsWith("?draft=") && document.querySelector("#saved-live").textContent !== ""`)
		if n := len(o.drafts(1)); n != 1 {
			t.Errorf("%s: %d drafts", lang, n)
		}
		b.Do(chromedp.Focus(chromedp.CSS("#text")))
		b.Chord(kb.Enter)
		b.Sees("#toast")
		sent := o.mailer.letters()
		if len(sent) != 1 || sent[0].Text != text || sent[0].To[0].Addr != "laila@diwan.example" || sent[0].Subject != "موعد Sunday" || sent[0].Class != sijill.Office || len(o.drafts(1)) != 0 {
			t.Fatalf("%s: %+v; drafts %v", lang, sent, o.drafts(1))
		}
		b.Press("z") // Taken back, it is a draft again.
		b.Until(`location.search.startsWith("?draft=") && document.querySelector("#text") !== null && document.querySelector("#text").value === ` + quote(text))
		b.Follow("#drop-draft")
		b.Quiet()
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer("\\", "\\\\", `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// TestDraftOutlivesTab kills a tab in which a letter is being written. Another
// one finds it, and keeps what is typed while nobody is signed in.
func TestDraftOutlivesTab(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	b := webtest.Open(t, o.URL)
	b.Enter(records, password, "ar")
	b.GoTo("/compose")
	b.Types("#subject", "مسودة")
	b.Types("#text", "كلمات لا يصح أن تضيع")
	dir := t.TempDir()
	file := filepath.Join(dir, "note.txt")
	if err := os.WriteFile(file, []byte("note"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Do(chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{file}))
	b.Sees(".files-list li")
	b.Until(`document.querySelector("#saved-live").textContent.includes("خُتمت")`)
	b.Crash()

	again := webtest.Open(t, o.URL)
	again.Enter(records, password, "ar")
	again.Until(`window.sijillDesk !== undefined`)
	again.Press("g")
	again.Press("d")
	again.Sees("#rows li")
	again.Follow("#rows li a")
	again.Until(`document.querySelector("#text").value.includes("كلمات لا يصح أن تضيع") && document.querySelector("#subject").value === "مسودة" && document.querySelectorAll(".files-list li").length === 1`)
	if n := len(o.drafts(1)); n != 1 {
		t.Errorf("%d drafts", n)
	}

	form := `(path, fields) => fetch(path, {method: "POST", body: new URLSearchParams(fields)}).then(r => r.ok)`
	webtest.Ask[bool](again, `(`+form+`)("/sign-out", {})`)
	again.Types("#to", "owen@mills.example,")
	again.Types("#text", "PS")
	again.Click("#send")
	again.Sees("#signed-out")
	again.Until(`location.pathname === "/compose" && document.querySelector("#text").value.includes("PS")`)
	if len(o.mailer.letters()) != 0 {
		t.Fatal("sent by nobody")
	}
	webtest.Ask[bool](again, `(`+form+`)("/sign-in", {address: "salma", password: `+quote(password)+`})`)
	again.Complaints() // That nobody is signed in.
	again.Follow("#send")
	again.Sees("#toast")
	if sent := o.mailer.letters(); len(sent) != 1 || !strings.Contains(sent[0].Text, "PS") || !strings.Contains(sent[0].Text, "كلمات لا يصح أن تضيع") || len(sent[0].Files) != 1 {
		t.Errorf("%d letters", len(sent))
	}
	again.Quiet()
}

// TestWallDialog: from a personal address to the office's contacts there's a
// choice, and Escape leads back to the draft.
func TestWallDialog(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	b := webtest.Open(t, o.URL)
	for lang := range phrases {
		o.mailer.delivered = nil
		b.Device(1280, 800, false)
		b.Enter(records, password, lang)
		b.GoTo("/compose")
		// People one writes to as the office make it an office letter, until one says otherwise.
		b.GoTo("/compose?class=personal")
		b.Until(`document.querySelector("#letter-form").dataset.class === "personal"`)
		b.Types("#to", "miriam@orchard.example,")
		b.Until(`document.querySelector("[name=from]:checked").dataset.class === "office" && document.querySelector("#as-said").textContent !== "" && document.querySelector("#letter-form").dataset.class === "office"`)
		b.Click(".as-one[data-class=personal]")
		b.Until(`document.querySelector("#text").value.trim().endsWith("سلمى")`)
		b.Types("#subject", "Article 4")
		b.Follow("#send")
		b.Sees("#wall:modal")
		if len(o.mailer.letters()) != 0 {
			t.Fatal("sent without asking")
		}
		b.Press(kb.Escape)
		b.Until(`!document.querySelector("#wall").open && document.querySelector("#subject").value === "Article 4"`)
		b.Follow("#send")
		b.Sees("#wall:modal")
		b.Follow("#wall [value=office]")
		b.Sees("#toast")
		if sent := o.mailer.letters(); len(sent) != 1 || sent[0].Class != sijill.Office || sent[0].From.Addr != records {
			t.Errorf("%+v", sent)
		}
		b.Quiet()
	}
}

// TestWritingWithoutScript: the form is enough.
func TestWritingWithoutScript(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	b := webtest.Open(t, o.URL)
	b.Device(390, 844, false)
	b.WithoutScript()
	b.GoTo("/sign-in")
	b.Types("#address", "salma")
	b.Types("#password", password)
	b.Follow("form[action='/sign-in'] button")
	b.GoTo("/compose?class=personal")
	b.Types("#to", "miriam@orchard.example")
	b.Types("#subject", "No script")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("A"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Do(chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{filepath.Join(dir, "a.txt")}))
	b.Follow("#send")
	b.Sees("#wall")
	b.Sees(".files-list li")
	b.Follow("#wall [value=copy]")
	sent := o.mailer.letters()
	if len(sent) != 1 || !sent[0].FileCopy || len(sent[0].Files) != 1 || string(sent[0].Files[0].Data) != "A" || sent[0].Subject != "No script" {
		t.Fatalf("%+v", sent)
	}
	b.Sees("#toast")
	b.Follow("#undo")
	b.Sees("#letter-form")

	// Picking and what is done with it, too.
	b.GoTo("/")
	b.Click("#rows li:nth-child(2) .row-pick input")
	b.Sees("#act")
	b.Follow("#act [value=archive]")
	b.Follow("#undo")
	b.Sees("#rows")
	b.Quiet()
}

// TestPicking picks messages by key, shift and all at once, and acts on them.
func TestPicking(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	b := webtest.Open(t, o.URL)
	b.Device(1280, 800, false)
	b.Enter(records, password, "en")
	b.Until(`window.sijillDesk !== undefined`)
	total := func() int { return webtest.Ask[int](b, `Number(document.querySelector("#scroll").dataset.total)`) }
	before := total()
	b.Press("j")
	b.Press("x")
	b.Until(`document.querySelectorAll(".row-picked").length === 1`)
	b.Do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#rows li:nth-child(4) .row-pick input").dispatchEvent(new MouseEvent("click", {bubbles: true, shiftKey: true}))`))
	b.Until(`document.querySelectorAll(".row-picked").length === 4 && document.querySelector("#picked").textContent.includes("4")`)
	first := webtest.Ask[string](b, `document.querySelector("#rows li").dataset.entry`)
	b.Press("e")
	b.Sees("#toast")
	b.Until(`Number(document.querySelector("#scroll").dataset.total) === ` + strconv.Itoa(before-4) + ` && document.querySelector("#rows li").dataset.entry !== ` + quote(first))
	b.Press("z")
	b.Until(`document.querySelector("#scroll") !== null && Number(document.querySelector("#scroll").dataset.total) === ` + strconv.Itoa(before))
	b.Click("#pick-all")
	b.Until(`document.querySelector("#picked").textContent.includes("` + strconv.Itoa(before) + `")`)
	b.Press(kb.Escape)
	b.Until(`document.querySelector("#picked").textContent === ""`)
	b.Press("j")
	b.Press("s")
	b.Until(`document.querySelectorAll(".row-flagged").length === 1`)

	// An open message is archived, and the next one opens.
	b.Click("#rows li:nth-child(1) a")
	b.Sees("#subject")
	subject := webtest.Ask[string](b, `document.querySelector("#subject").textContent`)
	b.Press("#")
	b.Until(`document.querySelector("#subject") !== null && document.querySelector("#subject").textContent !== ` + quote(subject))
	b.Until(`Number(document.querySelector("#scroll").dataset.total) === ` + strconv.Itoa(before-1))

	// A message that arrives is there without reloading, and counted in the title.
	webtest.Ask[bool](b, `window.stayed = true`)
	o.store.arrive(o.books.add(t, []byte("From: new@mills.example\r\nTo: "+records+"\r\nSubject: Just arrived\r\nDate: "+now.Add(time.Hour).Format(time.RFC1123Z)+"\r\n\r\nHello\r\n"), ""), sijill.Office, "", false, 1)
	b.Until(`window.stayed && document.querySelector("#rows").textContent.includes("Just arrived") && document.title.startsWith("(")`)

	// A list that a narrow screen doesn't show is there when the screen grows.
	b.Device(390, 844, false)
	b.GoTo(fmt.Sprintf("/m/%d", o.entry(t, "budget-1@")))
	b.Until(`window.sijillList !== undefined && document.querySelector("#list").offsetParent === null`)
	b.Device(1280, 800, false)
	b.Until(`document.querySelector("#scroll").classList.contains("scroll-live") && document.querySelectorAll("#rows li").length > 20 && document.querySelector("#rows [aria-current]").getBoundingClientRect().bottom < innerHeight`)
	b.Quiet()
}
