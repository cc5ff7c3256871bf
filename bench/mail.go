package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// imap measures what mail programs wait for, over TLS: 50,000 messages of the
// corpora in one folder.
func (b *bench) imap() error {
	heading("IMAP")
	list, err := b.corpus(b.n(50000))
	if err != nil {
		return err
	}
	_, records, err := authors(1)
	if err != nil {
		return err
	}
	dns, err := b.serveDNS(records)
	if err != nil {
		return err
	}
	o, err := b.newOffice("imap", map[string]string{"dns": fmt.Sprintf("servers = [%q]", dns.address)})
	if err != nil {
		return err
	}
	if err := writeMbox(b.path("letters.mbox"), list); err != nil {
		return err
	}
	began := time.Now()
	if _, err := o.sijill("import", "--account", u1, "--quiet", b.path("letters.mbox")); err != nil {
		return err
	}
	fmt.Printf("imported %d messages in %.1f s\n", len(list), time.Since(began).Seconds())
	secret, err := o.credential(u1)
	if err != nil {
		return err
	}
	if err := o.serve(); err != nil {
		return err
	}
	r := &reading{b: b, o: o, secret: secret, n: len(list)}
	if err := r.open(list); err != nil {
		return err
	}
	for _, part := range []func() error{r.whole, r.envelopes, r.search, r.appending, r.arriving, r.idling} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// reading is the same mail at both servers.
type reading struct {
	b            *bench
	o            *office
	secret       string
	folder       string // Where the import is.
	n            int
	ours, theirs *client // theirs is nil without Dovecot.
}

// open connects to both and opens the folder with the corpus.
func (r *reading) open(list [][]byte) error {
	var err error
	if r.ours, err = dialIMAP(r.o.door("imaps"), u1, r.secret); err != nil {
		return err
	}
	if r.folder, err = r.ours.holding(len(list) * 9 / 10); err != nil {
		return err
	}
	if _, err := r.ours.command("SELECT " + r.folder); err != nil {
		return err
	}
	d, err := r.b.startDovecot()
	if errors.Is(err, errNoDovecot) {
		fmt.Println(err)
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.put("u1", list); err != nil {
		return err
	}
	if r.theirs, err = dialIMAP(d.imaps(), "u1", "x"); err != nil {
		return err
	}
	_, err = r.theirs.command("SELECT INBOX")
	return err
}

// each measures a command at both, some times, the first of which doesn't
// count: both then have in memory what they keep there.
func (r *reading) each(command string, rounds, most int) (ours, theirs times, octets int64, err error) {
	for i := range rounds + 1 {
		for _, c := range []*client{r.theirs, r.ours} {
			if c == nil || c == r.theirs && i > most {
				continue
			}
			began := time.Now()
			a, err := c.command(command)
			took := time.Since(began)
			switch {
			case err != nil:
				return nil, nil, 0, err
			case i == 0:
			case c == r.ours:
				ours, octets = append(ours, took), a.octets
			default:
				theirs = append(theirs, took)
			}
		}
	}
	return ours, theirs, octets, nil
}

func (r *reading) whole() error {
	n := min(r.n, 10000)
	ours, theirs, octets, err := r.each(fmt.Sprintf("FETCH 1:%d (UID BODY.PEEK[])", n), 3, 3)
	if err != nil {
		return err
	}
	rate := func(t times) float64 { return float64(n) / t.at(50).Seconds() }
	fmt.Printf("whole messages, %d of %.1f KB: sijill %.0f/s (%.2f s)", n, float64(octets)/float64(n)/1000, rate(ours), ours.at(50).Seconds())
	if theirs != nil {
		ratio := rate(ours) / rate(theirs)
		fmt.Printf("   dovecot %.0f/s (%.2f s)   %.2f times (aim 1: %s)", rate(theirs), theirs.at(50).Seconds(), ratio, verdict(ratio >= 1))
	}
	fmt.Println()
	return nil
}

func (r *reading) envelopes() error {
	ours, theirs, _, err := r.each("FETCH 1:* (ENVELOPE FLAGS)", 3, 3)
	if err != nil {
		return err
	}
	fmt.Printf("ENVELOPE and FLAGS of %d: sijill %.2f s (aim 2: %s)", r.n, ours.at(50).Seconds(), verdict(ours.at(50) <= 2*time.Second))
	if theirs != nil {
		fmt.Printf("   dovecot %.2f s", theirs.at(50).Seconds())
	}
	fmt.Println()
	return nil
}

// words are looked for one after the other: common ones, rare ones, phrases,
// parts of words, and what isn't there.
var words = []string{"meeting", "the", "patch", "contract", "California", "energy price", "regulator", "memory leak", "Thursday",
	"attached", "signed-off-by", "kernel", "conference call", "zanzibar", "nowhere-to-be-found", "schedul", "2001", "power"}

func (r *reading) search() error {
	var all times
	slowest, fastest := "", time.Hour
	for _, w := range words {
		text := fmt.Sprintf("SEARCH TEXT %q", w)
		for range 3 {
			began := time.Now()
			if _, err := r.ours.command(text); err != nil {
				return err
			}
			took := time.Since(began)
			if all = append(all, took); took == all.at(100) {
				slowest = w
			}
			fastest = min(fastest, took)
		}
	}
	fmt.Printf("SEARCH TEXT, %d words and phrases: sijill min %s, %v, slowest %q (aim 50: %s)", len(words), ms(fastest), all, slowest, verdict(all.at(95) <= 50*time.Millisecond))
	if r.theirs != nil {
		began := time.Now()
		if _, err := r.theirs.command(`SEARCH TEXT "meeting"`); err != nil {
			return err
		}
		fmt.Printf("   dovecot, without an index, one word: %s", ms(time.Since(began)))
	}
	fmt.Println()
	return nil
}

// appending measures storing letters one after the other.
func (r *reading) appending() error {
	for _, s := range []struct {
		name   string
		c      *client
		folder string
	}{{"sijill", r.ours, "Drafts"}, {"dovecot", r.theirs, "Drafts"}} {
		if s.c == nil {
			continue
		}
		if s.c == r.theirs {
			if _, err := s.c.command("CREATE Drafts"); err != nil {
				return err
			}
		}
		var t times
		for i := range r.b.n(100) {
			l := plain(u1, "somebody@d0.example", i, letterSize)
			began := time.Now()
			if err := s.c.append(s.folder, l.raw); err != nil {
				return err
			}
			t = append(t, time.Since(began))
		}
		fmt.Printf("APPEND of 10 KB, one after the other: %s %v\n", s.name, t)
	}
	return nil
}

// arriving measures how long after the 250 a program that idles hears of a
// letter.
func (r *reading) arriving() error {
	c, err := dialIMAP(r.o.door("imaps"), u1, r.secret)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.command("SELECT INBOX"); err != nil {
		return err
	}
	if err := c.idle(); err != nil {
		return err
	}
	s, err := dialSMTP(r.o.door("smtp"), false)
	if err != nil {
		return err
	}
	defer s.close()
	for _, pause := range []time.Duration{300 * time.Millisecond, 30 * time.Millisecond} {
		t, err := arrivals(c, s, r.b.n(100), pause)
		if err != nil {
			return err
		}
		fmt.Printf("seen by IDLE after the 250, a letter every %v: %v (aim 100: %s)\n", pause, t, verdict(t.at(100) <= 100*time.Millisecond))
	}
	return nil
}

func arrivals(c *client, s *sender, n int, pause time.Duration) (t times, err error) {
	for i := range n {
		time.Sleep(pause)
		l := plain("scribe@elsewhere.example", u1, i, letterSize)
		seen := make(chan time.Time, 1)
		go func() {
			err = c.news(" EXISTS")
			seen <- time.Now()
		}()
		if err := s.send(l); err != nil {
			return nil, err
		}
		sent := time.Now()
		t = append(t, max(0, (<-seen).Sub(sent)))
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

// idling measures the server's memory with 1,000 programs that idle in the
// inbox: as a server is that has just started, and this one, which has done
// all of the above.
func (r *reading) idling() error {
	r.ours.close()
	pid := func() int { return r.o.cmd.Process.Pid }
	before := resident(pid(), "VmRSS")
	if err := r.idlers(pid, "INBOX", fmt.Sprintf("after all of the above, when it had %.0f MB", before)); err != nil {
		return err
	}
	for _, folder := range []string{"INBOX", r.folder} {
		r.o.stop()
		if err := r.o.serve(); err != nil {
			return err
		}
		if err := r.idlers(pid, folder, "in "+folder+" of a server just started"); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) idlers(pid func() int, folder, when string) error {
	n := r.b.n(1000)
	open := make([]*client, n)
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for w := range 10 {
		wg.Go(func() {
			for i := w; i < n; i += 10 {
				c, err := dialIMAP(r.o.door("imaps"), u1, r.secret)
				if err == nil {
					open[i] = c
					_, err = c.command("SELECT " + folder)
				}
				if err == nil {
					err = c.idle()
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	for _, c := range open {
		if c != nil {
			defer c.close()
		}
	}
	select {
	case err := <-errs:
		return err
	default:
	}
	time.Sleep(3 * time.Second)
	mb, most := resident(pid(), "VmRSS"), resident(pid(), "VmHWM")
	fmt.Printf("%d idle connections, %s: %.0f MB resident, %.0f at most (aim 150: %s)\n", n, when, mb, most, verdict(mb <= 150))
	return nil
}
