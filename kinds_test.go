package sijill

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

// Every kind's fields are canonical and read back as they were written.
func TestFieldsOfKinds(t *testing.T) {
	for want, f := range map[string]interface {
		Marshal() (json.RawMessage, error)
	}{
		`{"door":"smtp"}`: CapturedFields{Door: "smtp", Class: Office},
		`{"class":"personal","door":"import","source":"ab"}`: CapturedFields{Door: "import", Source: "ab", Class: Personal},
		`{"days":19,"door":"web"}`:                           FiledFields{Door: "web", Days: 19},
		`{"entries":[0,7,12]}`:                               DestroyedFields{Entries: []int64{0, 7, 12}},
		`{"entries":[3]}`:                                    MovedFields{Entries: []int64{3}},
		`{"entries":[4]}`:                                    ExpungedFields{Entries: []int64{4}},
		`{"door":"web","recipients":2}`:                      SentFields{Door: "web", Recipients: 2, Class: Office},
		`{"class":"personal","door":"web","recipients":0}`:   SentFields{Door: "web", Class: Personal},
		`{"count":1,"recipient":0,"result":"delivered","sent":0,"status":"2.0.0"}`: OutcomeFields{Result: "delivered", Count: 1, Status: "2.0.0"},
		`{"by":"passkey","door":"web","what":"signed-in"}`:                         LoginFields{What: "signed-in", Door: "web", By: "passkey"},
		`{"before":"2026-05","closed":3,"did":"cooled","left":1,"what":"months"}`:  KeyFields{What: "months", Did: "cooled", Before: "2026-05", Closed: 3, Left: 1},
		`{"given":["administrator"],"what":"roles"}`:                               GrantFields{What: "roles", Given: []string{"administrator"}},
		`{"class":"personal","did":"added","what":"address"}`:                      ConfigFields{What: "address", Did: "added", Class: Personal},
	} {
		got, err := f.Marshal()
		if err != nil || string(got) != want {
			t.Errorf("%T: %s %v, want %s", f, got, err, want)
			continue
		}
		back := reflect.New(reflect.TypeOf(f))
		if err := (&Entry{Fields: got}).DecodeFields(back.Interface()); err != nil {
			t.Error(err)
		}
		again, err := back.Elem().Interface().(interface {
			Marshal() (json.RawMessage, error)
		}).Marshal()
		if err != nil || string(again) != want {
			t.Errorf("%T read back: %s %v", f, again, err)
		}
	}
}

func TestFieldsOfKindsRefuse(t *testing.T) {
	for _, f := range []interface {
		Marshal() (json.RawMessage, error)
	}{
		CapturedFields{Door: "smtp", Class: "secret"}, SentFields{Class: "secret"}, ConfigFields{Class: "secret"}, OutcomeFields{Class: "x"},
		DestroyedFields{}, DestroyedFields{Entries: []int64{2, 2}}, MovedFields{Entries: []int64{3, 1}},
		ExpungedFields{Entries: []int64{-1}}, DestroyedFields{Entries: []int64{MaxInteger + 1}}, LoginFields{What: "ع"},
	} {
		if got, err := f.Marshal(); !errors.Is(err, ErrEntry) || got != nil {
			t.Errorf("%T: %s %v, want ErrEntry", f, got, err)
		}
	}
}
