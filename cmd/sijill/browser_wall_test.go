package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// From a personal address to the office's contacts there are three ways: back,
// with a copy on record, and from the office.
func wallAsks(t *testing.T) {
	o := newWebOffice(t)
	b := o.tab(o.hind, "ar")
	from := o.size()
	begin(b, "personal", "clerk@ministry.example", "المادة التاسعة", "نوافق عليها.")
	b.Follow("#send")
	b.Sees("#wall:modal")
	b.Press(kb.Escape)
	b.Until(`!document.querySelector("#wall").open && document.querySelector("#subject").value === "المادة التاسعة"`)
	for _, e := range o.since(from) {
		if e.Entry.Kind == "sent" || e.Entry.Kind == "filed" {
			t.Fatalf("going back has sent: %+v", e)
		}
	}

	from = o.size()
	b.Follow("#send")
	b.Sees("#wall:modal")
	b.Follow("#wall [value=copy]")
	b.Sees("#toast")
	list := o.since(from)
	sent, filed := only(t, list, "sent", "personal"), only(t, list, "filed", "")
	if filed.Size == 0 || sent.Size != 0 || sent.Entry.Message == nil {
		t.Errorf("the office reads %d octets of the copy and %d of the original", filed.Size, sent.Size)
	}
	if out := o.must("show", fmt.Sprint(sent.N)); strings.Contains(out, "clerk@") || strings.Contains(out, "Subject:") {
		t.Errorf("the office reads the personal letter: %s", out)
	}
	b.GoTo("/go/sent?c=office")
	read(b, "المادة التاسعة") // The copy, as the office has it.

	from = o.size()
	begin(b, "personal", "clerk@ministry.example", "المادة العاشرة", "نوافق عليها أيضًا.")
	b.Follow("#send")
	b.Sees("#wall:modal")
	b.Follow("#wall [value=office]")
	b.Sees("#toast")
	only(t, o.since(from), "sent", "")
	b.GoTo("/go/sent?c=office")
	read(b, "المادة العاشرة")
	b.Until(`document.querySelector(".parties").textContent.includes(` + "`" + hind + "`" + `) && !document.querySelector(".parties").textContent.includes("home.example")`)
	o.answersFromHome()
	b.Quiet()
	await(t, "both letters have left", func() bool { return o.far.received() == 2 })
}

// answersFromHome answers office mail from the personal address: it is stopped,
// whoever the answer goes to.
func (o *webOffice) answersFromHome() {
	o.Helper()
	o.delivers(mailOf("question", "sender@abroad.example", hind), hind)
	b := o.tab(o.hind, "en")
	read(b, "letter question")
	b.Follow("#reply")
	as(b, "personal")
	b.Follow("#send")
	b.Sees("#wall:modal")
	b.Until(`document.querySelector("#wall-why").textContent.includes("answering office mail")`)
	b.Click("#wall-back")
	b.Until(`!document.querySelector("#wall").open`)
	b.Quiet()
}

// What comes from a contact to a personal address is reminded of, until a copy is
// filed or one says that it is none of the office's business.
func reminded(t *testing.T) {
	o := newWebOffice(t)
	for _, id := range []string{"decree", "greeting"} {
		o.delivers(mailOf(id, "clerk@ministry.example", hindHome), hindHome)
	}
	b := o.tab(o.hind, "en")
	b.GoTo("/go/inbox?c=personal")
	b.Until(`(document.querySelector(".remind") || {textContent: ""}).textContent.includes("2 messages")`)
	from := o.size()
	read(b, "letter decree")
	b.Follow(".notice-due .button")
	b.Sees("#toast")
	b.Until(`document.querySelector(".notice-due") === null`)
	if e := only(t, o.since(from), "filed", ""); e.Size == 0 {
		t.Error("the copy can't be read by the office")
	}
	b.GoTo("/reminders")
	b.Until(`document.querySelectorAll(".cards .card").length === 1`)
	b.Follow(".card form:last-child .button")
	b.GoTo("/go/inbox?c=personal")
	b.Until(`document.querySelector("#rows") !== null && document.querySelector(".remind") === null`)
	b.Quiet()
}
