package web

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/view"
)

// remindersPage lists arrivals at the personal addresses that look like office
// matters.
type remindersPage struct {
	view.Frame
	Rows []reminderRow
}

type reminderRow struct {
	Row
	Due  time.Time
	Late bool
}

// due are the reminders of a viewer whose personal mail is within sight.
func (s *site) due(r *request) ([]Reminder, error) {
	if s.Post == nil || !r.viewer.Personal || !r.viewer.Office {
		return nil, nil
	}
	list, err := s.Post.Reminders(r.Context(), r.viewer)
	if err != nil {
		return nil, fmt.Errorf("loading the reminders: %w", err)
	}
	return list, nil
}

// reminded is the banner over the personal inbox; nil when nothing is due.
func (s *site) reminded(r *request) (*view.Reminders, error) {
	list, err := s.due(r)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &view.Reminders{Count: len(list), Due: list[0].Due.In(s.Location)}, nil
}

// dueOf says by when a copy of a message is to be filed.
func (s *site) dueOf(r *request, m *Message) error {
	if m.Class != sijill.Personal {
		return nil
	}
	list, err := s.due(r)
	for _, d := range list {
		if d.Entry == m.Entry {
			m.Due = d.Due.In(s.Location)
		}
	}
	return err
}

func (s *site) reminders(w http.ResponseWriter, r *request) error {
	f, _, err := s.framed(r, "mail", 0)
	if err != nil {
		return err
	}
	p := remindersPage{Frame: f}
	list, err := s.due(r)
	if err != nil {
		return err
	}
	for _, d := range list {
		row, err := s.Mailbox.Get(r.Context(), r.viewer, d.Entry)
		if errors.Is(err, fs.ErrNotExist) {
			continue // It was destroyed meanwhile.
		}
		if err != nil {
			return fmt.Errorf("finding a message: %w", err)
		}
		p.Rows = append(p.Rows, reminderRow{Row: s.row(row, -1, nil, ""), Due: d.Due.In(s.Location), Late: d.Due.Before(s.Now())})
	}
	if p.Title, err = r.locale.Plain("reminders"); err != nil {
		return err
	}
	return s.render(w, http.StatusOK, "reminders", p)
}

// fileCopy files a copy of a personal message in the register.
func (s *site) fileCopy(w http.ResponseWriter, r *request) error {
	if _, err := r.form(); err != nil {
		return err
	}
	entry, err := r.entry()
	if err != nil {
		return err
	}
	filed, err := s.Post.FileCopy(r.Context(), r.viewer, entry)
	if err != nil {
		return fmt.Errorf("filing a copy: %w", err)
	}
	return s.said(w, r, "copy.filed", r.back("/reminders"), filed)
}

// dismiss says that a message is no office matter.
func (s *site) dismiss(w http.ResponseWriter, r *request) error {
	if _, err := r.form(); err != nil {
		return err
	}
	entry, err := r.entry()
	if err != nil {
		return err
	}
	if err := s.Post.Dismiss(r.Context(), r.viewer, entry); err != nil {
		return fmt.Errorf("dismissing a reminder: %w", err)
	}
	return s.said(w, r, "copy.dismissed", r.back("/reminders"))
}

// ownAddress is the identity of a class that a message names as a recipient or
// its author, or "".
func (s *site) ownAddress(r *request, m *message.Message, class sijill.Class) (string, error) {
	if s.Post == nil {
		return "", nil
	}
	ids, err := s.Post.Identities(r.Context(), r.viewer)
	if err != nil {
		return "", fmt.Errorf("loading the identities: %w", err)
	}
	if i, ok := addressed(ids, m, class); ok {
		return i.Address, nil
	}
	return "", nil
}
