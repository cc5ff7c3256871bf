package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/web"
)

// Fields in which a draft keeps what isn't part of a letter. They leave with
// nothing.
const (
	draftAnswers = "X-Sijill-Answers"
	draftHow     = "X-Sijill-How"
	draftTyped   = "X-Sijill-Typed-" // Before the name of a field; see web.Letter.Typed.
)

// typedFields are the fields of which a draft may keep what was typed.
var typedFields = []string{"to", "cc", "bcc"}

func (d *Desk) SaveDraft(ctx context.Context, v *web.Viewer, replaces int64, l *web.Letter) (int64, error) {
	visit := visitOf(v)
	if !visit.Scope.Has(l.Class) {
		return 0, web.ErrForbidden
	}
	if closed(v, l.Class) {
		return 0, web.ErrClosed
	}
	raw, err := d.compose(ctx, v, l, true)
	if err != nil {
		return 0, err
	}
	roles, err := d.o.RoleFolders(ctx, v.Account, l.Class)
	if err != nil {
		return 0, err
	}
	f := mailbox.Folder{ID: roles[mailbox.RoleDrafts], Class: l.Class}
	entry, err := visit.Put(ctx, f, raw, mailbox.Arrival{Folder: f.ID, Flags: mailbox.FlagDraft | mailbox.FlagSeen}, "web")
	if err != nil {
		return 0, err
	}
	if replaces >= 0 {
		err = d.DropDraft(ctx, v, replaces)
	}
	return entry, err
}

// draft finds the place of a draft. What isn't the viewer's and what doesn't lie in
// Drafts is fs.ErrNotExist.
func (d *Desk) draft(ctx context.Context, v *web.Viewer, entry int64) (mailbox.Place, error) {
	// For what isn't in the register yet Placed would wait.
	if _, err := visitOf(v).Item(ctx, entry); err != nil {
		return mailbox.Place{}, err
	}
	if _, err := d.o.Mailbox.Placed(ctx, v.Account, entry); err != nil {
		return mailbox.Place{}, err
	}
	places, err := d.o.Mailbox.PlacesOf(ctx, v.Account, entry)
	if err != nil {
		return mailbox.Place{}, err
	}
	for _, p := range places {
		f, err := visitOf(v).Folder(ctx, p.Folder)
		if err == nil && f.Role == mailbox.RoleDrafts {
			return p, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return mailbox.Place{}, err
		}
	}
	return mailbox.Place{}, fmt.Errorf("entry %d is no draft: %w", entry, fs.ErrNotExist)
}

// Draft reads a draft back.
func (d *Desk) Draft(ctx context.Context, v *web.Viewer, entry int64) (*web.Letter, error) {
	if _, err := d.draft(ctx, v, entry); err != nil {
		return nil, err
	}
	l, err := d.read(ctx, v, entry)
	if err == nil {
		l.Draft = entry
	}
	return l, err
}

// read makes a letter of a message that was composed here.
func (d *Desk) read(ctx context.Context, v *web.Viewer, entry int64) (*web.Letter, error) {
	raw, _, err := d.Original(ctx, v, entry)
	if err != nil {
		return nil, err
	}
	m := message.Parse(raw)
	l := &web.Letter{To: m.To(), Cc: m.Cc(), Bcc: m.Bcc(), Subject: m.Subject(), Text: strings.ReplaceAll(m.Text(), "\r\n", "\n"), Answers: -1, Draft: -1}
	if from := m.From(); len(from) > 0 {
		l.From = from[0]
		a, err := d.o.People.Sender(ctx, v.Account, from[0].Addr)
		if err != nil {
			return nil, err
		}
		l.Class = a.Class
	}
	if n, err := strconv.ParseInt(m.Header.Get(draftAnswers), 10, 64); err == nil {
		l.Answers, l.How = n, m.Header.Get(draftHow)
	}
	for _, name := range typedFields {
		if text := m.Header.Get(draftTyped + name); text != "" {
			if l.Typed == nil {
				l.Typed = map[string]string{}
			}
			l.Typed[name] = text
		}
	}
	for _, a := range m.Attachments() {
		l.Files = append(l.Files, web.Attached{Name: a.Name, Type: a.Type, Data: bytes.Clone(a.Part.Decoded())})
	}
	return l, nil
}

func (d *Desk) DropDraft(ctx context.Context, v *web.Viewer, entry int64) error {
	p, err := d.draft(ctx, v, entry)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return pageError(visitOf(v).Expunge(ctx, p.Folder, []int64{p.UID}))
}
