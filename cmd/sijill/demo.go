package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/mail"
	"os"
	"path/filepath"
	"strings"

	"github.com/emersion/go-smtp"

	"sijill/internal/config"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/server"
)

//go:embed demo
var demoMail embed.FS

// demoSignIn is the file that keeps the demo's sign-in, so that a second run can
// print it again. No real office has one.
const demoSignIn = "demo-sign-in.txt"

// DemoCmd makes a demo office and serves it.
type DemoCmd struct {
	ServeCmd
}

const demoDomain = "diwan.example"

// Run implements the command.
func (c *DemoCmd) Run(ctx context.Context, g *Globals, out Out) error {
	made := false
	if !exists(filepath.Join(g.Dir, config.File)) {
		if err := makeDemo(ctx, g, out); err != nil {
			return err
		}
		made = true
	}
	signIn, err := os.ReadFile(filepath.Join(g.Dir, demoSignIn))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is an office, but not the demo: use \"sijill serve\"", g.Dir)
	}
	if err != nil {
		return err
	}
	return with(ctx, g, out, func(o *office.Office) error {
		c.apply(&o.Config)
		s, err := server.New(ctx, o)
		if err != nil {
			return err
		}
		return c.serve(ctx, o, s, made, string(signIn), out)
	})
}

func makeDemo(ctx context.Context, g *Globals, out Out) error {
	password := people.GeneratePassword()
	quiet := Out{discard{}, out.Err}
	if err := os.Setenv("SIJILL_PASSWORD", password); err != nil {
		return err
	}
	defer os.Unsetenv("SIJILL_PASSWORD")
	init := &InitCmd{Office: "ديوان المثال", Domain: demoDomain, Account: "laila@" + demoDomain, Name: "ليلى الهاشمي"}
	var said bytes.Buffer
	told := *g
	told.JSON = true
	if err := init.Run(ctx, &told, Out{&said, out.Err}); err != nil {
		return err
	}
	var made struct {
		Recovery string `json:"recovery_code"`
	}
	if err := json.Unmarshal(said.Bytes(), &made); err != nil {
		return fmt.Errorf("making the demo: %w", err)
	}
	codes := [2]string{made.Recovery}
	err := with(ctx, g, quiet, func(o *office.Office) (err error) {
		codes[1], err = fillDemo(ctx, o, password)
		return err
	})
	if err != nil {
		return err
	}
	text := fmt.Sprintf("laila@%[1]s  %[2]s  recovery code %[3]s\nsami@%[1]s   %[2]s  recovery code %[4]s\n", demoDomain, password, codes[0], codes[1])
	return config.WriteNew(filepath.Join(g.Dir, demoSignIn), []byte(text))
}

// demoHome is the domain of the demo's personal addresses.
const demoHome = "home.example"

// fillDemo adds a second person, whose recovery code it gives, and personal
// addresses for both.
func fillDemo(ctx context.Context, o *office.Office, password string) (recovery string, err error) {
	if err := o.Access.AddDomain(ctx, people.By{}, demoHome); err != nil {
		return "", err
	}
	sami := people.Account{Name: "Sami Haddad", Address: "sami@" + demoDomain, Role: people.RoleOwner | people.RoleRecordsOfficer}
	if recovery, err = o.AddOwn(ctx, sami, password); err != nil {
		return "", err
	}
	for _, name := range []string{"laila", "sami"} {
		a, err := o.People.Lookup(ctx, name+"@"+demoDomain)
		if err != nil {
			return "", err
		}
		if err := o.Access.AddAddress(ctx, people.By{}, a.ID, people.Address{Address: name + "@" + demoHome, Class: people.Personal}); err != nil {
			return "", err
		}
	}
	return recovery, nil
}

// discard is a writer that forgets.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// serve serves, and sends the sample mail through the SMTP door when the office
// is new.
func (c *DemoCmd) serve(ctx context.Context, o *office.Office, s *server.Server, fill bool, signIn string, out Out) error {
	filled := make(chan error, 1)
	err := s.Run(ctx, func() {
		go func() {
			var err error
			if fill {
				err = sendDemo(ctx, o, s)
			}
			if err == nil {
				welcome(o, s, out, signIn)
			} else {
				fmt.Fprintln(out.Err, "sijill: sending the sample mail:", err)
			}
			filled <- err
		}()
	})
	return err
}

func welcome(o *office.Office, s *server.Server, out Out, signIn string) {
	at := s.Addr("http")
	if at == nil {
		return
	}
	fmt.Fprintf(out, "\n  سجل · Sijill\n\n  http://%s\n\n", config.Localhost(at.String()))
	for line := range strings.Lines(signIn) {
		fmt.Fprint(out, "  ", line)
	}
	fmt.Fprintf(out, "\n  Data in %s. Ctrl-C stops it.\n\n", o.Dir)
}

// sendDemo sends every sample by SMTP, like any other mail server would.
func sendDemo(ctx context.Context, o *office.Office, s *server.Server) error {
	at := s.Addr("smtp")
	if at == nil {
		return errors.New("the SMTP door is closed")
	}
	names, err := fs.Glob(demoMail, "demo/*.eml")
	if err != nil {
		return err
	}
	conn, err := smtp.Dial(at.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, name := range names {
		b, err := demoMail.ReadFile(name)
		if err != nil {
			return err
		}
		if err := sendOne(conn, b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := conn.Quit(); err != nil {
		return err
	}
	return o.Settle(ctx) // What was sent can be found.
}

// sendOne sends one file to those of the office whom it names.
func sendOne(c *smtp.Client, b []byte) error {
	b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	m, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		return err
	}
	from, err := m.Header.AddressList("From")
	if err != nil {
		return err
	}
	if err := c.Mail(from[0].Address, &smtp.MailOptions{UTF8: true}); err != nil {
		return err
	}
	for _, field := range []string{"To", "Cc"} {
		list, err := m.Header.AddressList(field)
		if err != nil {
			continue // The field is absent.
		}
		for _, a := range list {
			if !strings.HasSuffix(a.Address, "@"+demoDomain) && !strings.HasSuffix(a.Address, "@"+demoHome) {
				continue
			}
			if err := c.Rcpt(a.Address, nil); err != nil {
				return err
			}
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	return w.Close()
}
