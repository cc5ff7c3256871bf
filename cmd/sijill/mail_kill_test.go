package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/config"
	"sijill/internal/outbox"
	"sijill/internal/resolve/resolvetest"
)

// farEnd is another server: it takes everything and remembers what it has
// acknowledged.
type farEnd struct {
	port int

	mu    sync.Mutex // Guards what follows.
	taken map[string]int
}

func newFarEnd(t testing.TB) *farEnd {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f := &farEnd{port: l.Addr().(*net.TCPAddr).Port, taken: map[string]int{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(c)
		}
	}()
	return f
}

func (f *farEnd) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	in := bufio.NewReader(c)
	say := func(s string) { _, _ = io.WriteString(c, s+"\r\n") } // Who is gone reads nothing.
	say("220 far.example ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case strings.HasPrefix(verb, "EHLO"):
			say("250-far.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10000000")
		case verb == "DATA":
			say("354 go on")
			if !f.data(in) {
				return
			}
			say("250 2.0.0 taken")
		case verb == "QUIT":
			say("221 2.0.0 bye")
			return
		default:
			say("250 2.0.0 ok")
		}
	}
}

// data reads a message and counts it, and takes its time before that is told, so
// that the sender is often killed in between.
func (f *farEnd) data(in *bufio.Reader) bool {
	var b bytes.Buffer
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return false
		}
		if string(line) == ".\r\n" {
			break
		}
		b.Write(line)
	}
	id := messageID.FindSubmatch(b.Bytes())
	if id == nil {
		return true
	}
	f.mu.Lock()
	f.taken[string(id[1])]++
	f.mu.Unlock()
	time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	return true
}

// zone leads all mail for the domain to this machine.
func (f *farEnd) zone(t testing.TB) *resolvetest.Server {
	return resolvetest.New(t, "abroad.example. MX 10 far.abroad.example.\nfar.abroad.example. A 127.0.0.1\n")
}

// book remembers what the server acknowledged.
type book struct {
	mu      sync.Mutex                 // Guards what follows.
	at      map[string]map[string]bool // Of each message the folders where it may be: more than one while a move goes on.
	entries map[string]int64           // Of letters that were sent: their entries.
	bodies  map[string][]byte
	moves   int
}

func (b *book) note(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn()
}

// is notes that a message is in a folder.
func (b *book) is(id, folder string, body []byte) {
	b.note(func() { b.at[id], b.bodies[id] = map[string]bool{folder: true}, body })
}

// appends appends messages to folders until the server goes away.
func (b *book) appends(address, series string, who credentials) {
	c, err := signIMAP(address, who)
	if err != nil {
		return
	}
	defer c.close()
	for n := 0; ; n++ {
		id, folder := fmt.Sprintf("append-%s-%d", series, n), []string{"INBOX", "Personal/Inbox"}[n%2]
		msg := mailOf(id, hind, hind)
		uid, err := c.put(folder, `\Flagged`, msg)
		if err != nil {
			return
		}
		if uid > 0 {
			b.is(id, folder, msg)
		}
	}
}

// moves appends a message and moves it to and fro until the server goes away.
func (b *book) moving(address, id, from, to string, who credentials) {
	c, err := signIMAP(address, who)
	if err != nil {
		return
	}
	defer c.close()
	msg := mailOf(id, hind, hind)
	uid, err := c.put(from, "", msg)
	if err != nil || uid == 0 {
		return
	}
	b.is(id, from, msg)
	for {
		if _, tagged, err := c.do("SELECT %s", from); err != nil || !strings.HasPrefix(tagged, "OK") {
			return
		}
		b.note(func() { b.at[id][to] = true })
		lines, tagged, err := c.do("UID MOVE %d %s", uid, to)
		if err != nil || !strings.HasPrefix(tagged, "OK") {
			return
		}
		b.is(id, to, msg)
		b.note(func() { b.moves++ })
		_, rest, _ := strings.Cut(strings.Join(lines, ""), "[COPYUID ")
		uid, _ = strconv.Atoi(strings.TrimRight(strings.Fields(rest + " 0 0 0 ")[2], "]"))
		from, to = to, from
	}
}

// submits sends letters to outside, and some to sami too, until the server goes
// away.
func (b *book) submits(address, series string, who credentials) {
	s, err := submit(address, who)
	if err != nil {
		return
	}
	defer s.close()
	for n := 0; ; n++ {
		from, to := []string{hind, hindHome}[n%2], []string{"friend@abroad.example"}
		if n%4 < 2 {
			to = append(to, sami)
		}
		id := fmt.Sprintf("submit-%s-%d-%d", series, n, len(to))
		reply, err := s.post(from, mailOf(id, from, to[0]), to...)
		if err != nil {
			return
		}
		if entry, ok := entryOf(reply); ok {
			b.note(func() { b.entries[id] = entry })
		}
	}
}

// arrives sends mail from outside until the server goes away.
func (b *book) arrives(address, series string) {
	s, err := dial(address)
	if err != nil {
		return
	}
	defer s.close()
	for n := 0; ; n++ {
		to, folder := hind, "INBOX"
		if n%2 == 1 {
			to, folder = hindHome, "Personal/Inbox"
		}
		id := fmt.Sprintf("arrive-%s-%d", series, n)
		msg := mailOf(id, "sender@abroad.example", to)
		reply, err := s.send(msg, to)
		if err != nil {
			return
		}
		if _, ok := entryOf(reply); ok {
			b.is(id, folder, msg)
		}
	}
}

// load does all of it at once.
func (b *book) load(r *running, series string, who credentials) (wait func()) {
	var wg sync.WaitGroup
	imaps, submissions := r.door("imaps"), r.door("submissions")
	for i := range 2 {
		wg.Go(func() { b.appends(imaps, fmt.Sprintf("%s-%d", series, i), who) })
		wg.Go(func() { b.submits(submissions, fmt.Sprintf("%s-%d", series, i), who) })
		wg.Go(func() { b.moving(imaps, fmt.Sprintf("move-%s-o%d", series, i), "INBOX", "Office/Archive", who) })
		wg.Go(func() {
			b.moving(imaps, fmt.Sprintf("move-%s-p%d", series, i), "Personal/Inbox", "Personal/Archive", who)
		})
	}
	wg.Go(func() { b.arrives(r.smtp, series) })
	return wg.Wait
}

// hindsFolders are those that the tests use.
var hindsFolders = []string{"INBOX", "Office/Archive", "Personal/Inbox", "Personal/Archive"}

// check wants every acknowledged message where it was put, once, byte for byte,
// and every other at most once.
func (b *book) check(t testing.TB, c *mailProgram) {
	t.Helper()
	where := map[string][]string{}
	for _, folder := range hindsFolders {
		for id, list := range c.all(t, folder) {
			for _, m := range list {
				where[id] = append(where[id], folder)
				if want, ok := b.bodies[id]; ok && !strings.HasSuffix(m.body, string(want)) {
					t.Errorf("%s is not what was acknowledged", id)
				}
			}
		}
	}
	for id, may := range b.at {
		if got := where[id]; len(got) != 1 || !may[got[0]] {
			t.Errorf("%s is in %v, and may be in %v", id, got, may)
			continue
		}
		b.at[id] = map[string]bool{where[id][0]: true} // A move that was cut short is settled now.
	}
	for id, folders := range where {
		if len(folders) > 1 {
			t.Errorf("%s is there %d times: %v", id, len(folders), folders)
		}
	}
}

// A server that is killed again and again while mail programs append, move and
// send, and mail comes and goes, has everything that it acknowledged, once; each
// letter arrives, twice at most where the register says that it was in doubt;
// and mbsync, killed along with it, loses and doubles nothing either.
func TestMailKilled(t *testing.T) {
	const kills = 10
	far := newFarEnd(t)
	zone := far.zone(t)
	h, p := populatedHome(t, func(c *config.Config) { c.DNS.Servers, c.Delivery.Port = []string{zone.Addr}, far.port })
	b := &book{at: map[string]map[string]bool{}, entries: map[string]int64{}, bodies: map[string][]byte{}}
	m := newMaildir(t)
	for run := range kills {
		r := h.serveMail()
		if run > 0 {
			c := r.imap(p.hind)
			b.check(t, c)
			m.push(t, fmt.Sprintf("push-%d", run))
		}
		wait := b.load(r, fmt.Sprint(run), p.hind)
		sync := m.command(t, r.door("imaps"), p.hind)
		if err := sync.Start(); err != nil {
			t.Fatal(err)
		}
		before := len(b.copyOf())
		await(t, "something is acknowledged", func() bool { return len(b.copyOf()) > before+20 })
		time.Sleep(time.Duration(100+rand.IntN(400)) * time.Millisecond) // The moment of death is left to chance.
		r.kill()
		wait()
		_ = sync.Wait() // It was cut off, or was done.
		h.sound()
	}
	r := h.serveMail()
	await(t, "all letters have left", func() bool {
		return h.must("queue", "list", "--json") == "[]\n" || h.must("queue", "list", "--json") == "null\n"
	})
	m.sync(r, p.hind)
	m.sync(r, p.hind)
	c := r.imap(p.hind)
	b.check(t, c)
	m.same(t, c, kills-1)
	b.once(t, r.imap(p.sami))
	r.stop()
	h.sound()
	h.must("rebuild", "--check")
	doubled := b.delivered(h, far)
	t.Logf("%d kills, %d messages and %d letters acknowledged, %d moves, %d letters delivered twice in doubt", kills, len(b.at), len(b.entries), b.moves, doubled)
}

func (b *book) copyOf() map[string]map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.at)
}

// push puts a new message into the tree, for mbsync to bring to the server.
func (m *maildir) push(t testing.TB, id string) {
	t.Helper()
	dir := filepath.Join(m.dir, "mail", "INBOX", "cur")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	msg := bytes.ReplaceAll(mailOf(id, hind, hind), []byte("\r\n"), []byte("\n"))
	if err := os.WriteFile(filepath.Join(dir, id+":2,S"), msg, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tuid are the fields that programs add: the one by which mbsync knows its own
// copies again, and neomutt's count.
var tuid = regexp.MustCompile(`(?m)^(X-TUID|Content-Length): .*\r\n`)

// same wants the tree to be what the server has, with all that was pushed.
func (m *maildir) same(t testing.TB, c *mailProgram, pushed int) {
	t.Helper()
	for _, folder := range hindsFolders {
		here, there := m.all(t, folder), c.all(t, folder)
		for id, list := range there {
			if len(list) != 1 || len(here[id]) != 1 {
				t.Errorf("%s is %d times there and %d times here, in %s", id, len(list), len(here[id]), folder)
			} else if tuid.ReplaceAllString(here[id][0].body, "") != tuid.ReplaceAllString(list[0].body, "") {
				t.Errorf("%s differs", id)
			}
			if strings.HasPrefix(id, "push-") {
				pushed--
			}
		}
		if len(here) != len(there) {
			t.Errorf("%d messages here and %d there in %s", len(here), len(there), folder)
		}
	}
	if pushed != 0 {
		t.Errorf("%d pushed messages are missing", pushed)
	}
}

// once wants each letter to sami to have come to him once.
func (b *book) once(t testing.TB, c *mailProgram) {
	t.Helper()
	came := c.all(t, "INBOX")
	for id, list := range came {
		if len(list) != 1 {
			t.Errorf("%s came %d times", id, len(list))
		}
	}
	for id := range b.entries {
		if strings.HasSuffix(id, "-2") && len(came[id]) != 1 {
			t.Errorf("%s to sami came %d times", id, len(came[id]))
		}
	}
}

// delivered wants each letter to have one end for each recipient, and to have
// reached the far end no more often than its outcome says that it was in doubt.
func (b *book) delivered(h *home, far *farEnd) (doubled int) {
	h.Helper()
	o := h.open()
	ends, doubts := map[int64]int{}, map[int64]int64{}
	size, _ := o.Register.Head()
	for n := range size {
		it, err := o.Register.Item(h.Context(), n)
		if err != nil {
			h.Fatal(err)
		}
		var f outbox.OutcomeFields
		if it.Entry.Kind != sijill.Outcome {
			continue
		}
		if err := it.Entry.DecodeFields(&f); err != nil {
			h.Fatal(err)
		}
		if f.Result == outbox.ResultDelivered {
			ends[f.Sent]++
			doubts[f.Sent] += f.Doubt
		}
	}
	for id, entry := range b.entries {
		recipients, _ := strconv.Atoi(id[len(id)-1:])
		n := far.taken[id]
		if ends[entry] != recipients || n < 1 || int64(n) > 1+doubts[entry] {
			h.Errorf("%s: %d outcomes for %d recipients, taken %d times with %d doubts", id, ends[entry], recipients, n, doubts[entry])
		}
		if n > 1 {
			doubled++
		}
	}
	return doubled
}
