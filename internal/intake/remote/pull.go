package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sync/semaphore"
)

// state is what is saved: how far each folder is settled.
type state struct {
	Folders map[string]*mark `json:"folders"`
	Counts  Counts           `json:"counts"`
}

// mark is how far a folder has come: every UID up to Last is settled.
type mark struct {
	Validity uint32 `json:"validity"`
	Last     uint32 `json:"last"`
}

// puller is one move.
type puller struct {
	Options
	source Source
	state  state
	saved  time.Time
	total  int64
	done   int64
	memory *semaphore.Weighted
}

// Pull moves everything that was not moved yet. The error wraps ErrSignIn when
// user and password are wrong; the state is kept then as in every other case.
func Pull(ctx context.Context, s Source, o Options) (*Result, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	p := &puller{Options: o, source: s, memory: semaphore.NewWeighted(o.Memory)}
	resumed, err := p.load(ctx)
	if err != nil {
		return nil, err
	}
	r := &Result{Resumed: resumed}
	r.Folders, err = p.persist(ctx)
	r.Counts = p.state.Counts
	if err != nil {
		return r, err
	}
	return r, p.save(ctx)
}

func (p *puller) load(ctx context.Context) (resumed bool, err error) {
	p.state.Folders = map[string]*mark{}
	b, err := p.Ledger.Load(ctx, p.Key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &p.state)
	}
	if err != nil {
		return false, fmt.Errorf("reading how far the move has come: %w", err)
	}
	return len(p.state.Folders) > 0, nil
}

func (p *puller) save(ctx context.Context) error {
	b, err := json.Marshal(&p.state)
	if err == nil {
		err = p.Ledger.Save(context.WithoutCancel(ctx), p.Key, b)
	}
	if err != nil {
		return fmt.Errorf("saving how far the move has come: %w", err)
	}
	p.saved = time.Now()
	return nil
}

// broken is a failure of the connection: it is worth another attempt.
type broken struct{ error }

func (b broken) Unwrap() error { return b.error }

// persist makes new connections for as long as each brings something.
func (p *puller) persist(ctx context.Context) (list []Folder, err error) {
	pause := p.Pause
	for attempt := 1; ; attempt++ {
		before := p.state.Counts.Seen
		list, err = p.session(ctx)
		var b broken
		if err == nil || !errors.As(err, &b) || ctx.Err() != nil {
			return list, errors.Join(err, ctx.Err())
		}
		if p.state.Counts.Seen > before {
			attempt, pause = 1, p.Pause
		}
		if attempt >= p.Attempts {
			return list, fmt.Errorf("the connection broke %d times without bringing a message: %w", attempt, err)
		}
		p.Log.Warn("the connection to the other server broke; it is made again", "attempt", attempt, "error", b.error)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return list, ctx.Err()
		}
		pause *= 2
	}
}

// session moves what it can over one connection.
func (p *puller) session(ctx context.Context) (list []Folder, err error) {
	c, err := connect(p.source)
	if errors.Is(err, ErrSignIn) || errors.Is(err, ErrCertificate) {
		return nil, err
	}
	if err != nil {
		return nil, broken{err}
	}
	defer c.Close()
	unhook := context.AfterFunc(ctx, func() { c.Close() })
	defer unhook()
	if list, err = folders(c, p.Skip); err != nil {
		return nil, broken{err}
	}
	p.total, p.done = 0, 0
	for _, f := range list {
		p.total += f.Messages
	}
	for _, f := range list {
		if err := p.folder(ctx, c, f); err != nil {
			return list, err
		}
	}
	c.Logout().Wait() // Everything is settled: how it ends doesn't matter.
	return list, nil
}

// folder moves what of a folder isn't settled.
func (p *puller) folder(ctx context.Context, c *imapclient.Client, f Folder) error {
	sel, err := c.Select(f.mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return broken{fmt.Errorf("opening a folder: %w", err)}
	}
	m := p.state.Folders[f.Name]
	if m == nil || m.Validity != sel.UIDValidity {
		m = &mark{Validity: sel.UIDValidity}
		p.state.Folders[f.Name] = m
	}
	f.Validity = sel.UIDValidity
	base := p.done
	if sel.NumMessages > 0 {
		q := p.settler(ctx, f, m)
		err = errors.Join(p.fetch(ctx, c, f, m.Last, q), q.end())
	}
	p.done = base + f.Messages
	return errors.Join(err, p.save(ctx))
}

// fetch reads messages after last, in the order of their UIDs, and hands them
// over.
func (p *puller) fetch(ctx context.Context, c *imapclient.Client, f Folder, last uint32, q *settler) error {
	var set imap.UIDSet
	set.AddRange(imap.UID(last+1), 0) // To the end, "*".
	cmd := c.Fetch(set, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	for {
		msg := cmd.Next()
		if msg == nil {
			break
		}
		it, err := p.read(ctx, msg, f)
		if err == nil && it.mail.UID > last { // "*" is the last one even when it was asked for what follows.
			err = q.submit(it)
		}
		if errors.As(err, new(broken)) {
			return err // The client reads on by itself, and ends.
		}
		if err != nil {
			abandon(c, cmd)
			return err
		}
	}
	if err := cmd.Close(); err != nil {
		return broken{fmt.Errorf("fetching messages: %w", err)}
	}
	return nil
}

// abandon ends a fetch without reading the rest of the folder. The connection is
// of no more use.
func abandon(c *imapclient.Client, cmd *imapclient.FetchCommand) {
	closed := make(chan struct{})
	go func() {
		c.Close() // Returns when what was read is taken.
		close(closed)
	}()
	cmd.Close()
	<-closed
}

// read reads one message; one that is too big is read to its end and forgotten.
func (p *puller) read(ctx context.Context, msg *imapclient.FetchMessageData, f Folder) (*item, error) {
	it := &item{mail: &Mail{Folder: f}, done: make(chan struct{})}
	got := false
	for {
		switch d := msg.Next().(type) {
		case nil:
			if !got && it.refused == "" {
				it.refused = "the other server gave no content"
			}
			return it, nil
		case imapclient.FetchItemDataUID:
			it.mail.UID = uint32(d.UID)
		case imapclient.FetchItemDataFlags:
			for _, flag := range d.Flags {
				it.mail.Flags = append(it.mail.Flags, string(flag))
			}
		case imapclient.FetchItemDataInternalDate:
			it.mail.Internal = d.Time
		case imapclient.FetchItemDataBodySection:
			if d.Literal == nil {
				continue
			}
			got = true
			if err := p.body(ctx, it, d.Literal); err != nil {
				return nil, fmt.Errorf("fetching a message: %w", err)
			}
		}
	}
}

func (p *puller) body(ctx context.Context, it *item, l imap.LiteralReader) error {
	size := l.Size()
	if size > p.MaxMessage {
		it.refused = fmt.Sprintf("it is larger than %d bytes", p.MaxMessage)
		if _, err := io.Copy(io.Discard, l); err != nil {
			return broken{err}
		}
		return nil
	}
	it.weight = min(size, p.Memory)
	if err := p.memory.Acquire(ctx, it.weight); err != nil {
		return err
	}
	it.mail.Message = make([]byte, size)
	if _, err := io.ReadFull(l, it.mail.Message); err != nil {
		p.memory.Release(it.weight)
		return broken{err}
	}
	return nil
}
