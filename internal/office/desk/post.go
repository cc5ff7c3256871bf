package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"sijill"
	"sijill/internal/access"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/office"
	"sijill/internal/outbox"
	"sijill/internal/people"
	"sijill/internal/post"
	"sijill/internal/search"
	"sijill/internal/wall"
	"sijill/internal/web"
)

// Identities implements web.Post, as do the methods below.
func (d *Desk) Identities(ctx context.Context, v *web.Viewer) ([]web.Identity, error) {
	list, err := d.o.People.Addresses(ctx, v.Account)
	if err != nil {
		return nil, err
	}
	var out []web.Identity
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		for _, a := range list {
			if a.Class != class || !visitOf(v).Scope.Has(class) || a.Alias && !a.Sends {
				continue
			}
			name := a.Name
			if name == "" {
				name = v.Name
			}
			out = append(out, web.Identity{Address: a.Address, Class: a.Class, Name: name, Signature: a.Signature})
		}
	}
	return out, nil
}

// Suggest looks at contacts of the office first, then at where mail from and to
// these people lies.
func (d *Desk) Suggest(ctx context.Context, v *web.Viewer, to []message.Address) (sijill.Class, error) {
	visit := visitOf(v)
	var office, personal bool
	for _, a := range to[:min(len(to), 10)] {
		own, err := d.o.Local(ctx, a.Addr)
		if err != nil {
			return "", err
		}
		if own || d.o.Wall.Contact(a.Addr) {
			return sijill.Office, nil
		}
		q := "from:" + search.Quote(a.Addr) + " OR to:" + search.Quote(a.Addr)
		if search.Quote(a.Addr) == "" {
			continue
		}
		r, err := visit.Query(ctx, q, search.Options{Limit: 20})
		if err != nil {
			return "", err
		}
		for _, h := range r.Hits {
			office, personal = office || h.Class != sijill.Personal, personal || h.Class == sijill.Personal
		}
	}
	switch {
	case office && !personal:
		return sijill.Office, nil
	case personal && !office:
		return sijill.Personal, nil
	}
	return "", nil
}

// How much of one's mail is looked at to complete an address, and how many are
// offered.
const (
	completeSent    = 300
	completeInbox   = 700
	completeOffered = 10
)

func (d *Desk) Complete(ctx context.Context, v *web.Viewer, prefix string) ([]message.Address, error) {
	visit := visitOf(v)
	folders, err := visit.Folders(ctx)
	if err != nil {
		return nil, err
	}
	c := &completion{prefix: strings.ToLower(strings.TrimSpace(prefix)), found: map[string]*candidate{}}
	for _, f := range folders {
		switch f.Role {
		case mailbox.RoleSent:
			err = c.sent(ctx, visit, f.ID)
		case mailbox.RoleInbox:
			err = c.received(ctx, visit, f.ID)
		}
		if err != nil {
			return nil, err
		}
	}
	return c.best(), nil
}

// completion gathers people whose name or address has a word with a prefix.
type completion struct {
	prefix string
	found  map[string]*candidate
}

type candidate struct {
	message.Address
	weight int
}

func (c *completion) add(a message.Address, weight int) {
	key := strings.ToLower(a.Addr)
	if a.Addr == "" || c.prefix == "" || !c.matches(a) {
		return
	}
	if c.found[key] == nil {
		c.found[key] = &candidate{Address: a}
	}
	c.found[key].weight += weight
	if c.found[key].Name == "" {
		c.found[key].Name = a.Name
	}
}

func (c *completion) matches(a message.Address) bool {
	words := strings.FieldsFunc(strings.ToLower(a.Name+" "+a.Addr), func(r rune) bool { return strings.ContainsRune(" .-_@<>,;\"'", r) })
	return strings.HasPrefix(strings.ToLower(a.Addr), c.prefix) || strings.Contains(" "+strings.ToLower(a.Name), " "+c.prefix) ||
		slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, c.prefix) })
}

func (c *completion) sent(ctx context.Context, v *office.Visit, folder int64) error {
	rows, err := v.View().List(ctx, folder, 0, completeSent)
	if err != nil {
		return err
	}
	var entries []int64
	for _, r := range rows {
		entries = append(entries, r.Entry)
	}
	list, err := v.View().Summaries(ctx, entries)
	for _, s := range list {
		for _, field := range []string{s.To, s.Cc} {
			for _, a := range message.ParseAddresses(field) {
				c.add(a, 3)
			}
		}
	}
	return err
}

func (c *completion) received(ctx context.Context, v *office.Visit, folder int64) error {
	rows, err := v.View().List(ctx, folder, 0, completeInbox)
	for _, r := range rows {
		c.add(r.From, 1)
	}
	return err
}

func (c *completion) best() []message.Address {
	var list []*candidate
	for _, x := range c.found {
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b *candidate) int { return cmp.Or(b.weight-a.weight, strings.Compare(a.Addr, b.Addr)) })
	var out []message.Address
	for _, x := range list[:min(len(list), completeOffered)] {
		out = append(out, x.Address)
	}
	return out
}

// compose writes a letter. A draft also keeps what it answers, and what was typed.
func (d *Desk) compose(ctx context.Context, v *web.Viewer, l *web.Letter, draft bool) ([]byte, error) {
	m := &message.Draft{From: l.From, To: l.To, Cc: l.Cc, Bcc: l.Bcc, Subject: l.Subject, Text: l.Text, Flowed: !draft,
		Date: time.Now(), Hostname: d.o.Config.ServerName()}
	for _, f := range l.Files {
		m.Files = append(m.Files, message.File{Name: f.Name, Type: f.Type, Data: f.Data})
	}
	if l.Answers >= 0 {
		if err := d.refer(ctx, v, l, m); err != nil {
			return nil, err
		}
	}
	if draft && l.Answers >= 0 {
		m.Fields = []message.HeaderField{{Name: draftAnswers, Value: strconv.FormatInt(l.Answers, 10)}, {Name: draftHow, Value: l.How}}
	}
	for _, name := range typedFields {
		if text := l.Typed[name]; draft && text != "" {
			m.Fields = append(m.Fields, message.HeaderField{Name: draftTyped + name, Value: text})
		}
	}
	b, err := message.Compose(m)
	if errors.Is(err, message.ErrAddress) {
		err = fmt.Errorf("%w: %w", web.ErrUnsuited, err)
	}
	return b, err
}

// refer makes a letter an answer to a message. What can't be opened any more is
// no reason not to send it.
func (d *Desk) refer(ctx context.Context, v *web.Viewer, l *web.Letter, m *message.Draft) error {
	raw, e, err := d.Original(ctx, v, l.Answers)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, web.ErrClosed) {
		return nil
	}
	if err != nil {
		return err
	}
	answered := message.Reply(message.Parse(e.Inner(raw)), message.ReplySender, func(string) bool { return false }, "")
	m.References = answered.References
	if l.How == web.HowReply || l.How == web.HowAll {
		m.InReplyTo = answered.InReplyTo
	}
	return nil
}

// letter is what post sends.
func (d *Desk) letter(ctx context.Context, v *web.Viewer, l *web.Letter) (*post.Letter, error) {
	if l.Draft >= 0 {
		_, err := d.draft(ctx, v, l.Draft)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", web.ErrStale, err)
		}
		if err != nil {
			return nil, err
		}
	}
	a, err := d.o.MayWrite(ctx, visitOf(v).Session, l.From.Addr)
	switch {
	case errors.Is(err, access.ErrClosed):
		return nil, pageError(err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: %w", web.ErrForbidden, err)
	}
	if err != nil {
		return nil, err
	}
	s, err := d.o.Sender(ctx, v.Account, a.Class)
	if err != nil {
		return nil, err
	}
	raw, err := d.compose(ctx, v, l, false)
	if err != nil {
		return nil, err
	}
	out := &post.Letter{Sender: s, From: a.Address, Original: raw, ToSend: message.RemoveFields(raw, "Bcc"), File: l.FileCopy,
		Envelope: message.Envelope{Door: "web", From: a.Address, Time: time.Now().UTC().Truncate(time.Millisecond)}}
	for _, list := range [][]message.Address{l.To, l.Cc, l.Bcc} {
		for _, to := range list {
			if !slices.Contains(out.Envelope.To, to.Addr) {
				out.Envelope.To = append(out.Envelope.To, to.Addr)
				out.To = append(out.To, outbox.Recipient{Address: to.Addr})
			}
		}
	}
	return out, nil
}

func (d *Desk) Check(ctx context.Context, v *web.Viewer, l *web.Letter) (web.Crossing, error) {
	p, err := d.letter(ctx, v, l)
	if err != nil {
		return web.Crossing{}, err
	}
	c, err := d.o.Post.Check(ctx, p)
	out := web.Crossing{Answers: c == wall.Answers}
	if c != wall.None {
		for _, to := range slices.Concat(l.To, l.Cc, l.Bcc) {
			if d.o.Wall.Contact(to.Addr) {
				out.Contacts = append(out.Contacts, to)
			}
		}
	}
	return out, err
}

func (d *Desk) Send(ctx context.Context, v *web.Viewer, l *web.Letter, undo time.Duration) (web.Sent, error) {
	p, err := d.letter(ctx, v, l)
	if err != nil {
		return web.Sent{}, err
	}
	if len(p.To) == 0 {
		return web.Sent{}, web.ErrUnsuited
	}
	p.Delay = undo
	sent, err := d.o.Post.Send(ctx, p)
	var crosses *post.Crosses
	switch {
	case errors.As(err, &crosses):
		return web.Sent{}, fmt.Errorf("%w: %w", web.ErrWall, err)
	case errors.Is(err, outbox.ErrLetter):
		return web.Sent{}, fmt.Errorf("%w: %w", web.ErrUnsuited, err)
	case err != nil:
		return web.Sent{}, err
	}
	if err := d.sentOne(ctx, v, l); err != nil {
		d.o.Log.Error("a letter was sent; what goes with it was not done", "error", err)
	}
	return web.Sent{ID: strconv.FormatInt(sent.Entry, 10), Until: sent.Leaves, Entry: sent.Entry}, nil
}

// sentOne drops the draft of a letter that was sent, and marks what it answers.
func (d *Desk) sentOne(ctx context.Context, v *web.Viewer, l *web.Letter) error {
	var errs []error
	if l.Draft >= 0 {
		errs = append(errs, d.DropDraft(ctx, v, l.Draft))
	}
	if l.Answers >= 0 && (l.How == web.HowReply || l.How == web.HowAll) {
		r, err := visitOf(v).View().Get(ctx, l.Answers)
		if err == nil {
			err = d.Mark(ctx, v, r.Folder, []int64{r.UID}, web.MarkAnswered, true)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (d *Desk) Written(ctx context.Context, v *web.Viewer, id string) (*web.Letter, error) {
	entry, err := number(id)
	if err != nil {
		return nil, err
	}
	return d.read(ctx, v, entry)
}

// Undo withdraws a letter and takes it out of Sent. That it was written and
// withdrawn stays on record.
func (d *Desk) Undo(ctx context.Context, v *web.Viewer, id string) error {
	entry, err := number(id)
	if err != nil {
		return err
	}
	err = d.o.Outbox.Withdraw(ctx, entry, v.Account)
	if errors.Is(err, outbox.ErrTooLate) || errors.Is(err, outbox.ErrBusy) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", web.ErrLate, err)
	}
	if err != nil {
		return err
	}
	if err := d.takeOut(ctx, v, entry); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// takeOut takes a letter out of Sent, once it is there: whoever is quick is back
// before it.
func (d *Desk) takeOut(ctx context.Context, v *web.Viewer, entry int64) error {
	p, err := d.o.Mailbox.Placed(ctx, v.Account, entry)
	if err != nil {
		return err
	}
	f, err := visitOf(v).Folder(ctx, p.Folder)
	if err != nil {
		return err
	}
	if f.Class != sijill.Personal {
		return d.o.Mailbox.Expunge(ctx, v.Account, f.ID, []int64{p.UID})
	}
	roles, err := d.o.RoleFolders(ctx, v.Account, f.Class)
	if err != nil {
		return err
	}
	// Expunged, it would be destroyed.
	_, err = d.o.Mailbox.Move(ctx, v.Account, f.ID, []int64{p.UID}, roles[mailbox.RoleTrash])
	return err
}

func (d *Desk) FileCopy(ctx context.Context, v *web.Viewer, entry int64) (int64, error) {
	it, err := visitOf(v).Item(ctx, entry)
	if err != nil {
		return 0, err
	}
	s, err := d.o.Sender(ctx, v.Account, sijill.Personal)
	if err != nil {
		return 0, err
	}
	n, err := d.o.Post.File(ctx, s, it)
	if errors.Is(err, post.ErrNotPersonal) {
		err = fmt.Errorf("%w: %w", web.ErrUnsuited, err)
	}
	return n, pageError(err)
}

func (d *Desk) Reminders(ctx context.Context, v *web.Viewer) ([]web.Reminder, error) {
	if !visitOf(v).Scope.Has(sijill.Personal) {
		return nil, nil
	}
	list, err := d.o.Wall.Due(ctx, v.Account)
	var out []web.Reminder
	for _, x := range list {
		out = append(out, web.Reminder{Entry: x.Entry, Arrived: x.Arrived, Due: x.By})
	}
	return out, err
}

func (d *Desk) Dismiss(ctx context.Context, v *web.Viewer, entry int64) error {
	s, err := d.o.Sender(ctx, v.Account, sijill.Personal)
	if err != nil {
		return err
	}
	return d.o.Post.Keep(ctx, s, entry)
}

// SetIdentity implements web.Settings.
func (d *Desk) SetIdentity(ctx context.Context, v *web.Viewer, i web.Identity) error {
	list, err := d.o.People.Addresses(ctx, v.Account)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(list, func(a people.Address) bool { return strings.EqualFold(a.Address, i.Address) })
	if at < 0 || !visitOf(v).Scope.Has(list[at].Class) {
		return fs.ErrNotExist
	}
	if closed(v, list[at].Class) {
		return web.ErrClosed
	}
	a := list[at]
	a.Name, a.Signature = i.Name, i.Signature
	return pageError(d.o.Access.SetAddress(ctx, d.by(ctx, v), v.Account, a))
}
