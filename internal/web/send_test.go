package web

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sijill/internal/message"
)

// A draft that was sent isn't one any more: its address leads to Drafts, and a page
// of it that is still open sends nothing and keeps its words.
func TestDraftIsSentOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	form := letter(records, "owen@mills.example", "Once", "Only once")
	form.Set("do", "save")
	post(t, c, o.URL+"/compose", form)
	draft := o.drafts(1)[0]
	form.Set("do", "send")
	form.Set("draft", fmt.Sprint(draft))

	// Two clicks are one letter, and say so alike.
	var clicks sync.WaitGroup
	var tokens [2]string
	for i := range tokens {
		clicks.Go(func() { tokens[i] = tokenOf(post(t, c, o.URL+"/compose", form).body) })
	}
	clicks.Wait()
	if n := len(o.mailer.letters()); n != 1 || tokens[0] == "" || tokens[0] != tokens[1] || len(o.drafts(1)) != 0 {
		t.Fatalf("%d letters from two clicks; tokens %q; drafts %v", n, tokens, o.drafts(1))
	}

	back := get(t, c, o.URL+draftLink(draft), "Accept-Language", "en")
	if !strings.HasPrefix(back.Request.URL.Path, "/f/") || !strings.Contains(back.body, "sent or saved again since") {
		t.Errorf("its address leads to %s", back.Request.URL)
	}

	form.Set("text", "Written in another tab")
	other := post(t, c, o.URL+"/compose", form, "Accept-Language", "en")
	kept := o.drafts(1)
	if n := len(o.mailer.letters()); n != 1 || other.StatusCode != http.StatusUnprocessableEntity || len(kept) != 1 ||
		!strings.Contains(other.body, "was not sent now") || !strings.Contains(other.body, "Written in another tab") || !strings.Contains(other.body, fmt.Sprintf(`name="draft" value="%d"`, kept[0])) {
		t.Fatalf("from another tab: %s, %d letters, drafts %v", other.Status, n, kept)
	}
	form.Set("draft", fmt.Sprint(kept[0]))
	post(t, c, o.URL+"/compose", form)
	if n := len(o.mailer.letters()); n != 2 || len(o.drafts(1)) != 0 {
		t.Errorf("sent on purpose: %d letters, drafts %v", n, o.drafts(1))
	}
}

// A letter that was taken back can be sent again as it is.
func TestSentAgainAfterUndo(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	form := letter(records, "owen@mills.example", "Twice", "The same")
	a := post(t, c, o.URL+"/compose", form)
	post(t, c, o.URL+"/undo", map[string][]string{"undo": {tokenOf(a.body)}})
	post(t, c, o.URL+"/compose", form)
	if n := len(o.mailer.letters()); n != 1 {
		t.Errorf("%d letters are on their way", n)
	}
}

// A message that is no draft is read, not written on.
func TestOnlyDraftsAreWrittenOn(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	entry := o.entry(t, "<contract@")
	if a := get(t, c, o.URL+draftLink(entry)); a.Request.URL.Path != fmt.Sprintf("/m/%d", entry) || a.StatusCode != http.StatusOK {
		t.Errorf("%s at %s", a.Status, a.Request.URL)
	}
	if a := get(t, c, o.URL+"/compose?draft=99999999", "Accept-Language", "en"); !strings.Contains(a.body, "sent or saved again since") {
		t.Errorf("what there never was: %s at %s", a.Status, a.Request.URL)
	}
}

// Half an address in a draft comes back as it was typed.
func TestDraftKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	for _, to := range []string{"Miriam, owen@mills.example", "هدى", "a@mills..example", "laila@"} {
		form := letter(records, to, "Half", "x", "cc", "Owen <owen@mills.example>", "bcc", "sami")
		form.Set("do", "save")
		a := post(t, c, o.URL+"/compose", form)
		if a.Request.URL.Query().Get("draft") == "" || !strings.Contains(a.body, `name="to" value="`+to+`"`) || !strings.Contains(a.body, `name="bcc" value="sami"`) || !strings.Contains(a.body, `name="cc" value="Owen &lt;owen@mills.example&gt;"`) {
			t.Errorf("%q: %s at %s", to, a.Status, a.Request.URL)
		}
	}
}

// A letter to too many is saved, and says how many are too many.
func TestTooMany(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	var all []string
	for i := range maxRecipients + 1 {
		all = append(all, fmt.Sprintf("p%d@mills.example", i))
	}
	to := strings.Join(all, ", ")
	form := letter(records, to, "To all", "x")
	for lang, say := range map[string]string{"en": "500</bdi> people at most", "ar": "٥٠٠</bdi> شخص على الأكثر"} {
		say = strings.ReplaceAll(say, "</bdi>", "\u2069")
		if a := post(t, c, o.URL+"/compose", form, "Accept-Language", lang); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, say) || !strings.Contains(a.body, to) {
			t.Errorf("%s: %s", lang, a.Status)
		}
	}
	form.Set("do", "save")
	if a := post(t, c, o.URL+"/compose", form); a.StatusCode != http.StatusOK || !strings.Contains(a.body, to) || len(o.mailer.letters()) != 0 {
		t.Errorf("saved: %s", a.Status)
	}
	form.Set("do", "send")
	form.Set("to", strings.Join(all[1:], ", "))
	post(t, c, o.URL+"/compose", form)
	if sent := o.mailer.letters(); len(sent) != 1 || !slices.ContainsFunc(sent[0].To, func(a message.Address) bool { return a.Addr == all[maxRecipients] }) {
		t.Errorf("%d letters to 500", len(sent))
	}
}

// A letter that comes when the session is over comes back, to be saved when there's
// one again. A script is told.
func TestSignedOutLosesNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	post(t, c, o.URL+"/sign-out", nil)
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, values := range letter(records, "هدى, owen@mills.example", "Subject & <b>", "كلمات\n\"لا تضيع\"", "cc", "sami@diwan.example", "keep", "7.0", "draft", "7") {
		w.WriteField(name, values[0])
	}
	w.CreateFormFile("files", "")
	f, err := w.CreateFormFile("files", "a.bin")
	if err != nil {
		t.Fatal(err)
	}
	f.Write(make([]byte, 3<<20))
	w.Close()
	form := b.Bytes()
	send := func(headers ...string) reply {
		req, err := http.NewRequestWithContext(t.Context(), "POST", o.URL+"/compose", bytes.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", w.FormDataContentType())
		return do(t, c, req, headers...)
	}
	a := send("Accept-Language", "en")
	if a.StatusCode != http.StatusForbidden {
		t.Fatal(a.Status)
	}
	for _, want := range []string{"neither sent nor saved", "attach them again", "كلمات\n&#34;لا تضيع&#34;</textarea>", `value="Subject &amp; &lt;b&gt;"`, `value="هدى, owen@mills.example"`,
		`name="cc" value="sami@diwan.example"`, `name="keep" value="7.0"`, `name="draft" value="7"`, `name="from" value="` + records + `"`, `href="/sign-in" target="_blank"`, `value="save"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if a := send("HX-Request", "true"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("to a script: %s", a.Status)
	}
	if a := post(t, c, o.URL+"/compose", letter(records, "", "", "Plain form")); a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "Plain form") {
		t.Errorf("a plain form: %s", a.Status)
	}
	if a := post(t, c, o.URL+"/compose", letter(records, "", "", strings.Repeat("x", 5<<20))); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a long one: %s", a.Status)
	}
}

// The menus that move offer neither Drafts nor Sent, and neither takes anything.
func TestDraftsAndSentTakeNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	entry := o.entry(t, "<contract@")
	folders, err := o.store.Folders(t.Context(), &Viewer{Account: 1, Office: true, Open: true})
	if err != nil {
		t.Fatal(err)
	}
	pick, _, _ := o.spotOf(t, entry)
	inbox, _, _ := strings.Cut(pick, "-")
	for _, path := range []string{"/f/" + inbox, fmt.Sprintf("/m/%d", entry)} {
		page := get(t, c, o.URL+path).body
		for _, f := range folders {
			offered := strings.Contains(page, fmt.Sprintf(`<option value="%d">`, f.ID))
			if want := f.Role != roleDrafts && f.Role != roleSent && strconv.FormatInt(f.ID, 10) != inbox && f.Class != "personal"; offered != want {
				t.Errorf("%s: %s is offered: %v", path, f.Name, offered)
			}
		}
	}
	for _, f := range folders {
		if f.Role != roleDrafts && f.Role != roleSent {
			continue
		}
		if a := post(t, c, o.URL+"/act", map[string][]string{"do": {"move"}, "to": {fmt.Sprint(f.ID)}, "at": {pick}}); a.StatusCode != http.StatusBadRequest {
			t.Errorf("moving to %s: %s", f.Name, a.Status)
		}
	}
}

// The address of a message still leads to it when it was moved elsewhere, and an
// answer comes back to where the message is read.
func TestMovedMessageIsFound(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	entry := o.entry(t, "<contract@")
	pick, _, _ := o.spotOf(t, entry)
	inbox, _, _ := strings.Cut(pick, "-")
	address := fmt.Sprintf("%s/m/%d?f=%s", o.URL, entry, inbox)
	if a := get(t, c, address, "HX-Request", "true"); !strings.Contains(a.body, "how=reply&amp;f="+inbox+`"`) {
		t.Error("opened by a click, an answer doesn't know the folder")
	}
	post(t, c, o.URL+"/act", map[string][]string{"do": {"archive"}, "at": {pick}})
	pick, _, _ = o.spotOf(t, entry)
	archive, _, _ := strings.Cut(pick, "-")
	a := get(t, c, address)
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `id="back" href="/f/`+archive+`"`) || !strings.Contains(a.body, `data-rows="/rows?f=`+archive+`"`) || !strings.Contains(a.body, "how=reply&amp;f="+archive+`"`) {
		t.Errorf("archived, it isn't shown in the archive: %s", a.Status)
	}
}
