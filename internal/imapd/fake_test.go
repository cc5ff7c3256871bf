package imapd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/people"
)

// office is a Backend in memory that keeps to what User promises.
type office struct {
	mu       sync.Mutex
	folders  map[int64]*shelf
	next     int64
	messages []stored // by entry
	watchers map[chan struct{}]bool
	open     func(entry int64) error // when set, may refuse to open
	gate     chan chan struct{}      // when set, Append sends what it then waits for
	opened   int
	besides  []int64 // UIDs that another expunges at the same moment as somebody
}

type stored struct {
	raw      []byte
	internal time.Time
	sum      mailbox.Summary
}

type shelf struct {
	mailbox.Folder
	places map[int64]*mailbox.Place
	gone   map[int64]int64 // UID to ModSeq
	oldest int64           // Changes since before are forgotten
}

func newOffice(t testing.TB) *office {
	o := &office{folders: map[int64]*shelf{}, watchers: map[chan struct{}]bool{}}
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		for _, f := range [][2]string{{"Inbox", mailbox.RoleInbox}, {"Sent", mailbox.RoleSent}, {"Drafts", mailbox.RoleDrafts}, {"Junk", mailbox.RoleJunk}, {"Trash", mailbox.RoleTrash}, {"Archive", mailbox.RoleArchive}} {
			if _, err := o.create(class, f[0], f[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return o
}

// The passwords, and what they open.
const (
	bothPassword     = "both-0123456789"
	officePassword   = "office-0123456789"
	personalPassword = "personal-0123456789"
)

func (o *office) Login(_ context.Context, name, password string, _ netip.Addr) (User, error) {
	if name == "slow" {
		return nil, fmt.Errorf("signing in: %w", people.ErrSlowDown{})
	}
	if name == "broken" {
		return nil, errors.New("the table is locked: secret detail")
	}
	if name != "layla" && name != "ليلى" {
		return nil, fmt.Errorf("signing in: %w", people.ErrCredentials)
	}
	switch password {
	case bothPassword:
		return &reader{o, []sijill.Class{sijill.Office, sijill.Personal}}, nil
	case officePassword:
		return &reader{o, []sijill.Class{sijill.Office}}, nil
	case personalPassword:
		return &reader{o, []sijill.Class{sijill.Personal}}, nil
	}
	return nil, fmt.Errorf("signing in: %w", people.ErrCredentials)
}

func (o *office) create(class sijill.Class, name, role string) (mailbox.Folder, error) {
	for _, f := range o.folders {
		if f.Class == class && f.Name == name {
			return mailbox.Folder{}, fmt.Errorf("make folder: %w", fs.ErrExist)
		}
	}
	o.next++
	f := &shelf{Folder: mailbox.Folder{ID: o.next, Class: class, Name: name, Role: role, Subscribed: true, UIDValidity: 1_000_000 + o.next, UIDNext: 1, ModSeq: 1},
		places: map[int64]*mailbox.Place{}, gone: map[int64]int64{}}
	o.folders[f.ID] = f
	return f.Folder, nil
}

// put adds a message to the folder of a class with a role or name.
func (o *office) put(class sijill.Class, name string, raw string, flags mailbox.Flags) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.folders {
		if f.Class == class && f.Name == name {
			return o.place(f, o.store([]byte(raw), time.Now()), flags, nil).UID
		}
	}
	panic("no such folder")
}

func (o *office) store(raw []byte, internal time.Time) int64 {
	m := message.Parse(raw)
	h := func(name string) string {
		if f := m.Header.Lookup(name); f != nil {
			return strings.Join(strings.Fields(f.Raw()), " ")
		}
		return ""
	}
	o.messages = append(o.messages, stored{raw: raw, internal: internal, sum: mailbox.Summary{
		Entry: int64(len(o.messages)), Size: int64(len(raw)), Internal: internal, Date: h("Date"), Subject: h("Subject"),
		From: h("From"), Sender: h("Sender"), ReplyTo: h("Reply-To"), To: h("To"), Cc: h("Cc"), Bcc: h("Bcc"),
		InReplyTo: h("In-Reply-To"), MessageID: h("Message-ID"),
	}})
	return int64(len(o.messages) - 1)
}

func (o *office) place(f *shelf, entry int64, flags mailbox.Flags, keywords []string) mailbox.Place {
	f.ModSeq++
	p := &mailbox.Place{Folder: f.ID, UID: f.UIDNext, Entry: entry, Flags: flags, Keywords: keywords, ModSeq: f.ModSeq}
	f.UIDNext++
	f.places[p.UID] = p
	o.tell()
	return *p
}

func (f *shelf) drop(uid int64) {
	delete(f.places, uid)
	f.ModSeq++
	f.gone[uid] = f.ModSeq
}

// remove deletes an office folder, whatever is in it.
func (o *office) remove(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, f := range o.folders {
		if f.Class == sijill.Office && f.Name == name {
			delete(o.folders, id)
		}
	}
	o.tell()
}

func (o *office) tell() {
	for c := range o.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// reader is a User of an office.
type reader struct {
	*office
	classes []sijill.Class
}

func (r *reader) Close()                  {}
func (r *reader) Classes() []sijill.Class { return r.classes }

func (r *reader) Folders(context.Context) (list []mailbox.Folder, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.folders {
		if slices.Contains(r.classes, f.Class) {
			f.Total, f.Unseen = int64(len(f.places)), 0
			for _, p := range f.places {
				if p.Flags&mailbox.FlagSeen == 0 {
					f.Unseen++
				}
			}
			list = append(list, f.Folder)
		}
	}
	return list, nil
}

func (r *reader) CreateFolder(_ context.Context, class sijill.Class, name string) (mailbox.Folder, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.create(class, name, "")
}

func (r *reader) at(id int64) (*shelf, error) {
	if f := r.folders[id]; f != nil && slices.Contains(r.classes, f.Class) {
		return f, nil
	}
	return nil, fmt.Errorf("folder %d: %w", id, fs.ErrNotExist)
}

func (r *reader) RenameFolder(_ context.Context, id int64, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.at(id)
	if err != nil {
		return err
	}
	old := f.Name
	for _, g := range r.folders {
		if rest, ok := strings.CutPrefix(g.Name, old+"/"); ok && g.Class == f.Class {
			g.Name = name + "/" + rest
		}
	}
	f.Name = name
	return nil
}

func (r *reader) DeleteFolder(_ context.Context, id int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.at(id); err != nil {
		return err
	}
	delete(r.folders, id)
	r.tell()
	return nil
}

func (r *reader) Subscribe(_ context.Context, id int64, on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.at(id)
	if err == nil {
		f.Subscribed = on
	}
	return err
}

func (r *reader) Snapshot(ctx context.Context, folder int64) (*mailbox.Snapshot, error) {
	r.mu.Lock()
	f, err := r.at(folder)
	if err != nil {
		r.mu.Unlock()
		return nil, err
	}
	modSeq := f.ModSeq
	r.mu.Unlock()
	list, err := r.Places(ctx, folder, 1, 1<<32)
	return mailbox.NewSnapshot(modSeq, list), err
}

func (r *reader) Places(_ context.Context, folder, first, last int64) (list []mailbox.Place, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.at(folder)
	if err != nil {
		return nil, err
	}
	for uid := max(first, 1); uid <= min(last, f.UIDNext-1); uid++ {
		if p := f.places[uid]; p != nil {
			list = append(list, *p)
		}
	}
	return list, nil
}

func (r *reader) Changes(_ context.Context, folder, since int64) (c mailbox.Changes, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.at(folder)
	if err != nil {
		return c, err
	}
	c.ModSeq = f.ModSeq
	if c.Whole = since < f.oldest; c.Whole {
		return c, nil
	}
	if since == f.ModSeq {
		return c, nil
	}
	for uid := int64(1); uid < f.UIDNext; uid++ {
		if p := f.places[uid]; p != nil && p.ModSeq > since {
			c.Changed = append(c.Changed, *p)
		}
		if f.gone[uid] > since {
			c.Gone = append(c.Gone, uid)
		}
	}
	return c, nil
}

func (r *reader) Watch() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers[c] = true
	return c, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, c)
	}
}

func (r *reader) Flag(_ context.Context, folder int64, uids []int64, op mailbox.Op, flags mailbox.Flags, keywords []string) (list []mailbox.Place, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.at(folder)
	if err != nil {
		return nil, err
	}
	for _, uid := range uids {
		p := f.places[uid]
		if p == nil {
			continue
		}
		q := *p
		switch op {
		case mailbox.Set:
			q.Flags, q.Keywords = flags, slices.Clone(keywords)
		case mailbox.Add:
			q.Flags |= flags
			q.Keywords = slices.Clone(q.Keywords)
			for _, k := range keywords {
				if !slices.Contains(q.Keywords, k) {
					q.Keywords = append(q.Keywords, k)
				}
			}
		case mailbox.Remove:
			q.Flags &^= flags
			q.Keywords = slices.DeleteFunc(slices.Clone(q.Keywords), func(k string) bool { return slices.Contains(keywords, k) })
		}
		f.ModSeq++
		q.ModSeq = f.ModSeq
		f.places[uid] = &q
		list = append(list, q)
	}
	r.tell()
	return list, nil
}

func (r *reader) Copy(_ context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
	return r.transfer(folder, uids, to, false)
}

func (r *reader) Move(_ context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
	return r.transfer(folder, uids, to, true)
}

func (r *reader) transfer(folder int64, uids []int64, to int64, move bool) (list []mailbox.Copied, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.at(folder)
	if err != nil {
		return nil, err
	}
	g, err := r.at(to)
	if err != nil {
		return nil, err
	}
	if f.Class != g.Class {
		return nil, fmt.Errorf("move: %w", mailbox.ErrWall)
	}
	for _, uid := range uids {
		if p := f.places[uid]; p != nil {
			q := r.place(g, p.Entry, p.Flags, p.Keywords)
			list = append(list, mailbox.Copied{From: uid, To: q.UID})
			if move {
				f.drop(uid)
			}
		}
	}
	r.tell()
	return list, nil
}

func (r *reader) Expunge(_ context.Context, folder int64, uids []int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.at(folder)
	if err != nil {
		return err
	}
	for _, uid := range append(uids, r.besides...) {
		if f.places[uid] != nil {
			f.drop(uid)
		}
	}
	r.tell()
	return nil
}

func (r *reader) Append(ctx context.Context, folder int64, m *Mail) (mailbox.Place, error) {
	if r.gate != nil {
		sealing := make(chan struct{})
		r.gate <- sealing
		select {
		case <-sealing:
		case <-ctx.Done():
			return mailbox.Place{}, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.at(folder)
	if err != nil {
		return mailbox.Place{}, err
	}
	internal := m.Internal
	if internal.IsZero() {
		internal = time.Now()
	}
	return r.place(f, r.store(slices.Clone(m.Message), internal), m.Flags, m.Keywords), nil
}

func (r *reader) Summaries(_ context.Context, entries []int64) ([]mailbox.Summary, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]mailbox.Summary, len(entries))
	for i, e := range entries {
		list[i] = r.messages[e].sum
	}
	return list, nil
}

func (r *reader) Sizes(_ context.Context, entries []int64) (map[int64]int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sizes := map[int64]int64{}
	for _, e := range entries {
		sizes[e] = r.messages[e].sum.Size
	}
	return sizes, nil
}

func (r *reader) Ready(_ context.Context, entries []int64) (func(i int) ([]byte, error), error) {
	if len(entries) > 500 {
		return nil, errors.New("too many at once")
	}
	return func(i int) ([]byte, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.opened++
		if r.open != nil {
			if err := r.open(entries[i]); err != nil {
				return nil, err
			}
		}
		return r.messages[entries[i]].raw, nil
	}, nil
}

func (r *reader) Search(_ context.Context, phrase string) (list []int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, m := range r.messages {
		p := message.Parse(m.raw)
		if includes(p.Text(), phrase) || headerIncludes(p, phrase) {
			list = append(list, int64(i))
		}
	}
	return list, nil
}
