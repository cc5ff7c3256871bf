package office

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/people"
	"sijill/internal/record"
	"sijill/internal/vault"
)

// Who loses an address loses mail, and who gets one gets mail for which somebody
// has to answer. So a person is told by letter when another changes their addresses.

// AddAddress gives an account one more address, and tells its person, unless it is
// they who do it. Errors: those of people.AddAddress.
func (o *Office) AddAddress(ctx context.Context, by people.By, account int64, a people.Address) error {
	return o.changeAddresses(ctx, by, account, func() error { return o.Access.AddAddress(ctx, by, account, a) })
}

// RemoveAddress takes an address from an account, and tells its person, unless it is
// they who do it. Errors: those of people.RemoveAddress.
func (o *Office) RemoveAddress(ctx context.Context, by people.By, account int64, address string) error {
	return o.changeAddresses(ctx, by, account, func() error { return o.Access.RemoveAddress(ctx, by, account, address) })
}

// changeAddresses does what changes the addresses of an account, and writes of what
// has become different.
func (o *Office) changeAddresses(ctx context.Context, by people.By, account int64, change func() error) error {
	before, err := o.People.Addresses(ctx, account)
	if err == nil {
		err = change()
	}
	if err != nil || by.Account == account {
		return err
	}
	after, err := o.People.Addresses(ctx, account)
	if err != nil {
		return err
	}
	for did, lists := range map[string][2][]people.Address{"removed": {before, after}, "added": {after, before}} {
		for _, a := range lists[0] {
			if slices.ContainsFunc(lists[1], func(b people.Address) bool { return b.Address == a.Address }) {
				continue
			}
			if err := o.writeOfAddress(ctx, account, did, a, after); err != nil {
				return fmt.Errorf("telling a person of a change of their addresses, which was made: %w", err)
			}
		}
	}
	return nil
}

// writeOfAddress puts a letter about a change into a person's inbox: that of the
// office, if they have one.
func (o *Office) writeOfAddress(ctx context.Context, account int64, did string, a people.Address, has []people.Address) error {
	i := max(0, slices.IndexFunc(has, func(h people.Address) bool { return h.Class == sijill.Office }))
	if len(has) == 0 {
		return nil // It was removed meanwhile.
	}
	person, err := o.People.Get(ctx, account)
	if err != nil {
		return err
	}
	to, now := has[i], time.Now().UTC().Truncate(time.Millisecond)
	raw, err := o.letterOfAddress(person, to, did, a, now)
	if err != nil {
		return err
	}
	_, err = o.Register.Append(ctx, record.Draft{Kind: sijill.Captured, Actor: "sijill", Holders: []int64{account}, Class: to.Class,
		Content: &record.Content{Envelope: message.Envelope{Door: "local", To: []string{to.Address}, Time: now}, Message: raw}})
	if errors.Is(err, vault.ErrNoRoots) {
		return nil // Nobody has ever signed in, and there is nobody to read it.
	}
	return err
}

// letterOfAddress writes first in the language of its person, then in the other. A
// letter of the office's doesn't name a personal address: others may read it.
func (o *Office) letterOfAddress(person people.Account, to people.Address, did string, a people.Address, now time.Time) ([]byte, error) {
	subject, parts := "", []string(nil)
	for _, language := range []string{"en", "ar"} {
		t := addressTexts[language]
		which := a.Address
		if a.Class == sijill.Personal && to.Class != sijill.Personal {
			which = t.personal
		}
		text := strings.NewReplacer("{which}", which, "{day}", now.Format(time.DateOnly)).Replace(t.text[did])
		if parts = append(parts, text); language == "en" || person.Language == language {
			subject = t.subject[did]
		}
	}
	if person.Language == "ar" {
		slices.Reverse(parts)
	}
	return message.Compose(&message.Draft{
		Date: now, Subject: subject, From: message.Address{Name: o.Config.Office, Addr: "postmaster@" + o.Config.Domain},
		To: []message.Address{{Name: person.Name, Addr: to.Address}}, MessageID: fmt.Sprintf("address.%s@%s", strings.ToLower(rand.Text()), o.Config.ServerName()),
		Fields: []message.HeaderField{{Name: "Auto-Submitted", Value: "auto-generated"}},
		Text:   strings.Join(parts, "\n\n* * *\n\n"),
	})
}

// addressText is what a letter about a change of addresses says, by what was done.
type addressText struct {
	subject, text map[string]string
	personal      string // In the place of a personal address.
}

var addressTexts = map[string]addressText{
	"en": {
		subject: map[string]string{"added": "An address was added to your account", "removed": "An address was taken from your account"},
		text: map[string]string{
			"added": "On {day} an administrator added an address to your account:\n\n    {which}\n\nWhat is written to it comes to you from now on.\n\n" +
				"If you know nothing of it, ask who administers the server. It is an entry in the register.",
			"removed": "On {day} an administrator took an address from your account:\n\n    {which}\n\nWhat is written to it doesn't come to you any more. What came before stays where it is.\n\n" +
				"If you know nothing of it, ask who administers the server. It is an entry in the register.",
		},
		personal: "a personal address (it isn't named in a letter of the office's; those that you have are under Settings)",
	},
	"ar": {
		subject: map[string]string{"added": "أُضيف عنوان إلى حسابك", "removed": "أُخذ عنوان من حسابك"},
		text: map[string]string{
			"added": "في \u2066{day}\u2069 أضاف أحد المديرين عنوانًا إلى حسابك:\n\n    {which}\n\nوما يُكتب إليه يصلك من الآن.\n\n" +
				"فإن لم يكن لك علم بذلك فاسأل من يدير الخادم. وهو قيد في السجل.",
			"removed": "في \u2066{day}\u2069 أخذ أحد المديرين عنوانًا من حسابك:\n\n    {which}\n\nوما يُكتب إليه لا يصلك بعد الآن. وما وصل من قبل باقٍ في مكانه.\n\n" +
				"فإن لم يكن لك علم بذلك فاسأل من يدير الخادم. وهو قيد في السجل.",
		},
		personal: "عنوان شخصي (لا تذكره رسالة من رسائل الديوان، وما لك من العناوين في الإعدادات)",
	},
}
