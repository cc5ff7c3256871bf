package message

import (
	"slices"
	"strings"
	"testing"
)

func mine(addr string) bool {
	return strings.EqualFold(addr, "hind@diwan.example") || strings.EqualFold(addr, "office@diwan.example")
}

func addrs(list []Address) (out []string) {
	for _, a := range list {
		out = append(out, a.Addr)
	}
	return out
}

func TestReply(t *testing.T) {
	const letter = "From: Envoy <envoy@abroad.example>\r\nTo: Hind <HIND@diwan.example>, salim@diwan.example\r\n" +
		"Cc: office@diwan.example, Envoy <ENVOY@abroad.example>, king@abroad.example\r\nSubject: treaty\r\nMessage-ID: <2@abroad.example>\r\nReferences: <1@abroad.example>\r\n"
	for _, c := range []struct {
		name, extra string
		kind        ReplyKind
		to, cc      []string
	}{
		{"sender", "", ReplySender, []string{"envoy@abroad.example"}, nil},
		{"reply-to", "Reply-To: desk@abroad.example\r\n", ReplySender, []string{"desk@abroad.example"}, nil},
		{"empty reply-to", "Reply-To: nobody\r\n", ReplySender, []string{"envoy@abroad.example"}, nil},
		{"all", "", ReplyAll, []string{"envoy@abroad.example"}, []string{"salim@diwan.example", "king@abroad.example"}},
		{"all with reply-to", "Reply-To: king@abroad.example\r\n", ReplyAll, []string{"king@abroad.example"}, []string{"salim@diwan.example", "ENVOY@abroad.example"}},
		{"followup", "Mail-Followup-To: list@abroad.example\r\n", ReplyAll, []string{"list@abroad.example"}, nil},
		{"list", "List-Post: (a) <https://x.example>, <mailto:list@abroad.example?subject=x>\r\n", ReplyList, []string{"list@abroad.example"}, nil},
		{"no list", "List-Post: NO\r\n", ReplyList, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Reply(Parse([]byte(c.extra+letter+"\r\nx\r\n")), c.kind, mine, "Re:")
			if !slices.Equal(addrs(d.To), c.to) || !slices.Equal(addrs(d.Cc), c.cc) {
				t.Errorf("to %v cc %v, want %v and %v", d.To, d.Cc, c.to, c.cc)
			}
			if d.From.Addr != "HIND@diwan.example" || d.Subject != "Re: treaty" || !slices.Equal(d.InReplyTo, []string{"2@abroad.example"}) ||
				!slices.Equal(d.References, []string{"1@abroad.example", "2@abroad.example"}) {
				t.Errorf("draft %+v", d)
			}
		})
	}
}

// An answer to one's own message goes on to whom that went.
func TestReplyToOwn(t *testing.T) {
	m := Parse([]byte("From: hind@diwan.example\r\nTo: envoy@abroad.example\r\nCc: king@abroad.example, hind@diwan.example\r\nSubject: x\r\n\r\n"))
	if d := Reply(m, ReplySender, mine, "Re:"); !slices.Equal(addrs(d.To), []string{"envoy@abroad.example"}) || d.From.Addr != "hind@diwan.example" {
		t.Errorf("to %v", d.To)
	}
	if d := Reply(m, ReplyAll, mine, "Re:"); !slices.Equal(addrs(d.To), []string{"envoy@abroad.example"}) || !slices.Equal(addrs(d.Cc), []string{"king@abroad.example"}) {
		t.Errorf("to %v cc %v", d.To, d.Cc)
	}
}

func TestReplySubject(t *testing.T) {
	for _, c := range [][3]string{
		{"x", "Re:", "Re: x"}, {"Re: x", "Re:", "Re: x"}, {"RE: Re[2]: رد: x", "Re:", "Re: x"}, {"Re: x", "رد:", "رد: x"}, {"ردّ: x", "Re:", "Re: x"},
		{"[list] x", "Re:", "Re: [list] x"}, {"[list] Re: x", "Re:", "[list] Re: x"}, {"Fwd: x", "Re:", "Re: Fwd: x"}, {"Re: x", "Fwd:", "Fwd: Re: x"},
		{"FW: Fwd: x", "Fwd:", "Fwd: x"}, {"إعادة توجيه: x", "Fwd:", "Fwd: x"}, {"x: y", "Re:", "Re: x: y"}, {"", "Re:", "Re:"}, {"Re:", "Re:", "Re:"},
	} {
		if got := replySubject(c[0], c[1]); got != c[2] {
			t.Errorf("%q with %s gives %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// A reply to a long conversation keeps its first message and the newest.
func TestReplyReferences(t *testing.T) {
	refs := ""
	for i := range 200 {
		refs += "<" + itoa(i) + "@x>\r\n "
	}
	d := Reply(Parse([]byte("References: "+refs+"\r\nMessage-ID: <last@x>\r\n\r\n")), ReplySender, mine, "Re:")
	if len(d.References) != maxReferences || d.References[0] != "0@x" || d.References[maxReferences-1] != "last@x" {
		t.Errorf("%d references, %v", len(d.References), d.References)
	}
}

// Whatever was received, the answer to it can be written.
func FuzzReply(f *testing.F) {
	f.Add([]byte("From: a@b\r\nTo: \"x\" <c@d>, e@f\r\nList-Post: <mailto:l%40m?x>\r\nMail-Followup-To: n@o\r\nMessage-ID: <1@b>\r\nReferences: <2@b> <3@b\r\nSubject: =?utf-8?q?Re:?= x\r\n\r\ny"))
	f.Add([]byte("From: hind@diwan.example\r\nSubject: FW: رد:\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: z\r\n\r\n--b\r\nContent-Type: a/b; name=\"c\"\r\n\r\nd\r\n--b--"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := Parse(raw)
		var drafts []*Draft
		for _, kind := range []ReplyKind{ReplySender, ReplyAll, ReplyList} {
			drafts = append(drafts, Reply(m, kind, mine, "رد:"))
		}
		for _, d := range drafts {
			d.From.Addr, d.Text = "a@b.example", m.Text()
			out, err := Compose(d)
			if err != nil {
				t.Fatalf("%v: %+v", err, d)
			}
			checkWire(t, out)
			if to := Parse(out).To(); len(to) != len(d.To) && len(d.To)+len(d.Cc) > 0 {
				t.Errorf("to %q became %q", d.To, to)
			}
		}
	})
}
