package outbox

import "strings"

// words are what a notice says in one language. Who reads it is no postmaster:
// first what happened, then why, in plain words; the protocol's own comes last.
type words struct {
	dir                                        string
	name                                       string            // Of the sender of notices.
	subject                                    map[action]string // Before the letter's own subject.
	intro                                      map[action]forms  // Before the addresses, by how many they are.
	alone                                      forms             // After those that failed, by how many they are, where there are others;
	others                                     forms             // and by how many others there are.
	letter, sent, answered, says, until, doubt string            // Labels.
	none                                       string            // For a letter without a subject.
	reasons                                    []reason
}

// forms are a phrase for one, two and more. No number stands in them, so that
// Arabic needs no others.
type forms [3]string

func (f forms) of(n int) string { return f[min(max(n, 1), 3)-1] }

// reason explains an enhanced status code, by subject and detail: the first
// whose code begins that of the recipient.
type reason struct{ code, text string }

// action is what a notice tells (RFC 3464 section 2.3.3).
type action string

const (
	actionFailed    action = "failed"
	actionDelayed   action = "delayed"
	actionDelivered action = "delivered"
	actionRelayed   action = "relayed"
)

func (w *words) reason(status string) string {
	_, code, _ := strings.Cut(status, ".")
	for _, r := range w.reasons {
		if code == r.code || strings.HasSuffix(r.code, ".") && strings.HasPrefix(code, r.code) || r.code == "" {
			return r.text
		}
	}
	return ""
}

// wordsOf gives those of a language; English for one that is not spoken.
func wordsOf(language string) (*words, string) {
	if language == "ar" || strings.HasPrefix(language, "ar-") {
		return &arabic, "ar"
	}
	return &english, "en"
}

var english = words{
	dir:  "ltr",
	name: "Mail delivery",
	subject: map[action]string{
		actionFailed: "Not delivered", actionDelayed: "Delayed", actionDelivered: "Delivered", actionRelayed: "Handed on",
	},
	intro: map[action]forms{
		actionFailed: {"Your letter could not be delivered to the following address. No further attempt is made.",
			"Your letter could not be delivered to the following addresses. No further attempt is made.",
			"Your letter could not be delivered to the following addresses. No further attempt is made."},
		actionDelayed: {"Your letter has not been delivered to the following address yet. We keep trying: you need not send it again.",
			"Your letter has not been delivered to the following addresses yet. We keep trying: you need not send it again.",
			"Your letter has not been delivered to the following addresses yet. We keep trying: you need not send it again."},
		actionDelivered: {"Your letter was delivered to the following address.",
			"Your letter was delivered to the following addresses.",
			"Your letter was delivered to the following addresses."},
		actionRelayed: {"Your letter was handed on to the mail server of the following address, which sends no notices of delivery itself.",
			"Your letter was handed on to the mail servers of the following addresses, which send no notices of delivery themselves.",
			"Your letter was handed on to the mail servers of the following addresses, which send no notices of delivery themselves."},
	},
	alone: forms{"This notice is about this address alone.", "This notice is about these two addresses alone.", "This notice is about these addresses alone."},
	others: forms{"You get one about the other address only if delivery there fails, too.",
		"You get one about the two other addresses only if delivery there fails, too.",
		"You get one about the other addresses only if delivery there fails, too."},
	letter: "Subject", sent: "Sent", answered: "The server %s answered:", says: "What we know:", until: "Last attempt",
	doubt: "An earlier attempt broke off at the very end: the letter may have arrived all the same.",
	none:  "(no subject)",
	reasons: []reason{
		{"1.1", "There is no such mailbox. Check the part before the @."},
		{"1.2", "There is no such domain. Check the part after the @."},
		{"1.10", "The domain takes no mail at all."},
		{"1.", "The address is not valid."},
		{"2.1", "The mailbox takes no mail at present."},
		{"2.2", "The mailbox is full."},
		{"2.3", "The letter is too large for this mailbox."},
		{"3.4", "The letter is too large for the other server."},
		{"4.1", "The other server could not be reached."},
		{"4.2", "The connection to the other server broke off, or it did not answer."},
		{"4.3", "The domain name system gave no answer."},
		{"4.4", "No server was found that takes mail for the domain."},
		{"4.6", "The letter goes in circles between servers."},
		{"6.7", "The other server takes only addresses and headers in plain ASCII."},
		{"7.0", "The letter was stopped."},
		{"7.5", "The other server could not prove who it is, as its domain demands. For safety the letter was not handed to it."},
		{"7.30", "You asked for protection on the whole way (REQUIRETLS), and that can't be had."},
		{"7.", "The other server refused the letter for reasons of its policy."},
		{"", "The other server did not accept the letter."},
	},
}

var arabic = words{
	dir:  "rtl",
	name: "تسليم البريد",
	subject: map[action]string{
		actionFailed: "لم تُسلَّم", actionDelayed: "تأخّر تسليمها", actionDelivered: "سُلِّمت", actionRelayed: "نُقلت",
	},
	intro: map[action]forms{
		actionFailed: {"تعذّر تسليم رسالتك إلى العنوان الآتي، ولن تُعاد المحاولة.",
			"تعذّر تسليم رسالتك إلى العنوانين الآتيين، ولن تُعاد المحاولة.",
			"تعذّر تسليم رسالتك إلى العناوين الآتية، ولن تُعاد المحاولة."},
		actionDelayed: {"لم تُسلَّم رسالتك بعدُ إلى العنوان الآتي. ما زلنا نحاول، فلا حاجة إلى إرسالها ثانيةً.",
			"لم تُسلَّم رسالتك بعدُ إلى العنوانين الآتيين. ما زلنا نحاول، فلا حاجة إلى إرسالها ثانيةً.",
			"لم تُسلَّم رسالتك بعدُ إلى العناوين الآتية. ما زلنا نحاول، فلا حاجة إلى إرسالها ثانيةً."},
		actionDelivered: {"سُلِّمت رسالتك إلى العنوان الآتي.",
			"سُلِّمت رسالتك إلى العنوانين الآتيين.",
			"سُلِّمت رسالتك إلى العناوين الآتية."},
		actionRelayed: {"نُقلت رسالتك إلى الخادم الذي يستقبل بريد العنوان الآتي، وهو لا يرسل إشعارات بالتسليم.",
			"نُقلت رسالتك إلى ما يستقبل بريد العنوانين الآتيين من الخوادم، وهي لا ترسل إشعارات بالتسليم.",
			"نُقلت رسالتك إلى الخوادم التي تستقبل بريد العناوين الآتية، وهي لا ترسل إشعارات بالتسليم."},
	},
	alone: forms{"يخص هذا الإشعار هذا العنوان وحده.", "يخص هذا الإشعار هذين العنوانين وحدهما.", "يخص هذا الإشعار هذه العناوين وحدها."},
	others: forms{"أما العنوان الآخر فلن يصلك إشعار بشأنه إلا إذا تعذّر التسليم إليه أيضًا.",
		"أما العنوانان الآخران فلن يصلك إشعار بشأنهما إلا إذا تعذّر التسليم إليهما أيضًا.",
		"أما سائر العناوين فلن يصلك إشعار بشأنها إلا إذا تعذّر التسليم إليها أيضًا."},
	letter: "الموضوع", sent: "أُرسلت", answered: "أجاب الخادم %s:", says: "ما نعلمه:", until: "المحاولة الأخيرة",
	doubt: "انقطعت محاولة سابقة عند نهايتها، فربما وصلت الرسالة رغم ذلك.",
	none:  "(بلا موضوع)",
	reasons: []reason{
		{"1.1", "لا وجود لهذا الصندوق. راجع ما قبل علامة @."},
		{"1.2", "لا وجود لهذا النطاق. راجع ما بعد علامة @."},
		{"1.10", "هذا النطاق لا يستقبل البريد أصلًا."},
		{"1.", "العنوان غير صالح."},
		{"2.1", "الصندوق لا يستقبل البريد حاليًا."},
		{"2.2", "الصندوق ممتلئ."},
		{"2.3", "حجم الرسالة أكبر مما يقبله هذا الصندوق."},
		{"3.4", "حجم الرسالة أكبر مما يقبله الخادم الآخر."},
		{"4.1", "تعذّر الوصول إلى الخادم الآخر."},
		{"4.2", "انقطع الاتصال بالخادم الآخر، أو لم يُجب."},
		{"4.3", "لم يُجب نظام أسماء النطاقات."},
		{"4.4", "لم يُعثر على خادم يستقبل بريد هذا النطاق."},
		{"4.6", "تدور الرسالة بين الخوادم دون أن تصل."},
		{"6.7", "لا يقبل الخادم الآخر إلا العناوين والترويسات المكتوبة بحروف ASCII."},
		{"7.0", "أُوقفت الرسالة."},
		{"7.5", "لم يُثبت الخادم الآخر هويته كما يشترط نطاقه، فلم تُسلَّم إليه الرسالة حفظًا لها."},
		{"7.30", "طلبتَ حماية الرسالة على طول الطريق (REQUIRETLS)، وتعذّر ذلك."},
		{"7.", "رفض الخادم الآخر الرسالة لأسباب تخص سياسته."},
		{"", "لم يقبل الخادم الآخر الرسالة."},
	},
}
