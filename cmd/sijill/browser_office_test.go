package main

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"testing"

	"sijill/internal/config"
	"sijill/internal/resolve/resolvetest"
	"sijill/internal/web/webtest"
)

// samiHome is sami's personal address.
const samiHome = "sami@home.example"

// TestBrowser does with a real browser what people do, at offices of their own
// that the built program serves. The parts run side by side: much of their time
// they wait for letters that can still be taken back.
func TestBrowser(t *testing.T) {
	t.Cleanup(webtest.Close)
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"letters", lettersGoAndCome}, {"drafts", draftsSurvive}, {"wall", wallAsks}, {"reminders", reminded},
		{"passkeys", passkeysOpenMail}, {"recovery", codeOpensMail}, {"reset", resetClosesMail},
		{"totp", codeOfAuthenticator}, {"apps", appPasswords}, {"sessions", sessionsEnd},
		{"folders", foldersAndMoves}, {"destroy", personalDestroyed}, {"pages", pagesAreFit},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.test(t)
		})
	}
}

// webOffice is a populated office that is served to browsers on this machine.
type webOffice struct {
	*running
	*population
	far   *farEnd
	where string // host:port of its pages
}

// newWebOffice serves an office whose letters to abroad.example and to the
// ministry, which is one of its contacts, go to a far end.
func newWebOffice(t *testing.T) *webOffice {
	t.Helper()
	o := &webOffice{far: newFarEnd(t), where: freePort(t)}
	zone := resolvetest.New(t, "abroad.example. MX 10 far.abroad.example.\nministry.example. MX 10 far.abroad.example.\nfar.abroad.example. A 127.0.0.1\n")
	h, p := populatedHome(t, func(c *config.Config) {
		c.DNS.Servers, c.Delivery.Port = []string{zone.Addr}, o.far.port
		c.Wall.Contacts = []string{"ministry.example"}
		c.HTTP.URL = "http://" + o.where // Passkeys want a name, and take localhost without TLS.
		c.Checks.Off = true
	})
	o.population = p
	o.start(h)
	return o
}

// start serves the office, always at the same place.
func (o *webOffice) start(h *home) {
	h.Helper()
	_, port, _ := net.SplitHostPort(o.where)
	o.running = h.serve("--http", "127.0.0.1:"+port, "--submission", "off", "--imap", "off", "--submissions", "127.0.0.1:0", "--imaps", "127.0.0.1:0")
}

// freePort is a place where nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "localhost:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// blankTab is a tab in which nobody is signed in.
func (o *webOffice) blankTab() *webtest.Tab {
	o.Helper()
	b := webtest.Open(o, "http://"+o.where)
	b.Device(1280, 800, false)
	return b
}

// tab is a tab in which somebody is signed in.
func (o *webOffice) tab(who credentials, lang string) *webtest.Tab {
	o.Helper()
	b := o.blankTab()
	b.Enter(who.name, who.password, lang)
	return b
}

// delivers sends a message by SMTP, as another server would.
func (o *webOffice) delivers(msg []byte, to ...string) int64 {
	o.Helper()
	return connect(o, o.smtp).deliver(o, msg, to...)
}

// received is how many letters have reached the far end.
func (f *farEnd) received() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, times := range f.taken {
		n += times
	}
	return n
}

// shownHere is what the program shows of an entry.
type shownHere struct {
	N     int64
	Size  int64 // Of its message, where the server can open that.
	Entry struct {
		Kind    string
		Message *struct{ ID string }
		Fields  struct {
			Class   string
			Entries []int64
		}
	}
}

// since reads the entries from number n on.
func (o *webOffice) since(n int64) (list []shownHere) {
	o.Helper()
	for ; n < o.size(); n++ {
		var e shownHere
		if err := json.Unmarshal([]byte(o.must("show", "--json", fmt.Sprint(n))), &e); err != nil {
			o.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// only is the one entry of a kind in a list.
func only(t testing.TB, list []shownHere, kind, class string) (found shownHere) {
	t.Helper()
	n := 0
	for _, e := range list {
		if e.Entry.Kind == kind && e.Entry.Fields.Class == class {
			found = e
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d entries of kind %s, class %q: %+v", n, kind, class, list)
	}
	return found
}

// begin opens a new letter and fills it in.
func begin(b *webtest.Tab, class, to, subject, text string) {
	b.Helper()
	b.GoTo("/compose")
	b.Sees("#to[role=combobox]")
	as(b, class)
	b.Types("#to", to+",")
	b.Until(`document.querySelectorAll("[data-people=to] .chip").length > 0`)
	b.Types("#subject", subject)
	b.Types("#text", text)
}

// as chooses an identity, also where it stands chosen already.
func as(b *webtest.Tab, class string) {
	b.Helper()
	other := map[string]string{"office": "personal", "personal": "office"}[class]
	b.Click(".as-one[data-class=" + other + "]")
	b.Click(".as-one[data-class=" + class + "]")
	b.Until(`document.querySelector("[name=from]:checked").dataset.class === ` + webtest.Quote(class))
}

// send sends the letter that is open.
func send(b *webtest.Tab) {
	b.Helper()
	b.Follow("#send")
	b.Sees("#toast")
}

// inList tells whether a subject is in the list.
func inList(subject string) string {
	return `[...document.querySelectorAll("#rows .row-subject")].some(e => e.textContent.includes(` + webtest.Quote(subject) + `))`
}

// row is a selector for the row of a subject.
func row(b *webtest.Tab, subject string) string {
	b.Helper()
	b.Until(inList(subject))
	entry := webtest.Ask[string](b, `[...document.querySelectorAll("#rows li")].find(li => li.querySelector(".row-subject").textContent.includes(`+webtest.Quote(subject)+`)).dataset.entry`)
	return `#rows li[data-entry="` + entry + `"]`
}

// read opens a message of the list.
func read(b *webtest.Tab, subject string) {
	b.Helper()
	b.Click(row(b, subject) + " a")
	b.Until(`(document.querySelector("#subject") || {textContent: ""}).textContent.includes(` + webtest.Quote(subject) + `)`)
}
