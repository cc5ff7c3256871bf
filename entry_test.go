package sijill

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func fullEntry() *Entry {
	return &Entry{
		Time:     time.Date(2026, 11, 21, 22, 11, 49, 123456000, time.UTC),
		Kind:     Captured,
		Actor:    `a "quoted" \ name`,
		Accounts: []string{"0123456789abcdef0123456789abcdef", "ffffffffffffffffffffffffffffffff"},
		Message: &Message{ID: ID{15: 1}, Commitment: Hash{1}, Units: 158, Envelope: Hash{2},
			Ciphertext: Hash{3}},
		Fields: json.RawMessage(`{"door":"smtp","list":[1,-2,true,[],{}]}`),
	}
}

func TestEntryEncoding(t *testing.T) {
	want := `{"accounts":["0123456789abcdef0123456789abcdef","ffffffffffffffffffffffffffffffff"],` +
		`"actor":"a \"quoted\" \\ name","fields":{"door":"smtp","list":[1,-2,true,[],{}]},"kind":"captured",` +
		`"message":{"ciphertext":"AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",` +
		`"commitment":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",` +
		`"envelope":"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",` +
		`"id":"00000000000000000000000000000001","units":158},"time":"2026-11-21T22:11:49.123456Z","v":1}`
	e := fullEntry()
	b, err := e.Marshal()
	if err != nil || string(b) != want {
		t.Fatalf("%s, %v", b, err)
	}
	parsed, err := ParseEntry(b)
	if err != nil || !reflect.DeepEqual(parsed, e) {
		t.Errorf("parsed as %+v, %v", parsed, err)
	}
	least, err := (&Entry{Kind: Login, Time: e.Time}).Marshal()
	if err != nil || string(least) != `{"kind":"login","time":"2026-11-21T22:11:49.123456Z","v":1}` {
		t.Errorf("%s, %v", least, err)
	}
}

// Every byte string that differs from the one encoding is refused, even where
// it would be the same JSON value.
func TestParseEntryRefuses(t *testing.T) {
	b, _ := fullEntry().Marshal()
	good := string(b)
	for _, change := range [][2]string{
		{`{"accounts"`, ` {"accounts"`},
		{`"v":1}`, `"v":1} `},
		{`"v":1}`, `"v":1,"x":1}`},
		{`"v":1}`, `"v":2}`},
		{`"v":1}`, `"v":01}`},
		{`"kind":"captured",`, ``},
		{`"kind":"captured"`, `"kind":"Captured"`},
		{`"kind":"captured"`, `"kind":""`},
		{`"kind":"captured"`, `"kind":"captured","kind":"captured"`},
		{`"accounts":["0123456789abcdef0123456789abcdef","ffffffffffffffffffffffffffffffff"]`, `"accounts":[]`},
		{`0123456789abcdef"`, `0123456789ABCDEF"`},
		{`"actor":"a \"quoted\" \\ name"`, `"actor":""`},
		{`"actor":"a \"quoted\" \\ name"`, `"actor":"\u0061"`},
		{`"actor":"a \"quoted\" \\ name"`, `"actor":"سجل"`},
		{`"actor":"a \"quoted\" \\ name"`, `"actor":"` + strings.Repeat("a", 129) + `"`},
		{`[1,-2,true,[],{}]`, `[1, -2,true,[],{}]`},
		{`[1,-2,true,[],{}]`, `[1.0]`},
		{`[1,-2,true,[],{}]`, `[-0]`},
		{`[1,-2,true,[],{}]`, `[1e3]`},
		{`[1,-2,true,[],{}]`, `[9007199254740992]`},
		{`[1,-2,true,[],{}]`, `[null]`},
		{`[1,-2,true,[],{}]`, `[[[[[[[[1]]]]]]]]`},
		{`{"door":"smtp","list"`, `{"zoor":"smtp","list"`},
		{`{"door":"smtp","list"`, `{"list":"smtp","list"`},
		{`{"door":"smtp","list":[1,-2,true,[],{}]}`, `{}`},
		{`{"door":"smtp","list":[1,-2,true,[],{}]}`, `"text"`},
		{`"AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`, `"AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB="`},
		{`"AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`, `"AwAA"`},
		{`"AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`, `"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`},
		{`,"units":158`, ``},
		{`,"units":158`, `,"units":-1`},
		{`,"units":158`, `,"units":4194305`},
		{`49.123456Z`, `49.123456+00:00`},
		{`49.123456Z`, `49.12345Z`},
		{`2026-11-21`, `2026-11-31`},
		{`2026-11-21`, `1969-11-21`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s isn't in the entry", change[0])
		}
		if e, err := ParseEntry([]byte(bad)); !errors.Is(err, ErrEntry) {
			t.Errorf("accepted %s: %+v", bad, e)
		}
	}
	for i := range len(good) {
		if _, err := ParseEntry([]byte(good[:i])); !errors.Is(err, ErrEntry) {
			t.Errorf("accepted the first %d bytes", i)
		}
	}
}

// Eight levels, counting the fields themselves: what the innermost holds is none.
func TestEntryDepth(t *testing.T) {
	b, _ := fullEntry().Marshal()
	for fields, ok := range map[string]bool{
		strings.Repeat(`{"a":`, 8) + `1` + strings.Repeat(`}`, 8):    true,
		strings.Repeat(`{"a":`, 8) + `{}` + strings.Repeat(`}`, 8):   false,
		strings.Repeat(`{"a":`, 9) + `1` + strings.Repeat(`}`, 9):    false,
		strings.Repeat(`{"a":[`, 4) + `1` + strings.Repeat(`]}`, 4):  true,
		strings.Repeat(`{"a":[`, 4) + `[]` + strings.Repeat(`]}`, 4): false,
	} {
		_, err := ParseEntry(bytes.Replace(b, []byte(`{"door":"smtp","list":[1,-2,true,[],{}]}`), []byte(fields), 1))
		if (err == nil) != ok {
			t.Errorf("%s: %v", fields, err)
		}
	}
}

func TestEntryMarshalRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Entry){
		"no kind":             func(e *Entry) { e.Kind = "" },
		"no time":             func(e *Entry) { e.Time = time.Time{} },
		"address as account":  func(e *Entry) { e.Accounts = []string{"mona@diwan.example"} },
		"Arabic actor":        func(e *Entry) { e.Actor = "منى" },
		"spaces in fields":    func(e *Entry) { e.Fields = json.RawMessage(`{ }`) },
		"list as fields":      func(e *Entry) { e.Fields = json.RawMessage(`[1]`) },
		"units, uncommitted":  func(e *Entry) { e.Message.Commitment = Hash{} },
		"more than an entry":  func(e *Entry) { e.Accounts = make([]string, 0); longFields(e) },
		"too many units":      func(e *Entry) { e.Message.Units = MaxUnits + 1 },
		"negative units":      func(e *Entry) { e.Message.Units = -1 },
		"two values of field": func(e *Entry) { e.Fields = json.RawMessage(`{"a":1}{"b":1}`) },
	} {
		e := fullEntry()
		spoil(e)
		if b, err := e.Marshal(); !errors.Is(err, ErrEntry) {
			t.Errorf("%s: encoded as %.200s, %v", name, b, err)
		}
	}
}

func longFields(e *Entry) {
	e.Fields = json.RawMessage(`{"a":"` + strings.Repeat("a", MaxEntry) + `"}`)
}

func TestMarshalFields(t *testing.T) {
	got, err := MarshalFields(map[string]any{"b": "<&>", "a": []int{1, 2}, "c": struct{ Z, Y bool }{true, false}})
	if err != nil || string(got) != `{"a":[1,2],"b":"<&>","c":{"Y":false,"Z":true}}` {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := MarshalFields(struct{}{}); got != nil || err != nil {
		t.Errorf("empty: %s, %v", got, err)
	}
	for _, bad := range []any{map[string]any{"a": nil}, map[string]any{"a": 1.5}, map[string]any{"a": "سجل"}, []int{1}, 3} {
		if got, err := MarshalFields(bad); !errors.Is(err, ErrEntry) {
			t.Errorf("%v encoded as %s, %v", bad, got, err)
		}
	}
	quick, err := CapturedFields{Door: "import", Source: "ab"}.Marshal()
	slow, err2 := MarshalFields(CapturedFields{Door: "import", Source: "ab"})
	if err != nil || err2 != nil || string(quick) != string(slow) {
		t.Errorf("captured: %s and %s, %v, %v", quick, slow, err, err2)
	}
}

func TestImportedFieldsAddUp(t *testing.T) {
	f := ImportedFields{Seen: 10, Captured: 6, Already: 3, Refused: 1, Reasons: map[string]int64{"empty": 1}}
	raw, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	e := &Entry{Kind: Imported, Time: time.Unix(0, 0), Fields: raw}
	var back ImportedFields
	if err := e.DecodeFields(&back); err != nil || !reflect.DeepEqual(back, f) {
		t.Errorf("decoded as %+v, %v", back, err)
	}
	for _, bad := range []ImportedFields{
		{Seen: 10, Captured: 6, Already: 3},
		{Seen: -1, Captured: -1},
		{Seen: 1, Refused: 1, Reasons: map[string]int64{"empty": 2}},
	} {
		if _, err := bad.Marshal(); !errors.Is(err, ErrEntry) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func BenchmarkEntryMarshal(b *testing.B) {
	e := fullEntry()
	e.Fields, _ = CapturedFields{Door: "smtp"}.Marshal()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Marshal(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseEntry(b *testing.B) {
	e := fullEntry()
	e.Fields, _ = CapturedFields{Door: "smtp"}.Marshal()
	raw, err := e.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseEntry(raw); err != nil {
			b.Fatal(err)
		}
	}
}
