package intake

import (
	"bytes"
	"strings"

	"sijill/internal/intake/mbox"
)

// format is what a file holds, after unpacking.
type format uint8

const (
	noMail format = iota
	oneMessage
	mboxFile
	zipFile
	tarFile
)

func (f format) String() string {
	return [...]string{"none", "message", "mbox", "zip", "tar"}[f]
}

// headSize is how much of a file is looked at to see what it is.
const headSize = 64 << 10

// sniff says what a file is from its first bytes, and, where it is no mail, why
// it is thought not to be. What stands in a Maildir, or is called .eml, is mail
// unless it is plainly something else; other files must show it.
func sniff(name string, at place, head []byte) (format, reason) {
	field := beginsWithField(head)
	switch {
	case len(head) == 0:
		return noMail, emptyFile
	case at != outside:
		return oneMessage, ""
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return zipFile, ""
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return tarFile, ""
	case isNamed(name, ".eml") && (field || bytes.IndexByte(head, 0) < 0):
		return oneMessage, ""
	case mbox.Begins(head), isNamed(name, ".mbox"), isNamed(name, ".mbx"):
		return mboxFile, ""
	case field && hasMailField(head):
		return oneMessage, ""
	case bytes.IndexByte(head, 0) < 0 && mbox.Contains(head):
		return mboxFile, ""
	case bytes.HasPrefix(head, []byte("!BDN")):
		return noMail, isPST
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0")):
		return noMail, isOLE
	}
	return noMail, noHeader
}

// beginsWithField says whether the first line is a header field (RFC 5322,
// section 2.2).
func beginsWithField(head []byte) bool { return fieldName(head) != "" }

// fieldName is the name of the field that line begins with, or empty.
func fieldName(line []byte) string {
	i := bytes.IndexByte(line[:min(len(line), 128)], ':')
	if i < 1 {
		return ""
	}
	name := bytes.TrimRight(line[:i], " \t")
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return ""
		}
	}
	return string(name)
}

// mailFields are fields that a message has and other texts with "name: value"
// lines rarely do.
var mailFields = map[string]bool{
	"from": true, "to": true, "cc": true, "date": true, "subject": true, "received": true, "sender": true,
	"message-id": true, "return-path": true, "delivered-to": true, "mime-version": true, "reply-to": true,
	"dkim-signature": true, "in-reply-to": true, "references": true, "content-type": true,
}

// hasMailField says whether the header that head begins with has a field of
// mail, before the empty line or anything that is no field.
func hasMailField(head []byte) bool {
	for line := range bytes.Lines(head) {
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		name := fieldName(line)
		if name == "" {
			return false
		}
		if mailFields[strings.ToLower(name)] {
			return true
		}
	}
	return false
}

// readStatus says whether the header of a message from an mbox notes that it
// was read: R in Status (mailx, mutt, Dovecot), bit 0 of X-Mozilla-Status.
func readStatus(msg []byte) bool {
	seen := false
	for line := range bytes.Lines(msg) {
		switch line[0] {
		case '\r', '\n':
			return seen
		case 'S', 's', 'X', 'x':
			name, value, _ := strings.Cut(string(line[:min(len(line), 64)]), ":")
			value = strings.TrimSpace(value)
			if strings.EqualFold(name, "Status") {
				seen = strings.Contains(value, "R")
			} else if strings.EqualFold(name, "X-Mozilla-Status") && len(value) == 4 {
				seen = strings.ContainsAny(value[3:], "13579bdfBDF")
			}
		}
	}
	return seen
}
