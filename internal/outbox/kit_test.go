package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
	"sijill/internal/resolve"
)

const hostname = "mx.diwan.example"

// office is a register with a queue, whose network is the test's.
type office struct {
	testing.TB
	home *recordtest.Home
	o    *Outbox
	opts Options
	dns  *names
	stop func()

	mu     sync.Mutex // Guards what follows.
	ahead  time.Duration
	routes map[string]string // ip:port → where a sink listens.
	inbox  []Delivery
	refuse func(Delivery) error
}

func newOffice(t testing.TB, change func(*Options)) *office {
	t.Helper()
	f := &office{TB: t, home: recordtest.New(t, recordtest.Options{Segment: 1 << 20}), routes: map[string]string{}}
	f.setUp(change)
	t.Cleanup(func() {
		if f.stop != nil {
			f.stop()
		}
	})
	return f
}

func (f *office) setUp(change func(*Options)) {
	f.Helper()
	f.dns = &names{zone: map[string]any{}, authentic: map[string]bool{}}
	f.opts = Options{
		DB: f.home.DB, Ledger: f.home.Register, Key: [32]byte{7}, Resolver: f.dns, Hostname: hostname,
		Local:   func(_ context.Context, a string) (bool, error) { return strings.HasSuffix(a, "@diwan.example"), nil },
		Deliver: f.deliver, Now: f.now, Jitter: func(time.Duration) time.Duration { return 0 }, Dial: f.dial,
		Log: slog.New(slog.NewTextHandler(testLog{f.TB}, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if change != nil {
		change(&f.opts)
	}
	var err error
	if f.o, err = Open(context.Background(), f.opts); err != nil {
		f.Fatal(err)
	}
}

type testLog struct{ testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.Helper()
	l.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func (f *office) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Add(f.ahead)
}

// pass lets time pass.
func (f *office) pass(d time.Duration) {
	f.mu.Lock()
	f.ahead += d
	f.mu.Unlock()
	f.o.Kick()
}

// run delivers until the test ends or halt is called.
func (f *office) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.o.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			f.Errorf("run: %v", err)
		}
	})
}

// deliver is the door for own addresses.
func (f *office) deliver(ctx context.Context, d Delivery) error {
	f.mu.Lock()
	refuse := f.refuse
	f.mu.Unlock()
	if refuse != nil {
		if err := refuse(d); err != nil {
			return err
		}
	}
	_, err := f.home.Register.Append(ctx, record.Draft{
		Kind: sijill.Captured, Actor: "outbox", Holders: []int64{1}, With: d.With,
		Content: &record.Content{Envelope: message.Envelope{Door: "outbox", From: d.From, To: d.To, Time: f.now().UTC()}, Message: d.Message},
	})
	if err == nil {
		f.mu.Lock()
		f.inbox = append(f.inbox, d)
		f.mu.Unlock()
	}
	return err
}

func (f *office) arrived() []Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Delivery(nil), f.inbox...)
}

func (f *office) dial(ctx context.Context, network, address string) (net.Conn, error) {
	f.mu.Lock()
	to, ok := f.routes[address]
	f.mu.Unlock()
	if !ok {
		return nil, errors.New("refused")
	}
	return (&net.Dialer{}).DialContext(ctx, network, to)
}

// host makes a sink the server under a name.
func (f *office) host(name, ip string, s *sink) {
	f.dns.add(name, netip.MustParseAddr(ip))
	f.mu.Lock()
	f.routes[net.JoinHostPort(ip, "25")] = s.listener.Addr().String()
	f.mu.Unlock()
}

// domain makes a sink the server of a domain: mx.NAME.
func (f *office) domain(name, ip string, s *sink) {
	f.dns.add(name, resolve.MX{Preference: 10, Host: "mx." + name + "."})
	f.host("mx."+name, ip, s)
}

const text = "From: Hind <hind@diwan.example>\r\nTo: <a@abroad.example>\r\nSubject: The ledger\r\n" +
	"Message-ID: <ledger@diwan.example>\r\nReferences: <first@diwan.example>\r\n\r\n.a line with a dot\r\nthe end\r\n"

// letterTo is an office letter of account 1.
func letterTo(to ...string) Letter {
	l := Letter{Account: 1, From: "hind@diwan.example", Message: []byte(text), Language: "en"}
	for _, a := range to {
		l.To = append(l.To, Recipient{Address: a})
	}
	return l
}

// send seals a letter and queues it.
func (f *office) send(l Letter) (entry int64) {
	f.Helper()
	p, err := f.o.Prepare(l)
	if err != nil {
		f.Fatal(err)
	}
	rc, err := f.home.Register.Append(context.Background(), record.Draft{
		Kind: sijill.Sent, Actor: "test", Holders: []int64{l.Account}, Class: l.Class, With: p.Enqueue,
		Content: &record.Content{Envelope: message.Envelope{Door: "test", Time: f.now().UTC()}, Message: l.Message},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.o.Kick()
	return rc.Entry
}

// ending is an outcome as the register has it.
type ending struct {
	OutcomeFields
	Outcome Outcome
	Actor   string
}

// outcomes reads those of a sent entry.
func (f *office) outcomes(sent int64) (list []ending) {
	f.Helper()
	ctx := context.Background()
	size, _ := f.home.Register.Head()
	for n := sent + 1; n < size; n++ {
		it, err := f.home.Register.Item(ctx, n)
		if err != nil {
			f.Fatal(err)
		}
		e := ending{Actor: it.Entry.Actor}
		if it.Entry.Kind != sijill.Outcome || it.Entry.DecodeFields(&e.OutcomeFields) != nil || e.Sent != sent {
			continue
		}
		if e.Class != sijill.Personal {
			p, err := f.home.Register.Proof(ctx, n, true)
			if err != nil {
				f.Fatal(err)
			}
			if err := json.Unmarshal(p.Envelope, &e.Outcome); err != nil {
				f.Fatal(err)
			}
		}
		list = append(list, e)
	}
	return list
}

// ends waits for so many outcomes of an entry.
func (f *office) ends(sent int64, n int) []ending {
	f.Helper()
	f.await(fmt.Sprintf("%d outcomes", n), func() bool { return len(f.outcomes(sent)) >= n })
	return f.outcomes(sent)
}

// empty waits until nothing is queued.
func (f *office) empty() {
	f.Helper()
	f.await("an empty queue", func() bool { return f.rows("outbox_letter")+f.rows("outbox_part")+f.rows("outbox_recipient") == 0 })
}

// quiet waits until nothing is due.
func (f *office) quiet() {
	f.Helper()
	now := micro(f.now())
	f.await("what is due", func() bool {
		n := 0
		err := f.home.DB.Read(context.Background(), func(tx *db.Tx) error {
			return tx.One("SELECT count(*) FROM outbox_recipient WHERE state IN (0, 2) AND due <= ?", []any{now}, &n)
		})
		return err == nil && n == 0
	})
}

func (f *office) rows(table string) (n int) {
	f.Helper()
	err := f.home.DB.Read(context.Background(), func(tx *db.Tx) error { return tx.One("SELECT count(*) FROM "+table, nil, &n) })
	if err != nil {
		f.Fatal(err)
	}
	return n
}

func (f *office) await(what string, done func() bool) {
	f.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.Fatalf("waited in vain for %s", what)
		}
	}
}

// statuses gives one word for each outcome.
func statuses(list []ending) string {
	var words []string
	for _, e := range list {
		words = append(words, e.Result)
	}
	return strings.Join(words, " ")
}

// names is a DNS of the test: MX, addresses, TLSA and texts by name. An error
// under a name is the answer to all questions about it.
type names struct {
	mu        sync.Mutex
	zone      map[string]any // []any under each name.
	authentic map[string]bool
}

func (n *names) add(name string, v any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	list, _ := n.zone[name].([]any)
	n.zone[name] = append(list, v)
}

func (n *names) set(name string, v ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.zone[name] = v
}

func (n *names) sign(list ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range list {
		n.authentic[name] = true
	}
}

func ask[T any](n *names, name string) (resolve.Answer[T], error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := resolve.Answer[T]{Name: name + ".", Authentic: n.authentic[name]}
	list, exists := n.zone[name].([]any)
	for _, v := range list {
		if err, ok := v.(error); ok {
			return a, err
		}
		if t, ok := v.(T); ok {
			a.Records = append(a.Records, t)
		}
	}
	if len(a.Records) == 0 {
		return a, &resolve.NotFound{Domain: !exists, Authentic: n.authentic[name]}
	}
	return a, nil
}

func (n *names) MX(_ context.Context, name string) (resolve.Answer[resolve.MX], error) {
	return ask[resolve.MX](n, name)
}

func (n *names) Addrs(_ context.Context, name string) (resolve.Answer[netip.Addr], error) {
	return ask[netip.Addr](n, name)
}

func (n *names) TLSA(_ context.Context, name string) (resolve.Answer[resolve.TLSA], error) {
	return ask[resolve.TLSA](n, name)
}

func (n *names) TXT(_ context.Context, name string) (resolve.Answer[string], error) {
	return ask[string](n, name)
}
