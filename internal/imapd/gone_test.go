package imapd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sijill"
	"sijill/internal/mailbox"
)

// A client whose folder is deleted by another is told so, at its next command and
// at once in IDLE (RFC 2180, section 3.3).
func TestFolderDeletedElsewhere(t *testing.T) {
	h := serve(t)
	begin := func() *client {
		t.Helper()
		h.office.mu.Lock()
		_, err := h.office.create(sijill.Office, "Passing", "")
		h.office.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		h.office.put(sijill.Office, "Passing", letter(1), 0)
		return h.selected(t, officePassword, "Passing")
	}
	for _, cmd := range []string{"NOOP", `LIST "" x`, "FETCH 1 FLAGS", "SEARCH ALL", `STORE 1 FLAGS (\Seen)`, "EXPUNGE", "COPY 1 Sent", "MOVE 1 Sent"} {
		c := begin()
		h.office.remove("Passing")
		c.start(cmd)
		c.bye(t, cmd, "* BYE The folder ")
	}
	c := begin()
	c.start("IDLE")
	c.line()
	time.Sleep(2 * pause)
	began := time.Now()
	h.office.remove("Passing")
	c.bye(t, "IDLE", "* BYE The folder ")
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("IDLE: the connection ended after %v", d)
	}
	for _, cmd := range []string{"UNSELECT", "SELECT INBOX", "LOGOUT"} {
		c := begin()
		h.office.remove("Passing")
		c.ok(cmd)
	}
	c = begin()
	c.refused("COPY 1 nowhere", "NO [TRYCREATE]")
	c.ok("NOOP")
}

// What comes while a client expunges, and is gone before the command has ended, was
// never there for it: it has heard of no number for that.
func TestCameAndWent(t *testing.T) {
	h := serve(t)
	for i := range 3 {
		h.office.put(sijill.Office, "Inbox", letter(i), mailbox.FlagDeleted)
	}
	c := h.selected(t, officePassword, "INBOX")
	last := h.office.put(sijill.Office, "Inbox", letter(4), 0)
	stays := h.office.put(sijill.Office, "Inbox", letter(5), 0)
	h.office.mu.Lock()
	h.office.besides = []int64{last}
	h.office.mu.Unlock()
	said := c.ok("EXPUNGE")
	if want := []string{"* 3 EXPUNGE", "* 2 EXPUNGE", "* 1 EXPUNGE", "* 1 EXISTS"}; !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	if said := c.ok("FETCH 1 UID"); len(said) != 1 || said[0] != fmt.Sprintf("* 1 FETCH (UID %d)", stays) {
		t.Errorf("%q", said)
	}
}

// bye reads up to the word with which the connection ends.
func (c *client) bye(t *testing.T, after, want string) {
	t.Helper()
	for {
		switch l := c.line(); {
		case strings.HasPrefix(l, want):
			if _, err := c.in.ReadByte(); err == nil {
				t.Errorf("%s: something follows BYE", after)
			}
			return
		case strings.HasPrefix(l, c.tag) || strings.HasPrefix(l, "* BYE"):
			t.Errorf("%s: %q", after, l)
			return
		}
	}
}

// failing is a Backend whose changes can't be read once broken is set.
type failing struct {
	Backend
	broken atomic.Pointer[error]
}

type failingUser struct {
	User
	of *failing
}

func (f *failing) Login(ctx context.Context, name, password string, from netip.Addr) (User, error) {
	u, err := f.Backend.Login(ctx, name, password, from)
	return failingUser{u, f}, err
}

func (u failingUser) Changes(ctx context.Context, folder, since int64) (mailbox.Changes, error) {
	if err := u.of.broken.Load(); err != nil {
		return mailbox.Changes{}, *err
	}
	return u.User.Changes(ctx, folder, since)
}

func TestChangesCantBeRead(t *testing.T) {
	f := &failing{}
	h := serve(t, func(o *Options) { f.Backend, o.Backend = o.Backend, f })
	c := h.selected(t, officePassword, "INBOX")
	c.ok("NOOP")
	err := errors.New("the disk is gone: secret detail")
	f.broken.Store(&err)
	c.start("NOOP")
	c.bye(t, "NOOP", "* BYE [UNAVAILABLE] ")
	if log := h.log.String(); !strings.Contains(log, "secret detail") {
		t.Error("nobody was told of the failure")
	}
}
