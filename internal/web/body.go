package web

import (
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"sijill/internal/message"
)

// body is the HTML text of a message, for the frame.
func (s *site) body(w http.ResponseWriter, r *request) error {
	entry, err := r.entry()
	if err != nil {
		return err
	}
	parsed, err := s.parsed(r, entry)
	if err != nil {
		return err
	}
	source, ok := parsed.HTML()
	if !ok {
		return fmt.Errorf("finding the HTML text of a message: %w", fs.ErrNotExist)
	}
	source, _ = shownHTML(source) // The message's page says that it is cut.
	images := r.wantsImages(entry)
	c := s.letters.clean(source, images, inlineLinks(entry, parsed))
	page, err := s.views.Letter(r.locale, c.html, c.styled)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Security-Policy", letterPolicy(images))
	h.Set("X-Frame-Options", "SAMEORIGIN")
	s.html(w, http.StatusOK, page)
	return nil
}

func (s *site) parsed(r *request, entry int64) (*message.Message, error) {
	raw, env, err := s.Records.Original(r.Context(), r.viewer, entry)
	if err != nil {
		return nil, fmt.Errorf("opening a message: %w", err)
	}
	return message.Parse(env.Inner(raw)), nil
}

// inlineLinks gives the addresses of a message's own images by Content-ID.
func inlineLinks(entry int64, parsed *message.Message) func(string) string {
	at := map[string]string{}
	for i, a := range parsed.Attachments() {
		if id := strings.Trim(a.ContentID, "<>"); id != "" && inlineTypes[a.Type] {
			at[id] = "/m/" + strconv.FormatInt(entry, 10) + "/cid/" + strconv.Itoa(i)
		}
	}
	return func(cid string) string { return at[cid] }
}
