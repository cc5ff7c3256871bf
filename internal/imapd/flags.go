package imapd

import (
	"slices"
	"strings"

	"sijill/internal/mailbox"

	"github.com/emersion/go-imap/v2"
)

// Bounds on keywords.
const (
	maxKeywords = 100 // in one command
	maxKeyword  = 128 // octets
)

var systemFlags = []struct {
	flag mailbox.Flags
	name imap.Flag
}{
	{mailbox.FlagAnswered, imap.FlagAnswered}, {mailbox.FlagFlagged, imap.FlagFlagged}, {mailbox.FlagDeleted, imap.FlagDeleted},
	{mailbox.FlagSeen, imap.FlagSeen}, {mailbox.FlagDraft, imap.FlagDraft},
}

// flagNames is what a client reads of a message's flags and keywords, these as
// they were written.
func flagNames(f mailbox.Flags, keywords []string) []imap.Flag {
	all := []imap.Flag{}
	for _, s := range systemFlags {
		if f&s.flag != 0 {
			all = append(all, s.name)
		}
	}
	for _, k := range keywords {
		all = append(all, imap.Flag(k))
	}
	return all
}

// parseFlags reads what a client writes. \Recent is nobody's to set.
func parseFlags(list []imap.Flag) (f mailbox.Flags, keywords []string, err error) {
next:
	for _, name := range list {
		for _, s := range systemFlags {
			if strings.EqualFold(string(name), string(s.name)) {
				f |= s.flag
				continue next
			}
		}
		switch {
		case strings.EqualFold(string(name), `\Recent`):
		case strings.HasPrefix(string(name), `\`):
			return 0, nil, no(imap.ResponseCodeCannot, "There is no such flag")
		case len(name) > maxKeyword || len(keywords) == maxKeywords:
			return 0, nil, no(imap.ResponseCodeLimit, "These keywords are too long or too many")
		case !slices.Contains(keywords, string(name)):
			keywords = append(keywords, string(name))
		}
	}
	return f, keywords, nil
}

// hasFlag tells whether a flag or keyword is among those of a message; capitals
// don't count.
func hasFlag(flags mailbox.Flags, keywords []string, name imap.Flag) bool {
	for _, s := range systemFlags {
		if strings.EqualFold(string(name), string(s.name)) {
			return flags&s.flag != 0
		}
	}
	return slices.ContainsFunc(keywords, func(k string) bool { return strings.EqualFold(k, string(name)) })
}
