package recordtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"

	"sijill/internal/vault"
)

// Secret is what a holder of an account's envelopes knows, in tests.
func Secret(account int64, holder string) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%d/%s", account, holder))
}

// MakeOwner gives an account roots, which "password" (everyday) and "recovery"
// (deep) open with their Secret.
func (h *Home) MakeOwner(ctx context.Context, account int64) error {
	r, err := h.Vault.MakeRoots(ctx, account)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := h.Vault.PutEnvelope(ctx, r, vault.Everyday, "password", Secret(account, "password")); err != nil {
		return err
	}
	return h.Vault.PutEnvelope(ctx, r, vault.Deep, "recovery", Secret(account, "recovery"))
}

// Owner is MakeOwner for tests, which signs the owner in with his password.
func (h *Home) Owner(t testing.TB, account int64) *vault.Ring {
	t.Helper()
	if err := h.MakeOwner(context.Background(), account); err != nil {
		t.Fatal(err)
	}
	return h.SignIn(t, account, "password")
}

// SignIn unlocks the ring of an account with the Secret of a holder.
func (h *Home) SignIn(t testing.TB, account int64, holder string) *vault.Ring {
	t.Helper()
	r, err := h.Vault.Unlock(context.Background(), account, holder, Secret(account, holder))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}
