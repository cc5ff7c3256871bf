package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// endSignals are the signals that end a command in order. The end of its terminal is
// one, unless whoever began it (nohup) has it outlive that.
func endSignals() []os.Signal {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// outliveHangups has a server that hangs from no terminal go on after SIGHUP, which
// logrotate and the hooks of certificates send to whatever they think should read
// its files again: certificates are read again when they change, and nothing else
// is. What comes is said in the log that tell is given; stop ends that.
func outliveHangups(ctx context.Context) (tell func(*slog.Logger), stop func()) {
	if signal.Ignored(syscall.SIGHUP) || onTerminal() {
		return func(*slog.Logger) {}, func() {}
	}
	signal.Ignore(syscall.SIGHUP) // It ends ctx no longer; there is no moment in which it kills.
	came := make(chan os.Signal, 1)
	signal.Notify(came, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	tell = func(log *slog.Logger) {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-came:
					log.Info("SIGHUP changes nothing: certificates are read again when they change, settings at a restart")
				}
			}
		}()
	}
	return tell, cancel
}

// onTerminal tells whether the process ends with a terminal.
func onTerminal() bool {
	f, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	f.Close()
	return true
}
