package audit_test

import (
	"errors"
	"strings"
	"testing"

	"sijill"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// newPersonal makes a register of 8 entries: personal letters of account 1 (0 to
// 4) and of account 2 (5), an office letter (6), and what says that 1 destroyed
// letters 1 and 3 (7).
func newPersonal(t *testing.T) *recordtest.Home {
	h := &recordtest.Home{Dir: t.TempDir()}
	if err := errors.Join(h.Create(t.Context(), recordtest.Options{}), h.Open(t.Context(), recordtest.Options{})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	h.Owner(t, 1)
	h.Owner(t, 2)
	for i, holder := range []int64{1, 1, 1, 1, 1, 2} {
		d := letter(i, holder)
		d.Class = sijill.Personal
		mustAppend(t, h, d)
	}
	mustAppend(t, h, letter(6, 1))
	if _, err := h.Register.Destroy(t.Context(), 1, "web", []int64{3, 1}); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPersonalMailIsSound(t *testing.T) {
	r := mustAudit(t, newPersonal(t))
	if !r.Sound() || r.Entries != 8 || r.Messages != 7 || r.Opened != 1 || r.Closed != 6 || r.Personal != 6 || r.Destroyed != 2 {
		t.Fatalf("%+v", r)
	}
}

func destroyed(account int64, entries ...int64) func(*testing.T, *recordtest.Home) {
	return func(t *testing.T, h *recordtest.Home) {
		t.Helper()
		mustAppend(t, h, record.Draft{Kind: sijill.Destroyed, Actor: "web", Holders: []int64{account}, Fields: sijill.DestroyedFields{Entries: entries}})
	}
}

// A key that is missing must be explained, and what is explained must be missing.
func TestPersonalDamage(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*testing.T, *recordtest.Home)
		want string
		all  int
	}{
		"key lost":                 {exec("DELETE FROM personal_key WHERE entry = 2"), "entry 2: no wrapped key of its message is left, and no entry", 2},
		"mask lost":                {exec("DELETE FROM personal_mask WHERE entry = 2"), "entry 2: segment", 1},
		"mask destroyed alone":     {exec("UPDATE personal_mask SET mask = zeroblob(32) WHERE entry = 2"), "entry 2: segment", 1},
		"key cut":                  {exec("UPDATE personal_key SET wrapped = x'0102' WHERE entry = 2"), "entry 2: segment", 1},
		"method":                   {exec("UPDATE personal_key SET method = 7 WHERE entry = 2"), "entry 2: segment", 1},
		"key back again":           {exec("INSERT INTO personal_key SELECT 1, compartment, method, wrapped FROM personal_key WHERE entry = 0"), "entry 1: segment", 2},
		"half a key left":          {exec("UPDATE personal_mask SET mask = (SELECT mask FROM personal_mask WHERE entry = 0) WHERE entry = 1"), "entry 1: half of the key", 1},
		"key beyond":               {exec("INSERT INTO personal_key SELECT 99, compartment, method, wrapped FROM personal_key WHERE entry = 0"), "personal keys: 1 rows", 1},
		"a key of the server's":    {exec("INSERT INTO message_key SELECT 2, compartment, wrapped FROM message_key WHERE entry = 6"), "entry 2: it is personal, but the server", 1},
		"an office letter's, own":  {exec("INSERT INTO personal_key SELECT 6, compartment, method, wrapped FROM personal_key WHERE entry = 0"), "entry 6: it is the office's, but its key", 1},
		"said, and not done":       {destroyed(1, 2), "entry 2: entry 8 says that it was destroyed", 1},
		"office mail":              {destroyed(1, 6), "entry 8: it destroyed entry 6", 1},
		"another's":                {destroyed(1, 5), "entry 8: it destroyed entry 5", 1},
		"what is not there yet":    {destroyed(1, 12), "entry 8: it destroyed entry 12", 1},
		"no message":               {destroyed(1, 7), "entry 8: it destroyed entry 7", 1},
		"the office's key is lost": {exec("DELETE FROM message_key WHERE entry = 6"), "entry 6: no wrapped key of its message is left: nobody", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPersonal(t)
			c.do(t, h)
			r := mustAudit(t, h)
			var all []string
			for _, f := range r.Findings {
				all = append(all, f.What+": "+f.Detail)
			}
			text := strings.Join(all, "\n")
			if len(all) != c.all || !strings.Contains("\n"+text, "\n"+c.want) {
				t.Errorf("findings, of which one begins %q:\n%s", c.want, text)
			}
		})
	}
}

// Destroying twice is said twice and is no damage; nor are a cold month and keys
// that were wrapped again.
func TestPersonalNoDamage(t *testing.T) {
	h := newPersonal(t)
	destroyed(1, 1, 3)(t, h)
	if n, err := h.Vault.Rewrap(t.Context(), h.SignIn(t, 1, "password")); err != nil || n != 3 {
		t.Fatalf("%d were rewrapped: %v", n, err)
	}
	exec("DELETE FROM compartment_key WHERE holder IN ('everyday', 'server')")(t, h)
	h.Vault = recordtest.ColdVault(t, h)
	if r := mustAudit(t, h); !r.Sound() || r.Closed != 7 || r.Destroyed != 2 {
		t.Fatalf("%+v", r)
	}
}
