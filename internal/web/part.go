package web

import (
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"strconv"

	"sijill/internal/message"
)

// inlineTypes are the images that may be shown within a message.
var inlineTypes = map[string]bool{
	"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "image/bmp": true,
}

// part hands out an attachment. It is always a download, never a page: what a
// message brought must not be run under our name.
func (s *site) part(w http.ResponseWriter, r *request) error {
	a, err := s.attachment(r)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Security-Policy", filePolicy)
	h.Set("Content-Type", downloadType(a.Type))
	name := safeName(a.Name)
	if name == "" {
		name = "attachment"
	}
	return send(w, name, a.Part.Decoded())
}

// inline hands out an image for the frame that shows a message.
func (s *site) inline(w http.ResponseWriter, r *request) error {
	a, err := s.attachment(r)
	if err != nil {
		return err
	}
	if !inlineTypes[a.Type] {
		return fmt.Errorf("showing an attachment that is no image: %w", fs.ErrNotExist)
	}
	h := w.Header()
	h.Set("Content-Security-Policy", filePolicy)
	h.Set("Content-Type", a.Type)
	h.Set("Cache-Control", "private, max-age=3600")
	w.Write(a.Part.Decoded())
	return nil
}

func (s *site) attachment(r *request) (message.Attachment, error) {
	entry, err := r.entry()
	if err != nil {
		return message.Attachment{}, err
	}
	n, err := strconv.Atoi(r.PathValue("part"))
	if err != nil {
		return message.Attachment{}, fmt.Errorf("reading the number of an attachment: %w", fs.ErrNotExist)
	}
	parsed, err := s.parsed(r, entry)
	if err != nil {
		return message.Attachment{}, err
	}
	all := parsed.Attachments()
	if n < 0 || n >= len(all) {
		return message.Attachment{}, fmt.Errorf("finding an attachment: %w", fs.ErrNotExist)
	}
	return all[n], nil
}

// downloadType is the type that a download is given. A type is only told when
// no browser can take it for a page or a script.
func downloadType(t string) string {
	if inlineTypes[t] || t == "application/pdf" || t == "application/zip" {
		return t
	}
	return "application/octet-stream"
}

// send hands out bytes as a file (RFC 6266, with the name in RFC 8187 form
// where it isn't ASCII).
func send(w http.ResponseWriter, name string, body []byte) error {
	h := w.Header()
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.Write(body) // A reader who left is no concern of ours.
	return nil
}
