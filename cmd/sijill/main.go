// Command sijill is the mail server that keeps the public record: one binary
// with a server and the tools around it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// Globals are the options of every command.
type Globals struct {
	Dir     string `help:"Data directory of the office." env:"SIJILL_DIR" default:"./var" type:"path" placeholder:"DIR"`
	KeyFile string `help:"File with the server's key, instead of the one in the data directory." type:"path" placeholder:"FILE"`
	JSON    bool   `help:"Print JSON for programs." name:"json"`
}

// CLI is the command line.
type CLI struct {
	Globals

	Init    InitCmd    `cmd:"" help:"Make an office: its directory, keys, register and first account."`
	Serve   ServeCmd   `cmd:"" help:"Serve mail and the web until interrupted."`
	User    UserCmd    `cmd:"" help:"Add, list and change accounts."`
	DNS     DNSCmd     `cmd:"" name:"dns" help:"Print every DNS record to set, and check them."`
	DKIM    DKIMCmd    `cmd:"" name:"dkim" help:"List and rotate the keys that sign outgoing mail."`
	Queue   QueueCmd   `cmd:"" help:"List, hold, retry and drop outgoing mail."`
	Import  ImportCmd  `cmd:"" help:"Import mail: mbox, Maildir, EML, folders and zip files of it, also .gz and .zst; with --imap, an account of another server."`
	Search  SearchCmd  `cmd:"" help:"Search an account's mail."`
	Show    ShowCmd    `cmd:"" help:"Show an entry and its message, or with --raw the sealed bytes."`
	Prove   ProveCmd   `cmd:"" help:"Write the proof of an entry to standard output."`
	Verify  VerifyCmd  `cmd:"" help:"Verify a proof, offline, knowing only the register's public key."`
	Audit   AuditCmd   `cmd:"" help:"Verify the whole register; exit 0 only if it is sound."`
	Rebuild RebuildCmd `cmd:"" help:"Make projections again from the entries, or check them."`
	Status  StatusCmd  `cmd:"" help:"Show the state of the office."`
	Key     KeyCmd     `cmd:"" help:"Print the register's public key."`
	Tiles   TilesCmd   `cmd:"" help:"Export the register as C2SP tlog-tiles, entries included, for foreign verifiers."`
	Backup  BackupCmd  `cmd:"" help:"Write a consistent copy of the office to a new directory, while it runs."`
	Recover RecoverCmd `cmd:"" help:"Bring back the tail of a register from a copy that has it."`
	Cool    CoolCmd    `cmd:"" help:"Close the months that are older than hot_days, or tell which would be; the server does it daily."`
	Retire  RetireCmd  `cmd:"" help:"End a register whose tail is lost and go on under a new name and new keys."`
	Demo    DemoCmd    `cmd:"" help:"Make a demo office with sample mail, if there is none, and serve it."`
	Version VersionCmd `cmd:"" help:"Print the version."`
}

// Out is where commands print.
type Out struct {
	io.Writer
	Err io.Writer
}

// exit is an error that only sets the exit status: everything was said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	tuneHeap()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command and returns the exit status: 0 done, 1 failed or found
// something, 2 not understood.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	defer stop()
	var cli CLI
	status := 0
	parser, err := kong.New(&cli, kong.Name("sijill"),
		kong.Description("Sijill (سجل): a private mail server that keeps the public record."),
		kong.Writers(stdout, stderr), kong.UsageOnError(), kong.Exit(func(code int) { status = code; panic(exit(code)) }))
	if err != nil {
		fmt.Fprintln(stderr, "sijill:", err)
		return 2
	}
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(exit); !ok { // Only kong's own exit, after --help, ends here.
				panic(p)
			}
		}
	}()
	return command(ctx, parser, &cli, args, Out{stdout, stderr}, &status)
}

func command(ctx context.Context, parser *kong.Kong, cli *CLI, args []string, out Out, status *int) int {
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(out.Err, "sijill:", err)
		fmt.Fprintln(out.Err, "Run \"sijill --help\" for the commands.")
		return 2
	}
	k.BindTo(ctx, (*context.Context)(nil))
	err = k.Run(&cli.Globals, out)
	var e exit
	var m misused
	switch {
	case errors.As(err, &e):
		return int(e)
	case errors.As(err, &m):
		fmt.Fprintln(out.Err, "sijill:", err)
		return 2
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(out.Err, "sijill: interrupted")
		return 1
	case err != nil:
		fmt.Fprintln(out.Err, "sijill:", err)
		return 1
	}
	return *status
}

// VersionCmd prints the version.
type VersionCmd struct{}

// Run implements the command.
func (VersionCmd) Run(out Out) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	_, err := fmt.Fprintln(out, "sijill", version)
	return err
}
