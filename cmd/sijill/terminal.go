package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"sijill/internal/people"
)

// Secrets come from the environment or from a person at a terminal. A person who
// is asked can leave: an interrupt ends the question, and the terminal shows again
// what is typed.

// hasTerminal tells whether a person can be asked.
func hasTerminal() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// typed asks a person for a secret, which isn't shown. An interrupt is the error
// of ctx.
func typed(ctx context.Context, w io.Writer, prompt string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("asking at the terminal: %w", err)
	}
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	fmt.Fprint(w, prompt)
	defer fmt.Fprintln(w)
	go func() { // Nothing ends a read of a terminal but a line: after an interrupt the process ends around it.
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return string(l.text), l.err
	case <-ctx.Done():
		forget := unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) // Else the shell gets, and shows, half a secret.
		return "", errors.Join(ctx.Err(), forget, term.Restore(fd, before))
	}
}

// secretOf is what a variable of the environment holds, or what a person types.
func secretOf(ctx context.Context, out Out, variable, prompt string) (string, error) {
	if s := os.Getenv(variable); s != "" {
		return s, nil
	}
	if !hasTerminal() {
		return "", fmt.Errorf("there is no terminal to ask for the password: set %s", variable)
	}
	return typed(ctx, out.Err, prompt)
}

// passwordVariable may hold the password of the account that a command is about.
const passwordVariable = "SIJILL_PASSWORD"

// newPassword asks a person twice, or makes a password where nobody can be asked.
// SIJILL_PASSWORD, where set, is taken. What can't be a password is
// people.ErrPassword.
func newPassword(ctx context.Context, out Out) (password string, generated bool, err error) {
	if p := os.Getenv(passwordVariable); p != "" {
		return p, false, people.CheckPassword(p)
	}
	if !hasTerminal() {
		return people.GeneratePassword(), true, nil
	}
	first, err := typed(ctx, out.Err, "Password, 12 characters or more (empty makes one): ")
	switch {
	case err != nil:
		return "", false, err
	case first == "":
		return people.GeneratePassword(), true, nil
	}
	if err := people.CheckPassword(first); err != nil {
		return "", false, err
	}
	second, err := typed(ctx, out.Err, "Once more: ")
	if err == nil && first != second {
		err = errors.New("the two passwords differ")
	}
	return first, false, err
}

// newPassphrase asks for a passphrase twice where a person types it.
func newPassphrase(ctx context.Context, out Out) (string, error) {
	first, err := passphrase(ctx, out.Err, "New passphrase for the key: ")
	if err != nil {
		return "", err
	}
	if len(first) < 12 {
		return "", errors.New("a passphrase needs 12 characters or more")
	}
	second, err := passphrase(ctx, out.Err, "Once more: ")
	switch {
	case err != nil:
		return "", err
	case first != second:
		return "", errors.New("the two passphrases differ")
	}
	return first, nil
}
