package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sijill/internal/web/webtest"
)

// Folders are made and renamed, messages put into them, marked, archived, called
// junk and not, deleted and brought back.
func foldersAndMoves(t *testing.T) {
	o := newWebOffice(t)
	for _, id := range []string{"one", "two"} {
		o.delivers(mailOf(id, "sender@abroad.example", hind), hind)
	}
	b := o.tab(o.hind, "en")
	b.GoTo("/folders")
	b.Types("section[data-class=office] .folder-new input[type=text]", "Bridge")
	b.Follow("section[data-class=office] .folder-new button")
	b.Click("section[data-class=office] .folder-menu summary")
	b.Types("section[data-class=office] .folder-menu[open] input[name=name]", "جسر ")
	b.Follow("section[data-class=office] .folder-menu[open] [value=rename]")
	name := webtest.Ask[string](b, `document.querySelector(".folder-line:has(.folder-menu) .folder-name").textContent`)
	if name != "Bridgeجسر" && name != "جسر Bridge" {
		t.Errorf("the folder is called %q", name)
	}

	b.GoTo("/")
	read(b, "letter one")
	b.Click("#act-one .bar-move summary")
	webtest.Ask[bool](b, `(() => { const s = document.querySelector("#act-one select"); s.value = [...s.options].find(o => o.textContent.includes("Bridge")).value; return true; })()`)
	b.Click("#act-one [value=move]")
	b.Until(`!` + inList("letter one"))
	b.GoTo("/folders")
	b.Follow(".folder-line:has(.folder-menu) a")
	b.Sees(row(b, "letter one"))

	inbox := func(do string) {
		b.Helper()
		read(b, "letter two")
		b.Click("#act-one [value=" + do + "]")
		if do != "flag" {
			b.Until(`!` + inList("letter two")) // A toast may be that of the deed before.
		}
		b.Sees("#toast")
	}
	b.GoTo("/")
	inbox("flag")
	b.GoTo("/")
	b.Sees(row(b, "letter two") + ".row-flagged")
	for _, where := range []struct{ do, role string }{{"archive", "archive"}, {"junk", "junk"}, {"delete", "trash"}} {
		b.GoTo("/")
		inbox(where.do)
		b.Click("#undo")
		b.Until(inList("letter two"))
		inbox(where.do)
		b.GoTo("/go/" + where.role)
		b.Until(inList("letter two"))
		if where.role == "junk" {
			inbox("notjunk")
		} else {
			b.Click(row(b, "letter two") + " .row-pick input")
			b.Click("#act .bar-move summary")
			webtest.Ask[bool](b, `(() => { const s = document.querySelector("#act select"); s.value = [...s.options].find(o => o.textContent.includes("Inbox")).value; return true; })()`)
			b.Click("#act [value=move]")
			b.Until(`!` + inList("letter two"))
		}
	}
	b.GoTo("/")
	b.Sees(row(b, "letter two"))
	b.Quiet()
}

// Personal mail that is removed for good is destroyed, and the register says so;
// office mail leaves its holder's sight.
func personalDestroyed(t *testing.T) {
	o := newWebOffice(t)
	entry := o.secretLetter()
	o.delivers(mailOf("official", "sender@abroad.example", hind), hind)
	b := o.tab(o.hind, "ar")
	from := o.size()
	for class, subject := range map[string]string{"personal": "letter private", "office": "letter official"} {
		b.GoTo("/go/inbox?c=" + class)
		read(b, subject)
		b.Click("#delete")
		b.Until(`!` + inList(subject))
		b.Sees("#undo")
		b.GoTo("/go/trash?c=" + class)
		read(b, subject)
		b.Follow("#delete")
		b.Follow(".confirm .button-bad")
		b.Sees("#toast")
	}
	list := o.since(from)
	if e := only(t, list, "destroyed", ""); !slices.Equal(e.Entry.Fields.Entries, []int64{entry}) {
		t.Errorf("destroyed: %+v", e)
	}
	only(t, list, "expunged", "")
	b.Quiet()
	b.GoTo(fmt.Sprintf("/m/%d", entry))
	b.Until(`document.querySelector("#subject") === null`)
	o.sound()
}

// pagesAreFit looks at the pages with the demo's mail on them, on the desk and on
// a phone, in both languages: axe-core finds nothing, and nothing is too wide.
// Where SIJILL_LOOK names a folder, pictures are left there.
func pagesAreFit(t *testing.T) {
	axe := webtest.Axe(t, "../..")
	o := newWebOffice(t)
	o.demoMail()
	look := os.Getenv("SIJILL_LOOK")
	sizes := []struct {
		name  string
		width int64
		lang  string
	}{{"phone", 390, "ar"}, {"desk", 1280, "en"}}
	if look != "" { // Two are enough to check; people look at all four.
		sizes = append(sizes, sizes[0], sizes[1])
		sizes[2].lang, sizes[3].lang = "en", "ar"
	}
	for _, size := range sizes {
		b := o.tab(o.hind, size.lang)
		b.Device(size.width, map[int64]int64{390: 844, 1280: 800}[size.width], false)
		check := func(name string) {
			b.Helper()
			as := fmt.Sprintf("%s-%s-%s", name, size.name, size.lang)
			b.Accessible(axe, as)
			if wide := webtest.Ask[int64](b, `document.documentElement.scrollWidth`); wide > size.width {
				t.Errorf("%s is %d wide", as, wide)
			}
			b.Quiet()
			if look != "" {
				time.Sleep(400 * time.Millisecond) // What moves comes to rest.
				if err := os.WriteFile(filepath.Join(look, as+".png"), b.Picture(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		o.visits(b, check)
	}
}

// demoMail gives hind the sample mail, the last of it to her personal address.
func (o *webOffice) demoMail() {
	o.Helper()
	names, err := filepath.Glob("demo/*.eml")
	if err != nil || len(names) < 10 {
		o.Fatal("no sample mail", err)
	}
	s := connect(o, o.smtp)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			o.Fatal(err)
		}
		to := hind
		if bytes.Contains(b, []byte("@"+demoHome)) {
			to = hindHome
		}
		s.deliver(o, bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")), to)
	}
	s.deliver(o, mailOf("decree", "clerk@ministry.example", hindHome), hindHome)
}

// visits goes through the pages that everyone sees every day.
func (o *webOffice) visits(b *webtest.Tab, check func(name string)) {
	o.Helper()
	b.GoTo("/")
	b.Sees("#rows li")
	check("inbox")
	b.GoTo("/go/inbox?c=personal")
	b.Sees(".remind")
	check("inbox-personal")
	b.Follow(".remind")
	check("reminders")
	b.GoTo("/search?q=" + "%D8%A7%D9%84%D8%B9%D9%82%D8%AF")
	b.Sees("#rows li")
	b.Click("#rows li a")
	b.Sees("#subject")
	b.Until(`document.querySelector("#letter") === null || document.querySelector("#letter").offsetHeight > 60`)
	check("message")
	b.Follow("#reply")
	b.Sees("#to[role=combobox]")
	check("compose-reply")
	begin(b, "office", "friend@abroad.example", "Opening of the bridge", "We open on Sunday.")
	check("compose-office")
	begin(b, "personal", "clerk@ministry.example", "المادة التاسعة", "نوافق عليها.")
	check("compose-personal")
	b.Follow("#send")
	b.Sees("#wall:modal")
	check("wall")
	for _, page := range []string{"settings", "settings/security", "settings/apps", "settings/sessions", "folders", "open"} {
		b.GoTo("/" + page)
		check(filepath.Base(page))
	}
	b.Leave()
	b.GoTo("/sign-in")
	check("sign-in")
	b.GoTo("/recover")
	check("recover")
}
