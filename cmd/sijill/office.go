package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"sijill/internal/access"
	"sijill/internal/blob"
	"sijill/internal/blob/files"
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

// What stands in a data directory.
const (
	keyName        = "server.key"
	registerName   = "register.db"
	mailName       = "mail.db"
	segmentsName   = "segments"
	turnName       = "append.turn"
	leaseName      = "projections.lease"
	outboxLock     = "outbox.lock"
	tlsName        = "tls"
	checkpointName = "checkpoint"
)

// office is an open data directory: everything the commands stand on, wired by
// hand, in order.
type office struct {
	dir      string
	config   config.Config
	key      vault.ServerKey
	log      *slog.Logger
	db       *db.DB
	mail     *db.DB
	blobs    blob.Store
	vault    *vault.Vault
	people   *people.People
	register *record.Register
	mailbox  *mailbox.Mailbox
	search   *search.Search
	follower *record.Follower

	resolver *resolve.Client
	evidence *evidence.Store
	bayes    *junk.Bayes
	wall     *wall.Wall
	outbox   *outbox.Outbox
	post     *post.Post
	access   *access.Access
	shelves  *shelf.Shelves
	roles    *roleFolders
	signers  *signers
	replies  *replies
}

// openOffice opens the data directory of g. Close it.
func openOffice(ctx context.Context, g *Globals, out Out) (_ *office, err error) {
	level, err := logLevel()
	if err != nil {
		return nil, err
	}
	o := &office{dir: g.Dir, log: slog.New(slog.NewJSONHandler(out.Err, &slog.HandlerOptions{Level: level}))}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	if o.config, err = config.Read(g.Dir); err != nil {
		return nil, err
	}
	if o.key, err = readKey(g, o.config, out); err != nil {
		return nil, err
	}
	if err = o.stores(ctx); err != nil {
		return nil, err
	}
	if o.people, err = people.Open(ctx, o.db, o.peopleOptions()); err != nil {
		return nil, err
	}
	if o.register, err = record.Open(ctx, o.recordOptions()); err != nil {
		return nil, err
	}
	if err = o.projections(ctx); err != nil {
		return nil, err
	}
	return o, o.correspondence(ctx)
}

// logLevel is what SIJILL_LOG says; info unless it says something.
func logLevel() (slog.Level, error) {
	said := os.Getenv("SIJILL_LOG")
	levels := map[string]slog.Level{"": slog.LevelInfo, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[said]
	if !ok {
		return l, fmt.Errorf("SIJILL_LOG is %q: it may be debug, info, warn or error", said)
	}
	return l, nil
}

// peopleOptions tell where people sign in. A passkey is bound to the name of the
// pages' host for ever.
func (o *office) peopleOptions() people.Options {
	opts := people.Options{Key: o.key.Derive("people")}
	if u, err := url.Parse(o.config.URL()); err == nil && u.Hostname() != "" && net.ParseIP(u.Hostname()) == nil {
		opts.Site = people.Site{ID: u.Hostname(), Name: o.config.Office, Origins: []string{u.Scheme + "://" + u.Host}}
	}
	return opts
}

func (o *office) recordOptions() record.Options {
	return record.Options{
		DB: o.db, Blobs: o.blobs, Vault: o.vault, Accounts: o.people,
		Anchors: append([]string{filepath.Join(o.dir, checkpointName)}, o.config.Anchors...),
		Turn:    filepath.Join(o.dir, turnName), Log: o.log,
	}
}

// stores opens the databases, the segments and the vault.
func (o *office) stores(ctx context.Context) (err error) {
	pages := o.key.Derive("pages")
	o.db, err = db.OpenSQLite(ctx, filepath.Join(o.dir, registerName), db.Options{Key: pages})
	if errors.Is(err, db.ErrKey) {
		return fmt.Errorf("the key does not belong to the office in %s: give the right one with --key-file: %w", o.dir, err)
	}
	if err != nil {
		return err
	}
	if o.mail, err = o.openMail(ctx); err != nil {
		return err
	}
	segments, err := files.Open(filepath.Join(o.dir, segmentsName), files.Options{})
	if err != nil {
		return err // A nil *files.Store must not become an interface that is not nil.
	}
	o.blobs = segments
	o.vault, err = vault.Open(ctx, o.db, o.key)
	return err
}

// openMail opens the database of projections. A damaged one is set aside and
// made again: everything in it follows from the entries.
func (o *office) openMail(ctx context.Context) (*db.DB, error) {
	path := filepath.Join(o.dir, mailName)
	d, err := db.OpenSQLite(ctx, path, o.mailOptions())
	if !errors.Is(err, db.ErrKey) {
		return d, err
	}
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
	o.log.Warn("the database of projections is damaged: it is set aside and made again", "aside", filepath.Base(aside))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("setting the damaged projections aside: %w", err)
		}
	}
	return db.OpenSQLite(ctx, path, o.mailOptions())
}

// mailOptions are those of every database of projections.
func (o *office) mailOptions() db.Options {
	return db.Options{Key: o.key.Derive("mail pages"), Relaxed: true, CacheKB: 16 << 10}
}

// projections wires the projections in the order in which they are applied.
func (o *office) projections(ctx context.Context) (err error) {
	if err := mailbox.MigrateArrivals(ctx, o.db); err != nil {
		return err
	}
	o.mailbox = mailbox.New(o.mail)
	o.mailbox.Attach(o.db, o.register)
	o.mailbox.SetCooling(o.cooling())
	o.roles = &roleFolders{mail: o.mailbox}
	o.search = search.New(o.mail, o.mailbox, o.register.Item)
	o.follower, err = o.register.Follow(ctx, o.mail, filepath.Join(o.dir, leaseName), o.mailbox, o.search)
	return err
}

// correspondence wires what writes and answers, and who may read.
func (o *office) correspondence(ctx context.Context) (err error) {
	if o.resolver, err = newResolver(o.config); err != nil {
		return err
	}
	if o.evidence, err = evidence.Open(ctx, o.db); err != nil {
		return err
	}
	if o.bayes, err = junk.Open(ctx, o.db, junk.Options{Key: o.key.Derive("junk")}); err != nil {
		return err
	}
	if o.wall, err = wall.Open(ctx, o.db, wall.Options{Contacts: o.config.Wall.Contacts, Conversations: o.mailbox}); err != nil {
		return err
	}
	if o.outbox, err = o.openOutbox(ctx); err != nil {
		return err
	}
	o.signers = &signers{o: o}
	o.post, err = post.Open(ctx, post.Options{
		DB: o.db, Register: o.register, Outbox: o.outbox, Wall: o.wall, Sign: o.signers.sign, Arrive: o.arrive,
		Hostname: o.config.ServerName(), Key: o.key.Derive("post"), Forward: o.config.Wall.Forward, Log: o.log,
	})
	if err != nil {
		return err
	}
	o.replies = newReplies(o)
	o.access = access.Open(ctx, access.Options{People: o.people, Keys: o.vault, Register: o.register, Log: o.log,
		Issuer: o.config.Office, ProveEvery: proveEvery})
	o.shelves = shelf.New(shelf.Options{Register: o.register, Mail: o.mailbox, Log: o.log,
		Rewrap: func(ctx context.Context, r *vault.Ring) error {
			_, err := o.vault.Rewrap(ctx, r)
			return err
		}})
	return nil
}

// proveEvery is how long after showing a credential people may change others.
const proveEvery = 15 * time.Minute

// openOutbox opens the queue of what leaves.
func (o *office) openOutbox(ctx context.Context) (*outbox.Outbox, error) {
	c := o.config.Delivery
	opts := outbox.Options{
		DB: o.db, Ledger: o.register, Key: o.key.Derive("outbox"), Resolver: o.resolver, Local: o.local, Deliver: o.deliver,
		Hostname: o.config.ServerName(), Lock: filepath.Join(o.dir, outboxLock), Port: c.Port, Log: o.log,
		Sign: func(msg []byte) ([]byte, error) {
			fields, err := o.signers.sign(context.Background(), o.config.Domain, msg)
			return append(fields, msg...), err
		},
	}
	if c.Smarthost != "" {
		opts.Smarthost = &outbox.Smarthost{Addr: c.Smarthost, User: c.User, TLS: "starttls"}
		if c.SmarthostTLS {
			opts.Smarthost.TLS = "implicit"
		}
		if c.PasswordFile != "" {
			b, err := os.ReadFile(c.PasswordFile)
			if err != nil {
				return nil, fmt.Errorf("reading the smarthost's password: %w", err)
			}
			opts.Smarthost.Password = trimNewline(string(b))
		}
	}
	var err error
	if opts.Schedule, err = c.Schedule(); err != nil {
		return nil, err
	}
	if opts.Roots, err = rootsOf(c.Roots); err != nil {
		return nil, err
	}
	return outbox.Open(ctx, opts)
}

// rootsOf is the system's certificate authorities with those of a file; nil for
// none besides the system's.
func rootsOf(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading certificate authorities: %w", err)
	}
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("reading certificate authorities: %s has none", path)
	}
	return pool, nil
}

// local tells whether an address is in one of the office's domains.
func (o *office) local(address string) bool {
	_, err := o.people.Resolve(context.Background(), address)
	return !errors.Is(err, people.ErrForeign)
}

// Close closes in the opposite order what is open.
func (o *office) Close() error {
	var errs []error
	if o.shelves != nil {
		o.shelves.Close()
	}
	if o.access != nil {
		o.access.Close()
	}
	if o.register != nil {
		errs = append(errs, o.register.Close())
	}
	if o.blobs != nil {
		errs = append(errs, o.blobs.Close())
	}
	for _, d := range []*db.DB{o.mail, o.db} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}

// account finds an account by its address, with advice when there is none.
func (o *office) account(ctx context.Context, address string) (people.Account, error) {
	a, err := o.people.Lookup(ctx, address)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, people.ErrForeign) {
		return a, fmt.Errorf("no account has the address %s; \"sijill user list\" shows those that there are", address)
	}
	return a, err
}

// with opens the office of g, runs fn and closes it.
func with(ctx context.Context, g *Globals, out Out, fn func(*office) error) error {
	o, err := openOffice(ctx, g, out)
	if err != nil {
		return err
	}
	return errors.Join(fn(o), o.Close())
}

// keyPath tells where the server's key is: --key-file, then a systemd
// credential, then the settings, then the data directory.
func keyPath(g *Globals, c config.Config) string {
	if g.KeyFile != "" {
		return g.KeyFile
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		if path := filepath.Join(dir, keyName); exists(path) {
			return path
		}
	}
	if c.KeyFile != "" {
		return c.KeyFile
	}
	return filepath.Join(g.Dir, keyName)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readKey(g *Globals, c config.Config, out Out) (vault.ServerKey, error) {
	path := keyPath(g, c)
	key, err := vault.ReadKeyFile(path, func() (string, error) { return passphrase(out.Err, "Passphrase of the key: ") })
	if errors.Is(err, fs.ErrNotExist) {
		return key, fmt.Errorf("the server's key is not at %s: bring it back, or name it with --key-file: %w", path, err)
	}
	if err != nil {
		return key, fmt.Errorf("the server's key at %s: %w", path, err)
	}
	return key, nil
}

// passphrase comes from SIJILL_PASSPHRASE, a systemd credential, or a person.
func passphrase(w io.Writer, prompt string) (string, error) {
	if p := os.Getenv("SIJILL_PASSPHRASE"); p != "" {
		return p, nil
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		if b, err := os.ReadFile(filepath.Join(dir, "passphrase")); err == nil {
			return trimNewline(string(b)), nil
		}
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", errors.New("it is locked: set SIJILL_PASSPHRASE, give the systemd credential \"passphrase\", or run this in a terminal")
	}
	fmt.Fprint(w, prompt)
	b, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(w)
	return string(b), err
}

func trimNewline(s string) string {
	for len(s) > 0 && (s[len(s)-1] == '\n' || s[len(s)-1] == '\r') {
		s = s[:len(s)-1]
	}
	return s
}
