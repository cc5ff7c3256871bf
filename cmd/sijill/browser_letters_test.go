package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"sijill/internal/web/webtest"
)

// plan is a message with an attachment, to two of the office, and its file.
func plan() (msg, file []byte) {
	for i := range 3000 {
		file = append(file, byte(i), byte(i>>8))
	}
	lines := base64.StdEncoding.EncodeToString(file)
	var b strings.Builder
	for ; len(lines) > 76; lines = lines[76:] {
		b.WriteString(lines[:76] + "\r\n")
	}
	b.WriteString(lines)
	return fmt.Appendf(nil, "From: Nadim <sender@abroad.example>\r\nTo: %s, %s\r\nCc: %s\r\nSubject: Plan of the bridge\r\nMessage-ID: <plan@abroad.example>\r\n"+
		"Date: Sat, 21 Nov 2026 08:30:00 +0300\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThe plan is attached.\r\n--b\r\n"+
		"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=plan.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n",
		sami, hind, laila, b.String()), file
}

// alive marks the page, to tell later that it wasn't loaded again.
func alive(b *webtest.Tab) {
	b.Helper()
	webtest.Ask[bool](b, `(window.alive = true)`)
}

func stillAlive(b *webtest.Tab) {
	b.Helper()
	if !webtest.Ask[bool](b, `window.alive === true`) {
		b.Error("the page was loaded again")
	}
}

// Letters go from one identity to the same identity of another, are seen without
// reloading, answered and forwarded; one that was taken back goes nowhere.
func lettersGoAndCome(t *testing.T) {
	o := newWebOffice(t)
	msg, file := plan()
	h, s, own := o.tab(o.hind, "ar"), o.tab(o.sami, "en"), o.tab(o.sami, "en")
	own.GoTo("/go/inbox?c=personal") // Empty: the first arrival begins the list.
	o.delivers(msg, sami, hind, laila)
	s.Until(inList("Plan of the bridge"))
	alive(s)

	begin(h, "office", sami, "موعد تسليم الجسر", "السلام عليكم، نلتقي الأحد.")
	send(h)
	begin(h, "personal", samiHome, "Dinner on Friday", "Will you come?")
	send(h)
	begin(h, "office", "friend@abroad.example", "Taken back", "These words come back.")
	send(h)
	h.Press("z")
	h.Until(`location.search.startsWith("?draft=") && (document.querySelector("#text") || {value: ""}).value.includes("These words come back.")`)

	s.Within(patience, inList("موعد تسليم الجسر"))
	own.Within(patience, inList("Dinner on Friday"))
	stillAlive(s)
	read(s, "موعد تسليم الجسر")
	s.Until(`document.querySelector(".message").dataset.class === "office" && document.querySelector(".letter").textContent.includes("نلتقي الأحد")`)
	read(own, "Dinner on Friday")
	own.Until(`document.querySelector(".message").dataset.class === "personal" && document.querySelector(".letter").textContent.includes("Will you come?")`)

	s.Follow("#reply")
	s.Until(`document.querySelector("#text").value.includes("> السلام عليكم") && document.querySelector("[name=from]:checked").dataset.class === "office"`)
	s.Types("#text", "نعم، الأحد.")
	send(s)
	answersAll(t, s)
	s.GoTo("/")
	read(s, "Plan of the bridge")
	s.Follow("#forward")
	s.Sees(".files-list li")
	s.Types("#to", hind+",")
	s.Types("#text", "For you.")
	send(s)
	s.GoTo("/")
	s.Sees(row(s, "Plan of the bridge") + " .row-answered")

	h.GoTo("/")
	alive(h)
	for _, subject := range []string{"Re: موعد تسليم الجسر", "Re: Plan of the bridge", "Fwd: Plan of the bridge"} {
		h.Within(patience, inList(subject))
	}
	stillAlive(h)
	read(h, "Re: موعد تسليم الجسر")
	h.Until(`document.querySelectorAll(".thread li").length === 2`)
	read(h, "Fwd: Plan of the bridge")
	got := webtest.Ask[string](h, `fetch(document.querySelector(".attachments a").href).then(r => r.arrayBuffer()).then(b => btoa(String.fromCharCode(...new Uint8Array(b))))`)
	if got != base64.StdEncoding.EncodeToString(file) {
		t.Error("the forwarded file isn't what came")
	}
	await(t, "the answer to all has left", func() bool { return o.far.received() > 0 })
	if n := o.far.received(); n != 1 {
		t.Errorf("%d letters left: the one that was taken back too", n)
	}
	for _, b := range []*webtest.Tab{h, s, own} {
		b.Quiet()
	}
}

// answersAll answers the plan: to its sender, with the others in copy, and not to
// oneself.
func answersAll(t *testing.T, b *webtest.Tab) {
	t.Helper()
	b.GoTo("/")
	read(b, "Plan of the bridge")
	b.Follow("#reply-all")
	b.Sees("#to[role=combobox]")
	got := webtest.Ask[string](b, `["to", "cc"].map(n => document.querySelector("input[type=hidden][name=" + n + "]").value).join("|")`)
	for _, want := range []string{"sender@abroad.example", laila, hind} {
		if !strings.Contains(got, want) {
			t.Errorf("an answer to all goes to %s", got)
		}
	}
	if strings.Contains(got, sami) || !strings.HasPrefix(got, "Nadim <sender@abroad.example>") {
		t.Errorf("an answer to all goes to %s", got)
	}
	b.Types("#text", "Seen.")
	send(b)
}

// What was typed outlives the tab and the server, and a tab that stays open
// saves it when the server is there again.
func draftsSurvive(t *testing.T) {
	o := newWebOffice(t)
	dies, stays := o.tab(o.hind, "ar"), o.tab(o.sami, "en")
	begin(dies, "personal", "friend@abroad.example", "مسودة", "كلمات لا يصح أن تضيع")
	dies.Until(`location.search.startsWith("?draft=") && document.querySelector("#saved-live").textContent.includes("خُتمت")`)
	begin(stays, "office", hind, "Minutes", "First sentence.")
	stays.Until(`location.search.startsWith("?draft=")`)
	dies.Crash()
	o.kill()
	stays.Types("#text", " Second sentence.")
	stays.Until(`document.querySelector("#saved-live").textContent === document.querySelector("#letter-form").dataset.unsaved`)
	o.start(o.home)

	h := o.tab(o.hind, "ar")
	h.GoTo("/go/drafts?c=personal")
	h.Follow(row(h, "مسودة") + " a")
	h.Until(`document.querySelector("#text").value.includes("كلمات لا يصح أن تضيع") && document.querySelector("#subject").value === "مسودة" && document.querySelector("#letter-form").dataset.class === "personal" && document.querySelector("input[name=to]").value.includes("friend@abroad.example")`)

	stays.Until(`document.querySelector("#saved-live").textContent === document.querySelector("#state .saved").textContent && document.querySelector("#saved-live").textContent !== ""`)
	again := o.tab(o.sami, "en")
	again.GoTo("/go/drafts")
	again.Follow(row(again, "Minutes") + " a")
	again.Until(`document.querySelector("#text").value.includes("First sentence. Second sentence.")`)
	o.stop()
	o.sound()
}
