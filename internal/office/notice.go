package office

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
func (o *Office) notice(ctx context.Context, f mailbox.Folder, at time.Time) ([]byte, error) {
	a, err := o.People.Get(ctx, f.Account)
	if err != nil {
		return nil, err
	}
	days := o.Config.HotDays()
	where := o.Config.URL()
	if where == "" {
		where = "https://" + o.Config.ServerName()
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
		Date: at.UTC(), Subject: subject, From: message.Address{Name: o.Config.Office, Addr: "postmaster@" + o.Config.Domain},
		To: []message.Address{{Name: a.Name, Addr: a.Address}}, MessageID: fmt.Sprintf("older-mail.%d.%d@%s", f.ID, at.UnixMilli(), o.Config.ServerName()),
		Fields: []message.HeaderField{{Name: "Auto-Submitted", Value: "auto-generated"}},
		Text:   strings.Join(parts, "\n\n* * *\n\n"),
	})
}

// noticeText is what a notice says, by language.
var noticeText = map[string]notices{
	"en": {subject: "Older mail in this folder opens on the web", form: englishForm,
		count: map[form]string{
			formOne:   "In this folder one message is older than {days} and closed: mail programs don't show it (counted on {day}).\n\nNothing is lost: it is where it was, and opens on the web with a passkey or your recovery code:",
			formOther: "In this folder {things} are older than {days} and closed: mail programs don't show them (counted on {day}).\n\nNothing is lost: they are where they were, and open on the web with a passkey or your recovery code:",
		},
		things: map[form]string{formOther: "{n} messages"},
		days:   map[form]string{formOne: "one day", formOther: "{n} days"},
		end: map[form]string{
			formOne:   "If your program had a copy of it, it may have removed that, or will.",
			formOther: "If your program had copies of them, it may have removed these, or will.",
		},
		about: "The server wrote this message and keeps it here; it can't be answered, moved or deleted, and goes when nothing in this folder is closed any more."},
	"ar": {subject: "البريد الأقدم في هذا المجلد يُفتح على الويب", form: arabicForm,
		count: map[form]string{
			formOne:   "في هذا المجلد رسالة واحدة مضى عليها أكثر من {days} فأُغلقت، ولا تعرضها برامج البريد (حُسبت في \u2066{day}\u2069).\n\nلم يضع شيء: هي في مكانها، وتُفتح على الويب بمفتاح مرور أو برمز الاستعادة:",
			formTwo:   "في هذا المجلد رسالتان مضى عليهما أكثر من {days} فأُغلقتا، ولا تعرضهما برامج البريد (حُسبتا في \u2066{day}\u2069).\n\nلم يضع شيء: هما في مكانهما، وتُفتحان على الويب بمفتاح مرور أو برمز الاستعادة:",
			formOther: "في هذا المجلد {things} مضى عليها أكثر من {days} فأُغلقت، ولا تعرضها برامج البريد (حُسبت في \u2066{day}\u2069).\n\nلم يضع شيء: هي في مكانها، وتُفتح على الويب بمفتاح مرور أو برمز الاستعادة:",
		},
		things: map[form]string{formFew: "{n} رسائل", formMany: "{n} رسالةً", formOther: "{n} رسالة"},
		days:   map[form]string{formOne: "يوم واحد", formTwo: "يومين", formFew: "{n} أيام", formMany: "{n} يومًا", formOther: "{n} يوم"},
		end: map[form]string{
			formOne:   "إن كانت لدى برنامجك نسخة منها فقد يكون أزالها أو سيزيلها.",
			formTwo:   "إن كانت لدى برنامجك نسختان منهما فقد يكون أزالهما أو سيزيلهما.",
			formOther: "إن كانت لدى برنامجك نسخ منها فقد يكون أزالها أو سيزيلها.",
		},
		about: "كتب الخادم هذه الرسالة وهو يبقيها هنا: لا يُرد عليها ولا تُنقل ولا تُحذف، وتزول حين لا يبقى في هذا المجلد شيء مغلق."},
}

// form is how a language counts (the plural categories of Unicode's CLDR).
type form int

const (
	formOne form = iota
	formTwo
	formFew
	formMany
	formOther
)

func englishForm(n int64) form {
	if n == 1 {
		return formOne
	}
	return formOther
}

func arabicForm(n int64) form {
	switch h := n % 100; {
	case n == 1:
		return formOne
	case n == 2:
		return formTwo
	case 3 <= h && h <= 10:
		return formFew
	case 11 <= h:
		return formMany
	}
	return formOther
}

// notices is what is said in one language, by the form of what is counted; formOther
// stands for forms that have nothing of their own.
type notices struct {
	subject                  string
	form                     func(int64) form
	count, things, days, end map[form]string
	about                    string
}

// of is the phrase for a number, with the number in it.
func (n notices) of(phrases map[form]string, number int64) string {
	s, ok := phrases[n.form(number)]
	if !ok {
		s = phrases[formOther]
	}
	return strings.ReplaceAll(s, "{n}", strconv.FormatInt(number, 10))
}

func (n notices) text(count int64, day string, days int, where string) string {
	said := strings.NewReplacer("{things}", n.of(n.things, count), "{days}", n.of(n.days, int64(days)), "{day}", day).Replace(n.of(n.count, count))
	return said + "\n\n" + where + "\n\n" + n.of(n.end, count) + " " + n.about
}
