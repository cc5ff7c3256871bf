package imapd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sijill/internal/mailbox"
)

// A search looks at the messages that the client knows and the folder still has,
// under the client's numbers.
func TestHitsAreThere(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var told uidList
		var places []mailbox.Place
		known := map[uint32]uint32{}
		for uid := range uint32(60) {
			if r.IntN(3) > 0 && told.add(uid+1) {
				known[uid+1] = told.n
			}
			if r.IntN(3) > 0 {
				places = append(places, mailbox.Place{UID: int64(uid + 1), Entry: int64(r.IntN(1000))})
			}
		}
		if told.n == 0 {
			continue
		}
		h := &hunt{session: &session{sel: &selected{uids: told}}, snap: mailbox.NewSnapshot(1, places)}
		first := 1 + r.Uint32N(told.n)
		spans := merge([]span{{first, first + r.Uint32N(told.n-first+1)}, {1, 1 + r.Uint32N(first)}})
		var got, want []string
		for _, n := range h.there(spans) {
			got = append(got, fmt.Sprint(n.seq, h.entry(n)))
		}
		for _, p := range places {
			if seq, ok := known[uint32(p.UID)]; ok && contains(spans, seq) {
				want = append(want, fmt.Sprint(seq, p.Entry))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v of %v and %v: %v, want %v", spans, told, places, got, want)
		}
	}
}

// A session that changes its numbering leaves that of others as it is.
func TestNumberingIsShared(t *testing.T) {
	var places []mailbox.Place
	for uid := int64(1); uid < 100; uid += 2 {
		places = append(places, mailbox.Place{UID: uid})
	}
	snap := mailbox.NewSnapshot(1, places)
	before := slices.Clone(snap.Runs())
	one, two := uidList{snap.Runs(), 50}, uidList{snap.Runs(), 50}
	one.add(100)
	two.add(200)
	one.add(300)
	one.remove([]uint32{3, 5, 300})
	if !slices.Equal(snap.Runs(), before) || two.last() != 200 || one.last() != 100 || one.at(2) != 7 || two.at(2) != 3 {
		t.Errorf("%v %v, was %v and is %v", one, two, before, snap.Runs())
	}
}

func TestLookup(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		in := map[int64]bool{}
		for range r.IntN(100) {
			in[r.Int64N(300)-20] = true
		}
		l := lookup{}
		for n := range in {
			l.list = append(l.list, n)
		}
		slices.Sort(l.list)
		at := int64(0)
		for range 500 { // Mostly a little forward, sometimes anywhere.
			if at += r.Int64N(4); r.IntN(20) == 0 {
				at = r.Int64N(340) - 40
			}
			if l.has(at) != in[at] {
				t.Fatalf("%d among %v: %v", at, l.list, !in[at])
			}
		}
	}
}

// A long answer, of which one portion is read while the other is written, has every
// message once and in order, also with some removed meanwhile; and a client that
// leaves in the middle of it keeps nothing waiting.
func TestLongAnswers(t *testing.T) {
	h := serve(t)
	n := 3*listSize + 7
	h.fill(n)
	c := h.selected(t, officePassword, "INBOX")
	other := h.selected(t, officePassword, "INBOX")
	other.ok(fmt.Sprintf(`STORE %d:%d +FLAGS.SILENT (\Deleted)`, listSize-3, listSize+3))
	other.ok("EXPUNGE")
	c.start("FETCH 1:* (UID ENVELOPE FLAGS)")
	got, tagged := c.finish()
	if len(got) != n-7 || !strings.Contains(tagged, "OK [EXPUNGEISSUED]") {
		t.Fatalf("%d of %d messages, %s", len(got), n-7, tagged)
	}
	seq := 0
	for _, line := range got {
		if seq++; seq == listSize-3 {
			seq += 7
		}
		if want := fmt.Sprintf("* %d FETCH (UID %d FLAGS () ENVELOPE (", seq, seq); !strings.HasPrefix(line, want) {
			t.Fatalf("%.80s, want %s", line, want)
		}
	}
	c.ok("NOOP")
	away := h.selected(t, officePassword, "INBOX")
	away.start("FETCH 1:* (ENVELOPE)")
	away.Close()
	c.wants("UID FETCH 1 UID", "* 1 FETCH (UID 1)")
}
