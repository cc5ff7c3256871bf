package imapd

import (
	"bytes"
	"io"

	"github.com/emersion/go-imap/v2"
)

// Append answers APPEND. It returns only when the message is sealed and has its
// place.
func (s *session) Append(name string, r imap.LiteralReader, o *imap.AppendOptions) (*imap.AppendData, error) {
	f, _, err := s.folder(name, imap.ResponseCodeTryCreate)
	if err != nil {
		return nil, err
	}
	m := &Mail{Internal: o.Time}
	if m.Flags, m.Keywords, err = parseFlags(o.Flags); err != nil {
		return nil, err
	}
	release, err := s.hold(r.Size())
	if err != nil {
		return nil, s.refuse("appending", err)
	}
	defer release()
	m.Message = make([]byte, r.Size())
	if _, err := io.ReadFull(r, m.Message); err != nil {
		return nil, no("", "The message did not arrive whole")
	}
	switch {
	case len(m.Message) == 0:
		return nil, no(imap.ResponseCodeCannot, "The message is empty")
	case bytes.IndexByte(m.Message, 0) >= 0:
		return nil, no(imap.ResponseCodeCannot, "The message has a NUL octet in it, which mail must not have")
	}
	p, err := s.user.Append(s.ctx, f.ID, m)
	if err != nil {
		return nil, s.refuse("appending", err)
	}
	s.srv.stats.appended.Add(1)
	return &imap.AppendData{UID: imap.UID(p.UID), UIDValidity: uint32(f.UIDValidity)}, nil
}
