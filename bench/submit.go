package main

import (
	"fmt"
	"strings"
	"time"
)

// submit measures what sealing adds to a submission at one session: of every two
// letters one is sealed, and the other refused after it was received and read,
// since its From is somebody else's. All that the second goes without is the
// wall, the DKIM signatures, sealing, the queue and the disk.
func (b *bench) submit() error {
	heading("submission")
	s, err := b.newSink(false)
	if err != nil {
		return err
	}
	o, err := b.sending("submit", s, 1)
	if err != nil {
		return err
	}
	secret, err := o.credential(u1)
	if err != nil {
		return err
	}
	if err := o.serve(); err != nil {
		return err
	}
	c, err := dialSubmission(o.door("submissions"), "u1", secret)
	if err != nil {
		return err
	}
	defer c.close()
	var envelope, sealed, refused times
	for i := range b.n(400) {
		from := u1
		if i%2 == 1 {
			from = "somebody@elsewhere.example"
		}
		l := plain(from, "friend@d0.example", i, letterSize)
		began := time.Now()
		if err := c.begin(u1, l.to); err != nil {
			return err
		}
		envelope = append(envelope, time.Since(began))
		line, took, err := c.finish(l.raw)
		switch {
		case err != nil:
			return err
		case i%2 == 0 && strings.HasPrefix(line, "250"):
			sealed = append(sealed, took)
		case i%2 == 1 && strings.HasPrefix(line, "5"):
			refused = append(refused, took)
		default:
			return fmt.Errorf("unexpected: %s", line)
		}
		time.Sleep(20 * time.Millisecond) // A person's pace, as it were: what went before is over.
	}
	added := sealed.at(50) - refused.at(50)
	fmt.Printf("MAIL, RCPT and DATA: %v\nfrom the dot to the 250, sealed: %v\nthe same, received and read but not sealed: %v\n", envelope, sealed, refused)
	fmt.Printf("sealing, signing and queueing add %s ms (aim 5: %s)\n", ms(added), verdict(added <= 5*time.Millisecond))
	return nil
}
