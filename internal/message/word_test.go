package message

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

func TestDecodeWords(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"none", "plain", "plain"},
		{"Q", "=?utf-8?Q?caf=C3=A9_noir?=", "café noir"},
		{"B", "=?UTF-8?b?2LPYrNmE?=", "سجل"},
		{"language", "=?utf-8*ar?B?2LPYrNmE?=", "سجل"},
		{"amid text", "a =?utf-8?Q?b?= c", "a b c"},
		{"glued to text", "a=?utf-8?Q?b?=c", "abc"},
		{"two with a space", "=?utf-8?Q?a?= =?utf-8?Q?b?=", "ab"},
		{"two without a space", "=?utf-8?Q?a?==?utf-8?Q?b?=", "ab"},
		{"character split", "=?utf-8?B?2LPY?= =?utf-8?B?rNmE?=", "سجل"},
		{"split between B and Q", "=?utf-8?B?2LPY?= =?UTF-8?Q?=AC=D9=84?=", "سجل"},
		{"padding missing", "=?utf-8?B?2LPYrA?=", "سج"},
		{"spaces in Q", "=?utf-8?Q?a b=20c?=", "a b c"},
		{"spaces in B", "=?utf-8?B?2LPY rNmE?=", "سجل"},
		{"end missing", "=?utf-8?B?2LPYrNmE and", "سجل and"},
		{"end missing, another follows", "=?utf-8?Q?a =?utf-8?Q?b?=", "ab"},
		{"equals sign first", "=?utf-8?Q?=41=42?=", "AB"},
		{"bad escape", "=?utf-8?Q?a=ZZ=4?=", "a=ZZ=4"},
		{"empty", "=?utf-8?Q??=x", "x"},
		{"no word", "a =?= b =?x? c", "a =?= b =?x? c"},
		{"unknown encoding", "=?utf-8?X?a?=", "=?utf-8?X?a?="},
		{"raw bytes in Q", "=?iso-8859-1?Q?Frösche?=", "Frösche"},
		{"line break smuggled in", "=?utf-8?Q?a=0D=0ABcc:_b?=", "a  Bcc: b"},
		{"control characters", "a\x00b\x1bc", "abc"},
		{"not UTF-8", "=?utf-8?Q?a=C3=A9=FF?=", "aé\ufffd"},
		{"unknown charset", "=?x-made-up?Q?caf=E9?=", "café"},
	} {
		if got := DecodeWords(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func encoded(t *testing.T, e encoding.Encoding, s string) string {
	t.Helper()
	out, err := e.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCharsets decodes a body under each of the names that mail programs use.
func TestCharsets(t *testing.T) {
	const arabic = "السجل العام للدولة"
	arabic1256 := encoded(t, charmap.Windows1256, arabic)
	arabic8859 := encoded(t, charmap.ISO8859_6, arabic)
	for _, tt := range []struct{ labels, body, want string }{
		{"windows-1256 cp1256 cp-1256 CP1256 x-cp1256 x-windows-1256 win-1256 ms1256 windows1256 'windows-1256'", arabic1256, arabic},
		{"iso-8859-6 iso-8859-6-i ISO-8859-6-E iso8859_6 iso8859-6 8859-6 ASMO-708 arabic ecma-114", arabic8859, arabic},
		{"utf-8 UTF8 utf_8 unicode-1-1-utf-8", arabic, arabic},
		{"iso-8859-1 latin1 latin-1 windows-1252 cp1252 cp819", "caf\xe9", "café"},
		{"iso-8859-15", "10 \xa4", "10 €"},
		{"koi8-r", encoded(t, charmap.KOI8R, "привет"), "привет"},
		{"windows-1251 cp-1251", encoded(t, charmap.Windows1251, "привет"), "привет"},
		{"ibm866 cp866", encoded(t, charmap.CodePage866, "привет"), "привет"},
		{"gb2312 gbk gb18030 x-gbk cp936", encoded(t, simplifiedchinese.GBK, "记录"), "记录"},
		{"hz-gb-2312", encoded(t, simplifiedchinese.HZGB2312, "记录"), "记录"},
		{"big5", encoded(t, traditionalchinese.Big5, "記錄"), "記錄"},
		{"ks_c_5601-1987 euc-kr cp949 ks_c_5601", encoded(t, korean.EUCKR, "기록"), "기록"},
		{"iso-2022-kr", "\x1b$)C\x0e1b7O\x0f.", "기록."},
		{"shift_jis x-sjis cp932", encoded(t, japanese.ShiftJIS, "記録"), "記録"},
		{"iso-2022-jp iso-2022-jp-2 cp50220", encoded(t, japanese.ISO2022JP, "記録"), "記録"},
		{"euc-jp", encoded(t, japanese.EUCJP, "記録"), "記録"},
		{"utf-16", encoded(t, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "سجل"), "سجل"},
		{"utf-16le", encoded(t, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "سجل"), "سجل"},
		{"utf-7 unicode-1-1-utf-7", "a+-b +BjMGLAZE- c", "a+b سجل c"},
		// Guesses: the name is missing, unknown, or does not fit.
		{"us-ascii unknown-8bit x-unknown default utf-8", arabic1256, arabic},
		{"us-ascii unknown-8bit", arabic, arabic},
		{"us-ascii x-unknown", "un caf\xe9, tr\xe8s \xe0 propos", "un café, très à propos"},
	} {
		for label := range strings.FieldsSeq(tt.labels) {
			m := Parse([]byte("Content-Type: text/plain; charset=\"" + label + "\"\n\n" + tt.body))
			if got := m.Text(); got != tt.want {
				t.Errorf("%s: got %q, want %q", label, got, tt.want)
			}
		}
	}
}

// TestRaw8BitHeader: what no standard allows is read in the charset of the text.
func TestRaw8BitHeader(t *testing.T) {
	const arabic = "محضر الاجتماع"
	for _, tt := range []struct {
		name, charset string
		e             encoding.Encoding
	}{
		{"body's charset", "iso-8859-6", charmap.ISO8859_6},
		{"guessed", "us-ascii", charmap.Windows1256},
	} {
		raw := "Subject: " + encoded(t, tt.e, arabic) + "\nFrom: " + encoded(t, tt.e, "ليلى") +
			" <l@x.example>\nContent-Type: multipart/mixed; boundary=b\n\n--b\n" +
			"Content-Type: text/plain; charset=" + tt.charset + "\n\nx\n--b\n" +
			"Content-Type: application/pdf; name=\"" + encoded(t, tt.e, arabic) + ".pdf\"\n\n--b--\n"
		m := Parse([]byte(raw))
		check(t, m)
		if m.Subject() != arabic || m.Attachments()[0].Name != arabic+".pdf" {
			t.Errorf("%s: subject %q, attachment %q", tt.name, m.Subject(), m.Attachments()[0].Name)
		}
		if tt.charset != "us-ascii" && m.From()[0].Name != "ليلى" {
			t.Errorf("%s: from %q", tt.name, m.From()[0].Name)
		}
	}
}
