package main

import (
	"context"

	"sijill/internal/config"
	"sijill/internal/office"
	"sijill/internal/server"
)

// ServeCmd serves. Addresses given here come before those in the settings;
// "off" closes a door.
type ServeCmd struct {
	SMTP        string `help:"Address of the SMTP door, or off." placeholder:"ADDR" name:"smtp"`
	Submission  string `help:"Address of submission with STARTTLS, or off." placeholder:"ADDR"`
	Submissions string `help:"Address of submission with TLS, or off." placeholder:"ADDR"`
	IMAP        string `help:"Address of IMAP with STARTTLS, or off." placeholder:"ADDR" name:"imap"`
	IMAPS       string `help:"Address of IMAP with TLS, or off." placeholder:"ADDR" name:"imaps"`
	LMTP        string `help:"Address of the LMTP door, or off; unix:PATH for a socket." placeholder:"ADDR" name:"lmtp"`
	HTTP        string `help:"Address of the web without TLS, or off." placeholder:"ADDR" name:"http"`
	HTTPS       string `help:"Address of the web with TLS, or off." placeholder:"ADDR" name:"https"`
	Metrics     string `help:"Address of the Prometheus metrics, or off." placeholder:"ADDR"`
}

// Run implements the command.
func (c *ServeCmd) Run(ctx context.Context, g *Globals, out Out) error {
	tell, stop := outliveHangups(ctx)
	defer stop()
	return with(ctx, g, out, func(o *office.Office) error {
		tell(o.Log)
		c.apply(&o.Config)
		s, err := server.New(ctx, o)
		if err != nil {
			return err
		}
		return s.Run(ctx, func() { s.Announce(out) })
	})
}

func (c *ServeCmd) apply(to *config.Config) {
	for flag, setting := range map[*string]*string{
		&c.SMTP: &to.SMTP.Listen, &c.Submission: &to.Submission.Listen, &c.Submissions: &to.Submission.TLSListen,
		&c.IMAP: &to.IMAP.Listen, &c.IMAPS: &to.IMAP.TLSListen, &c.LMTP: &to.LMTP.Listen,
		&c.HTTP: &to.HTTP.Listen, &c.HTTPS: &to.HTTP.TLSListen, &c.Metrics: &to.Metrics.Listen} {
		switch *flag {
		case "":
		case "off":
			*setting = ""
		default:
			*setting = *flag
		}
	}
}
