package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/intake/remote"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/record"
)

// move moves an account here from another server.
func (c *ImportCmd) move(ctx context.Context, o *office, account int64, g *Globals, out Out) error {
	source, err := c.source(out)
	if err != nil {
		return err
	}
	r, err := o.people.Resolve(ctx, c.Account)
	if err != nil {
		return err
	}
	m := &mover{o: o, account: account, class: r.Class, key: "move/" + source.ID() + "/" + strconv.FormatInt(account, 10), folders: map[string]int64{}}
	report, err := c.refusals(o)
	if err != nil {
		return err
	}
	fctx, stop := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() { followed <- o.follower.Run(fctx) }()
	began := time.Now()
	result, err := remote.Pull(ctx, source, remote.Options{Appender: m, Ledger: m, Key: m.key, Skip: c.Skip, Log: o.log,
		Progress: c.progress(out, g, began), Refused: report.write})
	if result != nil && !c.Quiet && !g.JSON {
		fmt.Fprintln(out.Err)
	}
	if err == nil {
		err = m.conclude(ctx, source, result)
	}
	if ctx.Err() == nil {
		err = errors.Join(err, o.settle(ctx))
	}
	stop()
	err = errors.Join(err, <-followed, report.close())
	if errors.Is(err, remote.ErrSignIn) {
		return errors.New("the other server refused user and password. Some want a password made for mail programs")
	}
	if errors.Is(err, remote.ErrCertificate) {
		return fmt.Errorf("%w; if it is right all the same, name who signed it with --roots", err)
	}
	if errors.Is(err, context.Canceled) && result != nil {
		fmt.Fprintf(out.Err, "Stopped after %d messages. Run the same command to go on.\n", result.Counts.Seen)
	}
	if err != nil {
		return err
	}
	return c.printMoved(out, g, result, report.path)
}

// source reads the URL and asks for the password.
func (c *ImportCmd) source(out Out) (remote.Source, error) {
	u, err := url.Parse(c.IMAP)
	if err != nil || u.User == nil || u.Hostname() == "" || u.Scheme != "imaps" && u.Scheme != "imap" {
		return remote.Source{}, fmt.Errorf("--imap %q is not like imaps://user@host", c.IMAP)
	}
	s := remote.Source{Security: remote.TLS, User: u.User.Username()}
	port := "993"
	if u.Scheme == "imap" {
		s.Security, port = remote.StartTLS, "143"
	}
	if p := u.Port(); p != "" {
		port = p
	}
	s.Address = net.JoinHostPort(u.Hostname(), port)
	roots, err := rootsOf(c.Roots)
	if err != nil {
		return s, err
	}
	s.TLSConfig = &tls.Config{ServerName: u.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12}
	if s.Password = os.Getenv("SIJILL_IMAP_PASSWORD"); s.Password == "" {
		s.Password, err = ask(out, "Password at "+u.Hostname()+": ")
	}
	return s, err
}

func (c *ImportCmd) progress(out Out, g *Globals, began time.Time) func(remote.Progress) {
	if c.Quiet || g.JSON {
		return nil
	}
	return func(p remote.Progress) {
		share := 1.0
		if p.Total > 0 {
			share = min(1, float64(p.Done)/float64(p.Total))
		}
		full := int(share * barWidth)
		fmt.Fprintf(out.Err, "\r\x1b[K%s [%s%s] %3.0f%%  %d of %d messages  %.0f/s", short(p.Folder), strings.Repeat("█", full),
			strings.Repeat("·", barWidth-full), 100*share, p.Done, p.Total, float64(p.Counts.Seen)/max(0.1, time.Since(began).Seconds()))
	}
}

// refusals is where what was refused is written, one JSON line each. The file
// is made by the first.
type refusals struct {
	path string
	f    *os.File
	err  error
}

func (c *ImportCmd) refusals(o *office) (*refusals, error) {
	if c.Report != "" {
		return &refusals{path: c.Report}, nil
	}
	dir := filepath.Join(o.dir, "reports")
	return &refusals{path: filepath.Join(dir, "imap-"+time.Now().UTC().Format("20060102T150405Z")+".jsonl")}, makeDir(dir)
}

func (r *refusals) write(x remote.Refusal) {
	if r.f == nil && r.err == nil {
		r.f, r.err = os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	}
	if r.err == nil {
		r.err = json.NewEncoder(r.f).Encode(x)
	}
}

func (r *refusals) close() error {
	if r.f == nil {
		return r.err
	}
	return errors.Join(r.err, r.f.Sync(), r.f.Close())
}

// mover appends what comes from another server.
type mover struct {
	o       *office
	account int64
	class   sijill.Class
	key     string // Of its progress.

	mu      sync.Mutex // Guards folders.
	folders map[string]int64
}

// mark names a message of the other server in the register's notes, so that one
// that comes again after a crash is known.
func (m *mover) mark(x *remote.Mail) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d", x.Folder.Name, x.Folder.Validity, x.UID))
	return m.key + "/" + hex.EncodeToString(h[:12])
}

// Append implements remote.Appender.
func (m *mover) Append(ctx context.Context, x *remote.Mail) (remote.Receipt, error) {
	mark := m.mark(x)
	if b, err := m.o.register.Progress(ctx, mark); err == nil {
		n, err := strconv.ParseInt(string(b), 10, 64)
		return remote.Receipt{Entry: n}, err
	}
	folder, err := m.folder(ctx, x.Folder)
	if err != nil {
		return remote.Receipt{}, err
	}
	a := mailbox.Arrival{Folder: folder, Internal: x.Internal, MessageID: message.Parse(x.Message).MessageID()}
	a.Flags, a.Keywords = flagsOf(x.Flags)
	e := message.Envelope{Door: "import", Time: now(), Source: "imap", SourceID: m.key, Offset: int64(x.UID)}
	if !x.Internal.IsZero() {
		t := x.Internal.UTC()
		e.Internal = &t
	}
	rc, err := m.o.register.Append(ctx, record.Draft{
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
func (m *mover) Load(ctx context.Context, key string) ([]byte, error) {
	return m.o.register.Progress(ctx, key)
}

// Save implements remote.Ledger.
func (m *mover) Save(ctx context.Context, key string, state []byte) error {
	return m.o.register.Save(ctx, key, state)
}

// alsoHere gives a message that is there already a place in another folder.
func (m *mover) alsoHere(ctx context.Context, entry, folder int64, all bool) error {
	if all {
		return nil
	}
	if _, err := m.o.mailbox.Placed(ctx, m.account, entry); err != nil {
		return err
	}
	places, err := m.o.mailbox.PlacesOf(ctx, m.account, entry)
	if err != nil {
		return err
	}
	for _, p := range places {
		if p.Folder == folder {
			return nil
		}
	}
	_, err = m.o.mailbox.Copy(ctx, m.account, places[0].Folder, []int64{places[0].UID}, folder)
	return err
}

// folder finds or makes the folder for one of the other server.
func (m *mover) folder(ctx context.Context, f remote.Folder) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id, ok := m.folders[f.Name]; ok {
		return id, nil
	}
	roles, err := m.o.roles.of(ctx, m.account, m.class)
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

func (m *mover) named(ctx context.Context, name string) (int64, error) {
	list, err := m.o.mailbox.Folders(ctx, m.account)
	if err != nil {
		return 0, err
	}
	for _, f := range list {
		if f.Class == m.class && f.Name == name {
			return f.ID, nil
		}
	}
	f, err := m.o.mailbox.CreateFolder(ctx, m.account, m.class, name)
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

// conclude puts the reckoning on the register and forgets the marks.
func (m *mover) conclude(ctx context.Context, s remote.Source, r *remote.Result) error {
	c := r.Counts
	told, err := m.told(ctx)
	if err != nil {
		return err
	}
	all := c
	c = remote.Counts{Seen: c.Seen - told.Seen, Captured: c.Captured - told.Captured, Already: c.Already - told.Already,
		Refused: c.Refused - told.Refused, Bytes: c.Bytes - told.Bytes}
	if c.Seen == 0 && told.Seen > 0 {
		return nil // Nothing has come since.
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = m.o.register.Append(ctx, record.Draft{
		Kind: sijill.Imported, Actor: "import", Holders: []int64{m.account}, Class: m.class,
		Detail: movedDetail{s.Address, s.User, r.Folders, c},
		Fields: sijill.ImportedFields{Seen: c.Seen, Captured: c.Captured, Already: c.Already, Refused: c.Refused},
	})
	return errors.Join(err, m.o.register.Save(ctx, m.key+" told", b), m.o.register.Clear(ctx, m.key+"/"))
}

// told is what entries of earlier moves have reckoned already.
func (m *mover) told(ctx context.Context) (c remote.Counts, err error) {
	b, err := m.o.register.Progress(ctx, m.key+" told")
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	return c, err
}

func (c *ImportCmd) printMoved(out Out, g *Globals, r *remote.Result, report string) error {
	n := r.Counts
	if g.JSON {
		return json.NewEncoder(out).Encode(map[string]any{"folders": len(r.Folders), "resumed": r.Resumed, "seen": n.Seen,
			"captured": n.Captured, "already": n.Already, "refused": n.Refused, "report": report})
	}
	fmt.Fprintf(out, "%d folders\n  seen      %9d\n  captured  %9d\n  there     %9d (already on the register)\n  refused   %9d\n", len(r.Folders), n.Seen, n.Captured, n.Already, n.Refused)
	if n.Refused > 0 {
		fmt.Fprintf(out, "  Reasons, each with folder and UID: %s\n", report)
	}
	_, err := fmt.Fprintf(out, "  %d = %d + %d + %d\n", n.Seen, n.Captured, n.Already, n.Refused)
	return err
}
