package web

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"sijill/internal/message"
)

// typed is a letter as a form brought it.
type typed struct {
	Letter
	to, cc, bcc string   // As typed.
	bad         []string // Recipients that are no addresses; the fields are in Letter.Typed.
	badIn       string   // The field of the first of them.
}

// maxRecipients is how many people one letter may go to.
const maxRecipients = 500

// typed reads a letter from a form.
func (s *site) typed(r *request, ids []Identity) (*typed, error) {
	form := r.PostForm
	t := &typed{to: form.Get("to"), cc: form.Get("cc"), bcc: form.Get("bcc")}
	t.Subject = strings.Join(strings.Fields(form.Get("subject")), " ")
	t.Text = strings.ReplaceAll(form.Get("text"), "\r\n", "\n")
	t.Draft, t.Answers = number(form.Get("draft")), number(form.Get("answers"))
	if how := form.Get("how"); t.Answers >= 0 && slices.Contains([]string{HowReply, HowAll, HowForward, HowAttach}, how) {
		t.How = how
	} else {
		t.Answers = -1
	}
	n := slices.IndexFunc(ids, func(i Identity) bool { return i.Address == form.Get("from") })
	if n < 0 {
		return nil, fmt.Errorf("writing from an address that isn't one's own: %w", errBadRequest)
	}
	t.from(ids[n])
	t.To, t.Cc, t.Bcc = t.people("to", t.to), t.people("cc", t.cc), t.people("bcc", t.bcc)
	return t, s.filesOf(r, t)
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// people reads the addresses of a field and notes those that are none. A field
// with such a one is kept as it was typed, too: half an address is no mistake yet.
func (t *typed) people(field, text string) (out []message.Address) {
	for _, a := range message.ParseAddresses(strings.NewReplacer("،", ",", "؛", ",", "\u2068", "", "\u2069", "", "\u200e", "", "\u200f", "").Replace(text)) {
		if !isAddress(a.Addr) || !message.Writable(a.Addr) {
			t.bad = append(t.bad, a.String())
			t.badIn = cmp.Or(t.badIn, field)
			if t.Typed == nil {
				t.Typed = map[string]string{}
			}
			t.Typed[field] = text
			continue
		}
		out = append(out, a)
	}
	return out
}

// isAddress tells whether mail could be sent to an address. Whoever sends knows
// more; this finds slips of the pen.
func isAddress(addr string) bool {
	i := strings.LastIndexByte(addr, '@')
	return i > 0 && i < len(addr)-1 && len(addr) <= 320 && !strings.ContainsFunc(addr, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>,;", r)
	})
}

// filesOf loads the files of a letter: those that the server has and that were
// not removed, then new ones.
func (s *site) filesOf(r *request, t *typed) error {
	for _, id := range r.PostForm["keep"] {
		if id == r.PostForm.Get("remove") {
			continue
		}
		f, err := s.keptFile(r, id)
		if err != nil {
			return err
		}
		t.Files = append(t.Files, f)
	}
	if r.MultipartForm == nil {
		return nil
	}
	for _, h := range r.MultipartForm.File["files"] {
		f, err := h.Open()
		if err != nil {
			return fmt.Errorf("reading a file: %w", err)
		}
		data, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("reading a file: %w", err)
		}
		name := safeName(h.Filename)
		if name == "" && len(data) == 0 {
			continue // A field without a file.
		}
		t.Files = append(t.Files, Attached{Name: name, Type: typeOf(name, h.Header.Get("Content-Type")), Data: data})
	}
	return nil
}

// keptFile loads a file by its ID.
func (s *site) keptFile(r *request, id string) (Attached, error) {
	a, b, _ := strings.Cut(id, ".")
	entry, err := strconv.ParseInt(a, 10, 64)
	if err != nil || entry < 0 {
		return Attached{}, errBadRequest
	}
	if b == "eml" {
		raw, env, err := s.Records.Original(r.Context(), r.viewer, entry)
		if err != nil {
			return Attached{}, fmt.Errorf("opening a message: %w", err)
		}
		inner := env.Inner(raw)
		return Attached{Name: messageName(message.Parse(inner)), Type: "message/rfc822", Data: inner}, nil
	}
	parsed, err := s.parsed(r, entry)
	if err != nil {
		return Attached{}, err
	}
	all := parsed.Attachments()
	n, err := strconv.Atoi(b)
	if err != nil || n < 0 || n >= len(all) {
		return Attached{}, fmt.Errorf("finding an attachment: %w", fs.ErrNotExist)
	}
	return Attached{Name: safeName(all[n].Name), Type: typeOf(all[n].Name, all[n].Type), Data: all[n].Part.Decoded()}, nil
}

// messageName is the name of a file that is a whole message.
func messageName(m *message.Message) string {
	name := safeName(m.Subject())
	if name == "" {
		name = "message"
	}
	return name + ".eml"
}

// typeOf is the type of a file: what it is said to be, else what its name says.
// It is read by whoever gets the letter, who should believe neither.
func typeOf(name, said string) string {
	if t, _, err := mime.ParseMediaType(said); err == nil && strings.Contains(t, "/") && !strings.HasPrefix(t, "multipart/") {
		return t
	}
	if t, _, err := mime.ParseMediaType(mime.TypeByExtension(path.Ext(name))); err == nil {
		return t
	}
	return "application/octet-stream"
}

// empty tells whether there's nothing to save.
func (t *typed) empty() bool {
	return strings.TrimSpace(t.to+t.cc+t.bcc+t.Subject) == "" && len(t.Files) == 0 && strings.TrimSpace(unsigned(t.Text)) == ""
}

// signed puts a signature under a text.
func signed(text, signature string) string {
	if signature == "" {
		return text
	}
	return text + "\n\n-- \n" + signature
}

// unsigned is a text without what stands below the line of a signature.
func unsigned(text string) string {
	text, _, _ = strings.Cut("\n"+text, "\n-- \n")
	return text
}
