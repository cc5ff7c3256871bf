package remote

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// connect signs in.
func connect(s Source) (*imapclient.Client, error) {
	o := &imapclient.Options{TLSConfig: s.TLSConfig}
	dial := imapclient.DialTLS
	switch s.Security {
	case StartTLS:
		dial = imapclient.DialStartTLS
	case Plain:
		dial = imapclient.DialInsecure
	}
	c, err := dial(s.Address, o)
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", s.Address, err)
	}
	if err := c.Login(s.User, s.Password).Wait(); err != nil {
		c.Close()
		if isNo(err) {
			return nil, ErrSignIn // Its words may hold the user's name.
		}
		return nil, fmt.Errorf("signing in at %s: %w", s.Address, err)
	}
	return c, nil
}

// isNo tells a server's refusal from a connection that broke.
func isNo(err error) bool {
	e, ok := err.(*imap.Error)
	return ok && e.Type == imap.StatusResponseTypeNo
}

// roles are the attributes of RFC 6154 and RFC 8457.
var roles = map[imap.MailboxAttr]string{
	imap.MailboxAttrSent: "sent", imap.MailboxAttrDrafts: "drafts", imap.MailboxAttrJunk: "junk",
	imap.MailboxAttrTrash: "trash", imap.MailboxAttrArchive: "archive",
}

// names are what folders are called where the server doesn't say what they are.
var names = map[string]string{
	"sent": "sent", "sent items": "sent", "sent messages": "sent", "sent mail": "sent", "المرسل": "sent", "البريد المرسل": "sent", "العناصر المرسلة": "sent",
	"drafts": "drafts", "المسودات": "drafts", "junk": "junk", "junk e-mail": "junk", "spam": "junk", "البريد العشوائي": "junk",
	"trash": "trash", "deleted items": "trash", "deleted messages": "trash", "المهملات": "trash", "العناصر المحذوفة": "trash",
	"archive": "archive", "الأرشيف": "archive",
}

// folders lists what there is to move, the inbox first and what shows all mail
// last.
func folders(c *imapclient.Client, skip []string) (list []Folder, err error) {
	o := &imap.ListOptions{ReturnSpecialUse: c.Caps().Has(imap.CapSpecialUse) && c.Caps().Has(imap.CapListExtended)}
	found, err := c.List("", "*", o).Collect()
	if err != nil {
		return nil, fmt.Errorf("listing folders: %w", err)
	}
	for _, d := range found {
		if slices.Contains(d.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(d.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		f := describe(d)
		if slices.Contains(skip, f.Name) {
			continue
		}
		s, err := c.Status(d.Mailbox, &imap.StatusOptions{NumMessages: true, UIDValidity: true}).Wait()
		if err != nil {
			return nil, fmt.Errorf("asking about a folder: %w", err)
		}
		f.Validity = s.UIDValidity
		if s.NumMessages != nil {
			f.Messages = int64(*s.NumMessages)
		}
		list = append(list, f)
	}
	claim(list)
	slices.SortStableFunc(list, func(a, b Folder) int {
		return cmp.Or(rank(a)-rank(b), strings.Compare(a.Name, b.Name))
	})
	return list, nil
}

func rank(f Folder) int {
	switch {
	case f.Role == "inbox":
		return 0
	case f.All:
		return 2
	}
	return 1
}

func describe(d *imap.ListData) Folder {
	f := Folder{mailbox: d.Mailbox, Name: d.Mailbox}
	if d.Delim != 0 && d.Delim != '/' {
		// A "/" within a name would make two folders of one.
		f.Name = strings.ReplaceAll(strings.ReplaceAll(f.Name, "/", "∕"), string(d.Delim), "/")
	}
	if strings.EqualFold(d.Mailbox, "INBOX") {
		f.Role = "inbox"
	}
	for _, a := range d.Attrs {
		if r := roles[a]; r != "" && f.Role == "" {
			f.Role = r
		}
		f.All = f.All || a == imap.MailboxAttrAll || a == imap.MailboxAttrFlagged
	}
	return f
}

// claim gives a role by its name to the first folder of that name, where the
// server gave it to none.
func claim(list []Folder) {
	taken := map[string]bool{}
	for _, f := range list {
		taken[f.Role] = true
	}
	for i := range list {
		f := &list[i]
		last := f.Name[strings.LastIndexByte(f.Name, '/')+1:]
		if r := names[strings.ToLower(last)]; f.Role == "" && !f.All && r != "" && !taken[r] {
			f.Role, taken[r] = r, true
		}
	}
}
