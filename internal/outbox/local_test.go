package outbox

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

// While nobody knows whose an address is, nothing is done: neither is a letter to
// another server taken for one to nobody here, nor does the sender's notice leave.
func TestNobodyKnowsWhose(t *testing.T) {
	var asked atomic.Int64
	f := newOffice(t, func(o *Options) {
		local := o.Local
		o.Local = func(ctx context.Context, address string) (bool, error) {
			if asked.Add(1)%2 == 1 {
				return false, errors.New("the database is locked")
			}
			return local(ctx, address)
		}
	})
	s := newSink(t, "mx.abroad.example", func(s *sink) {
		s.answer = func(line string) string {
			if strings.HasPrefix(line, "RCPT TO:<none") {
				return "550 5.1.1 no such mailbox"
			}
			return ""
		}
	})
	f.domain("abroad.example", "192.0.2.1", s)
	sent := f.send(letterTo("none@abroad.example"))
	f.run()
	list := f.ends(sent, 1)
	if list[0].Result != ResultBounced || list[0].Attempts != 1 || list[0].Outcome.Host != "mx.abroad.example" {
		t.Errorf("%+v", list[0])
	}
	f.await("the notice comes", func() bool {
		signal(f.o.owing) // It would be tried again by itself, some seconds later.
		return len(f.arrived()) == 1
	})
	for _, d := range f.arrived() {
		if len(d.To) != 1 || !strings.HasSuffix(d.To[0], "@diwan.example") {
			t.Errorf("a notice came to %q", d.To)
		}
	}
	f.empty()
	if n := asked.Load(); n < 4 {
		t.Errorf("it asked only %d times", n)
	}
}
