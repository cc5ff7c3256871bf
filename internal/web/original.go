package web

import (
	"fmt"
	"net/http"
	"strconv"
)

// original hands out the sealed bytes, unchanged.
func (s *site) original(w http.ResponseWriter, r *request) error {
	entry, err := r.entry()
	if err != nil {
		return err
	}
	raw, _, err := s.Records.Original(r.Context(), r.viewer, entry)
	if err != nil {
		return fmt.Errorf("opening a message: %w", err)
	}
	return sendRecord(w, "message/rfc822", entry, ".eml", raw)
}

// presented hands out the message with our trace fields in front, as other
// mail programs would show it.
func (s *site) presented(w http.ResponseWriter, r *request) error {
	entry, err := r.entry()
	if err != nil {
		return err
	}
	raw, env, err := s.Records.Original(r.Context(), r.viewer, entry)
	if err != nil {
		return fmt.Errorf("opening a message: %w", err)
	}
	return sendRecord(w, "message/rfc822", entry, "-presented.eml", env.Present(raw))
}

// proof hands out the proof of a message (C2SP tlog-proof).
func (s *site) proof(w http.ResponseWriter, r *request) error {
	entry, err := r.entry()
	if err != nil {
		return err
	}
	proof, err := s.Records.Proof(r.Context(), r.viewer, entry)
	if err != nil {
		return fmt.Errorf("proving a message: %w", err)
	}
	return sendRecord(w, "application/octet-stream", entry, ".tlog-proof", proof)
}

func sendRecord(w http.ResponseWriter, typ string, entry int64, ending string, body []byte) error {
	w.Header().Set("Content-Security-Policy", filePolicy)
	w.Header().Set("Content-Type", typ)
	return send(w, "sijill-"+strconv.FormatInt(entry, 10)+ending, body)
}
