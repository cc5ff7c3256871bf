package imports

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/intake/remote"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/office"
	"sijill/internal/record"
)

// Mover appends what comes from another server. It implements remote.Appender and
// remote.Ledger, and may be used from many goroutines. The projections must follow
// meanwhile.
type Mover struct {
	o       *office.Office
	account int64
	class   sijill.Class
	key     string // Of its progress.

	mu      sync.Mutex // Guards folders.
	folders map[string]int64
}

// NewMover makes a mover of mail from a source to an account, as its identity of a
// class.
func NewMover(o *office.Office, account int64, class sijill.Class, from remote.Source) *Mover {
	return &Mover{o: o, account: account, class: class, key: "move/" + from.ID() + "/" + strconv.FormatInt(account, 10), folders: map[string]int64{}}
}

// ProgressKey is that of remote.Options: of this account and source.
func (m *Mover) ProgressKey() string { return m.key }

// mark names a message of the other server in the register's notes, so that one
// that comes again after a crash is known.
func (m *Mover) mark(x *remote.Mail) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d", x.Folder.Name, x.Folder.Validity, x.UID))
	return m.key + "/" + hex.EncodeToString(h[:12])
}

// Append implements remote.Appender.
func (m *Mover) Append(ctx context.Context, x *remote.Mail) (remote.Receipt, error) {
	mark := m.mark(x)
	b, err := m.o.Register.Progress(ctx, mark)
	if err == nil {
		n, err := strconv.ParseInt(string(b), 10, 64)
		return remote.Receipt{Entry: n}, err
	}
	if !errors.Is(err, fs.ErrNotExist) { // Nobody knows whether it has come before.
		return remote.Receipt{}, err
	}
	folder, err := m.folder(ctx, x.Folder)
	if err != nil {
		return remote.Receipt{}, err
	}
	a := mailbox.Arrival{Folder: folder, Internal: x.Internal, MessageID: message.Parse(x.Message).MessageID()}
	a.Flags, a.Keywords = flagsOf(x.Flags)
	e := message.Envelope{Door: "import", Time: Now(), Source: "imap", SourceID: m.key, Offset: int64(x.UID)}
	if !x.Internal.IsZero() {
		t := x.Internal.UTC()
		e.Internal = &t
	}
	rc, err := m.o.Register.Append(ctx, record.Draft{
		Kind: sijill.Captured, Actor: "import", Holders: []int64{m.account}, Class: m.class, Mark: mark, Patient: true,
		// Personal mail is not compared with what is there: the server would
		// have to keep something that tells messages apart.
		Once:    m.class != sijill.Personal,
		Content: &record.Content{Envelope: e, Message: x.Message},
		With:    func(tx *db.Tx, entry int64) error { return mailbox.Arrive(tx, entry, m.account, a) },
	})
	if err != nil || !rc.Already {
		return remote.Receipt{Entry: rc.Entry}, err
	}
	return remote.Receipt{Entry: rc.Entry, Already: true}, m.alsoHere(ctx, rc.Entry, folder, x.Folder.All)
}

// Load implements remote.Ledger.
func (m *Mover) Load(ctx context.Context, key string) ([]byte, error) {
	return m.o.Register.Progress(ctx, key)
}

// Save implements remote.Ledger.
func (m *Mover) Save(ctx context.Context, key string, state []byte) error {
	return m.o.Register.Save(ctx, key, state)
}

// alsoHere gives a message that is there already a place in another folder. One that
// lies nowhere was taken out by its owner: it is on the register, and stays out.
func (m *Mover) alsoHere(ctx context.Context, entry, folder int64, all bool) error {
	if all {
		return nil
	}
	_, err := m.o.Mailbox.Placed(ctx, m.account, entry)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	places, err := m.o.Mailbox.PlacesOf(ctx, m.account, entry)
	if err != nil || len(places) == 0 { // It may be taken out at any moment.
		return err
	}
	for _, p := range places {
		if p.Folder == folder {
			return nil
		}
	}
	_, err = m.o.Mailbox.Copy(ctx, m.account, places[0].Folder, []int64{places[0].UID}, folder)
	return err
}

// folder finds or makes the folder for one of the other server.
func (m *Mover) folder(ctx context.Context, f remote.Folder) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id, ok := m.folders[f.Name]; ok {
		return id, nil
	}
	roles, err := m.o.RoleFolders(ctx, m.account, m.class)
	if err != nil {
		return 0, err
	}
	id, ok := roles[f.Role]
	if f.Role == "" || !ok {
		if id, err = m.named(ctx, f.Name); err != nil {
			return 0, err
		}
	}
	m.folders[f.Name] = id
	return id, nil
}

func (m *Mover) named(ctx context.Context, name string) (int64, error) {
	list, err := m.o.Mailbox.Folders(ctx, m.account)
	if err != nil {
		return 0, err
	}
	for _, f := range list {
		if f.Class == m.class && f.Name == name {
			return f.ID, nil
		}
	}
	f, err := m.o.Mailbox.CreateFolder(ctx, m.account, m.class, name)
	if errors.Is(err, mailbox.ErrName) {
		return 0, fmt.Errorf("a folder of the other server has a name that none can have here; leave it out with --skip: %w", err)
	}
	return f.ID, err
}

var systemFlags = map[string]mailbox.Flags{"\\seen": mailbox.FlagSeen, "\\answered": mailbox.FlagAnswered, "\\flagged": mailbox.FlagFlagged,
	"\\deleted": mailbox.FlagDeleted, "\\draft": mailbox.FlagDraft}

// flagsOf tells flags from keywords. Other flags of the system, \Recent for
// instance, are the other server's own.
func flagsOf(list []string) (flags mailbox.Flags, keywords []string) {
	for _, f := range list {
		if known, ok := systemFlags[strings.ToLower(f)]; ok {
			flags |= known
		} else if !strings.HasPrefix(f, "\\") {
			keywords = append(keywords, f)
		}
	}
	return flags, keywords
}

// movedDetail is what the entry of a finished move seals.
type movedDetail struct {
	Server  string          `json:"server"`
	User    string          `json:"user"`
	Folders []remote.Folder `json:"folders"`
	Counts  remote.Counts   `json:"counts"`
}

// Conclude puts the reckoning on the register, less what earlier moves of the same
// source have reckoned, and forgets the marks. What it could not seal is reckoned by
// the next.
func (m *Mover) Conclude(ctx context.Context, s remote.Source, r *remote.Result) error {
	c := r.Counts
	told, err := m.told(ctx)
	if err != nil {
		return err
	}
	all := c
	c = remote.Counts{Seen: c.Seen - told.Seen, Captured: c.Captured - told.Captured, Already: c.Already - told.Already,
		Refused: c.Refused - told.Refused, Bytes: c.Bytes - told.Bytes}
	if c.Seen == 0 && told.Seen > 0 { // Nothing has come since.
		return m.o.Register.Clear(ctx, m.key+"/")
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = m.o.Register.Append(ctx, record.Draft{
		Kind: sijill.Imported, Actor: "import", Holders: []int64{m.account}, Class: m.class,
		Detail: movedDetail{s.Address, s.User, r.Folders, c},
		Fields: sijill.ImportedFields{Seen: c.Seen, Captured: c.Captured, Already: c.Already, Refused: c.Refused},
		With:   func(tx *db.Tx, _ int64) error { return record.Note(tx, m.key+" told", b) },
	})
	if err != nil {
		return err
	}
	return m.o.Register.Clear(ctx, m.key+"/")
}

// told is what entries of earlier moves have reckoned already.
func (m *Mover) told(ctx context.Context) (c remote.Counts, err error) {
	b, err := m.o.Register.Progress(ctx, m.key+" told")
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	return c, err
}

// Following calls fn while the projections of an office follow, and returns when they
// have seen what it brought, unless ctx has ended. They follow until fn has returned,
// and not until ctx ends: what fn has begun by then, it finishes, and waits for them.
func Following(ctx context.Context, o *office.Office, fn func(context.Context) error) error {
	follow, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	followed := make(chan error, 1)
	go func() {
		err := o.Follower.Run(follow)
		if err != nil {
			cancel() // Nothing more should begin.
		}
		followed <- err
	}()
	err := fn(ctx)
	if ctx.Err() == nil {
		err = errors.Join(err, o.Settle(ctx))
	}
	stop()
	return errors.Join(err, <-followed)
}

// Now is the clock of imports: what a clock says below a millisecond is noise
// that takes room.
func Now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
