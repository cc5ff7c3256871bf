package office

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"

	"sijill"
	"sijill/internal/config"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// Those of the office that tests open.
const (
	ourDomain = "town.example"
	laila     = "laila@town.example"
	noura     = "noura@town.example"
)

// said is what was logged. It is safe for concurrent use.
type said struct {
	mu sync.Mutex // Guards b.
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// openOffice opens an office of ourDomain whose log is read.
func openOffice(t *testing.T) (*Office, *said) {
	t.Helper()
	log := &said{}
	c := config.Default("Office", ourDomain)
	c.Wall.Forward = true
	opts := Options{Dir: t.TempDir(), Config: c, Key: vault.NewServerKey(), Log: slog.New(slog.NewTextHandler(log, nil))}
	if err := Create(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	o, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := o.People.AddDomain(t.Context(), people.By{}, ourDomain); err != nil {
		t.Fatal(err)
	}
	return o, log
}

// addAccount adds the account of an office address.
func addAccount(t *testing.T, o *Office, address string) people.Account {
	t.Helper()
	a, err := o.People.Add(t.Context(), people.Account{Name: address, Address: address, Class: sijill.Office}, "correct horse battery staple 77")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// head is how many entries the register has.
func head(o *Office) int64 {
	size, _ := o.Register.Head()
	return size
}

// follow has the projections follow until the test ends.
func follow(t *testing.T, o *Office) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Follower.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
