package web

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"sijill"
)

// letter is the form of a letter.
func letter(from, to, subject, text string, more ...string) url.Values {
	v := url.Values{"from": {from}, "to": {to}, "subject": {subject}, "text": {text}, "do": {"send"}, "back": {"/folders"}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Add(more[i], more[i+1])
	}
	return v
}

func TestSendAndUndo(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	a := post(t, c, o.URL+"/compose", letter(records, "هدى <huda@mills.example>، owen@mills.example", "Two  lines", "السلام عليكم\r\nand more"))
	sent := o.mailer.letters()
	if len(sent) != 1 || len(sent[0].To) != 2 || sent[0].To[0].Name != "هدى" || sent[0].Class != sijill.Office || sent[0].Text != "السلام عليكم\nand more" || sent[0].Subject != "Two lines" {
		t.Fatalf("%+v", sent)
	}
	token := tokenOf(a.body)
	back := post(t, c, o.URL+"/undo", url.Values{"undo": {token}})
	if back.Request.URL.Path != "/compose" || !strings.Contains(back.body, "السلام عليكم") || len(o.mailer.letters()) != 0 || len(o.drafts(1)) != 1 {
		t.Errorf("taken back: %s, %d sent, drafts %v", back.Request.URL, len(o.mailer.letters()), o.drafts(1))
	}
	a = post(t, c, o.URL+"/compose", letter(records, "owen@mills.example", "x", "y", "draft", fmt.Sprint(o.drafts(1)[0])))
	if len(o.drafts(1)) != 0 {
		t.Error("the draft stays though its letter was sent")
	}
	o.mailer.late = true
	if late := post(t, c, o.URL+"/undo", url.Values{"undo": {tokenOf(a.body)}}, "Accept-Language", "en"); !strings.Contains(late.body, "on its way") {
		t.Error("taken back too late")
	}
}

// A letter that is taken back is a draft or is on its way, whatever fails.
func TestUndoLosesNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	send := func() url.Values {
		a := post(t, c, o.URL+"/compose", letter(records, "owen@mills.example", "x", "y"))
		return url.Values{"undo": {tokenOf(a.body)}}
	}
	undo := send()
	o.mailer.full = true
	if a := post(t, c, o.URL+"/undo", undo); a.StatusCode != http.StatusInternalServerError || len(o.mailer.letters()) != 1 {
		t.Errorf("without room for a draft: %s, %d on their way", a.Status, len(o.mailer.letters()))
	}
	o.mailer.full, o.mailer.late = false, true
	post(t, c, o.URL+"/undo", send())
	if n, kept := len(o.mailer.letters()), o.drafts(1); n != 2 || len(kept) != 0 {
		t.Errorf("too late: %d on their way, drafts %v", n, kept)
	}
	o.mailer.late = false
	undo = send()
	o.swap(t, o.config.Records) // The server begins anew.
	a := post(t, c, o.URL+"/undo", undo, "Accept-Language", "en")
	if n := len(o.mailer.letters()); n != 3 || !strings.Contains(a.body, "too late") || len(o.drafts(1)) != 0 {
		t.Errorf("after a restart: %d on their way, %s", n, a.Status)
	}
}

// An answer that was taken back still answers what it answered.
func TestUndoneAnswerIsOne(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	entry := fmt.Sprint(o.entry(t, "budget-1@"))
	a := post(t, c, o.URL+"/compose", letter(records, "laila@diwan.example", "Re: budget", "Yes", "answers", entry, "how", HowReply))
	back := post(t, c, o.URL+"/undo", url.Values{"undo": {tokenOf(a.body)}})
	if !strings.Contains(back.body, `name="answers" value="`+entry+`"`) || !strings.Contains(back.body, `name="how" value="`+HowReply+`"`) {
		t.Error("it is a letter of its own now")
	}
}

// The way back from a message has a name, also where a script asks for the pane.
func TestWayBackIsNamed(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	for query, name := range map[string]string{"": "Inbox", "?q=budget": "Search"} {
		for _, partial := range []string{"", "true"} {
			a := get(t, c, fmt.Sprintf("%s/m/%d%s", o.URL, o.entry(t, "budget-1@"), query), "HX-Request", partial, "Accept-Language", "en")
			if !strings.Contains(a.body, `title="`+name+`"`) {
				t.Errorf("%q, for a script %q: %s isn't named", query, partial, name)
			}
		}
	}
}

// What can't be sent comes back as it was typed, and is saved.
func TestLetterComesBack(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	for to, say := range map[string]string{"": "to whom", "Miriam, laila@": "no address"} {
		a := post(t, c, o.URL+"/compose", letter(records, to, "Subject & <b>", "What I wrote"), "Accept-Language", "en")
		if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, say) || !strings.Contains(a.body, "What I wrote") || !strings.Contains(a.body, `value="`+to+`"`) || !strings.Contains(a.body, `name="draft"`) {
			t.Errorf("%q: %s", to, a.Status)
		}
	}
	if len(o.mailer.letters()) != 0 {
		t.Error("sent all the same")
	}
	if a := post(t, c, o.URL+"/compose", letter("boss@diwan.example", "a@mills.example", "x", "y")); a.StatusCode != http.StatusBadRequest {
		t.Errorf("from another's address: %s", a.Status)
	}
	if a := post(t, o.signIn(t, noura), o.URL+"/compose", letter(records, "a@mills.example", "x", "y")); a.StatusCode != http.StatusBadRequest {
		t.Errorf("from another's address: %s", a.Status)
	}
}

func TestAnswering(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	page := func(entry int64, how string) string {
		return get(t, c, fmt.Sprintf("%s/compose?re=%d&how=%s", o.URL, entry, how), "Accept-Language", "en").body
	}
	checked := func(body, address string) bool {
		_, rest, _ := strings.Cut(body, `name="from" value="`+address+`"`)
		radio, _, _ := strings.Cut(rest, ">")
		return strings.Contains(radio, "checked")
	}
	budget, contract, dinner := o.entry(t, "budget-1@"), o.entry(t, "<contract@"), o.entry(t, "<dinner@")
	all := page(budget, HowAll)
	if !checked(all, records) || !strings.Contains(all, "laila@diwan.example") || !strings.Contains(all, "sami@diwan.example") || strings.Contains(all, `name="cc" value="ديوان`) || !strings.Contains(all, "&gt; السلام عليكم") || !strings.Contains(all, `value="Re: اجتماع`) {
		t.Error("an answer to all isn't what it should be")
	}
	if reply := page(contract, HowReply); !strings.Contains(reply, `value="contracts@orchard.example"`) || !strings.Contains(reply, "wrote:") || strings.Contains(reply[strings.Index(reply, "<textarea"):strings.Index(reply, "</textarea")], "\u2068") {
		t.Error("an answer doesn't go where it was asked to go")
	}
	if own := page(dinner, HowReply); !checked(own, "salma@bayt.example") {
		t.Error("a personal letter is answered as the office")
	}
	offer := o.entry(t, "offer-2027")
	if fwd := page(offer, HowForward); !strings.Contains(fwd, fmt.Sprintf(`name="keep" value="%d.0"`, offer)) || !strings.Contains(fwd, "Forwarded message") || !strings.Contains(fwd, `value="Fwd: `) {
		t.Error("forwarding lacks the attachments or the text")
	}
	if whole := page(contract, HowAttach); !strings.Contains(whole, fmt.Sprintf(`name="keep" value="%d.eml"`, contract)) {
		t.Error("forwarding as an attachment lacks the message")
	}
	if a := get(t, c, o.URL+"/compose?re=0&how=shout"); a.StatusCode != http.StatusBadRequest {
		t.Error(a.Status)
	}
	hers := o.signIn(t, noura)
	for _, q := range []string{"re=%d&how=reply", "re=%d&how=attach"} {
		if a := get(t, hers, o.URL+"/compose?"+fmt.Sprintf(q, contract)); a.StatusCode != http.StatusNotFound {
			t.Errorf("answering another's letter (%s): %s", q, a.Status)
		}
	}
	if a := get(t, hers, o.URL+fmt.Sprintf("/compose?draft=%d", contract)); !strings.HasPrefix(a.Request.URL.Path, "/f/") || strings.Contains(a.body, "letter-form") {
		t.Errorf("another's letter as a draft: %s at %s", a.Status, a.Request.URL)
	}
	if a := post(t, hers, o.URL+"/compose", letter(noura, "a@mills.example", "x", "y", "keep", fmt.Sprintf("%d.eml", contract))); a.StatusCode != http.StatusNotFound {
		t.Errorf("attaching another's letter: %s", a.Status)
	}
}

// Files go along, byte for byte, whether new, kept or of another message.
func TestAttaching(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	send := func(do string, fields url.Values, files map[string][]byte) reply {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		fields.Set("do", do)
		for name, values := range fields {
			for _, v := range values {
				w.WriteField(name, v)
			}
		}
		for name, data := range files {
			p, err := w.CreateFormFile("files", name)
			if err != nil {
				t.Fatal(err)
			}
			p.Write(data)
		}
		w.Close()
		req, err := http.NewRequestWithContext(t.Context(), "POST", o.URL+"/compose", &b)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", w.FormDataContentType())
		return doRequest(t, c, req)
	}
	data := []byte("%PDF-1.7\x00\xff\r\n\n binary \x01")
	a := send("save", letter(records, "", "With files", ""), map[string][]byte{"تقرير.pdf": data, "../../evil\u202efdp.exe": {1, 2, 3}})
	drafts := o.drafts(1)
	if a.StatusCode != http.StatusOK || len(drafts) != 1 || !strings.Contains(a.body, "تقرير.pdf") || strings.Contains(a.body, "\u202e") || strings.Contains(a.body, "../") {
		t.Fatalf("%s, drafts %v", a.Status, drafts)
	}
	l, err := o.mailer.Draft(t.Context(), &Viewer{Account: 1}, drafts[0])
	if err != nil {
		t.Fatal(err)
	}
	keep := -1
	for i, f := range l.Files {
		if f.Name == "تقرير.pdf" {
			keep = i
		}
	}
	offer := o.entry(t, "offer-2027")
	send("send", letter(records, "a@mills.example", "With files", "", "draft", fmt.Sprint(drafts[0]), "keep", fmt.Sprintf("%d.%d", drafts[0], keep), "keep", fmt.Sprintf("%d.1", offer)), nil)
	sent := o.mailer.letters()
	if len(sent) != 1 || len(sent[0].Files) != 2 || !bytes.Equal(sent[0].Files[0].Data, data) || !bytes.HasPrefix(sent[0].Files[1].Data, []byte("PK stand-in")) {
		t.Fatalf("%d sent", len(sent))
	}
	if a := send("save", letter(records, "", "big", ""), map[string][]byte{"big": make([]byte, 5<<20)}); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %s", a.Status)
	}
}

// doRequest is do where a variable has its name.
func doRequest(tb testing.TB, c *http.Client, req *http.Request) reply {
	tb.Helper()
	return do(tb, c, req)
}

// A letter that crosses the wall isn't sent before someone has decided.
func TestWall(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	contract := fmt.Sprint(o.entry(t, "<contract@"))
	for what, form := range map[string]url.Values{
		"is one of the office":  letter(own, "miriam@orchard.example", "Article 4", "yes\n\n-- \nسلمى"),
		"answering office mail": letter(own, "someone@mills.example", "Article 4", "yes\n\n-- \nسلمى", "answers", contract, "how", HowReply),
	} {
		a := post(t, c, o.URL+"/compose", form, "Accept-Language", "en")
		if len(o.mailer.letters()) != 0 {
			t.Fatal("sent without asking")
		}
		if a.Request.URL.Path != "/compose" || !strings.Contains(a.body, `id="wall"`) || !strings.Contains(a.body, what) || !strings.Contains(a.body, `value="office"`) || !strings.Contains(a.body, `value="copy"`) {
			t.Fatalf("not asked: %s", a.Request.URL)
		}
		form.Set("draft", a.Request.URL.Query().Get("draft"))
		if get(t, c, o.URL+"/compose?draft="+form.Get("draft")).StatusCode != http.StatusOK {
			t.Error("the draft is lost")
		}
		form.Set("wall", "copy")
		form.Del("do") // The buttons of the choice name no other.
		post(t, c, o.URL+"/compose", form)
		if sent := o.mailer.letters(); len(sent) != 1 || !sent[0].FileCopy || sent[0].Class != sijill.Personal {
			t.Errorf("with a copy: %+v", sent)
		}
		o.mailer.delivered = nil
		form.Set("wall", "office")
		form.Set("office", records)
		form.Del("draft")
		post(t, c, o.URL+"/compose", form)
		if sent := o.mailer.letters(); len(sent) != 1 || sent[0].FileCopy || sent[0].Class != sijill.Office || sent[0].From.Addr != records || !strings.Contains(sent[0].Text, "ديوان") {
			t.Errorf("from the office: %+v", sent)
		}
		o.mailer.delivered = nil
		form.Set("office", own)
		if a := post(t, c, o.URL+"/compose", form); a.StatusCode != http.StatusBadRequest {
			t.Errorf("a personal address as the office's: %s", a.Status)
		}
	}
	o.mailer.barred = true
	form := letter(own, "miriam@orchard.example", "Article 4", "yes", "wall", "copy")
	if a := post(t, c, o.URL+"/compose", form); strings.Contains(a.body, `value="copy"`) || len(o.mailer.letters()) != 0 {
		t.Error("a barred letter is sent with a copy")
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	if a := get(t, c, o.URL+"/compose/people?q=mi"); !strings.Contains(a.body, "miriam@orchard.example") || strings.Contains(a.body, "laila") || a.Header.Get("Content-Type") != "application/json" {
		t.Error(a.body)
	}
	if a := get(t, c, o.URL+"/compose/people?q="); a.body != "[]" {
		t.Error(a.body)
	}
	if a := get(t, c, o.URL+"/compose/identity?to=hind@bayt.example"); !strings.Contains(a.body, own) {
		t.Error(a.body)
	}
	if a := get(t, c, o.URL+"/compose/identity?to=x@mills.example"); a.body != "{}" {
		t.Error(a.body)
	}
	if a := get(t, still(newClient(t)), o.URL+"/compose/people?q=mi"); a.StatusCode != http.StatusSeeOther {
		t.Error("strangers may ask whom people write to")
	}
}
