package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill"
)

// browser is a web session that comes from an address of this machine.
type browser struct {
	http.Client
	base   string
	cookie string // The session's, once there is one.
	lang   string // That the pages are asked in; "" for their own.
}

func newBrowser(address, from string) *browser {
	b := &browser{base: "http://" + address}
	b.Timeout = patience
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, _, to string) (net.Conn, error) {
		return dialFrom(from, to, false)
	}}
	return b
}

// do sends a request; with a form it is a POST.
func (b *browser) do(path string, form url.Values) (*http.Response, error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept-Language", b.lang)
	if b.cookie != "" {
		req.AddCookie(&http.Cookie{Name: "sijill", Value: b.cookie})
	}
	return b.Do(req)
}

// signIn tries a password and returns the status.
func (b *browser) signIn(name, password string) (status int, err error) {
	r, err := b.do("/sign-in", url.Values{"address": {name}, "password": {password}, "back": {"/"}})
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	for _, c := range r.Cookies() {
		if c.Name == "sijill" {
			b.cookie = c.Value
		}
	}
	return r.StatusCode, nil
}

// answer is what a door says to a guess.
type answer int

const (
	wrong answer = iota // The password was looked at.
	slow                // It was not: too many have failed.
	right
)

// guesser guesses passwords at the doors of a server, and remembers them.
type guesser struct {
	*running
	mu    sync.Mutex // Guards tried.
	tried []string
}

// password makes one that nobody has tried.
func (g *guesser) password() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := fmt.Sprintf("guessed-Passw0rd-%d", len(g.tried))
	g.tried = append(g.tried, p)
	return p
}

func (g *guesser) guess(door, from, name, password string) (answer, error) {
	switch door {
	case "web":
		status, err := newBrowser(g.http, from).signIn(name, password)
		return map[int]answer{http.StatusTooManyRequests: slow, http.StatusSeeOther: right}[status], err
	case "imap":
		c, err := dialIMAP(g.door("imaps"), from)
		if err != nil {
			return wrong, err
		}
		defer c.close()
		_, tagged, err := c.do(`LOGIN "%s" "%s"`, name, password)
		return said(tagged, "NO [UNAVAILABLE]", "OK"), err
	}
	conn, err := dialFrom(from, g.door("submissions"), true)
	if err != nil {
		return wrong, err
	}
	s := newSender(conn)
	defer s.close()
	if _, err = s.reply(); err == nil {
		_, err = s.ask("EHLO program.example\r\n")
	}
	if err != nil {
		return wrong, err
	}
	reply, err := s.ask("AUTH PLAIN " + plainAuth(name, password) + "\r\n")
	return said(reply, "454", "235"), err
}

func said(what, ifSlow, ifRight string) answer {
	switch {
	case strings.HasPrefix(what, ifSlow):
		return slow
	case strings.HasPrefix(what, ifRight):
		return right
	}
	return wrong
}

// guessed is a guess that was looked at: after it was begun, before it was answered.
type guessed struct{ begun, answered time.Time }

// hammer guesses as fast as it can until n guesses were looked at, and returns
// when each was, and how often it was told to slow down.
func (g *guesser) hammer(door, from, name string, n int) (at []guessed, slowed int, err error) {
	for len(at) < n && slowed < 500 {
		begun := time.Now()
		switch a, err := g.guess(door, from, name, g.password()); {
		case err != nil:
			return at, slowed, err
		case a == wrong:
			at = append(at, guessed{begun, time.Now()})
		case a == slow:
			slowed++
			time.Sleep(50 * time.Millisecond)
		default:
			return at, slowed, fmt.Errorf("%s: a guess let somebody in", door)
		}
	}
	return at, slowed, nil
}

// Guessing one name's password fast is slowed at every door, more with each
// failure, and is on the register.
func TestGuessingIsSlowed(t *testing.T) {
	h, p := populatedHome(t, nil)
	g := &guesser{running: h.serveMail()}
	var wg sync.WaitGroup
	for i, who := range []struct{ door, name string }{{"web", "sami"}, {"imap", "laila"}, {"submission", "hind"}} {
		wg.Go(func() {
			at, slowed, err := g.hammer(who.door, fmt.Sprintf("127.5.%d.1", i), who.name, 7)
			if err != nil || len(at) < 7 || slowed == 0 {
				t.Errorf("%s: %d guesses, slowed %d times, %v", who.door, len(at), slowed, err)
				return
			}
			free, first, second := at[4].answered.Sub(at[0].begun), at[5].answered.Sub(at[4].begun), at[6].answered.Sub(at[5].begun)
			t.Logf("%s: five guesses in %v, then %v and %v for one; told %d times to slow down", who.door, free, first, second, slowed)
			if first < 800*time.Millisecond || second < 1600*time.Millisecond {
				t.Errorf("%s: the sixth guess took %v, the seventh %v", who.door, first, second)
			}
		})
	}
	wg.Wait()
	bursts := map[string]int64{}
	for _, e := range h.entries() {
		if f := e.Entry.Fields; e.Entry.Kind == sijill.Login && f.What == "burst" {
			bursts[f.Door] = f.Failures
		}
	}
	for _, door := range []string{"web", "imap", "submission"} {
		if bursts[door] < 5 {
			t.Errorf("the register has no burst at %s: %v", door, bursts)
		}
	}
	// Who has the right one isn't kept out by others' guesses.
	if a, err := g.guess("imap", "127.0.0.1", "laila", p.laila.app); a != right || err != nil {
		t.Errorf("laila's program: %v %v", a, err)
	}
	if a, err := g.guess("web", "127.9.0.1", "sami", p.sami.password); a != right || err != nil {
		t.Errorf("sami, where he always comes from: %v %v", a, err)
	}
	g.secretive(h, p)
}

// A few passwords tried slowly at many names, from many networks, is seen for
// what it is, and from then on names are slowed sooner.
func TestSprayIsSeen(t *testing.T) {
	h, p := populatedHome(t, nil)
	g := &guesser{running: h.serveMail()}
	doors := []string{"web", "imap", "submission"}
	names := []string{"laila", sami, "hind@home.example"}
	for i := range 14 {
		name := fmt.Sprintf("clerk%d@diwan.example", i)
		if i < len(names) {
			name = names[i]
		}
		if a, err := g.guess(doors[i%3], fmt.Sprintf("127.6.%d.1", i), name, g.password()); a != wrong || err != nil {
			t.Fatalf("%d: %v %v", i, a, err)
		}
	}
	spray := shownEntry{}
	for _, e := range h.entries() {
		if e.Entry.Kind == sijill.Login && e.Entry.Fields.What == "spray" {
			spray = e
		}
	}
	if f := spray.Entry.Fields; f.Names < 12 || f.Networks < 12 || f.Hours != 24 {
		t.Errorf("the register's last word on the spray: %+v", f.LoginFields)
	}
	for n, want := range []answer{wrong, wrong, slow} {
		if a, err := g.guess("web", "127.7.1.1", "clerk77@diwan.example", g.password()); a != want || err != nil {
			t.Errorf("guess %d during a spray: %v %v", n, a, err)
		}
	}
	b := newBrowser(g.http, "127.9.0.1")
	if status, err := b.signIn("hind", p.hind.password); status != http.StatusSeeOther || b.cookie == "" || err != nil {
		t.Errorf("hind, where she always comes from: %d %v", status, err)
	}
	for _, door := range doors[1:] {
		if a, err := g.guess(door, "127.0.0.1", "hind", p.hind.app); a != right || err != nil {
			t.Errorf("hind's program at %s: %v %v", door, a, err)
		}
		// People type their own password where an app password belongs.
		if a, err := g.guess(door, "127.8.0.1", "hind", p.hind.password); a != wrong || err != nil {
			t.Errorf("hind's own password at %s: %v %v", door, a, err)
		}
	}
	g.tried = append(g.tried, b.cookie)
	g.secretive(h, p)
}

// secretive wants nothing of what was typed, and no credential, in the log or in
// the entries; addresses may be sealed beside these.
func (g *guesser) secretive(h *home, p *population) {
	h.Helper()
	var all, bodies strings.Builder
	for n := range h.size() {
		said := h.must("show", "--json", fmt.Sprint(n))
		var shown struct{ Entry json.RawMessage }
		if err := json.Unmarshal([]byte(said), &shown); err != nil || len(shown.Entry) == 0 {
			h.Fatalf("entry %d: %v", n, err)
		}
		all.WriteString(said)
		bodies.Write(shown.Entry)
	}
	for _, s := range []string{hind, hindHome, sami, laila} {
		if strings.Contains(g.log.String(), s) || strings.Contains(bodies.String(), s) {
			h.Errorf("%q is in the log or the entries", s)
		}
	}
	secrets := append([]string{"Passw0rd", "clerk"}, g.tried...)
	for _, c := range []credentials{p.laila, p.sami, p.hind, p.given} {
		secrets = append(secrets, c.password, c.recovery, c.app, strings.ReplaceAll(c.app, "-", ""), plainAuth(c.name, c.app), plainAuth(c.name, c.password))
	}
	for _, s := range secrets {
		if s == "" {
			continue
		}
		if strings.Contains(g.log.String(), s) {
			h.Errorf("%q is in the log", s)
		}
		if strings.Contains(all.String(), s) {
			h.Errorf("%q is in the entries", s)
		}
	}
}
