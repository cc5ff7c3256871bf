package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Submissions are limited to 500 in an hour for each account: enough of them
// share the work.
const (
	perAccount   = 450
	outboundMail = 4500
)

// outbound measures delivery to a server on this machine, through the real
// program: signed letters of 10 KB with one recipient each, submitted while the
// other server doesn't greet yet. The time is from its first greeting to the
// last outcome in the register.
func (b *bench) outbound() error {
	for _, domains := range []int{1, 50} {
		heading(fmt.Sprintf("delivery to %d domains", domains))
		if err := b.deliver(domains); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) deliver(domains int) error {
	s, err := b.newSink(true)
	if err != nil {
		return err
	}
	o, err := b.sending(fmt.Sprintf("outbound%d", domains), s, domains)
	if err != nil {
		return err
	}
	n := b.n(outboundMail)
	secrets := make([]string, (n+perAccount-1)/perAccount)
	for i := range secrets {
		address := fmt.Sprintf("clerk%d@bench.test", i)
		if _, err := o.sijill("user", "add", address); err != nil {
			return err
		}
		if secrets[i], err = o.credential(address); err != nil {
			return err
		}
	}
	if err := o.serve(); err != nil {
		return err
	}
	defer o.stop()
	before, err := o.metric("sijill_register_entries")
	if err != nil {
		return err
	}
	took, err := o.fill(secrets, n, domains)
	if err != nil {
		return err
	}
	fmt.Printf("submitted %d letters in %.1f s: %.0f/s\n", n, took.Seconds(), float64(n)/took.Seconds())
	return o.drain(s, n, before)
}

// fill submits n letters, each account its share over a session of its own.
func (o *office) fill(secrets []string, n, domains int) (time.Duration, error) {
	began := time.Now()
	errs := make(chan error, len(secrets))
	for i, secret := range secrets {
		go func() {
			name := fmt.Sprintf("clerk%d", i)
			c, err := dialSubmission(o.door("submissions"), name, secret)
			if err != nil {
				errs <- err
				return
			}
			defer c.close()
			var all error
			for k := i * perAccount; k < min(n, (i+1)*perAccount) && all == nil; k++ {
				all = c.send(plain(name+"@bench.test", fmt.Sprintf("friend%d@d%d.example", k, k%domains), k, letterSize))
			}
			errs <- all
		}()
	}
	var all error
	for range secrets {
		all = errors.Join(all, <-errs)
	}
	return time.Since(began), all
}

// drain lets the sink greet and waits until the queue is empty.
func (o *office) drain(s *sink, n int, before float64) error {
	pid := o.cmd.Process.Pid
	used, began := cpu(pid), time.Now()
	close(s.open)
	for s.taken.Load() < int64(n) {
		if time.Since(began) > 2*time.Minute {
			return fmt.Errorf("only %d of %d were delivered", s.taken.Load(), n)
		}
		time.Sleep(2 * time.Millisecond)
	}
	delivered := time.Unix(0, s.last.Load()).Sub(began)
	// Each letter is an entry, and its outcome another.
	for {
		entries, err := o.metric("sijill_register_entries")
		if err != nil {
			return err
		}
		if entries >= before+float64(2*n) {
			break
		}
		if time.Since(began) > 3*time.Minute {
			return fmt.Errorf("%.0f outcomes of %d are in the register", entries-before-float64(n), n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	recorded := time.Since(began)
	rate := float64(n) / recorded.Seconds()
	fmt.Printf("delivered %d in %.2f s: %.0f/s; with outcomes in the register %.2f s: %.0f/s (aim 300: %s); %d connections, %.2f ms of CPU each\n",
		n, delivered.Seconds(), float64(n)/delivered.Seconds(), recorded.Seconds(), rate, verdict(rate >= 300),
		s.conns.Load(), (cpu(pid)-used).Seconds()*1000/float64(n))
	out, err := o.sijill("queue", "--json")
	if err == nil && !strings.HasPrefix(out, "null") && !strings.HasPrefix(out, "[]") {
		err = fmt.Errorf("something still waits")
	}
	return err
}
