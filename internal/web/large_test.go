package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sijill"
)

// A letter of ten megabytes of tags is shown as far as it can be cleaned soon, and
// only when the frame asks for it: the page of the message says that there is more.
func TestLargeHTML(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	source := `<p>begins<img src="http://e.example/1.gif"><img src="https://e.example/2.gif">` + strings.Repeat("<div>", 2<<20) + `<img src="http://e.example/3.gif">ends`
	raw := "From: a@b.example\r\nSubject: large\r\nMessage-ID: <large@b.example>\r\nContent-Type: text/html\r\n\r\n" + source
	o.store.arrive(o.books.add(t, []byte(raw), ""), sijill.Office, "", true, 1)
	o.books.seal()

	s, err := newSite(o.config)
	if err != nil {
		t.Fatal(err)
	}
	bytes, sanitize := 0, s.letters.sanitize
	s.letters.sanitize = func(source string) string {
		bytes += len(source)
		return sanitize(source)
	}
	o.handler = s.protect(s.routes())
	c := o.signIn(t, records)
	address := o.URL + fmt.Sprintf("/m/%d", o.entry(t, "<large@"))

	page := get(t, c, address, "Accept-Language", "en")
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, "The text goes on. The original has all of it.") && !strings.Contains(page.body, "للنص بقية، والأصل فيه النص كاملًا.") {
		t.Errorf("the page does not say that the letter is cut: %s", page.Status)
	}
	if !strings.Contains(page.body, `id="images"`) {
		t.Error("the page does not say that images were kept out")
	}
	if bytes > 0 {
		t.Errorf("%d bytes were cleaned for the page", bytes)
	}
	body := get(t, c, address+"/body")
	if body.StatusCode != http.StatusOK || !strings.Contains(body.body, "begins") || strings.Contains(body.body, "ends") || strings.Count(body.body, "blocked") < 2 {
		t.Errorf("the letter: %s, %d bytes", body.Status, len(body.body))
	}
	if bytes > maxHTML {
		t.Errorf("%d bytes were cleaned for the letter", bytes)
	}
	if original := get(t, c, address+"/original.eml"); original.body != raw {
		t.Errorf("the original has %d bytes of %d", len(original.body), len(raw))
	}
}

func TestShownHTML(t *testing.T) {
	full := strings.Repeat("س", maxHTML/2)
	if s, cut := shownHTML(full); s != full || cut {
		t.Error("what may be shown was cut")
	}
	if s, cut := shownHTML("x" + full); s != "x"+full[:maxHTML-2] || !cut {
		t.Errorf("cut is %v, to %d bytes", cut, len(s))
	}
	const image = `<img src="data:image/png;base64,`
	file := strings.Repeat("iVBOR/+0", maxHTML/4)
	if s, cut := shownHTML("a" + image + file + `==">b` + image + `aGk=">c`); s != "a"+image+`">b`+image+`aGk=">c` || cut {
		t.Errorf("cut is %v, to %.100q", cut, s)
	}
}
