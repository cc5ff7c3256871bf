package evidence

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"sijill/internal/db"
	"sijill/internal/mailauth"
)

func TestKeepAndLoad(t *testing.T) {
	ctx := t.Context()
	d, err := db.OpenSQLite(ctx, filepath.Join(t.TempDir(), "r.db"), db.Options{Key: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s, err := Open(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC)
	key := mailauth.Answer{Name: "s._domainkey.a.example.", Type: "TXT", Rcode: "NOERROR", Time: at, Wire: []byte{1, 2, 3}}
	one := mailauth.Evidence{Answers: []mailauth.Answer{key, {Name: "a.example.", Type: "TXT", Rcode: "NXDOMAIN", Time: at}}}
	two := mailauth.Evidence{Answers: []mailauth.Answer{key}}
	none := mailauth.Evidence{}
	for range 2 {
		for _, e := range []mailauth.Evidence{one, two, none} {
			body, err := e.Bytes()
			if err == nil {
				err = d.Write(ctx, func(tx *db.Tx) error { return s.Keep(tx, body) })
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, e := range []mailauth.Evidence{one, two, none} {
		id, err := e.ID()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(ctx, id); err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%+v, %v; want %+v", got, err, e)
		}
	}
	var answers int
	if err := d.Read(ctx, func(tx *db.Tx) error { return tx.One("SELECT count(*) FROM evidence_answer", nil, &answers) }); err != nil || answers != 2 {
		t.Errorf("%d answers are stored, %v; want each once", answers, err)
	}
	if _, err := s.Load(ctx, sha256.Sum256(nil)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("evidence that there isn't: %v", err)
	}
	if err := d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE evidence_answer SET body = replace(body, 'NXDOMAIN', 'NOERROR')")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	id, _ := one.ID()
	if _, err := s.Load(ctx, id); !errors.Is(err, ErrDamaged) {
		t.Errorf("evidence that somebody changed: %v", err)
	}
}

// Evidence whose transaction was given up is stored the next time; what isn't
// canonical, so that it could not be found again, is not.
func TestKeepIsOfTheTransaction(t *testing.T) {
	ctx := t.Context()
	d, err := db.OpenSQLite(ctx, filepath.Join(t.TempDir(), "r.db"), db.Options{Key: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s, err := Open(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	e := mailauth.Evidence{Answers: []mailauth.Answer{{Name: "a.example.", Type: "TXT", Rcode: "NXDOMAIN", Time: time.Unix(0, 0).UTC()}}}
	body, err := e.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	for _, want := range []error{refused, nil, nil} {
		err := d.Write(ctx, func(tx *db.Tx) error { return errors.Join(s.Keep(tx, body), want) })
		if !errors.Is(err, want) {
			t.Fatal(err)
		}
	}
	if got, err := s.Load(ctx, sha256.Sum256(body)); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := d.Write(ctx, func(tx *db.Tx) error { return s.Keep(tx, append([]byte(" "), body...)) }); !errors.Is(err, ErrDamaged) {
		t.Errorf("evidence in another form: %v", err)
	}
}
