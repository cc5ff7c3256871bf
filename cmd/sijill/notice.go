package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sijill/internal/mailbox"
	"sijill/internal/message"
)

// notice writes the message that mail programs find in a folder of which a part
// is cold: first in the language of its person, then in the other. What it says
// stays true: it names its day.
func (o *office) notice(ctx context.Context, f mailbox.Folder, at time.Time) ([]byte, error) {
	a, err := o.people.Get(ctx, f.Account)
	if err != nil {
		return nil, err
	}
	days := o.config.hotDays()
	where := o.config.url()
	if where == "" {
		where = "https://" + o.config.hostname()
	}
	where += "/open"
	day := at.UTC().Format("2006-01-02")
	subject := noticeText["en"].subject
	parts := []string{noticeText["en"].text(f.Cold, day, days, where), noticeText["ar"].text(f.Cold, day, days, where)}
	if a.Language == "ar" {
		subject = noticeText["ar"].subject
		slices.Reverse(parts)
	}
	return message.Compose(&message.Draft{
		Date: at.UTC(), Subject: subject, From: message.Address{Name: o.config.Office, Addr: "postmaster@" + o.config.Domain},
		To: []message.Address{{Name: a.Name, Addr: a.Address}}, MessageID: fmt.Sprintf("older-mail.%d.%d@%s", f.ID, at.UnixMilli(), o.config.hostname()),
		Fields: []message.HeaderField{{Name: "Auto-Submitted", Value: "auto-generated"}},
		Text:   strings.Join(parts, "\n\n* * *\n\n"),
	})
}

// noticeText is what a notice says, by language. Numbers and dates stand in no
// sentence that they could bend.
var noticeText = map[string]notices{
	"en": {"Older mail in this folder opens on the web", `Messages in this folder that mail programs don't show: %s
Counted on: %s

They are older than %s days and closed. Nothing is lost: they are where they were, and open on the web with a passkey or your recovery code:

%s

If your program had copies of them, it may have removed these, or will. The server wrote this message and keeps it here; it can't be answered, moved or deleted, and goes when nothing in this folder is closed any more.`},
	"ar": {"البريد الأقدم في هذا المجلد يُفتح على الويب", `عدد رسائل هذا المجلد التي لا تعرضها برامج البريد: %s
حُسبت في: %s

مضى عليها أكثر مما يبقى مفتوحًا (بالأيام: %s)، فهي مغلقة. لم يضع منها شيء: هي في مكانها، وتُفتح على الويب بمفتاح مرور أو برمز الاستعادة:

%s

إن كانت لدى برنامجك نسخ منها فقد يكون أزالها أو سيزيلها. كتب الخادم هذه الرسالة وهو يبقيها هنا: لا يُرد عليها ولا تُنقل ولا تُحذف، وتزول حين لا يبقى في هذا المجلد شيء مغلق.`},
}

type notices struct{ subject, body string }

func (n notices) text(count int64, day string, days int, where string) string {
	return fmt.Sprintf(n.body, strconv.FormatInt(count, 10), day, strconv.Itoa(days), where)
}

// noticed puts the summaries of notices, which have numbers below 0, beside those
// of messages, in the order of entries.
func (u *imapUser) noticed(ctx context.Context, entries []int64, list []mailbox.Summary) ([]mailbox.Summary, error) {
	for _, e := range entries {
		if e >= 0 {
			continue
		}
		n, err := u.o.mailbox.NoticeOf(ctx, u.account, e)
		if err != nil {
			continue // Another has just taken its place.
		}
		list = append(list, summaryOfNotice(e, n))
	}
	return list, nil
}

func summaryOfNotice(entry int64, n mailbox.Notice) mailbox.Summary {
	m := message.Parse(n.Message)
	field := func(name string) string {
		var all []string
		for _, f := range m.Header.All(name) {
			all = append(all, strings.Join(strings.Fields(f.Raw()), " "))
		}
		return strings.Join(all, ", ")
	}
	return mailbox.Summary{Entry: entry, Size: int64(len(n.Message)), Internal: n.At, Date: field("Date"), Subject: field("Subject"),
		From: field("From"), To: field("To"), MessageID: field("Message-ID")}
}
