package main

import (
	"fmt"
	"time"
)

// personal measures how long 20,000 personal letters take to open when their
// owner signs in to IMAP: as they came in, and the next time.
func (b *bench) personal() error {
	heading("personal mail")
	o, err := b.newOffice("personal", map[string]string{"checks": "off = true"})
	if err != nil {
		return err
	}
	if _, err := o.sijill("user", "address", "add-domain", "home.test"); err != nil {
		return err
	}
	const home = "u1@home.test"
	if _, err := o.sijill("user", "address", "add", u1, home, "--class", "personal"); err != nil {
		return err
	}
	secret, err := o.credential(u1)
	if err != nil {
		return err
	}
	if err := o.serve(); err != nil {
		return err
	}
	n := b.n(20000)
	letters := make([]letter, n)
	for i := range letters {
		letters[i] = plain("friend@d0.example", home, i, 2<<10)
	}
	took, err := load(o.door("smtp"), false, 20, letters)
	if err != nil {
		return err
	}
	fmt.Printf("received %d personal letters of 2 KB: %.0f/s\n", n, float64(n)/took.Seconds())
	if err := o.settled(); err != nil {
		return err
	}
	for _, when := range []string{"as they came in", "the next time"} {
		if err := o.opens(when, secret, n); err != nil {
			return err
		}
		o.stop()
		if err := o.serve(); err != nil {
			return err
		}
	}
	return nil
}

// opens signs in, which waits until personal mail is open, and reads the list.
func (o *office) opens(when, secret string, n int) error {
	began := time.Now()
	c, err := dialIMAP(o.door("imaps"), u1[:2], secret)
	if err != nil {
		return err
	}
	defer c.close()
	login := time.Since(began)
	folder, err := c.holding(n)
	if err != nil {
		return err
	}
	if _, err := c.command("SELECT " + folder); err != nil {
		return err
	}
	began = time.Now()
	a, err := c.command("FETCH 1:* (ENVELOPE FLAGS)")
	if err != nil {
		return err
	}
	if a.count < n {
		return fmt.Errorf("%d of %d letters are there", a.count, n)
	}
	fmt.Printf("opening %d letters, %s: %.2f s to sign in (aim 5: %s), then %.2f s for all envelopes; %.0f MB resident\n", n, when,
		login.Seconds(), verdict(login <= 5*time.Second), time.Since(began).Seconds(), resident(o.cmd.Process.Pid, "VmRSS"))
	_, err = c.command("LOGOUT")
	return err
}
