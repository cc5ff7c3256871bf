package post

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/outbox"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
	"sijill/internal/resolve"
	"sijill/internal/wall"
)

// nowhere is a DNS in which there is nothing.
type nowhere struct{}

func (nowhere) MX(context.Context, string) (resolve.Answer[resolve.MX], error) {
	return resolve.Answer[resolve.MX]{}, fs.ErrNotExist
}
func (nowhere) Addrs(context.Context, string) (resolve.Answer[netip.Addr], error) {
	return resolve.Answer[netip.Addr]{}, fs.ErrNotExist
}
func (nowhere) TLSA(context.Context, string) (resolve.Answer[resolve.TLSA], error) {
	return resolve.Answer[resolve.TLSA]{}, fs.ErrNotExist
}
func (nowhere) TXT(context.Context, string) (resolve.Answer[string], error) {
	return resolve.Answer[string]{}, fs.ErrNotExist
}

// talk holds the Message-IDs of office mail.
type talk []string

func (t talk) Holds(_ context.Context, _ int64, _ sijill.Class, ids []string) (bool, error) {
	return slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(t, id) }), nil
}

// house is an office in which everybody's mail is local.
type house struct {
	*recordtest.Home
	post *Post
	out  *outbox.Outbox
	wall *wall.Wall

	mu      sync.Mutex
	arrived []outbox.Delivery
	roles   map[int64]string // By entry.
	now     time.Time
}

func build(t *testing.T, forward bool) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{Home: recordtest.New(t, recordtest.Options{}), roles: map[int64]string{}, now: time.Now()}
	ring, err := h.Vault.MakeRoots(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	ring.Close()
	if h.wall, err = wall.Open(ctx, h.DB, wall.Options{Contacts: []string{"ministry.example"}, Conversations: talk{"plan@diwan.example"}}); err != nil {
		t.Fatal(err)
	}
	h.out, err = outbox.Open(ctx, outbox.Options{
		DB: h.DB, Ledger: h.Register, Key: [32]byte{7}, Resolver: nowhere{}, Local: func(context.Context, string) (bool, error) { return true, nil },
		Deliver: h.deliver, Hostname: "mail.diwan.example", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.post, err = Open(ctx, Options{
		DB: h.DB, Register: h.Register, Outbox: h.out, Wall: h.wall, Hostname: "mail.diwan.example", Forward: forward,
		Sign: func(_ context.Context, domain string, _ []byte) ([]byte, error) {
			return []byte("DKIM-Signature: d=" + domain + "\r\n"), nil
		},
		Arrive: func(_ *db.Tx, entry, _ int64, class sijill.Class, role string) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.roles[entry] = string(class) + " " + role
			return nil
		},
		Now: func() time.Time { return h.now }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- h.out.Run(run) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the queue: %v", err)
		}
	})
	return h
}

func (h *house) deliver(ctx context.Context, d outbox.Delivery) error {
	_, err := h.Register.Append(ctx, record.Draft{Kind: sijill.Captured, Actor: "local", Holders: []int64{9}, With: d.With,
		Content: &record.Content{Message: d.Message}})
	if err == nil {
		h.mu.Lock()
		h.arrived = append(h.arrived, d)
		h.mu.Unlock()
	}
	return err
}

// wait waits for the n-th delivery.
func (h *house) wait(t *testing.T, n int) outbox.Delivery {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		h.mu.Lock()
		if len(h.arrived) >= n {
			d := h.arrived[n-1]
			h.mu.Unlock()
			return d
		}
		h.mu.Unlock()
	}
	t.Fatalf("delivery %d never came", n)
	return outbox.Delivery{}
}

func sender(class sijill.Class) Sender {
	return Sender{Account: 1, Actor: "laila", Class: class, Language: "ar",
		Own: map[string]sijill.Class{"laila@diwan.example": sijill.Office, "laila@home.example": sijill.Personal}}
}

const fromOffice, fromHome = "From: laila@diwan.example\r\n", "From: laila@home.example\r\n"

func letter(class sijill.Class, head string, to ...string) *Letter {
	raw := []byte(head + "Date: Sun, 22 Nov 2026 10:00:00 +0300\r\nSubject: x\r\nBcc: b@c.example\r\n\r\nbody\r\n")
	l := &Letter{Sender: sender(class), From: message.Parse(raw).From()[0].Addr, Original: raw,
		ToSend: message.RemoveFields(raw, "Bcc"), Envelope: message.Envelope{Door: "submission"}}
	for _, a := range to {
		l.To = append(l.To, outbox.Recipient{Address: a})
	}
	return l
}

func TestSend(t *testing.T) {
	h := build(t, false)
	s, err := h.post.Send(t.Context(), letter(sijill.Office, fromOffice, "a@ministry.example"))
	if err != nil {
		t.Fatal(err)
	}
	d := h.wait(t, 1)
	if got := string(d.Message); !strings.Contains(got, "DKIM-Signature: d=diwan.example\r\nFrom:") || strings.Contains(got, "Bcc") {
		t.Errorf("what left: %q", got)
	}
	it, err := h.Register.Item(t.Context(), s.Entry)
	if err != nil || it.Entry.Kind != sijill.Sent {
		t.Fatalf("the entry: %v, %v", it, err)
	}
	c, err := it.Content()
	if err != nil || !strings.Contains(string(c.Message), "Bcc: b@c.example") || !strings.Contains(c.Envelope.Trace, "DKIM-Signature") {
		t.Errorf("what is sealed: %+v, %v", c, err)
	}
}

func TestTheWall(t *testing.T) {
	h := build(t, false)
	ctx := t.Context()
	cases := []struct {
		name string
		l    *Letter
		want wall.Crossing
	}{
		{"to a contact", letter(sijill.Personal, fromHome, "a@ministry.example"), wall.Writes},
		{"an answer to office mail", letter(sijill.Personal, fromHome+"In-Reply-To: <plan@diwan.example>\r\n", "a@friend.example"), wall.Answers},
	}
	before, _ := h.Register.Head()
	for _, c := range cases {
		_, err := h.post.Send(ctx, c.l)
		var crosses *Crosses
		if !errors.As(err, &crosses) || crosses.Crossing != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if now, _ := h.Register.Head(); now != before {
		t.Error("something was sealed of what was stopped")
	}
	l := cases[0].l
	l.File = true
	s, err := h.post.Send(ctx, l)
	if err != nil || s.Filed != s.Entry+1 || h.roles[s.Filed] != "office sent" {
		t.Fatalf("decided: %+v, %v, %v", s, err, h.roles)
	}
	filed, err := h.Register.Item(ctx, s.Filed)
	if err != nil || filed.Entry.Kind != sijill.Filed || filed.Class != sijill.Office {
		t.Fatalf("the filed copy: %+v, %v", filed, err)
	}
	if c, err := filed.Content(); err != nil || !strings.Contains(string(c.Message), "body") {
		t.Errorf("the office can't read its copy: %v", err)
	}
	sent, err := h.Register.Item(ctx, s.Entry)
	if err != nil || sent.Class != sijill.Personal {
		t.Fatalf("the sent entry: %+v, %v", sent, err)
	}
	if _, err := sent.Content(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the server can read the personal letter: %v", err)
	}
	if _, err := h.post.Send(ctx, letter(sijill.Personal, fromHome, "a@ministry.example", "Laila@diwan.example")); err != nil {
		t.Errorf("with a copy to the office address: %v", err)
	}
}

// arrive is a message from outside, sealed already.
func (h *house) arrive(t *testing.T, class sijill.Class, from, head string) {
	t.Helper()
	to := map[sijill.Class]string{sijill.Office: "laila@diwan.example", sijill.Personal: "laila@home.example"}[class]
	a := &Arrival{Sender: sender(class), To: to, From: from, Message: []byte("From: <" + from + ">\r\nTo: <" + to + ">\r\n" + head + "\r\nhello\r\n")}
	if err := h.post.Arrived(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func TestVacation(t *testing.T) {
	h := build(t, false)
	ctx := t.Context()
	s := sender(sijill.Office)
	if h.post.HasRules(1) {
		t.Error("a rule that nobody set")
	}
	rule := Rule{Vacation: Vacation{On: true, From: h.now.Add(time.Hour), Until: h.now.Add(48 * time.Hour), Subject: "غائبة", Text: "أعود الأحد.\n"}}
	if err := h.post.SetRule(ctx, s, rule); err != nil {
		t.Fatal(err)
	}
	if !h.post.HasRules(2, 1) || h.post.HasRules(2) {
		t.Error("who has rules")
	}
	h.arrive(t, sijill.Office, "early@x.example", "Subject: x\r\n") // Before it begins.
	h.now = h.now.Add(2 * time.Hour)
	h.arrive(t, sijill.Personal, "friend@x.example", "Subject: x\r\n") // The other identity.
	for _, head := range []string{"Auto-Submitted: auto-replied\r\n", "List-Id: <l.x.example>\r\n", "Precedence: bulk\r\n"} {
		h.arrive(t, sijill.Office, "robot@x.example", head)
	}
	h.arrive(t, sijill.Office, "", "Subject: bounce\r\n")
	h.arrive(t, sijill.Office, "noreply@x.example", "Subject: x\r\n")
	h.arrive(t, sijill.Office, "Friend@x.example", "Message-ID: <q@x.example>\r\nSubject: =?utf-8?B?2LPYpNin2YQ=?=\r\n")
	h.arrive(t, sijill.Office, "friend@X.example", "Subject: again\r\n") // Within a week.
	d := h.wait(t, 1)
	m := message.Parse(d.Message)
	if d.From != "" || d.To[0] != "Friend@x.example" || m.Subject() != "غائبة" || !strings.Contains(m.Text(), "أعود الأحد.") ||
		m.Header.Get("Auto-Submitted") != "auto-replied" || !slices.Equal(m.References(), []string{"q@x.example"}) {
		t.Errorf("the answer: from %q to %v\n%s", d.From, d.To, d.Message)
	}
	h.now = h.now.Add(8 * 24 * time.Hour)
	rule.Vacation.Until = time.Time{}
	if err := h.post.SetRule(ctx, s, rule); err != nil {
		t.Fatal(err)
	}
	h.arrive(t, sijill.Office, "friend@x.example", "Subject: a week later\r\n")
	h.wait(t, 2)
	if len(h.arrived) != 2 {
		t.Errorf("%d answers were sent", len(h.arrived))
	}
}

func TestForward(t *testing.T) {
	h := build(t, false)
	ctx := t.Context()
	away := Rule{Forward: "laila@elsewhere.example"}
	if err := h.post.SetRule(ctx, sender(sijill.Office), away); !errors.Is(err, ErrForward) {
		t.Errorf("office mail to outside: %v", err)
	}
	for _, bad := range []Rule{{Forward: "no address"}, {Forward: "laila@home.example"}, {Vacation: Vacation{On: true}}} {
		if err := h.post.SetRule(ctx, sender(sijill.Personal), bad); !errors.Is(err, ErrRule) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	before, _ := h.Register.Head()
	if err := h.post.SetRule(ctx, sender(sijill.Personal), away); err != nil {
		t.Fatal(err)
	}
	it, err := h.Register.Item(ctx, before)
	if err != nil || it.Entry.Kind != sijill.Config || strings.Contains(string(it.Entry.Fields), "elsewhere") {
		t.Errorf("a rule is an entry, without saying where to: %+v, %v", it, err)
	}
	h.arrive(t, sijill.Personal, "friend@x.example", "Subject: x\r\n")
	d := h.wait(t, 1)
	if d.From != "laila@home.example" || d.To[0] != away.Forward || !strings.Contains(string(d.Message), "From: <friend@x.example>") {
		t.Errorf("passed on: %+v %s", d, d.Message)
	}
	h.arrive(t, sijill.Personal, "friend@x.example", "X-Sijill-Forwarded: laila@elsewhere.example\r\n")
	open := build(t, true)
	if err := open.post.SetRule(ctx, sender(sijill.Office), away); err != nil {
		t.Errorf("an office that allows it: %v", err)
	}
	h.arrive(t, sijill.Personal, "friend@x.example", "Subject: y\r\n")
	if d := h.wait(t, 2); !strings.Contains(string(d.Message), "Subject: y\r\n") {
		t.Error("a message was passed on in a circle")
	}
}

func TestKeep(t *testing.T) {
	h := build(t, false)
	ctx := t.Context()
	if err := h.DB.Write(ctx, func(tx *db.Tx) error { return h.wall.Arrived(tx, 3, 1) }); err != nil {
		t.Fatal(err)
	}
	if err := h.post.Keep(ctx, sender(sijill.Personal), 3); err != nil {
		t.Fatal(err)
	}
	if list, err := h.wall.Due(ctx, 1); len(list) != 0 || err != nil {
		t.Errorf("still due: %v, %v", list, err)
	}
	if err := h.post.Keep(ctx, sender(sijill.Personal), 3); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("kept twice: %v", err)
	}
}
