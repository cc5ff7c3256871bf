package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"sijill"
	"sijill/internal/mailauth"
	"sijill/internal/office"
	"sijill/internal/record"
)

// ShowCmd shows an entry.
type ShowCmd struct {
	Entry  int64 `arg:"" name:"n" help:"The entry's number."`
	Raw    bool  `help:"The sealed bytes of the message, exactly, on standard output."`
	Checks bool  `help:"Judge the message anew (SPF, DKIM, DMARC, ARC) by the DNS answers that were kept when it arrived: no DNS is asked."`
}

// Run implements the command.
func (c *ShowCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		it, err := o.Register.Item(ctx, c.Entry)
		if err != nil {
			return noEntry(err, c.Entry, o.Register)
		}
		if c.Raw {
			return c.raw(it, out)
		}
		if c.Checks {
			return c.judge(ctx, o, it, g, out)
		}
		return c.show(ctx, o, it, g, out)
	})
}

// judge proves what the checks found when a message arrived, however long ago
// its keys have left DNS.
func (c *ShowCmd) judge(ctx context.Context, o *office.Office, it *record.Item, g *Globals, out Out) error {
	content, err := it.Content()
	if errors.Is(err, fs.ErrNotExist) || err == nil && content.Envelope.Evidence == "" {
		return fmt.Errorf("entry %d (%s) has no message that was judged and can be opened here", c.Entry, it.Entry.Kind)
	}
	if err != nil {
		return err
	}
	e := &content.Envelope
	kept, err := o.Evidence(ctx, e)
	if err != nil {
		return err
	}
	peer := mailauth.Peer{Helo: e.Hello, MailFrom: e.From}
	peer.IP, _ = netip.ParseAddr(e.Client) // Without one SPF says so.
	r := mailauth.Judge(ctx, mailauth.Options{DNS: mailauth.Replay(kept), Time: e.Time, AuthservID: o.Config.ServerName()}, content.Message, peer)
	if g.JSON {
		return json.NewEncoder(out).Encode(r)
	}
	fmt.Fprintf(out, "Entry %d, sealed %s, judged by %d answers of DNS kept with it (SHA-256 %s, to which the entry commits):\n%s",
		c.Entry, it.Entry.Time.Format("2006-01-02 15:04:05Z"), len(kept.Answers), e.Evidence, r.Header)
	return nil
}

func noEntry(err error, n int64, r *record.Register) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	size, _ := r.Head()
	return fmt.Errorf("there is no entry %d: the register has %d, numbered from 0", n, size)
}

func (c *ShowCmd) raw(it *record.Item, out Out) error {
	content, err := it.Content()
	if errors.Is(err, fs.ErrNotExist) || err == nil && !sealsMessage(it.Entry.Kind) { // Other kinds seal details.
		return fmt.Errorf("entry %d (%s) has no message that can be opened here", c.Entry, it.Entry.Kind)
	}
	if err != nil {
		return err
	}
	_, err = out.Write(content.Message)
	return err
}

func (c *ShowCmd) show(ctx context.Context, o *office.Office, it *record.Item, g *Globals, out Out) error {
	body, err := o.Register.Body(ctx, c.Entry)
	if err != nil {
		return err
	}
	m := map[string]any{"n": c.Entry, "entry": json.RawMessage(body)}
	content, err := it.Content()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		content = &record.Content{}
	case err != nil:
		return err
	case content.Detail != nil:
		m["detail"] = content.Detail
	default:
		m["envelope"], m["size"] = content.Envelope, len(content.Message)
	}
	if g.JSON {
		return json.NewEncoder(out).Encode(m)
	}
	fmt.Fprintf(out, "Entry %d, %s, sealed %s\n%s\n", c.Entry, it.Entry.Kind, it.Entry.Time.Format("2006-01-02 15:04:05.000000Z"), body)
	if content.Detail != nil {
		fmt.Fprintf(out, "Sealed beside it:\n%s\n", content.Detail)
	}
	if content.Message != nil && content.Detail == nil {
		p := content.Envelope.Present(content.Message)
		fmt.Fprintf(out, "\n%s", p)
	}
	return nil
}

// sealsMessage tells the kinds of entry that seal a message from those that seal
// details.
func sealsMessage(k sijill.Kind) bool {
	return k == sijill.Captured || k == sijill.Sent || k == sijill.Filed
}

// ProveCmd writes a proof.
type ProveCmd struct {
	Entry    int64 `arg:"" name:"n" help:"The entry's number."`
	Envelope bool  `help:"Prove also what is known besides the message: recipients, peer, times."`
}

// Run implements the command.
func (c *ProveCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		p, err := o.Register.Proof(ctx, c.Entry, c.Envelope)
		if err != nil {
			return noEntry(err, c.Entry, o.Register)
		}
		b, err := p.Marshal()
		if err != nil {
			return err
		}
		_, err = out.Write(b)
		return err
	})
}

// VerifyCmd verifies a proof without any data directory.
type VerifyCmd struct {
	Proof   string `arg:"" help:"The proof's file." type:"existingfile"`
	Message string `arg:"" optional:"" help:"The message's original bytes." type:"existingfile"`
	Key     string `help:"The register's public key, as \"sijill key\" prints it, or a file that holds it." required:"" placeholder:"KEY"`
}

// Run implements the command.
func (c *VerifyCmd) Run(g *Globals, out Out) error {
	v, err := c.verify()
	if g.JSON && !errors.As(err, new(misused)) {
		m := map[string]any{"holds": err == nil}
		if err != nil {
			m["error"] = err.Error()
		} else {
			tell(m, v)
		}
		if e := json.NewEncoder(out).Encode(m); e != nil {
			return e
		}
		if err != nil {
			return exit(1)
		}
		return nil
	}
	if err != nil {
		return err
	}
	c.print(out, v)
	return nil
}

// tell puts what a proof proves into an answer in JSON.
func tell(m map[string]any, v *sijill.Verified) {
	m["entry"], m["kind"], m["time"], m["origin"], m["size"] = v.Index, v.Entry.Kind, v.Entry.Time, v.Checkpoint.Origin, v.Checkpoint.Size
	m["whole"] = v.Whole
	if !v.Time.IsZero() {
		m["signed"] = v.Time
	}
	if v.Units != nil {
		m["units"], m["shown"] = len(v.Units), shown(v)
	}
}

func (c *VerifyCmd) verify() (*sijill.Verified, error) {
	keys, err := readKeys(c.Key)
	if err != nil {
		return nil, err
	}
	file, err := os.ReadFile(c.Proof)
	if err != nil {
		return nil, err
	}
	var msg []byte
	if c.Message != "" {
		if msg, err = os.ReadFile(c.Message); err != nil {
			return nil, err
		}
		if msg == nil {
			msg = []byte{}
		}
	}
	v, err := check(file, msg, keys)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the proof does not hold: %w", err)
	case msg != nil && !v.Whole:
		return nil, fmt.Errorf("the proof holds, but does not prove the file: it shows %d of %d units of the message, and the others could be anything; verify it without the file", shown(v), len(v.Units))
	}
	return v, nil
}

func check(file, msg []byte, keys sijill.Keys) (*sijill.Verified, error) {
	p, err := sijill.ParseProof(file)
	if err != nil {
		return nil, err
	}
	return sijill.Verify(p, msg, keys)
}

// shown is how many units of the message a proof shows.
func shown(v *sijill.Verified) (n int) {
	for _, u := range v.Units {
		if u != nil {
			n++
		}
	}
	return n
}

func (c *VerifyCmd) print(out Out, v *sijill.Verified) {
	const second = "2006-01-02 15:04:05Z"
	fmt.Fprintf(out, "The proof holds.\nEntry %d (%s) of %s is in the signed register of %d entries.\n",
		v.Index, v.Entry.Kind, v.Checkpoint.Origin, v.Checkpoint.Size)
	if !v.Time.IsZero() {
		fmt.Fprintf(out, "It was there by %s, by the signatures' time.\n", v.Time.Format(second))
	}
	fmt.Fprintf(out, "The office says that it sealed it at %s.\n", v.Entry.Time.Format(second))
	switch {
	case c.Message != "":
		fmt.Fprintln(out, "The message is the one that was sealed, to the last byte.")
	case v.Whole:
		fmt.Fprintln(out, "The proof shows the whole message that was sealed.")
	case v.Units != nil:
		fmt.Fprintf(out, "The proof shows %d of %d units of the message that was sealed; the others are withheld.\n", shown(v), len(v.Units))
	case v.Entry.Message != nil:
		fmt.Fprintln(out, "No message was given: only that the entry is there was checked.")
	}
	for _, s := range v.Signatures {
		fmt.Fprintf(out, "Signed by %s (%s).\n", s.Name, s.Algorithm)
	}
}
