package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// checks measures capture with every check on beside Dovecot's LMTP, which makes
// none: signed letters of 10 KB of 20 domains, ten sessions. Of every ten
// letters one came through a forwarder and has an ARC set of it.
func (b *bench) checks() error {
	heading(fmt.Sprintf("capture with SPF, DKIM and DMARC; one letter in %d with ARC", sealedEvery))
	list, records, err := authors(20)
	if err != nil {
		return err
	}
	by, record, err := newForwarder("lists.example")
	if err != nil {
		return err
	}
	dns, err := b.serveDNS(append(records, record))
	if err != nil {
		return err
	}
	o, err := b.newOffice("checks", map[string]string{"dns": fmt.Sprintf("servers = [%q]", dns.address)})
	if err != nil {
		return err
	}
	if err := o.serve(); err != nil {
		return err
	}
	d, err := b.startDovecot()
	if errors.Is(err, errNoDovecot) {
		fmt.Println(err)
	} else if err != nil {
		return err
	}
	letters, err := signed(list, by, u1, b.n(2000))
	if err != nil {
		return err
	}
	for _, sessions := range []int{1, 10} {
		if err := b.compareCapture(o, d, sessions, letters); err != nil {
			return err
		}
	}
	asked := dns.asked.Load()
	fmt.Printf("questions to DNS: %d for everything\n", asked)
	return o.judged()
}

// side is what is measured of one server.
type side struct{ rate, cpu []float64 }

func (s *side) add(n int, took, cpu time.Duration) {
	s.rate = append(s.rate, float64(n)/took.Seconds())
	s.cpu = append(s.cpu, cpu.Seconds()*1000/float64(n))
}

func (s *side) String() string {
	return fmt.Sprintf("%.0f/s, %.2f ms of CPU", median(s.rate), median(s.cpu))
}

// compareCapture sends letters to both, five times in turn. d may be nil.
func (b *bench) compareCapture(o *office, d *dovecot, sessions int, letters []letter) error {
	letters = letters[:min(len(letters), max(1, 200*sessions))]
	var ours, theirs side
	for range 5 {
		if d != nil {
			if err := d.empty(); err != nil {
				return err
			}
			before := cpu(d.pid)
			took, err := load(d.lmtp(), true, sessions, letters)
			if err != nil {
				return err
			}
			theirs.add(len(letters), took, cpu(d.pid)-before)
		}
		before := cpu(o.cmd.Process.Pid)
		took, err := load(o.door("smtp"), false, sessions, letters)
		if err != nil {
			return err
		}
		// What is still to be indexed is part of the CPU time, not of the rate.
		if err := o.settled(); err != nil {
			return err
		}
		ours.add(len(letters), took, cpu(o.cmd.Process.Pid)-before)
	}
	fmt.Printf("sessions %-2d  sijill, all checks on: %s", sessions, &ours)
	if d != nil {
		ratio := median(ours.rate) / median(theirs.rate)
		fmt.Printf("   dovecot lmtp: %s   %.1f times", &theirs, ratio)
		if sessions == 10 {
			fmt.Printf(" (aim 2: %s)", verdict(ratio >= 2))
		}
	}
	fmt.Println()
	return nil
}

// judged makes sure that the checks were made, and passed: of the last letters
// all say so, and one or more have an ARC set.
func (o *office) judged() error {
	entries, err := o.metric("sijill_register_entries")
	if err != nil {
		return err
	}
	const last = 2 * sealedEvery
	sealed := 0
	for n := int64(entries) - last; n < int64(entries); n++ {
		out, err := o.sijill("show", fmt.Sprint(n))
		if err != nil {
			return err
		}
		for _, want := range []string{"\tspf=pass", "\tdkim=pass", "\tdmarc=pass"} {
			if !strings.Contains(out, want) {
				return fmt.Errorf("one of the last messages has no %s", strings.TrimSpace(want))
			}
		}
		if strings.Contains(out, "\tarc=pass") {
			sealed++
		}
	}
	if sealed == 0 {
		return errors.New("none of the last messages has arc=pass")
	}
	fmt.Printf("the last %d messages: spf, dkim and dmarc pass; arc passes in %d of them\n", last, sealed)
	return nil
}
