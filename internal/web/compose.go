package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/view"
)

// Composer is the page on which a letter is written.
type Composer struct {
	view.Frame
	Draft           int64 // -1 while nothing is saved.
	Identities      []Choice
	Class           sijill.Class
	To, Cc, Bcc     string
	Subject, Text   string
	Files           []KeptFile
	Answers         int64
	How             string
	AnswersSubject  string
	Back            string
	Saved           time.Time // Zero when nothing was saved yet.
	Error, ErrorFor string    // ErrorFor is the field that is wrong, or "".
	Wall            *Wall
	Fresh           bool // Nothing was decided yet on the identity.
	MaxSize         int64
}

// Choice is an identity to write as.
type Choice struct {
	Identity
	Checked  bool
	Disabled bool // Its mail is closed, so that a draft couldn't be read again.
}

// KeptFile is a file that the server has: ID names it, "ENTRY.PART" for one of a
// message and "ENTRY.eml" for a whole message.
type KeptFile struct {
	ID, Name, Kind string
	Size           int64
}

// Wall is the choice that a letter has come to.
type Wall struct {
	Crossing
	Offices []Identity // To send from instead.
}

// compose shows a letter to write: a new one, ?draft= one that was begun, or ?re=
// and ?how= one that answers.
func (s *site) compose(w http.ResponseWriter, r *request) error {
	ids, err := s.Post.Identities(r.Context(), r.viewer)
	if err != nil {
		return fmt.Errorf("loading the identities: %w", err)
	}
	if len(ids) == 0 {
		return fmt.Errorf("writing without an address: %w", ErrForbidden)
	}
	q := r.URL.Query()
	var l *Letter
	var files []KeptFile
	switch {
	case q.Get("draft") != "":
		if l, files, err = s.resume(r); errors.Is(err, fs.ErrNotExist) {
			return s.noDraft(w, r)
		}
	case q.Get("re") != "":
		l, files, err = s.answering(r, ids)
	default:
		l = s.fresh(r, ids)
	}
	if err != nil {
		return err
	}
	c, err := s.composer(r, ids, l)
	if err != nil {
		return err
	}
	c.Files, c.Fresh = files, q.Get("re") == "" && l.Draft < 0
	if l.Draft >= 0 {
		c.Saved = c.Now
	}
	if q.Get("wall") != "" {
		if c.Wall, err = s.wall(r, ids, l); err != nil {
			return err
		}
	}
	return s.showComposer(w, r, http.StatusOK, c)
}

// composer puts a letter on the page.
func (s *site) composer(r *request, ids []Identity, l *Letter) (Composer, error) {
	f, folders, err := s.framed(r, "compose", -1)
	if err != nil {
		return Composer{}, err
	}
	c := Composer{
		Frame: f, Draft: l.Draft, Class: classOf(l.Class), Subject: l.Subject, Text: l.Text, Answers: l.Answers, How: l.How,
		To: l.field("to", l.To), Cc: l.field("cc", l.Cc), Bcc: l.field("bcc", l.Bcc), MaxSize: s.MaxLetter,
	}
	for _, i := range ids {
		i.Class = classOf(i.Class)
		c.Identities = append(c.Identities, Choice{
			Identity: i, Checked: strings.EqualFold(i.Address, l.From.Addr),
			Disabled: i.Class == sijill.Personal && !r.viewer.Open,
		})
	}
	if id, err := r.number("f", -1); err == nil {
		if d, ok := find(folders, id); ok {
			c.Back = folderLink(d.ID)
		}
	}
	if c.Back == "" {
		c.Back = "/go/inbox?c=" + string(c.Class)
	}
	if l.Answers >= 0 {
		row, err := s.Mailbox.Get(r.Context(), r.viewer, l.Answers)
		if err == nil {
			c.AnswersSubject = row.Subject
		} else if !errors.Is(err, fs.ErrNotExist) {
			return c, fmt.Errorf("finding the message that is answered: %w", err)
		}
	}
	return c, nil
}

func (s *site) showComposer(w http.ResponseWriter, r *request, status int, c Composer) error {
	key := "compose.new"
	switch c.How {
	case HowReply, HowAll:
		key = "compose.reply"
	case HowForward, HowAttach:
		key = "compose.forward"
	}
	var err error
	if c.Title, err = r.locale.Plain(key); err != nil {
		return err
	}
	c.Scripts = []string{"people.js", "compose.js"}
	return s.render(w, status, "compose", c)
}

// resume reads a draft back.
func (s *site) resume(r *request) (*Letter, []KeptFile, error) {
	entry, err := r.number("draft", -1)
	if err != nil {
		return nil, nil, err
	}
	l, err := s.Post.Draft(r.Context(), r.viewer, entry)
	if err != nil {
		return nil, nil, fmt.Errorf("reading a draft: %w", err)
	}
	l.Draft = entry
	files, err := s.keptOf(r, entry)
	return l, files, err
}

// noDraft answers for a draft that is none any more, as one finds it in a
// browser's history. What lies elsewhere by now is shown there.
func (s *site) noDraft(w http.ResponseWriter, r *request) error {
	entry, err := r.number("draft", -1)
	if err != nil {
		return err
	}
	row, err := s.Mailbox.Get(r.Context(), r.viewer, entry)
	if errors.Is(err, fs.ErrNotExist) {
		return s.said(w, r, "draft.gone", "/go/drafts")
	}
	if err != nil {
		return fmt.Errorf("finding what was a draft: %w", err)
	}
	return s.goOn(w, r, "/m/"+strconv.FormatInt(row.Entry, 10))
}

// keptOf lists the files of a message.
func (s *site) keptOf(r *request, entry int64) ([]KeptFile, error) {
	parsed, err := s.parsed(r, entry)
	if err != nil {
		return nil, err
	}
	var out []KeptFile
	for i, a := range parsed.Attachments() {
		name := safeName(a.Name)
		out = append(out, KeptFile{ID: fmt.Sprintf("%d.%d", entry, i), Name: name, Kind: kindOf(name, a.Type), Size: a.Size})
	}
	return out, nil
}

// fresh is an empty letter, from the identity that its recipients or the folder
// one comes from speak for.
func (s *site) fresh(r *request, ids []Identity) *Letter {
	q := r.URL.Query()
	l := &Letter{Draft: -1, Answers: -1, Subject: q.Get("subject"), To: message.ParseAddresses(q.Get("to"))}
	class := sijill.Class(q.Get("class"))
	if len(l.To) > 0 {
		// Not knowing is no reason to refuse a letter.
		if c, err := s.Post.Suggest(r.Context(), r.viewer, l.To); err == nil && c != "" {
			class = c
		}
	}
	l.from(s.pick(r, ids, class))
	l.Text = signed("", l.signature(ids))
	return l
}

// pick is the first identity of a class that one may write as now, or any.
func (s *site) pick(r *request, ids []Identity, class sijill.Class) Identity {
	may := func(i Identity) bool { return classOf(i.Class) != sijill.Personal || r.viewer.Open }
	if n := slices.IndexFunc(ids, func(i Identity) bool { return i.Class == class && may(i) }); n >= 0 {
		return ids[n]
	}
	return ids[max(0, slices.IndexFunc(ids, may))]
}

func (l *Letter) from(i Identity) {
	l.From, l.Class = message.Address{Name: i.Name, Addr: i.Address}, classOf(i.Class)
}

func (l *Letter) signature(ids []Identity) string {
	for _, i := range ids {
		if i.Address == l.From.Addr {
			return i.Signature
		}
	}
	return ""
}

// wall says what there is to choose, if a letter crosses the wall.
func (s *site) wall(r *request, ids []Identity, l *Letter) (*Wall, error) {
	x, err := s.Post.Check(r.Context(), r.viewer, l)
	if err != nil {
		return nil, fmt.Errorf("checking a letter: %w", err)
	}
	if !x.crosses() {
		return nil, nil
	}
	out := &Wall{Crossing: x}
	for _, i := range ids {
		if classOf(i.Class) == sijill.Office {
			out.Offices = append(out.Offices, i)
		}
	}
	return out, nil
}

// composed takes a letter: do says whether to send, save or drop it.
func (s *site) composed(w http.ResponseWriter, r *request) error {
	// Everything is kept in memory: what is written must not lie about on disk.
	if err := r.ParseMultipartForm(s.MaxLetter + maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return unread(err)
	}
	ids, err := s.Post.Identities(r.Context(), r.viewer)
	if err != nil {
		return fmt.Errorf("loading the identities: %w", err)
	}
	t, err := s.typed(r, ids)
	if err != nil {
		return err
	}
	switch {
	case r.PostForm.Get("do") == "drop":
		return s.drop(w, r, t)
	case r.PostForm.Get("remove") != "":
		return s.save(w, r, t)
	case r.PostForm.Get("do") == "send" || r.PostForm.Get("wall") != "":
		return s.send(w, r, ids, t)
	}
	return s.save(w, r, t)
}

// unread is the error of a letter that couldn't be read: it's too long, or no page of
// ours sent it.
func unread(err error) error {
	var long *http.MaxBytesError
	if !errors.As(err, &long) {
		err = errBadRequest
	}
	return fmt.Errorf("reading a letter: %w", err)
}

func (s *site) drop(w http.ResponseWriter, r *request, t *typed) error {
	if t.Draft >= 0 {
		if err := s.Post.DropDraft(r.Context(), r.viewer, t.Draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("dropping a draft: %w", err)
		}
	}
	return s.said(w, r, "draft.dropped", r.back("/"))
}

// keep saves what was typed as a draft. It goes on when the reader has left: the
// last words typed before a crash are worth the most.
func (s *site) keep(r *request, t *typed) error {
	if t.empty() && t.Draft < 0 {
		return nil
	}
	entry, err := s.Post.SaveDraft(context.WithoutCancel(r.Context()), r.viewer, t.Draft, &t.Letter)
	if err != nil {
		return fmt.Errorf("saving a draft: %w", err)
	}
	t.Draft = entry
	return nil
}

func (s *site) save(w http.ResponseWriter, r *request, t *typed) error {
	if err := s.keep(r, t); err != nil {
		return err
	}
	if !r.partial() {
		if t.Draft < 0 {
			return s.said(w, r, "draft.empty", r.back("/"))
		}
		return s.said(w, r, "draft.saved", draftLink(t.Draft))
	}
	c := Composer{Frame: s.frame(r, "compose"), Draft: t.Draft}
	if t.Draft >= 0 {
		var err error
		if c.Files, err = s.keptOf(r, t.Draft); err != nil {
			return err
		}
		c.Saved = c.Now
	}
	body, err := s.views.Fragment("compose", "composer-state", c)
	if err != nil {
		return err
	}
	s.html(w, http.StatusOK, body)
	return nil
}

// person is one that completion offers.
type person struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
}

// complete offers people whose name or address begins with ?q=.
func (s *site) complete(w http.ResponseWriter, r *request) error {
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	out := []person{}
	if q != "" && len(q) < 200 {
		list, err := s.Post.Complete(r.Context(), r.viewer, q)
		if err != nil {
			return fmt.Errorf("completing an address: %w", err)
		}
		for _, a := range list[:min(10, len(list))] {
			out = append(out, person{a.Name, a.Addr})
		}
	}
	return sendJSON(w, http.StatusOK, out)
}

// suggest says as whom one usually writes to ?to=, and in words why.
func (s *site) suggest(w http.ResponseWriter, r *request) error {
	to := message.ParseAddresses(strings.Join(r.URL.Query()["to"], ", "))
	ids, err := s.Post.Identities(r.Context(), r.viewer)
	if err != nil {
		return fmt.Errorf("loading the identities: %w", err)
	}
	class, err := s.Post.Suggest(r.Context(), r.viewer, to)
	if err != nil {
		return fmt.Errorf("suggesting an identity: %w", err)
	}
	var out struct {
		From string `json:"from,omitempty"`
		Said string `json:"said,omitempty"`
	}
	if i := s.pick(r, ids, class); class != "" && i.Class == class {
		out.From = i.Address
		if out.Said, err = r.locale.Plain("compose.suggested." + string(class)); err != nil {
			return err
		}
	}
	return sendJSON(w, http.StatusOK, out)
}

// field is a field of recipients as one goes on typing in it.
func (l *Letter) field(name string, list []message.Address) string {
	if text, ok := l.Typed[name]; ok {
		return text
	}
	return addressList(list)
}

// addressList writes addresses as they are typed.
func addressList(list []message.Address) string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = typedAddress(a)
	}
	return strings.Join(out, ", ")
}

func typedAddress(a message.Address) string {
	if a.Name == "" || a.Addr == "" {
		return a.String()
	}
	name := a.Name
	if strings.ContainsAny(name, `",;:<>()@[]\`) {
		name = strconv.Quote(name)
	}
	return name + " <" + a.Addr + ">"
}

// PeopleField is a field of recipients.
type PeopleField struct {
	L            *view.Locale
	Field, Value string
	Wrong, Focus bool
}

// People is a field of recipients of the letter.
func (c Composer) People(field, value string) PeopleField {
	return PeopleField{c.L, field, value, c.ErrorFor == field, c.ErrorFor == field || field == "to" && !c.Answering() && c.ErrorFor == ""}
}

// Answering tells whether the text is what comes next to be written.
func (c Composer) Answering() bool { return c.How == HowReply || c.How == HowAll }
