package outbox

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
	"sijill/internal/resolve"
)

const childDir, childSink, childRun = "OUTBOX_TEST_DIR", "OUTBOX_TEST_SINK", "OUTBOX_TEST_RUN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv(childSink), os.Getenv(childRun)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// machine is an office in a directory whose mail to others goes to one sink.
type machine struct {
	home *recordtest.Home
	o    *Outbox
}

func openMachine(dir, sinkAddr string) (*machine, error) {
	m := &machine{home: &recordtest.Home{Dir: dir}}
	ctx := context.Background()
	if err := m.home.Open(ctx, recordtest.Options{Segment: 1 << 20}); err != nil {
		return nil, err
	}
	dns := &names{zone: map[string]any{}, authentic: map[string]bool{}}
	for i := range 4 {
		dns.add(fmt.Sprintf("d%d.example", i), resolve.MX{Preference: 1, Host: fmt.Sprintf("mx%d.example.", i)})
		dns.add(fmt.Sprintf("mx%d.example", i), netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i+1)))
	}
	var err error
	m.o, err = Open(ctx, Options{
		DB: m.home.DB, Ledger: m.home.Register, Key: [32]byte{9}, Resolver: dns, Hostname: hostname,
		Local: func(_ context.Context, a string) (bool, error) { return strings.HasSuffix(a, "@diwan.example"), nil },
		Deliver: func(ctx context.Context, d Delivery) error {
			_, err := m.home.Register.Append(ctx, record.Draft{
				Kind: sijill.Captured, Actor: "outbox", Holders: []int64{1}, With: d.With,
				Content: &record.Content{Envelope: message.Envelope{Door: "outbox", To: d.To}, Message: d.Message},
			})
			return err
		},
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, sinkAddr)
		},
		Schedule: Schedule{First: 50 * time.Millisecond, Longest: 200 * time.Millisecond}, // The sink dies never, the test waits little.
		Lock:     dir + "/outbox.lock", Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	return m, err
}

func (m *machine) send(id string) (int64, error) {
	n, _ := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
	l := Letter{
		Account: 1, From: "hind@diwan.example", Message: []byte("Message-ID: <" + id + ">\r\nSubject: x\r\n\r\n" + strings.Repeat("line\r\n", 100)),
		To: []Recipient{{Address: fmt.Sprintf("a@d%d.example", n%4)}, {Address: "b@diwan.example"}},
	}
	p, err := m.o.Prepare(l)
	if err != nil {
		return 0, err
	}
	rc, err := m.home.Register.Append(context.Background(), record.Draft{
		Kind: sijill.Sent, Actor: "test", Holders: []int64{1}, With: p.Enqueue,
		Content: &record.Content{Envelope: message.Envelope{Door: "test"}, Message: l.Message},
	})
	m.o.Kick()
	return rc.Entry, err
}

// child queues letters and delivers them until it is killed.
func child(dir, sinkAddr, run string) error {
	m, err := openMachine(dir, sinkAddr)
	if err != nil {
		return err
	}
	go func() {
		if err := m.o.Run(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}()
	var out sync.Mutex
	for w := range 4 {
		go func() {
			for i := w; ; i += 4 {
				id := fmt.Sprintf("%s-%d", run, i)
				n, err := m.send(id)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				out.Lock()
				fmt.Println(id, n)
				out.Unlock()
			}
		}()
	}
	time.Sleep(20 * time.Second)
	return nil
}

// A process that is killed while it delivers loses nothing that was queued, and
// doubles nothing but what SMTP can't tell: then the outcome says so. What is
// captured for own addresses is captured once.
func TestKilled(t *testing.T) {
	s := newSink(t, "mx.example", func(s *sink) {
		s.answer = func(line string) string {
			if strings.HasPrefix(line, "RCPT") && rand.N(50) == 0 {
				return "450 4.2.0 later"
			}
			return ""
		}
	})
	dir := t.TempDir()
	if err := (&recordtest.Home{Dir: dir}).Create(t.Context(), recordtest.Options{}); err != nil {
		t.Fatal(err)
	}
	queued := map[string]int64{}
	for run := range 6 {
		runChild(t, dir, s.listener.Addr().String(), fmt.Sprintf("run%d", run), queued)
	}
	m, err := openMachine(dir, s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f := &office{TB: t, home: m.home, o: m.o}
	f.run()
	defer m.home.Close()
	defer m.home.MustAudit(t)
	defer f.stop()
	for begun := time.Now(); f.rows("outbox_recipient") > 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("%d recipients are left", f.rows("outbox_recipient"))
		}
	}
	judge(t, f, s, queued)
}

// runChild starts a child, lets it work for a random while and kills it.
func runChild(t *testing.T, dir, sinkAddr, run string, queued map[string]int64) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childDir+"="+dir, childSink+"="+sinkAddr, childRun+"="+run)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = testLog{t}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	first := true
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		if first {
			time.AfterFunc(time.Duration(100+rand.IntN(400))*time.Millisecond, func() { c.Process.Kill() })
			first = false
		}
		if id, n, ok := strings.Cut(strings.TrimSpace(line), " "); ok && err == nil {
			queued[id], _ = strconv.ParseInt(n, 10, 64)
		}
	}
	if err := c.Wait(); err == nil || first {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

// judge compares what was queued, what the sink has and what the register says.
func judge(t *testing.T, f *office, s *sink, queued map[string]int64) {
	t.Helper()
	ctx := context.Background()
	taken := map[string]int{}
	for _, d := range s.deliveries() {
		taken[message.Parse(d.data).MessageID()] += len(d.rcpts)
	}
	ids := map[int64]string{} // Sent entries, those too of which the child could not tell any more.
	captured, ends, doubts := map[string]int{}, map[int64]int{}, map[int64]int64{}
	size, _ := f.home.Register.Head()
	for n := range size {
		it, err := f.home.Register.Item(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		switch it.Entry.Kind {
		case sijill.Sent, sijill.Captured:
			m, err := it.Parsed()
			if err != nil {
				t.Fatal(err)
			}
			if it.Entry.Kind == sijill.Sent {
				ids[n] = m.MessageID()
			} else {
				captured[m.MessageID()]++
			}
		case sijill.Outcome:
			var o OutcomeFields
			if err := it.Entry.DecodeFields(&o); err != nil {
				t.Fatal(err)
			}
			if o.Result == ResultDelivered {
				ends[o.Sent]++
				doubts[o.Sent] += o.Doubt
			}
		}
	}
	twice := 0
	for n, id := range ids {
		if ends[n] != 2 || captured[id] != 1 || taken[id] < 1 || int64(taken[id]) > 1+doubts[n] {
			t.Errorf("%s: %d outcomes, captured %d times, taken %d times with %d doubts", id, ends[n], captured[id], taken[id], doubts[n])
		}
		if taken[id] > 1 {
			twice++
		}
	}
	for id, n := range queued {
		if ids[n] != id {
			t.Errorf("%s was queued and isn't in the register", id)
		}
	}
	if len(queued) < 50 {
		t.Errorf("only %d letters", len(queued))
	}
	t.Logf("%d letters, %d taken twice", len(ids), twice)
}
