package office

import (
	"strings"
	"testing"
)

// The message in a cold folder counts as its language does.
func TestNoticeCounts(t *testing.T) {
	for _, test := range []struct {
		language string
		count    int64
		days     int
		want     []string
	}{
		{"en", 1, 1, []string{"one message is older than one day and closed", "it is where it was", "a copy of it"}},
		{"en", 2, 180, []string{"2 messages are older than 180 days and closed", "they are where they were", "copies of them"}},
		{"ar", 1, 1, []string{"رسالة واحدة مضى عليها أكثر من يوم واحد فأُغلقت", "هي في مكانها", "نسخة منها"}},
		{"ar", 2, 2, []string{"رسالتان مضى عليهما أكثر من يومين فأُغلقتا", "هما في مكانهما", "نسختان منهما"}},
		{"ar", 3, 10, []string{"3 رسائل مضى عليها أكثر من 10 أيام", "نسخ منها"}},
		{"ar", 11, 90, []string{"11 رسالةً", "أكثر من 90 يومًا"}},
		{"ar", 99, 99, []string{"99 رسالةً"}},
		{"ar", 100, 100, []string{"100 رسالة مضى", "أكثر من 100 يوم فأُغلقت"}},
		{"ar", 103, 180, []string{"103 رسائل", "أكثر من 180 يومًا"}},
		{"ar", 1002, 365, []string{"1002 رسالة مضى", "أكثر من 365 يومًا"}},
	} {
		got := noticeText[test.language].text(test.count, "2026-11-22", test.days, "https://mail.diwan.example/open")
		for _, want := range append(test.want, "2026-11-22", "\n\nhttps://mail.diwan.example/open\n\n") {
			if !strings.Contains(got, want) {
				t.Errorf("%s, %d messages, %d days: %q is missing:\n%s", test.language, test.count, test.days, want, got)
			}
		}
		if strings.ContainsAny(got, "{}%") {
			t.Errorf("a placeholder is left: %s", got)
		}
	}
}
