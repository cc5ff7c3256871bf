package web

import (
	"cmp"
	"context"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/search"
)

// store is a mailbox in memory.
type store struct {
	books *books

	mu      sync.Mutex
	folders map[int64][]*Folder // Guarded by mu, as are all below; by account.
	placed  []*spot
	last    int64
	watch   map[chan struct{}]int64
	gone    []int64 // Entries that were expunged.
}

// spot is a message in a folder.
type spot struct {
	account, folder, uid, entry int64
	class                       sijill.Class
	line                        Line
	text                        string
}

func newStore(b *books) *store {
	s := &store{books: b, folders: map[int64][]*Folder{}, watch: map[chan struct{}]int64{}}
	for _, account := range []int64{1, 2} {
		s.make(account, sijill.Office)
	}
	s.make(1, sijill.Personal)
	return s
}

func (s *store) make(account int64, class sijill.Class) {
	for _, role := range order {
		s.last++
		s.folders[account] = append(s.folders[account], &Folder{ID: s.last, Class: class, Name: role, Role: role})
	}
}

func (s *store) folder(account int64, test func(*Folder) bool) *Folder {
	for _, f := range s.folders[account] {
		if test(f) {
			return f
		}
	}
	return nil
}

// arrive puts an entry into the folder of that name, or the inbox.
func (s *store) arrive(entry int64, class sijill.Class, name string, seen bool, accounts ...int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range accounts {
		f := s.folder(a, func(f *Folder) bool {
			return f.Class == class && (f.Name == name || name == "" && f.Role == roleInbox || name == f.Role)
		})
		if f == nil {
			s.last++
			f = &Folder{ID: s.last, Class: class, Name: name, Role: "import"}
			s.folders[a] = append(s.folders[a], f)
		}
		s.put(a, f, entry, seen)
	}
	s.tell()
}

// put places an entry; mu is held.
func (s *store) put(account int64, f *Folder, entry int64, seen bool) *spot {
	s.books.mu.Lock()
	raw := s.books.raw[entry]
	s.books.mu.Unlock()
	m := message.Parse(raw)
	date, ok := m.Date()
	if !ok {
		date = now
	}
	s.last++
	l := Line{Row: date.Unix()<<24 | entry, Entry: entry, Thread: entry, Class: f.Class, Date: date,
		Subject: m.Subject(), Snippet: m.Snippet(120), Size: int64(len(raw)), Attachments: len(m.Attachments()), Seen: seen}
	if from := m.From(); len(from) > 0 {
		l.From = from[0]
	}
	var to []string
	for _, a := range m.To() {
		to = append(to, cmp.Or(a.Name, a.Addr))
	}
	l.To = strings.Join(to, ", ")
	if base, _ := message.SubjectBase(m.Subject()); base != "" {
		for _, p := range s.placed { // A thread is what bears one subject.
			if other, _ := message.SubjectBase(p.line.Subject); other == base && p.account == account {
				l.Thread = p.line.Thread
			}
		}
	}
	p := &spot{account: account, folder: f.ID, uid: s.last, entry: entry, class: f.Class, line: l, text: m.Subject() + " " + l.From.String() + " " + m.Text()}
	s.placed = append(s.placed, p)
	return p
}

// tell signals those who watch; mu is held.
func (s *store) tell() {
	for c := range s.watch {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (s *store) holds(account, entry int64) (sijill.Class, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.placed {
		if p.account == account && p.entry == entry {
			return p.class, true
		}
	}
	return "", false
}

func (s *store) Watch(v *Viewer) (<-chan struct{}, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{}, 1)
	s.watch[c] = v.Account
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watch, c)
	}
}

func (s *store) Folders(_ context.Context, v *Viewer) ([]Folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Folder
	for _, f := range s.folders[v.Account] {
		if !v.sees(f.Class) {
			continue
		}
		c := *f
		for _, p := range s.placed {
			if p.folder == f.ID {
				c.Total++
				if !p.line.Seen {
					c.Unseen++
				}
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// in gives the messages of a folder of the viewer's, newest first; mu is held.
func (s *store) in(v *Viewer, folder int64) ([]*spot, error) {
	if s.folder(v.Account, func(f *Folder) bool { return f.ID == folder && v.sees(f.Class) }) == nil {
		return nil, fs.ErrNotExist
	}
	var out []*spot
	for _, p := range s.placed {
		if p.folder == folder {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *spot) int { return cmp.Compare(b.line.Row, a.line.Row) })
	return out, nil
}

func (p *spot) shown(v *Viewer) Line {
	l := p.line
	l.Folder, l.UID = p.folder, p.uid
	if p.class == sijill.Personal && !v.Open {
		return Line{Row: l.Row, Entry: l.Entry, Folder: l.Folder, UID: l.UID, Class: l.Class, Date: l.Date, Seen: l.Seen, Closed: true}
	}
	return l
}

func (s *store) List(_ context.Context, v *Viewer, folder, offset, n int64) (out []Line, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.in(v, folder)
	for i := offset; err == nil && i < min(offset+n, int64(len(all))); i++ {
		out = append(out, all[i].shown(v))
	}
	return out, err
}

func (s *store) Position(_ context.Context, v *Viewer, folder, row int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.in(v, folder)
	i := slices.IndexFunc(all, func(p *spot) bool { return p.line.Row == row })
	if err == nil && i < 0 {
		err = fs.ErrNotExist
	}
	return int64(i), err
}

func (s *store) Get(_ context.Context, v *Viewer, entry int64) (Line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.placed {
		if p.account == v.Account && p.entry == entry && v.sees(p.class) {
			return p.shown(v), nil
		}
	}
	return Line{}, fs.ErrNotExist
}

func (s *store) Thread(_ context.Context, v *Viewer, thread int64) (out []Line, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.placed {
		if p.account == v.Account && p.line.Thread == thread && v.sees(p.class) {
			out = append(out, p.shown(v))
		}
	}
	slices.SortFunc(out, func(a, b Line) int { return a.Date.Compare(b.Date) })
	return out, nil
}

func (s *store) UIDs(_ context.Context, v *Viewer, folder int64) (out []int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.in(v, folder)
	for _, p := range all {
		out = append(out, p.uid)
	}
	return out, err
}

func (s *store) each(v *Viewer, folder int64, uids []int64, f func(*spot)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tell()
	all, err := s.in(v, folder)
	for _, p := range all {
		if slices.Contains(uids, p.uid) {
			f(p)
		}
	}
	return err
}

func (s *store) Mark(_ context.Context, v *Viewer, folder int64, uids []int64, m Mark, on bool) error {
	return s.each(v, folder, uids, func(p *spot) {
		switch m {
		case MarkSeen:
			p.line.Seen = on
		case MarkFlagged:
			p.line.Flagged = on
		case MarkAnswered:
			p.line.Answered = on
		}
	})
}

func (s *store) Move(_ context.Context, v *Viewer, folder int64, uids []int64, to int64) (out []int64, err error) {
	wall := false
	s.mu.Lock()
	target := s.folder(v.Account, func(f *Folder) bool { return f.ID == to })
	s.mu.Unlock()
	if target == nil {
		return nil, fs.ErrNotExist
	}
	err = s.each(v, folder, uids, func(p *spot) {
		if p.class != target.Class {
			wall = true
			return
		}
		s.last++
		p.folder, p.uid = to, s.last
		out = append(out, p.uid)
	})
	if wall {
		return nil, ErrWall
	}
	return out, err
}

func (s *store) Expunge(_ context.Context, v *Viewer, folder int64, uids []int64) error {
	gone := map[*spot]bool{}
	err := s.each(v, folder, uids, func(p *spot) { gone[p] = true })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.placed = slices.DeleteFunc(s.placed, func(p *spot) bool {
		if gone[p] {
			s.gone = append(s.gone, p.entry)
		}
		return gone[p]
	})
	s.tell()
	return err
}

func (s *store) CreateFolder(_ context.Context, v *Viewer, class sijill.Class, name string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folder(v.Account, func(f *Folder) bool { return f.Class == class && strings.EqualFold(f.Name, name) }) != nil {
		return 0, ErrTaken
	}
	s.last++
	s.folders[v.Account] = append(s.folders[v.Account], &Folder{ID: s.last, Class: class, Name: name})
	return s.last, nil
}

func (s *store) RenameFolder(_ context.Context, v *Viewer, id int64, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folder(v.Account, func(f *Folder) bool { return f.ID == id })
	if f == nil {
		return fs.ErrNotExist
	}
	f.Name = name
	return nil
}

func (s *store) DeleteFolder(_ context.Context, v *Viewer, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.in(v, id)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		return ErrUnsuited
	}
	s.folders[v.Account] = slices.DeleteFunc(s.folders[v.Account], func(f *Folder) bool { return f.ID == id && f.Role == "" })
	return nil
}

// finder finds messages whose words the highlighter would mark. It knows no
// fields: what queries mean is tested where they are answered.
type finder struct{ s *store }

func (f finder) Query(_ context.Context, v *Viewer, q string, o search.Options) (*Findings, error) {
	parsed, err := search.Parse(q)
	if err != nil {
		return nil, err
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	var all []Hit
	for _, p := range f.s.placed {
		if p.account != v.Account || !v.sees(p.class) || p.class == sijill.Personal && !v.Open {
			continue
		}
		spans := parsed.Highlight(p.text)
		if i := slices.IndexFunc(spans, func(s search.Span) bool { return s.Hit }); i >= 0 {
			all = append(all, Hit{p.shown(v), spans[max(0, i-1):min(len(spans), i+3)]})
		}
	}
	slices.SortFunc(all, func(a, b Hit) int { return cmp.Compare(b.Row, a.Row) })
	return &Findings{Hits: all[:min(len(all), o.Limit)], Total: int64(len(all))}, nil
}
