package web

import (
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"sijill/internal/message"
)

// maxHeaders is how many header fields the page shows; the original has all.
const maxHeaders = 300

// headers are what a page shows on demand: the dates kept apart, the envelope,
// and every header field.
func (m *Message) headers(parsed *message.Message, env *message.Envelope, seal SealInfo) {
	date := func(key string, t time.Time, ok bool) {
		if ok && !t.IsZero() {
			m.Dates = append(m.Dates, NamedTime{key, t})
		}
	}
	t, ok := parsed.Date()
	date("date.header", t, ok)
	t, ok = parsed.Received()
	date("date.received", t, ok)
	if env.Internal != nil {
		date("date.internal", *env.Internal, true)
	}
	date("date.arrived", env.Time, true)
	date("date.sealed", seal.Time, true)
	m.Envelope = envelope(env)
	for i, f := range parsed.Header.Fields {
		if i == maxHeaders {
			m.HeadersMore = len(parsed.Header.Fields) - i
			break
		}
		m.Headers = append(m.Headers, NamedText{Name: f.Name, Value: f.Text()})
	}
}

func envelope(e *message.Envelope) []NamedText {
	var out []NamedText
	add := func(key, value string) {
		if value != "" {
			out = append(out, NamedText{Key: key, Value: value})
		}
	}
	add("envelope.door", e.Door)
	add("envelope.from", e.From)
	add("envelope.to", strings.Join(e.To, ", "))
	add("envelope.client", e.Client)
	add("envelope.hello", e.Hello)
	add("envelope.tls", e.TLS)
	add("envelope.source", e.Source)
	if e.Source != "" {
		add("envelope.offset", strconv.FormatInt(e.Offset, 10))
	}
	add("envelope.lineends", e.LineEnds)
	if e.Journal != nil {
		add("envelope.journal.sender", e.Journal.Sender)
		add("envelope.journal.to", strings.Join(e.Journal.Recipients, ", "))
	}
	return out
}

// files are the attachments. Images shown within the text are listed too: they
// are part of the record.
func (m *Message) files(parsed *message.Message) {
	all := parsed.Attachments()
	m.AttachmentCount = len(all)
	for i, a := range all {
		name := safeName(a.Name)
		m.Attachments = append(m.Attachments, File{
			Link: m.link("/part/" + strconv.Itoa(i)), Name: name, Kind: kindOf(name, a.Type), Size: a.Size,
		})
	}
}

// kindOf is what a reader calls the type of a file.
func kindOf(name, typ string) string {
	if ext := strings.TrimPrefix(path.Ext(name), "."); len(ext) > 1 && len(ext) <= 5 {
		return strings.ToUpper(ext)
	}
	return typ
}

// safeName is a file's name without what could deceive or harm: folders,
// control characters, and the invisible characters that turn text round, with
// which "fdp.exe" can look like "exe.pdf".
func safeName(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`"<>|:*?`, r) {
			return -1
		}
		return r
	}, name)
	name = strings.TrimLeft(strings.TrimSpace(name), ".")
	if runes := []rune(name); len(runes) > 150 {
		ext := path.Ext(name)
		if len(ext) > 10 {
			ext = ""
		}
		name = string(runes[:140]) + ext
	}
	return name
}
