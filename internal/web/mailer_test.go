package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sijill"
	"sijill/internal/message"
)

// mailer takes letters and keeps drafts in the store.
type mailer struct {
	store *store

	mu        sync.Mutex
	ids       []Identity         // Guarded by mu, as are all below.
	sent      map[string]*Letter // By id; those taken back are gone.
	delivered []*Letter
	filed     []int64
	due       []int64
	late      bool // Nothing can be taken back.
	full      bool // No draft can be saved.
	barred    bool
}

func (m *mailer) Identities(_ context.Context, v *Viewer) ([]Identity, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids == nil {
		m.ids = []Identity{
			{Address: records, Class: sijill.Office, Name: "سلمى الحداد", Signature: "سلمى الحداد\nديوان المحفوظات الوطنية"},
			{Address: own, Class: sijill.Personal, Name: "Salma", Signature: "سلمى"},
		}
	}
	if v.Account != 1 {
		return []Identity{{Address: v.Address, Class: sijill.Office, Name: v.Name}}, nil
	}
	return slices.Clone(m.ids), nil
}

func contact(a message.Address) bool {
	return strings.HasSuffix(a.Addr, "@orchard.example") || strings.HasSuffix(a.Addr, "@diwan.example")
}

func (m *mailer) Suggest(_ context.Context, _ *Viewer, to []message.Address) (sijill.Class, error) {
	for _, a := range to {
		if contact(a) {
			return sijill.Office, nil
		}
		if strings.HasSuffix(a.Addr, "@bayt.example") {
			return sijill.Personal, nil
		}
	}
	return "", nil
}

func (m *mailer) Complete(_ context.Context, _ *Viewer, prefix string) (out []message.Address, _ error) {
	for _, a := range []message.Address{
		{Name: "Miriam Calder", Addr: "miriam@orchard.example"}, {Name: "ليلى الهاشمي", Addr: "laila@diwan.example"},
		{Name: "هند الحداد", Addr: "hind@bayt.example"}, {Name: "Mills, Owen", Addr: "owen@mills.example"},
	} {
		for _, w := range append(strings.Fields(a.Name), a.Addr) {
			if strings.HasPrefix(strings.ToLower(w), strings.ToLower(prefix)) {
				out = append(out, a)
				break
			}
		}
	}
	return out, nil
}

// isDraft tells whether an entry lies in the viewer's Drafts.
func (m *mailer) isDraft(v *Viewer, entry int64) bool {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	return slices.ContainsFunc(m.store.placed, func(p *spot) bool {
		return p.account == v.Account && p.entry == entry &&
			m.store.folder(v.Account, func(f *Folder) bool { return f.ID == p.folder }).Role == roleDrafts
	})
}

func (m *mailer) Check(_ context.Context, v *Viewer, l *Letter) (x Crossing, err error) {
	if l.Draft >= 0 && !m.isDraft(v, l.Draft) {
		return x, ErrStale
	}
	if l.Class != sijill.Personal {
		return x, nil
	}
	if class, ok := m.store.holds(1, l.Answers); ok && class == sijill.Office {
		x.Answers = true
	}
	for _, a := range slices.Concat(l.To, l.Cc, l.Bcc) {
		if contact(a) {
			x.Contacts = append(x.Contacts, a)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	x.Barred = m.barred && x.crosses()
	return x, nil
}

func (m *mailer) Send(ctx context.Context, v *Viewer, l *Letter, undo time.Duration) (Sent, error) {
	x, err := m.Check(ctx, v, l)
	if err != nil {
		return Sent{}, err
	}
	if x.crosses() && !l.FileCopy {
		return Sent{}, ErrWall
	}
	if l.Draft >= 0 {
		if err := m.DropDraft(ctx, v, l.Draft); err != nil {
			return Sent{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id := rand.Text()
	m.sent[id] = l
	m.delivered = append(m.delivered, l)
	return Sent{ID: id, Until: now.Add(undo), Entry: -1}, nil
}

func (m *mailer) Written(_ context.Context, _ *Viewer, id string) (*Letter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.sent[id]
	if !ok {
		return nil, fs.ErrNotExist
	}
	back := *l // What was sent doesn't say what it answered here.
	back.Answers, back.How = -1, ""
	return &back, nil
}

func (m *mailer) Undo(_ context.Context, _ *Viewer, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.sent[id]
	if !ok || m.late {
		return ErrLate
	}
	delete(m.sent, id)
	m.delivered = slices.DeleteFunc(m.delivered, func(d *Letter) bool { return d == l })
	return nil
}

// compose writes a letter as a message, with what a draft has to remember.
func compose(l *Letter) []byte {
	var b bytes.Buffer
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	people := func(list []message.Address) string {
		var out []string
		for _, a := range list {
			if a.Name != "" {
				out = append(out, mime.BEncoding.Encode("utf-8", a.Name)+" <"+a.Addr+">")
			} else {
				out = append(out, a.Addr)
			}
		}
		return strings.Join(out, ", ")
	}
	field("From", people([]message.Address{l.From}))
	field("To", people(l.To))
	field("Cc", people(l.Cc))
	field("Bcc", people(l.Bcc))
	field("Subject", mime.BEncoding.Encode("utf-8", l.Subject))
	field("Date", now.Format(time.RFC1123Z))
	for name, text := range l.Typed {
		field("X-Typed-"+name, mime.BEncoding.Encode("utf-8", text))
	}
	field("X-Answers", strconv.FormatInt(l.Answers, 10)+" "+l.How)
	w := multipart.NewWriter(&b)
	field("MIME-Version", "1.0")
	field("Content-Type", "multipart/mixed; boundary="+w.Boundary())
	b.WriteString("\r\n")
	p, _ := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"text/plain; charset=utf-8"}, "Content-Transfer-Encoding": {"8bit"}})
	p.Write([]byte(strings.ReplaceAll(l.Text, "\n", "\r\n")))
	for _, f := range l.Files {
		p, _ := w.CreatePart(textproto.MIMEHeader{"Content-Type": {f.Type}, "Content-Transfer-Encoding": {"8bit"},
			"Content-Disposition": {mime.FormatMediaType("attachment", map[string]string{"filename": f.Name})}})
		p.Write(f.Data)
	}
	w.Close()
	return b.Bytes()
}

func (m *mailer) SaveDraft(ctx context.Context, v *Viewer, replaces int64, l *Letter) (int64, error) {
	if m.full {
		return 0, errors.New("no room")
	}
	entry, err := m.store.books.put(compose(l), "")
	if err != nil {
		return 0, err
	}
	m.store.arrive(entry, l.Class, roleDrafts, true, v.Account)
	if replaces >= 0 {
		return entry, m.DropDraft(ctx, v, replaces)
	}
	return entry, nil
}

func (m *mailer) Draft(_ context.Context, v *Viewer, entry int64) (*Letter, error) {
	class, _ := m.store.holds(v.Account, entry)
	if !m.isDraft(v, entry) {
		return nil, fs.ErrNotExist
	}
	m.store.books.mu.Lock()
	raw := m.store.books.raw[entry]
	m.store.books.mu.Unlock()
	p := message.Parse(raw)
	l := &Letter{From: p.From()[0], Class: class, To: p.To(), Cc: p.Cc(), Bcc: p.Bcc(), Subject: p.Subject(), Draft: entry, Answers: -1}
	// What is read is tidied; a draft comes back as it was typed.
	_, body, _ := strings.Cut(string(raw), "charset=utf-8\r\n\r\n")
	body, _, _ = strings.Cut(body, "\r\n--"+p.Root.Params.Get("boundary"))
	l.Text = strings.ReplaceAll(body, "\r\n", "\n")
	answers, how, _ := strings.Cut(p.Header.Get("X-Answers"), " ")
	if n, err := strconv.ParseInt(answers, 10, 64); err == nil && how != "" {
		l.Answers, l.How = n, how
	}
	l.Typed = map[string]string{}
	for _, name := range []string{"to", "cc", "bcc"} {
		if text := p.Header.Get("X-Typed-" + name); text != "" {
			l.Typed[name] = text
		}
	}
	for _, a := range p.Attachments() {
		l.Files = append(l.Files, Attached{Name: a.Name, Type: a.Type, Data: a.Part.Decoded()})
	}
	return l, nil
}

func (m *mailer) DropDraft(_ context.Context, v *Viewer, entry int64) error {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	m.store.placed = slices.DeleteFunc(m.store.placed, func(p *spot) bool { return p.account == v.Account && p.entry == entry })
	m.store.tell()
	return nil
}

func (m *mailer) FileCopy(_ context.Context, v *Viewer, entry int64) (int64, error) {
	if class, ok := m.store.holds(v.Account, entry); !ok || class != sijill.Personal {
		return 0, fs.ErrNotExist
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.filed = append(m.filed, entry)
	m.due = slices.DeleteFunc(m.due, func(e int64) bool { return e == entry })
	return 4711, nil
}

func (m *mailer) Reminders(_ context.Context, v *Viewer) (out []Reminder, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.due {
		if v.Account == 1 {
			out = append(out, Reminder{Entry: e, Arrived: now.Add(-48 * time.Hour), Due: now.Add(18 * 24 * time.Hour)})
		}
	}
	return out, nil
}

func (m *mailer) Dismiss(_ context.Context, _ *Viewer, entry int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.due = slices.DeleteFunc(m.due, func(e int64) bool { return e == entry })
	return nil
}

func (m *mailer) letters() []*Letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.delivered)
}

// drafts gives the entries of an account's drafts, of both classes.
func (o *office) drafts(account int64) (out []int64) {
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	for _, p := range o.store.placed {
		f := o.store.folder(account, func(f *Folder) bool { return f.ID == p.folder })
		if p.account == account && f != nil && f.Role == roleDrafts {
			out = append(out, p.entry)
		}
	}
	return out
}
