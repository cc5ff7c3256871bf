package mailbox

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/record"
)

// letter is a captured item of raw bytes.
func letter(index int64, raw string, env message.Envelope) *record.Item {
	c := &record.Content{Envelope: env, Message: []byte(raw)}
	return record.NewItem(index, &sijill.Entry{Kind: sijill.Captured, Time: day0}, []int64{1},
		func() (*record.Content, error) { return c, nil })
}

func TestSummaries(t *testing.T) {
	w := newWorld(t)
	head := "Date: Mon, 4 Mar 2024 10:00:00 +0400 (GST)\r\nFrom: \"Said, Ahmad\" <a@x>\r\nSender: \"Said, Ahmad\" <a@x>\r\n" +
		"To: =?utf-8?B?2LPYrNmE?= <s@x>,\r\n\tb@x\r\nTo: c@x\r\nCc: d@x\r\nBcc: e@x\r\nReply-To: r@x\r\n" +
		"Subject: =?utf-8?Q?caf=C3=A9?=\r\n folded\r\nIn-Reply-To: <1@x> <2@x>\r\nMessage-ID: <m@x>\r\n\r\nBody\r\n"
	internal := day0.AddDate(-1, 0, 0)
	env := message.Envelope{Time: day0, Trace: "Return-Path: <a@x>\r\n", Internal: &internal}
	w.items = []*record.Item{letter(0, head, env), letter(1, "Subject: s\xe9\r\n\r\n", message.Envelope{Time: day0})}
	w.apply(w.items)
	got, err := w.View(1, nil).Summaries(t.Context(), []int64{1, 0, 5})
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	want := Summary{Entry: 0, Size: int64(len(env.Present([]byte(head)))), Internal: internal,
		Date: "Mon, 4 Mar 2024 10:00:00 +0400 (GST)", Subject: "=?utf-8?Q?caf=C3=A9?= folded",
		From: `"Said, Ahmad" <a@x>`, Sender: `"Said, Ahmad" <a@x>`, ReplyTo: "r@x", To: "=?utf-8?B?2LPYrNmE?= <s@x>, b@x, c@x",
		Cc: "d@x", Bcc: "e@x", InReplyTo: "<1@x> <2@x>", MessageID: "<m@x>"}
	if got[1] != want {
		t.Errorf("got  %+v\nwant %+v", got[1], want)
	}
	if got[0].Subject != "sé" || got[0].From != "" || !got[0].Internal.Equal(day0) {
		t.Errorf("8-bit: %+v", got[0])
	}
}

// Whatever the mail, a packed envelope gives what the header has.
func TestEnvelopesOfRealMail(t *testing.T) {
	for _, name := range []string{"enron.mbox.zst", "spamassassin-spam.mbox.zst", "lists-dkim.mbox.zst", "phish-nazario.mbox.zst"} {
		mails, size := corpus(t, name)
		packed := 0
		for i, raw := range mails {
			if len(mails) > 3000 && i%5 != 0 {
				size -= int64(len(raw))
				continue
			}
			c := &record.Content{Message: raw, Envelope: message.Envelope{Time: day0}}
			p := message.Parse(raw)
			d := newDraft(c, p, day0)
			b := packEnvelope(d, p, 7)
			packed += len(b)
			sent, _ := d.sent.(int64)
			e, ok := unpackEnvelope(b, &Row{From: d.from, To: d.to, Subject: d.subject}, sent)
			if !ok || e.besides != 7 {
				t.Fatalf("%s, message %d: not unpacked", name, i)
			}
			for f, got := range e.fields {
				if want := headerValues(p)[f]; got != want {
					t.Fatalf("%s, message %d: %s is %d octets, want %d", name, i, headerNames[f], len(got), len(want))
				}
			}
		}
		t.Logf("%s: %.2f %% of the mail", name, 100*float64(packed)/float64(size))
	}
}

func TestLongHeadersAreCut(t *testing.T) {
	raw := "To: " + strings.Repeat("somebody@diwan.example, ", 9000) + "x@y\r\nSubject: " + strings.Repeat("ديوان", 9000) + "\r\n\r\n"
	p := message.Parse([]byte(raw))
	to, subject := headerValues(p)[fieldTo], headerValues(p)[fieldSubject]
	if len(to) > maxValue[fieldTo] || !strings.HasSuffix(to, "somebody@diwan.example") || len(subject) > maxValue[fieldSubject] || strings.ContainsRune(subject, '\uFFFD') {
		t.Errorf("cut to %d and %d octets", len(to), len(subject))
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add([]byte("Subject: a\r\nDate: Mon, 4 Mar 2024 10:00:00 +0400\r\nFrom: A <a@x>\r\nMessage-ID: <m@x>\r\n\r\n"), []byte{0, 1 << 4, 3<<4 | 6, 0, 2})
	f.Add([]byte("From: <\r\nTo: >\r\n\r\n"), []byte{0x80})
	f.Fuzz(func(t *testing.T, raw, packed []byte) {
		p := message.Parse(raw)
		d := newDraft(&record.Content{Message: raw}, p, day0)
		sent, _ := d.sent.(int64)
		w := &Row{From: d.from, To: d.to, Subject: d.subject}
		e, ok := unpackEnvelope(packEnvelope(d, p, -3), w, sent)
		for i, got := range e.fields {
			if want := headerValues(p)[i]; !ok || got != want {
				t.Fatalf("%s: %q, want %q", headerNames[i], got, want)
			}
		}
		_, _ = unpackEnvelope(packed, w, sent)
	})
}

// BenchmarkSummaries reads what a client asks of a folder of 50,000.
func BenchmarkSummaries(b *testing.B) {
	mails, _ := corpus(b, "enron.mbox.zst")
	w := newWorld(b)
	const n = 50_000
	entries := make([]int64, n)
	for from := int64(0); from < n; from += 1000 {
		var items []*record.Item
		for i := from; i < from+1000; i++ {
			entries[i] = i
			items = append(items, imported(i, mails[i%int64(len(mails))]))
		}
		w.apply(items)
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	folder := w.folder(1, "enron").ID
	b.Run("summaries", func(b *testing.B) {
		for b.Loop() {
			if list, err := w.View(1, nil).Summaries(context.Background(), entries); err != nil || len(list) != n {
				b.Fatal(len(list), err)
			}
		}
	})
	b.Run("places", func(b *testing.B) {
		for b.Loop() {
			if list, err := w.Places(context.Background(), 1, folder, 0, 1<<60); err != nil || len(list) != n {
				b.Fatal(len(list), err)
			}
		}
	})
	b.Run("flag", func(b *testing.B) {
		var uids []int64
		for _, p := range w.places(Folder{ID: folder, Account: 1}) {
			uids = append(uids, p.UID)
		}
		for i := 0; b.Loop(); i++ {
			if _, err := w.Flag(context.Background(), 1, folder, uids, Op(1+i%2), FlagFlagged, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("move", func(b *testing.B) {
		w.keep()
		to := w.roles(sijill.Office)[RoleArchive].ID
		for b.Loop() {
			at := time.Now()
			list, err := w.Move(context.Background(), 1, folder, uidsOf(w.places(Folder{ID: folder, Account: 1})), to)
			if err != nil || len(list) != n {
				b.Fatal(len(list), err)
			}
			b.ReportMetric(time.Since(at).Seconds(), "s/move")
			folder, to = to, folder
		}
	})
}
