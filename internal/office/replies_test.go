package office

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/outbox"
	"sijill/internal/people"
	"sijill/internal/post"
	"sijill/internal/smtpd"
)

// forwarding opens an office where n letters wait for the rule of Laila, who has hers
// forwarded.
func forwarding(t *testing.T, n int) (*Office, *said) {
	t.Helper()
	o, log := openOffice(t)
	a := addAccount(t, o, laila)
	s, err := o.Sender(t.Context(), a.ID, sijill.Office)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Post.SetRule(t.Context(), s, post.Rule{Forward: "laila@elsewhere.example"}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		arrives(t, o, a, fmt.Sprintf("letter %d", i))
	}
	if waiting := len(o.replies.queue); waiting != n {
		t.Fatalf("%d letters wait for rules, not %d", waiting, n)
	}
	return o, log
}

// arrives brings a letter for an account.
func arrives(t *testing.T, o *Office, a people.Account, subject string) {
	t.Helper()
	_, err := o.Appender().Append(t.Context(), &smtpd.Mail{
		Holders:  []smtpd.Holder{{Account: a.ID, Class: sijill.Office, Address: a.Address, To: []string{a.Address}}},
		Envelope: message.Envelope{Door: "lmtp", From: "karim@elsewhere.example", To: []string{a.Address}},
		Message:  []byte("From: karim@elsewhere.example\r\nTo: " + a.Address + "\r\nSubject: " + subject + "\r\n\r\nRead it.\r\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// forwarded is how many letters wait in the queue.
func forwarded(t *testing.T, o *Office) int64 {
	t.Helper()
	st, err := o.Outbox.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st.Waiting
}

// stopped is a context of a stop that has begun.
func stopped() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return ctx
}

// A stop doesn't forget the rules for what has just arrived: the queue is in memory.
func TestStopDoesTheRules(t *testing.T) {
	const n = 10
	o, log := forwarding(t, n)
	if err := o.replies.run(stopped()); err != nil {
		t.Fatal(err)
	}
	if got := forwarded(t, o); got != n {
		t.Errorf("of %d letters %d were forwarded: %s", n, got, log)
	}
	if strings.Contains(log.String(), "passed over") {
		t.Error(log)
	}
}

// Rules are for letters from colleagues too.
func TestRulesForLettersOfOnesOwn(t *testing.T) {
	o, log := forwarding(t, 0)
	err := o.deliver(t.Context(), outbox.Delivery{From: noura, To: []string{laila}, With: func(*db.Tx, int64) error { return nil },
		Message: []byte("From: " + noura + "\r\nTo: " + laila + "\r\nSubject: The bridge\r\n\r\nRead it.\r\n")})
	if err == nil {
		err = o.replies.run(stopped())
	}
	if err != nil || forwarded(t, o) != 1 {
		t.Errorf("%d letters were forwarded: %v\n%s", forwarded(t, o), err, log)
	}
}

// What a stop has no time for is said.
func TestStopSaysWhatItPassedOver(t *testing.T) {
	o, log := forwarding(t, 3)
	o.replies.grace = 0
	if err := o.replies.run(stopped()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "passed over") || !strings.Contains(log.String(), "messages=3") || forwarded(t, o) != 0 {
		t.Errorf("%d were forwarded, and it said: %s", forwarded(t, o), log)
	}
}
