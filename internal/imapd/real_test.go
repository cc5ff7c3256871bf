package imapd

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/people"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
	"sijill/internal/vault"
)

// diwan is a Backend on a real register and a real mailbox, with one account.
type diwan struct {
	*recordtest.Home
	mail *mailbox.Mailbox
	ring *vault.Ring
}

const account = 1

func newDiwan(t testing.TB) *diwan {
	t.Helper()
	d := &diwan{Home: recordtest.New(t, recordtest.Options{Segment: 16 << 20})}
	d.ring = d.Owner(t, account)
	ctx, cancel := context.WithCancel(context.Background())
	file, err := db.OpenSQLite(ctx, filepath.Join(t.TempDir(), "mail.db"), db.Options{Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := mailbox.MigrateArrivals(ctx, d.DB); err != nil {
		t.Fatal(err)
	}
	d.mail = mailbox.New(file)
	d.mail.Attach(d.DB, d.Register)
	f, err := d.Register.Follow(ctx, file, filepath.Join(t.TempDir(), "lease"), d.mail)
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		if _, err := d.mail.EnsureFolders(ctx, account, class); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; file.Close() })
	return d
}

func (d *diwan) Login(_ context.Context, _, password string, _ netip.Addr) (User, error) {
	switch password {
	case bothPassword:
		return &member{d, []sijill.Class{sijill.Office, sijill.Personal}}, nil
	case officePassword:
		return &member{d, []sijill.Class{sijill.Office}}, nil
	}
	return nil, people.ErrCredentials
}

// member is a User of a diwan: what the program's own adapter does, less the
// sign-in.
type member struct {
	*diwan
	classes []sijill.Class
}

func (m *member) Close()                  {}
func (m *member) Classes() []sijill.Class { return m.classes }

func (m *member) Folders(ctx context.Context) ([]mailbox.Folder, error) {
	list, err := m.mail.Folders(ctx, account)
	return slices.DeleteFunc(list, func(f mailbox.Folder) bool { return !slices.Contains(m.classes, f.Class) }), err
}

func (m *member) CreateFolder(ctx context.Context, class sijill.Class, name string) (mailbox.Folder, error) {
	return m.mail.CreateFolder(ctx, account, class, name)
}

func (m *member) RenameFolder(ctx context.Context, folder int64, name string) error {
	return m.mail.RenameFolder(ctx, account, folder, name)
}

func (m *member) DeleteFolder(ctx context.Context, folder int64) error {
	return m.mail.DeleteFolder(ctx, account, folder)
}

func (m *member) Subscribe(ctx context.Context, folder int64, on bool) error {
	return m.mail.Subscribe(ctx, account, folder, on)
}

func (m *member) Snapshot(ctx context.Context, folder int64) (*mailbox.Snapshot, error) {
	return m.mail.ProgramSnapshot(ctx, account, folder)
}

func (m *member) Places(ctx context.Context, folder, first, last int64) ([]mailbox.Place, error) {
	return m.mail.Places(ctx, account, folder, first, last)
}

func (m *member) Changes(ctx context.Context, folder, since int64) (mailbox.Changes, error) {
	return m.mail.Changes(ctx, account, folder, since)
}

func (m *member) Watch() (<-chan struct{}, func()) { return m.mail.Watch(account) }

func (m *member) Flag(ctx context.Context, folder int64, uids []int64, op mailbox.Op, f mailbox.Flags, keywords []string) ([]mailbox.Place, error) {
	return m.mail.Flag(ctx, account, folder, uids, op, f, keywords)
}

func (m *member) Copy(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
	return m.mail.Copy(ctx, account, folder, uids, to)
}

func (m *member) Move(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
	return m.mail.Move(ctx, account, folder, uids, to)
}

func (m *member) Expunge(ctx context.Context, folder int64, uids []int64) error {
	return m.mail.Expunge(ctx, account, folder, uids)
}

func (m *member) Append(ctx context.Context, folder int64, mail *Mail) (mailbox.Place, error) {
	class, err := m.classOf(ctx, folder)
	if err != nil {
		return mailbox.Place{}, err
	}
	r, err := m.Register.Append(ctx, m.draft(class, mail, mailbox.Arrival{
		Folder: folder, Flags: mail.Flags, Keywords: mail.Keywords, Internal: mail.Internal,
	}))
	if err != nil {
		return mailbox.Place{}, err
	}
	return m.mail.Placed(ctx, account, r.Entry)
}

func (d *diwan) draft(class sijill.Class, mail *Mail, a mailbox.Arrival) record.Draft {
	return record.Draft{
		Kind: sijill.Captured, Actor: "imap", Holders: []int64{account}, Class: class, Fields: sijill.CapturedFields{Door: "imap", Class: class},
		Content: &record.Content{Envelope: message.Envelope{Door: "imap", Time: time.Now()}, Message: mail.Message},
		With:    func(tx *db.Tx, entry int64) error { return mailbox.Arrive(tx, entry, account, a) },
	}
}

func (m *member) classOf(ctx context.Context, folder int64) (sijill.Class, error) {
	list, err := m.Folders(ctx)
	for _, f := range list {
		if f.ID == folder {
			return f.Class, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("folder %d: %w", folder, fs.ErrNotExist)
	}
	return "", err
}

func (m *member) Sizes(ctx context.Context, entries []int64) (map[int64]int64, error) {
	return m.mail.View(account, nil).Sizes(ctx, entries)
}

func (m *member) Summaries(ctx context.Context, entries []int64) ([]mailbox.Summary, error) {
	return m.mail.View(account, nil).Summaries(ctx, entries)
}

func (m *member) Ready(ctx context.Context, entries []int64) (func(i int) ([]byte, error), error) {
	items, err := m.Register.ItemsFor(ctx, entries, m.ring)
	if err != nil {
		return nil, err
	}
	by := make(map[int64]*record.Item, len(items))
	for _, it := range items {
		by[it.Index] = it
	}
	return func(i int) ([]byte, error) {
		it := by[entries[i]]
		if it == nil {
			return nil, fmt.Errorf("entry %d: %w", entries[i], fs.ErrNotExist)
		}
		c, err := it.Content()
		if err != nil {
			return nil, err
		}
		return c.Envelope.Present(c.Message), nil
	}, nil
}

func (m *member) Search(context.Context, string) ([]int64, error) { return nil, nil }

// serveReal serves a diwan.
func serveReal(t testing.TB) (*house, *diwan) {
	t.Helper()
	d := newDiwan(t)
	return serve(t, func(o *Options) { o.Backend = d }), d
}

func TestRealMailbox(t *testing.T) {
	h, _ := serveReal(t)
	c := h.selected(t, bothPassword, "INBOX")
	c.append("INBOX", `\Seen Kept`, letter(1))
	c.append("Personal/Inbox", "", letter(2))
	c.append("INBOX", "", letter(3))
	c.wants("FETCH 1:* (FLAGS RFC822.SIZE)",
		fmt.Sprintf(`* 1 FETCH (FLAGS (\Seen Kept) RFC822.SIZE %d)`, len(letter(1))),
		fmt.Sprintf(`* 2 FETCH (FLAGS () RFC822.SIZE %d)`, len(letter(3))))
	if got := c.piece("BODY.PEEK[]"); got != letter(1) {
		t.Errorf("got %q", got)
	}
	c.refused("MOVE 1 Personal/Archive", "NO [CANNOT]")
	if u := c.ok("MOVE 1 Office/Archive"); len(u) != 2 || u[1] != "* 1 EXPUNGE" {
		t.Errorf("%q", u)
	}
	c.wants("NOOP")
	c.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	c.wants("EXPUNGE", "* 1 EXPUNGE")
	c.wants("NOOP")

	c.ok("SELECT Personal/Inbox")
	if got := c.piece("BODY.PEEK[]"); got != letter(2) { // There are no facts of it: it is opened for its summary.
		t.Errorf("got %q", got)
	}
	c.wants("FETCH 1 RFC822.SIZE", fmt.Sprintf(`* 1 FETCH (RFC822.SIZE %d)`, len(letter(2))))
	if u := c.ok("FETCH 1 (ENVELOPE INTERNALDATE)"); !contains1(u, `"letter 2"`) {
		t.Errorf("%q", u)
	}
	c.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	c.wants("EXPUNGE", "* 1 EXPUNGE")

	c.ok("CREATE Office/a/b")
	c.ok("RENAME Office/a Office/z")
	if u := c.ok(`LIST "" Office/z/%`); !contains1(u, "Office/z/b") {
		t.Errorf("%q", u)
	}
	c.ok("DELETE Office/z/b")
}
