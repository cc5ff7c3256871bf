package office

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/record"
	"sijill/internal/search"
)

// Settle waits until the projections have seen what the register has. Somebody must
// bring them there meanwhile: Follower.Run, or a server that runs on the same
// directory.
func (o *Office) Settle(ctx context.Context) error {
	size, _ := o.Register.Head()
	for {
		next, err := o.Follower.Cursors(ctx)
		if err != nil {
			return err
		}
		if min(next["mailbox"], next["search"]) >= size {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Tidy makes one index of one that was written in many batches, and gives back
// the room that this frees. It takes time in proportion to all mail, and so is
// done only after an import that brought a good part of it: before is how many entries
// the register had then. While a server runs on the directory it does nothing.
func (o *Office) Tidy(ctx context.Context, before int64) error {
	now, _ := o.Register.Head()
	if now-before < now/4 {
		return nil
	}
	release, err := o.Follower.Hold(ctx)
	if errors.Is(err, record.ErrLeased) {
		return nil // A server is at work on the index; it merges by and by.
	}
	if err != nil {
		return err
	}
	defer release()
	if err := o.Mail.Write(ctx, func(tx *db.Tx) error { return o.Search.Purge(ctx, tx) }); err != nil {
		return err
	}
	return o.Mail.Shrink(ctx)
}

// CheckProjections makes the named projections ("mailbox", "search") anew beside the
// old ones, and describes the first difference of each; next is how many entries
// both have seen. It compares a copy with ones made up to the same entry, so that it
// works while a server runs on the same directory.
func (o *Office) CheckProjections(ctx context.Context, names []string) (next int64, differences []string, err error) {
	if err := o.Follower.CatchUp(ctx); err != nil {
		return 0, nil, err
	}
	tmp, err := os.MkdirTemp(o.Dir, "check-")
	if err != nil {
		return 0, nil, err
	}
	defer os.RemoveAll(tmp)
	live, err := openCopy(ctx, o, filepath.Join(tmp, "live.db"))
	if err != nil {
		return 0, nil, err
	}
	defer live.close()
	fresh, err := openFresh(ctx, o, filepath.Join(tmp, "fresh.db"), live.next)
	if err != nil {
		return 0, nil, err
	}
	defer fresh.close()
	for _, name := range names {
		d, err := compareDumps(ctx, name, live, fresh)
		if err != nil {
			return 0, nil, err
		}
		if d != "" {
			differences = append(differences, d)
		}
	}
	return live.next, differences, nil
}

// projected is a database with both projections.
type projected struct {
	db      *db.DB
	mailbox *mailbox.Mailbox
	search  *search.Search
	next    int64 // The first entry that they have not seen.
}

func (p *projected) close() { p.db.Close() }

func (o *Office) projected(ctx context.Context, path string, until int64) (*projected, *record.Follower, error) {
	d, err := db.OpenSQLite(ctx, path, o.mailOptions())
	if err != nil {
		return nil, nil, err
	}
	p := &projected{db: d, mailbox: mailbox.New(d)}
	p.mailbox.Attach(o.DB, nil)
	p.mailbox.SetCooling(mailbox.Cooling{Cold: o.Vault.ColdOf})
	p.search = search.New(d, p.mailbox, o.Register.Item)
	f, err := o.Register.Follow(ctx, d, "", p.mailbox, p.search)
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	f.Until(until)
	return p, f, nil
}

// openCopy opens a copy of both projections as they are; close it.
func openCopy(ctx context.Context, o *Office, path string) (*projected, error) {
	if err := o.Mail.Backup(ctx, path); err != nil {
		return nil, err
	}
	p, f, err := o.projected(ctx, path, 0)
	if err != nil {
		return nil, err
	}
	next, err := f.Cursors(ctx)
	if err == nil && next["mailbox"] != next["search"] {
		err = errors.New("the projections are not at the same entry yet; try again in a moment")
	}
	if err != nil {
		return nil, errors.Join(err, p.db.Close())
	}
	p.next = next["mailbox"]
	return p, nil
}

// openFresh makes both projections anew, up to an entry; close them.
func openFresh(ctx context.Context, o *Office, path string, until int64) (*projected, error) {
	p, f, err := o.projected(ctx, path, until)
	if err != nil || until == 0 {
		return p, err
	}
	if err := f.CatchUp(ctx); err != nil {
		return nil, errors.Join(err, p.db.Close())
	}
	return p, nil
}

type dumper interface {
	Dump(ctx context.Context, tx *db.Tx, emit func(line string) error) error
}

func (p *projected) dumper(name string) dumper {
	if name == "mailbox" {
		return p.mailbox
	}
	return p.search
}

// errStop ends a dump early.
var errStop = errors.New("stop")

// lines dumps a projection into a channel. It returns errStop when ctx ended
// first, wherever that was noticed.
func (p *projected) lines(ctx context.Context, name string, to chan<- string) error {
	defer close(to)
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		return p.dumper(name).Dump(ctx, tx, func(line string) error {
			select {
			case to <- line:
				return nil
			case <-ctx.Done():
				return errStop
			}
		})
	})
	if err != nil && ctx.Err() != nil {
		return errStop
	}
	return err
}

// compareDumps walks two dumps side by side and describes the first difference.
func compareDumps(ctx context.Context, name string, live, fresh *projected) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ch [2]chan string
	errs := make(chan error, 2)
	for i, p := range []*projected{live, fresh} {
		ch[i] = make(chan string, 256)
		go func() { errs <- p.lines(ctx, name, ch[i]) }()
	}
	difference := ""
	for difference == "" {
		a, okA := <-ch[0]
		b, okB := <-ch[1]
		if !okA && !okB {
			break
		}
		if a != b || okA != okB {
			difference = fmt.Sprintf("%s differs\n  it says       %s\n  entries say   %s", name, orNothing(a, okA), orNothing(b, okB))
		}
	}
	cancel()
	for range 2 {
		if err := <-errs; err != nil && !errors.Is(err, errStop) {
			return "", err
		}
	}
	return difference, nil
}

func orNothing(line string, ok bool) string {
	if !ok {
		return "nothing more"
	}
	return line
}
