package post

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/wall"
)

// letterFor is mail to the office address, as a door and its checks left it.
func letterFor(from, author, door, auth string) *Arrival {
	return &Arrival{Sender: sender(sijill.Office), To: "laila@diwan.example", From: from, Envelope: message.Envelope{Door: door, Auth: auth},
		Message: []byte("From: " + author + "\r\nTo: laila@Diwan.example.\r\nSubject: Buy this\r\n\r\nhello\r\n")}
}

// answers counts the answers that were ever noted.
func (h *house) answers(t *testing.T) (n int) {
	t.Helper()
	if err := h.DB.Read(t.Context(), func(tx *db.Tx) error { return tx.One("SELECT count(*) FROM post_answered", nil, &n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func (h *house) away(t *testing.T, v Vacation) {
	t.Helper()
	v.On = true
	if err := h.post.SetRule(t.Context(), sender(sijill.Office), Rule{Vacation: v}); err != nil {
		t.Fatal(err)
	}
}

// Who may be somebody else is not answered, and gets nothing of a stranger's
// words.
func TestVacationNeedsProof(t *testing.T) {
	h := build(t, false)
	h.away(t, Vacation{Text: "Back on Sunday."})
	const fixed = "رد تلقائي"
	sent := 0
	for i, c := range []struct{ host, author, door, auth, subject string }{
		{"a.example", "x@a.example", "smtp", "arc=none dkim=none dmarc=none spf=fail", ""},
		{"b.example", "x@b.example", "smtp", "arc=none dkim=pass dmarc=none spf=softfail", ""},
		{"c.example", "x@other.example", "smtp", "arc=none dkim=pass dmarc=pass spf=none", ""},
		{"d.example", "x@below.d.example", "smtp", "dmarc=pass spf=temperror", ""},
		{"e.example", "x@e.example, y@z.example", "smtp", "dmarc=pass spf=none", ""},
		{"g.example", "x@xample", "smtp", "dmarc=pass spf=none", ""},
		{"h.example", "x@h.example", "smtp", "dkim=none dmarc=none spf=pass", "Auto: Buy this"},
		{"I.example.", "x@i.example", "smtp", "dkim=pass dmarc=pass spf=fail", "Auto: Buy this"},
		{"bounce.j.example", "x@j.example", "smtp", "dkim=pass dmarc=pass spf=fail", "Auto: Buy this"},
		{"k.example", "x@other.example", "local", "", "Auto: Buy this"},
		{"l.example", "x@l.example", "lmtp", "", fixed},
		{"m.example", "x@m.example", "smtp", "", fixed},
	} {
		from := fmt.Sprintf("x%d@%s", i, c.host)
		if err := h.post.Arrived(t.Context(), letterFor(from, c.author, c.door, c.auth)); err != nil {
			t.Fatal(err)
		}
		if c.subject != "" {
			sent++
		}
		if n := h.answers(t); n != sent {
			t.Fatalf("%+v: %d answers, want %d", c, n, sent)
		}
		if c.subject == "" {
			continue
		}
		d := h.wait(t, sent)
		if got := message.Parse(d.Message).Subject(); got != c.subject || d.To[0] != from {
			t.Errorf("%+v: to %v, %q", c, d.To, got)
		}
	}
}

// Not even proven senders have the server write without end.
func TestVacationAnswersInAnHour(t *testing.T) {
	h := build(t, false)
	h.away(t, Vacation{Subject: "Away", Text: "Back on Sunday."})
	from := 0
	arrive := func(n int) {
		for range n {
			from++
			if err := h.post.Arrived(t.Context(), letterFor(fmt.Sprintf("x%d@a.example", from), "x@a.example", "smtp", "spf=pass")); err != nil {
				t.Fatal(err)
			}
		}
	}
	arrive(answersPerHour + 5)
	if n := h.answers(t); n != answersPerHour {
		t.Errorf("%d answers in an hour", n)
	}
	h.now = h.now.Add(time.Hour)
	from -= 5 // Those who got none get theirs.
	arrive(5)
	if n := h.answers(t); n != answersPerHour+5 {
		t.Errorf("%d answers in the next", n)
	}
}

// The same people under another spelling are the same.
func TestVacationKnowsSpellings(t *testing.T) {
	h := build(t, false)
	h.away(t, Vacation{Text: "Back on Sunday."})
	for _, from := range []string{"Laila@Diwan.example.", `"laila"@home.example`, "a@x.example", "A@X.example.", `"a"@x.example`, `"postmaster"@x.example`} {
		if err := h.post.Arrived(t.Context(), letterFor(from, "a@x.example", "smtp", "spf=pass")); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.answers(t); n != 1 {
		t.Errorf("%d answers, want one to a@x.example", n)
	}
}

// What an office allowed, and then doesn't any more, is not done.
func TestForwardingIsTakenBack(t *testing.T) {
	h := build(t, true)
	ctx := t.Context()
	away := Rule{Forward: "laila@elsewhere.example"}
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		if err := h.post.SetRule(ctx, sender(class), away); err != nil {
			t.Fatal(err)
		}
	}
	h.post.o.Forward = false
	before, _ := h.Register.Head()
	h.arrive(t, sijill.Office, "friend@x.example", "Subject: office\r\n")
	if now, _ := h.Register.Head(); now != before {
		t.Error("office mail was passed on")
	}
	h.arrive(t, sijill.Personal, "friend@x.example", "Subject: personal\r\n")
	if d := h.wait(t, 1); d.From != "laila@home.example" {
		t.Errorf("passed on: from %q", d.From)
	}
	away.Vacation = Vacation{On: true, Text: "Back on Sunday."}
	if err := h.post.SetRule(ctx, sender(sijill.Office), away); err != nil {
		t.Errorf("the rest of the rule can't be changed: %v", err)
	}
	if r, err := h.post.Rule(ctx, 1, sijill.Office); r.Forward != "" || !r.Vacation.On || err != nil {
		t.Errorf("the rule is %+v, %v", r, err)
	}
	away.Forward = "laila@another.example"
	if err := h.post.SetRule(ctx, sender(sijill.Office), away); err == nil || !strings.Contains(err.Error(), ErrForward.Error()) {
		t.Errorf("forwarding elsewhere: %v", err)
	}
}

// The wall knows contacts, answers and the sender's own addresses however they are
// written.
func TestTheWallInAnySpelling(t *testing.T) {
	h := build(t, false)
	references := "References: <plan@diwan.example>" + strings.Repeat("\r\n <x@y.example>", 40) + "\r\n"
	two := "In-Reply-To: <x@y.example>\r\nIn-Reply-To: <plan@diwan.example>\r\n"
	for name, c := range map[string]struct {
		head string
		to   []string
		want wall.Crossing
	}{
		"a final dot":        {"", []string{"a@Ministry.example."}, wall.Writes},
		"an @ in quotes":     {"", []string{`"a@b"@ministry.example`}, wall.Writes},
		"what began it":      {references, []string{"a@friend.example"}, wall.Answers},
		"a second field":     {two, []string{"a@friend.example"}, wall.Answers},
		"with a copy":        {two, []string{"a@ministry.example", "Laila@Diwan.example."}, wall.None},
		"a copy for nobody":  {"", []string{"a@ministry.example", `"laila"@diwan.example`}, wall.Writes},
		"a copy that is not": {"", []string{"a@ministry.example", "laila@diwan.example.."}, wall.Writes},
	} {
		got, err := h.post.Check(t.Context(), letter(sijill.Personal, fromHome+c.head, c.to...))
		if got != c.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

// An answer that could not be sent was none: the next letter gets one.
func TestVacationFailed(t *testing.T) {
	h := build(t, false)
	h.away(t, Vacation{Text: "Back on Sunday."})
	sign := h.post.o.Sign
	h.post.o.Sign = func(context.Context, string, []byte) ([]byte, error) { return nil, errors.New("no key") }
	l := letterFor("nadim@a.example", "nadim@a.example", "smtp", "spf=pass")
	if err := h.post.Arrived(t.Context(), l); err == nil || h.answers(t) != 0 {
		t.Fatalf("without a key: %v, %d answers", err, h.answers(t))
	}
	h.post.o.Sign = sign
	for range 2 {
		if err := h.post.Arrived(t.Context(), l); err != nil || h.answers(t) != 1 {
			t.Fatalf("with it: %v, %d answers", err, h.answers(t))
		}
	}
	h.wait(t, 1)
}
