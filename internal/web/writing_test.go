package web

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sijill"
)

// chord presses a key with Control.
func (b *tab) chord(key string) {
	b.Helper()
	b.do(chromedp.KeyEvent(key, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
}

// TestWriting writes a letter in each language with the keyboard alone: people
// are completed, the draft is saved as one types, and it's sent by Ctrl+Enter.
func TestWriting(t *testing.T) {
	o := newOffice(t, "127.0.0.1:9")
	b := browse(t, o.URL)
	for lang, text := range map[string]string{"ar": "السلام عليكم،\nموعدنا الأحد.\nSee you there.", "en": "Dear Laila,\nموعدنا الأحد\nthe rest in English."} {
		o.mailer.delivered = nil
		b.device(1280, 800, lang == "en")
		b.enter(records, lang)
		b.until(`window.sijillDesk !== undefined`) // The scripts are there, and the keys with them.
		b.press("c")
		b.sees("#to[role=combobox]")
		b.do(chromedp.Focus(chromedp.CSS("#to")))
		b.press("ليل")
		b.sees("#to-offers [role=option]")
		b.until(`document.querySelector("#to").getAttribute("aria-activedescendant") === "to-offers-0"`)
		b.press("\r")
		b.until(`document.querySelectorAll("[data-people=to] .chip").length === 1`)
		b.press("mil")
		b.sees("#to-offers [role=option]")
		b.press(kb.ArrowDown + "\r")
		b.until(`document.querySelector("input[type=hidden][name=to]").value.includes("laila@diwan.example") && document.querySelectorAll("[data-people=to] .chip").length === 2`)
		b.press(kb.Backspace)
		b.until(`document.querySelectorAll("[data-people=to] .chip").length === 1`)
		b.types("#subject", "موعد Sunday")
		b.do(chromedp.SendKeys(chromedp.CSS("#text"), "x"))
		ask[bool](b, `(document.querySelector("#text").value = `+quote(text)+`, document.querySelector("#text").dispatchEvent(new Event("input", {bubbles: true})))`)

		// Each paragraph goes its own way.
		if dir := ask[string](b, `getComputedStyle(document.querySelector("#text")).unicodeBidi`); dir != "plaintext" {
			t.Errorf("%s: paragraphs are all of one direction: %s", lang, dir)
		}
		b.until(`location.search.startsWith("?draft=") && document.querySelector("#saved-live").textContent !== ""`)
		if n := len(o.drafts(1)); n != 1 {
			t.Errorf("%s: %d drafts", lang, n)
		}
		b.do(chromedp.Focus(chromedp.CSS("#text")))
		b.chord(kb.Enter)
		b.sees("#toast")
		sent := o.mailer.letters()
		if len(sent) != 1 || sent[0].Text != text || sent[0].To[0].Addr != "laila@diwan.example" || sent[0].Subject != "موعد Sunday" || sent[0].Class != sijill.Office || len(o.drafts(1)) != 0 {
			t.Fatalf("%s: %+v; drafts %v", lang, sent, o.drafts(1))
		}
		b.press("z") // Taken back, it is a draft again.
		b.until(`location.search.startsWith("?draft=") && document.querySelector("#text") !== null && document.querySelector("#text").value === ` + quote(text))
		b.follow("#drop-draft")
		b.quiet()
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer("\\", "\\\\", `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// TestDraftOutlivesTab kills a tab in which a letter is being written. Another
// one finds it.
func TestDraftOutlivesTab(t *testing.T) {
	o := newOffice(t, "127.0.0.1:9")
	b := browse(t, o.URL)
	b.enter(records, "ar")
	b.goTo("/compose")
	b.types("#subject", "مسودة")
	b.types("#text", "كلمات لا يصح أن تضيع")
	dir := t.TempDir()
	file := filepath.Join(dir, "note.txt")
	if err := os.WriteFile(file, []byte("note"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{file}))
	b.sees(".files-list li")
	b.until(`document.querySelector("#saved-live").textContent.includes("خُتمت")`)
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	chromedp.Do(ctx, chromedp.Navigate("chrome://crash")) // It doesn't answer: it is dead.

	again := browse(t, o.URL)
	again.enter(records, "ar")
	again.until(`window.sijillDesk !== undefined`)
	again.press("g")
	again.press("d")
	again.sees("#rows li")
	again.follow("#rows li a")
	again.until(`document.querySelector("#text").value.includes("كلمات لا يصح أن تضيع") && document.querySelector("#subject").value === "مسودة" && document.querySelectorAll(".files-list li").length === 1`)
	if n := len(o.drafts(1)); n != 1 {
		t.Errorf("%d drafts", n)
	}
}

// TestWallDialog: from a personal address to the office's contacts there's a
// choice, and Escape leads back to the draft.
func TestWallDialog(t *testing.T) {
	o := newOffice(t, "127.0.0.1:9")
	b := browse(t, o.URL)
	for lang := range phrases {
		o.mailer.delivered = nil
		b.device(1280, 800, false)
		b.enter(records, lang)
		b.goTo("/compose")
		// People one writes to as the office make it an office letter, until one says otherwise.
		b.goTo("/compose?class=personal")
		b.until(`document.querySelector("#letter-form").dataset.class === "personal"`)
		b.types("#to", "miriam@orchard.example,")
		b.until(`document.querySelector("[name=from]:checked").dataset.class === "office" && document.querySelector("#as-said").textContent !== "" && document.querySelector("#letter-form").dataset.class === "office"`)
		b.click(".as-one[data-class=personal]")
		b.until(`document.querySelector("#text").value.trim().endsWith("سلمى")`)
		b.types("#subject", "Article 4")
		b.follow("#send")
		b.sees("#wall:modal")
		if len(o.mailer.letters()) != 0 {
			t.Fatal("sent without asking")
		}
		b.press(kb.Escape)
		b.until(`!document.querySelector("#wall").open && document.querySelector("#subject").value === "Article 4"`)
		b.follow("#send")
		b.sees("#wall:modal")
		b.follow("#wall [value=office]")
		b.sees("#toast")
		if sent := o.mailer.letters(); len(sent) != 1 || sent[0].Class != sijill.Office || sent[0].From.Addr != records {
			t.Errorf("%+v", sent)
		}
		b.quiet()
	}
}

// TestWritingWithoutScript: the form is enough.
func TestWritingWithoutScript(t *testing.T) {
	o := newOffice(t, "127.0.0.1:9")
	b := browse(t, o.URL)
	b.device(390, 844, false)
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	b.goTo("/sign-in")
	b.types("#address", "salma")
	b.types("#password", password)
	b.follow("form[action='/sign-in'] button")
	b.goTo("/compose?class=personal")
	b.types("#to", "miriam@orchard.example")
	b.types("#subject", "No script")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("A"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{filepath.Join(dir, "a.txt")}))
	b.follow("#send")
	b.sees("#wall")
	b.sees(".files-list li")
	b.follow("#wall [value=copy]")
	sent := o.mailer.letters()
	if len(sent) != 1 || !sent[0].FileCopy || len(sent[0].Files) != 1 || string(sent[0].Files[0].Data) != "A" || sent[0].Subject != "No script" {
		t.Fatalf("%+v", sent)
	}
	b.sees("#toast")
	b.follow("#undo")
	b.sees("#letter-form")

	// Picking and what is done with it, too.
	b.goTo("/")
	b.click("#rows li:nth-child(2) .row-pick input")
	b.sees("#act")
	b.follow("#act [value=archive]")
	b.follow("#undo")
	b.sees("#rows")
	b.quiet()
}

// TestPicking picks messages by key, shift and all at once, and acts on them.
func TestPicking(t *testing.T) {
	o := newOffice(t, "127.0.0.1:9")
	b := browse(t, o.URL)
	b.device(1280, 800, false)
	b.enter(records, "en")
	b.until(`window.sijillDesk !== undefined`)
	total := func() int { return ask[int](b, `Number(document.querySelector("#scroll").dataset.total)`) }
	before := total()
	b.press("j")
	b.press("x")
	b.until(`document.querySelectorAll(".row-picked").length === 1`)
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#rows li:nth-child(4) .row-pick input").dispatchEvent(new MouseEvent("click", {bubbles: true, shiftKey: true}))`))
	b.until(`document.querySelectorAll(".row-picked").length === 4 && document.querySelector("#picked").textContent.includes("4")`)
	first := ask[string](b, `document.querySelector("#rows li").dataset.entry`)
	b.press("e")
	b.sees("#toast")
	b.until(`Number(document.querySelector("#scroll").dataset.total) === ` + strconv.Itoa(before-4) + ` && document.querySelector("#rows li").dataset.entry !== ` + quote(first))
	b.press("z")
	b.until(`document.querySelector("#scroll") !== null && Number(document.querySelector("#scroll").dataset.total) === ` + strconv.Itoa(before))
	b.click("#pick-all")
	b.until(`document.querySelector("#picked").textContent.includes("` + strconv.Itoa(before) + `")`)
	b.press(kb.Escape)
	b.until(`document.querySelector("#picked").textContent === ""`)
	b.press("j")
	b.press("s")
	b.until(`document.querySelectorAll(".row-flagged").length === 1`)

	// An open message is archived, and the next one opens.
	b.click("#rows li:nth-child(1) a")
	b.sees("#subject")
	subject := ask[string](b, `document.querySelector("#subject").textContent`)
	b.press("#")
	b.until(`document.querySelector("#subject") !== null && document.querySelector("#subject").textContent !== ` + quote(subject))
	b.until(`Number(document.querySelector("#scroll").dataset.total) === ` + strconv.Itoa(before-1))

	// A message that arrives is there without reloading, and counted in the title.
	ask[bool](b, `window.stayed = true`)
	o.store.arrive(o.books.add(t, []byte("From: new@mills.example\r\nTo: "+records+"\r\nSubject: Just arrived\r\nDate: "+now.Add(time.Hour).Format(time.RFC1123Z)+"\r\n\r\nHello\r\n"), ""), sijill.Office, "", false, 1)
	b.until(`window.stayed && document.querySelector("#rows").textContent.includes("Just arrived") && document.title.startsWith("(")`)
	b.quiet()
}
