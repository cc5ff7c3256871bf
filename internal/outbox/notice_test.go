package outbox

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sijill/internal/message"
)

// refusing is a server that knows nobody.
func refusing(t testing.TB, f *office, text string) *sink {
	s := newSink(t, "mx.abroad.example", func(s *sink) {
		s.answer = func(line string) string {
			if strings.HasPrefix(line, "RCPT") {
				return text
			}
			return ""
		}
	})
	f.domain("abroad.example", "192.0.2.1", s)
	return s
}

// parts gives a notice's own parts: the text, the HTML, the status and what
// came back.
func parts(t *testing.T, d Delivery) (m *message.Message, plain, html, status, back string) {
	t.Helper()
	m = message.Parse(d.Message)
	if len(m.Warnings) > 0 {
		t.Errorf("the notice is broken: %v", m.Warnings)
	}
	r := m.Root
	if r.MediaType() != "multipart/report" || r.Params.Get("report-type") != "delivery-status" || len(r.Children) != 3 {
		t.Fatalf("%s with %d parts:\n%s", r.MediaType(), len(r.Children), d.Message)
	}
	alt := r.Children[0]
	if alt.MediaType() != "multipart/alternative" || len(alt.Children) != 2 {
		t.Fatalf("%s with %d parts", alt.MediaType(), len(alt.Children))
	}
	return m, string(alt.Children[0].Decoded()), string(alt.Children[1].Decoded()), string(r.Children[1].Body()), string(r.Children[2].Body())
}

func (f *office) notice(n int) Delivery {
	f.Helper()
	f.await("a notice", func() bool { return len(f.arrived()) >= n })
	return f.arrived()[n-1]
}

func wants(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}

func TestBounce(t *testing.T) {
	f := newOffice(t, nil)
	refusing(t, f, "550 5.1.1 <a@abroad.example>: no such\u202e user")
	l := letterTo("a@abroad.example")
	l.EnvID, l.To[0].ORCPT = "env", "rfc822;first@diwan.example"
	sent := f.send(l)
	f.run()
	f.ends(sent, 1)
	d := f.notice(1)
	f.empty()
	if d.From != "" || len(d.To) != 1 || d.To[0] != "hind@diwan.example" {
		t.Errorf("from %q to %q", d.From, d.To)
	}
	m, plain, html, status, back := parts(t, d)
	if m.Subject() != "Not delivered: The ledger" || m.From()[0].Addr != "MAILER-DAEMON@mx.diwan.example" || m.Header.Get("Auto-Submitted") != "auto-replied" {
		t.Errorf("%q", m.Raw()[:m.Root.BodyStart])
	}
	if refs := strings.Join(m.References(), " "); refs != "first@diwan.example ledger@diwan.example" || m.InReplyTo()[0] != "ledger@diwan.example" {
		t.Errorf("references %q", refs)
	}
	wants(t, "text", plain, "could not be delivered to the following address.", "a@abroad.example\r\n", "no such mailbox", "The server mx.abroad.example answered: 550 5.1.1 <a@abroad.example>: no such user", "Subject: The ledger")
	wants(t, "HTML", html, `<html lang="en" dir="ltr">`, "&lt;a@abroad.example&gt;")
	wants(t, "status", status, "Reporting-MTA: dns; mx.diwan.example\r\n", "Original-Envelope-Id: env\r\n", "\r\n\r\nOriginal-Recipient: rfc822;first@diwan.example\r\n",
		"Final-Recipient: rfc822;a@abroad.example\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.abroad.example\r\nDiagnostic-Code: smtp; 550 5.1.1")
	if back != text[:strings.Index(text, "\r\n\r\n")+4] {
		t.Errorf("%q came back", back)
	}
}

func TestBounceInArabic(t *testing.T) {
	f := newOffice(t, nil)
	refusing(t, f, "552 5.2.2 الصندوق ممتلئ")
	l := letterTo("هند@abroad.example", "b@abroad.example")
	l.Language, l.Ret = "ar", "FULL"
	l.Message = []byte("Subject: =?utf-8?B?2KfZhNiz2KzZhA==?=\r\nMessage-ID: <x@diwan.example>\r\n\r\nالنص كله\r\n")
	sent := f.send(l)
	f.run()
	f.ends(sent, 2)
	m, plain, html, status, back := parts(t, f.notice(1))
	if m.Subject() != "لم تُسلَّم: السجل" || m.From()[0].Name != "تسليم البريد" {
		t.Errorf("%q from %q", m.Subject(), m.From()[0].Name)
	}
	wants(t, "text", plain, "تعذّر تسليم رسالتك", "\u2066هند@abroad.example\u2069", "العنوانين الآتيين", "\u2066b@abroad.example\u2069", "الصندوق ممتلئ.", "الموضوع: \u2068السجل\u2069", "\u2066552 5.2.2 الصندوق ممتلئ\u2069")
	wants(t, "HTML", html, `<html lang="ar" dir="rtl">`, `<bdi dir="ltr">b@abroad.example</bdi>`)
	wants(t, "status", status, "Final-Recipient: utf-8;هند@abroad.example\r\n", "Final-Recipient: rfc822;b@abroad.example\r\n")
	if m.Root.Children[1].MediaType() != "message/global-delivery-status" || m.Root.Children[2].MediaType() != "message/rfc822" {
		t.Errorf("%s %s", m.Root.Children[1].MediaType(), m.Root.Children[2].MediaType())
	}
	if back != string(l.Message) {
		t.Errorf("%q came back", back)
	}
}

// A notice about one address speaks of one, about two of two; and of others only
// where there are some.
func TestNoticeCounts(t *testing.T) {
	for _, test := range []struct {
		language      string
		failed, total int
		has           []string
		not           string
	}{
		{"en", 1, 1, []string{"to the following address. "}, "This notice"},
		{"en", 2, 2, []string{"to the following addresses. "}, "This notice"},
		{"en", 1, 2, []string{"to the following address. ", "about this address alone. You get one about the other address only"}, "addresses"},
		{"en", 3, 7, []string{"about these addresses alone. You get one about the other addresses only"}, "two"},
		{"ar", 1, 1, []string{"إلى العنوان الآتي،"}, "الإشعار"},
		{"ar", 2, 3, []string{"إلى العنوانين الآتيين،", "هذين العنوانين وحدهما. أما العنوان الآخر"}, "العناوين"},
		{"ar", 1, 3, []string{"إلى العنوان الآتي،", "هذا العنوان وحده. أما العنوانان الآخران فلن يصلك إشعار بشأنهما"}, "العناوين"},
		{"ar", 3, 14, []string{"إلى العناوين الآتية،", "هذه العناوين وحدها. أما سائر العناوين"}, "العنوان "},
		{"ar", 12, 12, []string{"إلى العناوين الآتية،"}, "الإشعار"},
	} {
		n := &notice{hostname: "mx.diwan.example", action: actionFailed, letter: &letter{sender: "hind@diwan.example", language: test.language, sentTo: test.total}}
		for range test.failed {
			n.list = append(n.list, &recipient{address: "هند@abroad.example", status: "5.1.1"})
		}
		_, plain, html, _, _ := parts(t, Delivery{Message: n.compose()})
		for what, text := range map[string]string{"text": plain, "HTML": html} {
			if wants(t, what, text, test.has...); strings.Contains(text, test.not) {
				t.Errorf("%s, %d of %d: the %s has %q:\n%s", test.language, test.failed, test.total, what, test.not, text)
			}
		}
		wants(t, "text", plain, "\u2066هند@abroad.example\u2069\r\n")
	}
}

// Every language explains everything, and every reason is there in both.
func TestWords(t *testing.T) {
	for _, w := range []*words{&english, &arabic} {
		for _, a := range []action{actionFailed, actionDelayed, actionDelivered, actionRelayed} {
			if w.subject[a] == "" || w.intro[a].of(1) == "" || w.intro[a].of(2) == "" || w.intro[a].of(3) == "" {
				t.Errorf("%s: %s is missing", w.name, a)
			}
		}
		if slices.Contains(w.alone[:], "") || slices.Contains(w.others[:], "") {
			t.Errorf("%s: what is said of others is missing", w.name)
		}
		if len(w.reasons) != len(english.reasons) {
			t.Fatalf("%s: %d reasons", w.name, len(w.reasons))
		}
		for i, r := range w.reasons {
			if r.code != english.reasons[i].code || r.text == "" {
				t.Errorf("%s: reason %d is %q", w.name, i, r.code)
			}
		}
		if w.reason("5.7.9") != w.reason("4.7.23") || w.reason("5.1.1") == w.reason("5.1.10") || w.reason("9") == "" {
			t.Errorf("%s: the wrong reasons", w.name)
		}
	}
}

// The sender is told of a delay once, and at the end that it was in vain.
func TestDelayAndExpiry(t *testing.T) {
	f := newOffice(t, nil)
	f.dns.set("abroad.example", errors.New("SERVFAIL"))
	sent := f.send(letterTo("a@abroad.example"))
	began := f.now()
	f.run()
	f.ends(sent, 1)
	for f.now().Sub(began) < 4*time.Hour+time.Minute {
		f.pass(10 * time.Minute)
		f.quiet()
	}
	m, plain, _, status, _ := parts(t, f.notice(1))
	if m.Subject() != "Delayed: The ledger" {
		t.Error(m.Subject())
	}
	wants(t, "text", plain, "not been delivered", "you need not send it again", "domain name system", "Last attempt: "+stamp(began.Add(5 * 24 * time.Hour))[:10])
	wants(t, "status", status, "Action: delayed\r\nStatus: 4.4.3\r\n", "Will-Retry-Until: ")
	for range 60 {
		f.pass(2 * time.Hour)
		f.quiet()
	}
	list := f.ends(sent, 2)
	if statuses(list) != "deferred expired" || list[1].Outcome.Status != "5.4.3" || list[1].Attempts < 20 {
		t.Errorf("%s after %d attempts, %+v", statuses(list), list[1].Attempts, list[1].Outcome)
	}
	m, _, _, status, _ = parts(t, f.notice(2))
	if m.Subject() != "Not delivered: The ledger" {
		t.Error(m.Subject())
	}
	wants(t, "status", status, "Action: failed\r\nStatus: 5.4.3\r\n")
	f.empty()
	if n := len(f.arrived()); n != 2 {
		t.Errorf("%d notices", n)
	}
}

// What the schedule says holds: of an hour's lifetime the sender is told after half
// of it, and at its end that it was in vain.
func TestSchedule(t *testing.T) {
	f := newOffice(t, func(o *Options) {
		o.Schedule = Schedule{First: 2 * time.Minute, Longest: 10 * time.Minute, Lifetime: time.Hour, Delay: 30 * time.Minute}
		o.Jitter = func(time.Duration) time.Duration { return 0 }
	})
	f.dns.set("abroad.example", errors.New("SERVFAIL"))
	sent := f.send(letterTo("a@abroad.example"))
	began := f.now()
	f.run()
	f.ends(sent, 1)
	for range 63 {
		f.pass(time.Minute)
		f.quiet()
	}
	// At once, after 2, 6, 14, 24 minutes, at 30 for the notice, then every 10; each a
	// step late at most.
	list := f.ends(sent, 2)
	if n := list[1].Attempts; statuses(list) != "deferred expired" || n < 8 || n > 9 {
		t.Errorf("%s after %d attempts", statuses(list), n)
	}
	for i, want := range []struct {
		subject, status string
		after           time.Duration
	}{{"Delayed", "Action: delayed\r\n", 30 * time.Minute}, {"Not delivered", "Action: failed\r\nStatus: 5.4.3\r\n", time.Hour}} {
		m, _, _, status, _ := parts(t, f.notice(i+1))
		if m.Subject() != want.subject+": The ledger" {
			t.Error(m.Subject())
		}
		wants(t, "status", status, want.status)
		_, text, _ := strings.Cut(status, "Last-Attempt-Date: ")
		text, _, _ = strings.Cut(text, "\r\n")
		at, err := time.Parse(time.RFC1123Z, text)
		if late := at.Sub(began) - want.after; err != nil || late < -time.Second || late > 2*time.Minute {
			t.Errorf("%s after %v, %v", want.subject, at.Sub(began), err)
		}
	}
	f.empty()
}

// NOTIFY is obeyed, and a notice gets none.
func TestNotify(t *testing.T) {
	f := newOffice(t, nil)
	refusing(t, f, "550 5.7.1 no")
	old := newSink(t, "mx.old.example", func(s *sink) { s.extensions = nil })
	f.domain("old.example", "192.0.2.2", old)
	f.domain("new.example", "192.0.2.3", newSink(t, "mx.new.example", nil))
	l := letterTo("never@abroad.example", "success@abroad.example")
	l.To[0].Notify, l.To[1].Notify = []string{"NEVER"}, []string{"SUCCESS", "DELAY"}
	quiet := letterTo("a@abroad.example")
	quiet.From = ""
	one, two := f.send(l), f.send(quiet)
	f.run()
	f.ends(one, 2)
	if e := f.ends(two, 1); !e[0].Notice {
		t.Errorf("%+v", e)
	}
	f.empty()
	if n := len(f.arrived()); n != 0 {
		t.Fatalf("%d notices: %s", n, f.arrived()[0].Message)
	}
	good := letterTo("a@old.example", "b@new.example", "c@diwan.example")
	for i := range good.To {
		good.To[i].Notify = []string{"SUCCESS"}
	}
	f.ends(f.send(good), 3)
	f.await("two notices", func() bool { return len(f.arrived()) == 3 }) // And the letter itself.
	f.empty()
	seen := ""
	for _, d := range f.arrived() {
		if d.From == "" {
			_, _, _, status, _ := parts(t, d)
			seen += status
		}
	}
	wants(t, "notices", seen, "Final-Recipient: rfc822;a@old.example\r\nAction: relayed\r\nStatus: 2.0.0", "Final-Recipient: rfc822;c@diwan.example\r\nAction: delivered\r\nStatus: 2.1.5")
	if strings.Contains(seen, "new.example") {
		t.Error("a server that sends notices itself was reported on")
	}
}

// A notice for a sender elsewhere is sealed and leaves like any letter.
func TestNoticeGoesOut(t *testing.T) {
	f := newOffice(t, func(o *Options) {
		o.Sign = func(b []byte) ([]byte, error) { return append([]byte("DKIM-Signature: v=1\r\n"), b...), nil }
	})
	refusing(t, f, "550 5.1.1 no")
	home := newSink(t, "mx.far.example", nil)
	f.domain("far.example", "192.0.2.7", home)
	l := letterTo("a@abroad.example")
	l.From = "someone@far.example"
	sent := f.send(l)
	f.run()
	f.ends(sent, 1)
	f.await("the notice", func() bool { return len(home.deliveries()) == 1 })
	d := home.deliveries()[0]
	if !strings.HasPrefix(d.mail, "MAIL FROM:<> ") || d.rcpts[0] != "RCPT TO:<someone@far.example> NOTIFY=NEVER" || !strings.HasPrefix(string(d.data), "DKIM-Signature: v=1\r\nFrom: ") {
		t.Errorf("%s %q\n%s", d.mail, d.rcpts, d.data)
	}
	f.empty()
	if it, err := f.home.Register.Item(t.Context(), sent+2); err != nil || it.Entry.Kind != "sent" || it.Entry.Actor != "outbox" {
		t.Errorf("%+v %v", it, err)
	}
}

// A notice that can't be captured now is owed, and given later.
func TestNoticeIsOwed(t *testing.T) {
	f := newOffice(t, nil)
	refusing(t, f, "550 5.1.1 no")
	var tried atomic.Bool
	f.refuse = func(Delivery) error {
		tried.Store(true)
		return errors.New("the disk is full")
	}
	sent := f.send(letterTo("a@abroad.example"))
	f.run()
	f.ends(sent, 1)
	f.await("a try to give the notice", tried.Load)
	if st, err := f.o.Stats(t.Context()); err != nil || st.Owed != 1 || st.Bounced != 1 || st.Notices != 0 {
		t.Errorf("%+v %v", st, err)
	}
	f.mu.Lock()
	f.refuse = nil
	f.mu.Unlock()
	signal(f.o.owing)
	f.notice(1)
	f.empty()
}
