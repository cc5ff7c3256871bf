// Package office is an open data directory: the register, accounts, keys, projections,
// queue and filters of one office, wired by hand, in order, and what they do together:
// how mail arrives and is judged, what a visitor sees of it, which DNS records and
// signing keys the domains have, how old months are closed and who becomes a records
// officer.
//
// Commands and the doors' adapters (office/desk for the pages, office/programs for
// mail programs, office/imports for what is brought along) stand on it; it knows
// neither flags nor terminals. The adapter of the SMTP door is here, since letters
// from one of the office to another arrive in the same way.
package office

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"sijill/internal/access"
	"sijill/internal/blob"
	"sijill/internal/blob/files"
	"sijill/internal/certs"
	"sijill/internal/config"
	"sijill/internal/db"
	"sijill/internal/evidence"
	"sijill/internal/junk"
	"sijill/internal/mailbox"
	"sijill/internal/outbox"
	"sijill/internal/people"
	"sijill/internal/post"
	"sijill/internal/record"
	"sijill/internal/resolve"
	"sijill/internal/search"
	"sijill/internal/shelf"
	"sijill/internal/vault"
	"sijill/internal/wall"
)

// What stands in a data directory, besides the settings.
const (
	RegisterFile   = "register.db" // Entries, keys, people and the queue.
	MailFile       = "mail.db"     // Projections: folders, places and the index.
	SegmentsDir    = "segments"    // What is sealed.
	CheckpointFile = "checkpoint"  // The newest one: the first anchor.
	turnName       = "append.turn"
	leaseName      = "projections.lease"
	outboxLock     = "outbox.lock"
)

// Office is an open data directory. It may be used from many goroutines; the fields
// are set by Open and not changed later, except that who serves may change Config
// before the doors are made.
type Office struct {
	Dir    string        // The data directory.
	Config config.Config // Its settings.
	Log    *slog.Logger

	DB       *db.DB // RegisterFile.
	Mail     *db.DB // MailFile.
	Vault    *vault.Vault
	People   *people.People
	Register *record.Register
	Mailbox  *mailbox.Mailbox // With Search, what follows from the entries.
	Search   *search.Search
	Follower *record.Follower // Brings Mailbox and Search up to date.
	Wall     *wall.Wall
	Outbox   *outbox.Outbox
	Post     *post.Post
	Access   *access.Access
	Shelves  *shelf.Shelves // Personal mail that is open.

	key      vault.ServerKey
	blobs    blob.Store
	resolver *resolve.Client
	evidence *evidence.Store
	bayes    *junk.Bayes
	roles    *roleFolders
	signers  *signers
	replies  *replies
}

// Options say which office is opened, and with what.
type Options struct {
	// Dir is the data directory.
	Dir string
	// Config are its settings.
	Config config.Config
	// Key is the server's.
	Key vault.ServerKey
	// Log is told what goes on; never content, addresses or secrets.
	Log *slog.Logger
}

// Open opens a data directory; close it. More than one process may have it open.
// Errors: one that wraps db.ErrKey when the key is not the office's, and ErrLost
// where RegisterFile is missing or damaged, or may be. A MailFile that can't be opened
// is no error: it is set aside and made again.
func Open(ctx context.Context, opts Options) (_ *Office, err error) {
	o := &Office{Dir: opts.Dir, Config: opts.Config, key: opts.Key, Log: opts.Log}
	defer func() {
		if err != nil {
			err = errors.Join(advise(o.Dir, err), o.Close())
		}
	}()
	if err = o.stores(ctx); err != nil {
		return nil, err
	}
	if o.People, err = people.Open(ctx, o.DB, o.peopleOptions()); err != nil {
		return nil, err
	}
	if o.Register, err = record.Open(ctx, o.recordOptions()); err != nil {
		return nil, err
	}
	if err = o.projections(ctx); err != nil {
		return nil, err
	}
	return o, o.correspondence(ctx)
}

// Create makes the register of a new office, named by the origin in its settings, in
// a data directory that has none; it is not opened.
func Create(ctx context.Context, opts Options) error {
	d, err := db.OpenSQLite(ctx, filepath.Join(opts.Dir, RegisterFile), db.Options{Key: opts.Key.Derive("pages")})
	if err != nil {
		return err
	}
	v, err := vault.Open(ctx, d, opts.Key)
	if err == nil {
		err = record.Create(ctx, record.Options{DB: d, Vault: v}, opts.Config.Origin)
	}
	return errors.Join(err, d.Close())
}

// peopleOptions tell where people sign in. A passkey is bound to the name of the
// pages' host for ever.
func (o *Office) peopleOptions() people.Options {
	opts := people.Options{Key: o.key.Derive("people")}
	if u, err := url.Parse(o.Config.URL()); err == nil && u.Hostname() != "" && net.ParseIP(u.Hostname()) == nil {
		opts.Site = people.Site{ID: u.Hostname(), Name: o.Config.Office, Origins: []string{u.Scheme + "://" + u.Host}}
	}
	return opts
}

func (o *Office) recordOptions() record.Options {
	return record.Options{
		DB: o.DB, Blobs: o.blobs, Vault: o.Vault, Accounts: o.People,
		Anchors: append([]string{filepath.Join(o.Dir, CheckpointFile)}, o.Config.Anchors...),
		Turn:    filepath.Join(o.Dir, turnName), Log: o.Log,
	}
}

// stores opens the databases, the segments and the vault.
func (o *Office) stores(ctx context.Context) (err error) {
	if err := registerThere(o.Dir); err != nil {
		return err
	}
	pages := o.key.Derive("pages")
	o.DB, err = db.OpenSQLite(ctx, filepath.Join(o.Dir, RegisterFile), db.Options{Key: pages})
	if err != nil {
		return err
	}
	if o.Mail, err = o.openMail(ctx); err != nil {
		return err
	}
	segments, err := files.Open(filepath.Join(o.Dir, SegmentsDir), files.Options{})
	if err != nil {
		return err // A nil *files.Store must not become an interface that is not nil.
	}
	o.blobs = segments
	o.Vault, err = vault.Open(ctx, o.DB, o.key)
	return err
}

// openMail opens the database of projections. A damaged one is set aside and
// made again: everything in it follows from the entries.
func (o *Office) openMail(ctx context.Context) (*db.DB, error) {
	path := filepath.Join(o.Dir, MailFile)
	d, err := db.OpenSQLite(ctx, path, o.mailOptions())
	var damage *db.DamagedError
	if !errors.Is(err, db.ErrKey) && !errors.As(err, &damage) {
		return d, err
	}
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
	o.Log.Warn("the database of projections is damaged: it is set aside and made again", "aside", filepath.Base(aside))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("setting the damaged projections aside: %w", err)
		}
	}
	return db.OpenSQLite(ctx, path, o.mailOptions())
}

// mailOptions are those of every database of projections.
func (o *Office) mailOptions() db.Options {
	return db.Options{Key: o.key.Derive("mail pages"), Relaxed: true, CacheKB: 16 << 10}
}

// projections wires the projections in the order in which they are applied.
func (o *Office) projections(ctx context.Context) (err error) {
	if err := mailbox.MigrateArrivals(ctx, o.DB); err != nil {
		return err
	}
	o.Mailbox = mailbox.New(o.Mail)
	o.Mailbox.Attach(o.DB, o.Register)
	o.Mailbox.SetCooling(o.cooling())
	o.roles = &roleFolders{mail: o.Mailbox}
	o.Search = search.New(o.Mail, o.Mailbox, o.Register.Item)
	o.Follower, err = o.Register.Follow(ctx, o.Mail, filepath.Join(o.Dir, leaseName), o.Mailbox, o.Search)
	return err
}

// correspondence wires what writes and answers, and who may read.
func (o *Office) correspondence(ctx context.Context) (err error) {
	if o.resolver, err = newResolver(o.Config); err != nil {
		return err
	}
	if o.evidence, err = evidence.Open(ctx, o.DB); err != nil {
		return err
	}
	if o.bayes, err = junk.Open(ctx, o.DB, junk.Options{Key: o.key.Derive("junk")}); err != nil {
		return err
	}
	if o.Wall, err = wall.Open(ctx, o.DB, wall.Options{Contacts: o.Config.Wall.Contacts, Conversations: o.Mailbox}); err != nil {
		return err
	}
	if o.Outbox, err = o.openOutbox(ctx); err != nil {
		return err
	}
	o.signers = &signers{o: o}
	o.Post, err = post.Open(ctx, post.Options{
		DB: o.DB, Register: o.Register, Outbox: o.Outbox, Wall: o.Wall, Sign: o.signers.sign, Arrive: o.arrive,
		Hostname: o.Config.ServerName(), Key: o.key.Derive("post"), Forward: o.Config.Wall.Forward, Log: o.Log,
	})
	if err != nil {
		return err
	}
	o.replies = newReplies(o)
	o.Access = access.Open(ctx, access.Options{People: o.People, Keys: o.Vault, Register: o.Register, Log: o.Log,
		Issuer: o.Config.Office, ProveEvery: proveEvery, Forwarding: o.Post.SuspendForwarding})
	o.Shelves = shelf.New(shelf.Options{Register: o.Register, Mail: o.Mailbox, Log: o.Log,
		Rewrap: func(ctx context.Context, r *vault.Ring) error {
			_, err := o.Vault.Rewrap(ctx, r)
			return err
		}})
	return nil
}

// proveEvery is how long after showing a credential people may change others.
const proveEvery = 15 * time.Minute

// openOutbox opens the queue of what leaves.
func (o *Office) openOutbox(ctx context.Context) (*outbox.Outbox, error) {
	c := o.Config.Delivery
	opts := outbox.Options{
		DB: o.DB, Ledger: o.Register, Key: o.key.Derive("outbox"), Resolver: o.resolver, Local: o.Local, Deliver: o.deliver,
		Hostname: o.Config.ServerName(), Lock: filepath.Join(o.Dir, outboxLock), Port: c.Port, Log: o.Log,
		Sign: func(msg []byte) ([]byte, error) {
			fields, err := o.signers.sign(context.Background(), o.Config.Domain, msg)
			return append(fields, msg...), err
		},
	}
	if c.Smarthost != "" {
		opts.Smarthost = &outbox.Smarthost{Addr: c.Smarthost, User: c.User, TLS: "starttls"}
		if c.SmarthostTLS {
			opts.Smarthost.TLS = "implicit"
		}
		var err error
		if opts.Smarthost.Password, err = smarthostPassword(c.PasswordFile); err != nil {
			return nil, err
		}
	}
	when, err := c.Schedule()
	if err != nil {
		return nil, err
	}
	opts.Schedule = outbox.Schedule{First: when.FirstRetry, Longest: when.LongestPause, Lifetime: when.Lifetime, Delay: when.DelayNotice}
	if opts.Roots, err = certs.Roots(c.Roots); err != nil {
		return nil, err
	}
	return outbox.Open(ctx, opts)
}

// Local tells whether an address is in one of the office's domains, whether or not
// anybody has it. With an error nobody knows.
func (o *Office) Local(ctx context.Context, address string) (bool, error) {
	_, err := o.People.Resolve(ctx, address)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return true, nil
	case errors.Is(err, people.ErrForeign):
		return false, nil
	}
	return false, err
}

// Close closes in the opposite order what is open. Visits must have ended.
func (o *Office) Close() error {
	var errs []error
	if o.Shelves != nil {
		o.Shelves.Close()
	}
	if o.Access != nil {
		o.Access.Close()
	}
	if o.Register != nil {
		errs = append(errs, o.Register.Close())
	}
	if o.blobs != nil {
		errs = append(errs, o.blobs.Close())
	}
	for _, d := range []*db.DB{o.Mail, o.DB} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}
