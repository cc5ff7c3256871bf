package message

import "strings"

// Attachments returns the parts that are not the text one reads, in order,
// those of messages inside included after the message itself.
func (m *Message) Attachments() []Attachment {
	return attachments(nil, m.Root, nil)
}

func attachments(out []Attachment, p, parent *Part) []Attachment {
	switch {
	case p.Nested != nil:
		out = append(out, attachment(p, parent))
		return attachments(out, p.Nested.Root, nil)
	case len(p.Children) > 0:
		for _, child := range p.Children {
			out = attachments(out, child, p)
		}
		return out
	}
	alone := parent == nil || parent.Subtype == "alternative"
	if p.isText(alone) && (alone || p.Disposition == "" || p.Filename() == "") {
		return out
	}
	return append(out, attachment(p, parent))
}

func attachment(p, parent *Part) Attachment {
	a := Attachment{
		Name: p.Filename(), Type: p.MediaType(), Size: p.decodedSize(),
		ContentID: p.ContentID(), Part: p,
	}
	if a.Name == "" && p.Nested != nil {
		if subject := p.Nested.Subject(); subject != "" {
			a.Name = fileSafe(subject) + ".eml"
		}
	}
	a.Inline = p.Disposition != "attachment" && a.belongsToText(parent)
	return a
}

// belongsToText tells whether an attachment that does not say so itself serves
// the text: a picture in HTML, a signature, what a report is about.
func (a *Attachment) belongsToText(parent *Part) bool {
	if a.Part.Disposition == "inline" {
		return true
	}
	if parent == nil {
		return false
	}
	switch parent.Subtype {
	case "related":
		return a.ContentID != ""
	case "signed", "report", "digest":
		return true
	}
	return false
}

// fileSafe makes a file name of a subject.
func fileSafe(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, r) {
			return ' '
		}
		return r
	}, s)
	return strings.Trim(firstRunes(collapse(s), 100), ". ")
}
