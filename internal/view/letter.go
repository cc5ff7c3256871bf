package view

import (
	"fmt"
	"html/template"
)

// Letter draws the document that shows HTML mail in a frame. clean must have
// been made safe already. styled says that the message chose its own colours,
// so that it is shown on white whatever the reader's own colours are.
func (v *Views) Letter(l *Locale, clean string, styled bool) ([]byte, error) {
	title, err := l.Plain("message.text")
	if err != nil {
		return nil, fmt.Errorf("drawing a letter: %w", err)
	}
	return v.execute("message", "letter", struct {
		L      *Locale
		Title  string
		Styled bool
		HTML   template.HTML
	}{l, title, styled, template.HTML(clean)})
}
