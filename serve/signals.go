package serve

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"synod/internal/node"
)

// signalText is what strsignal says, which CCF's log lines start with.
var signalText = map[os.Signal]string{
	syscall.SIGTERM: "Terminated", syscall.SIGHUP: "Hangup", os.Interrupt: "Interrupt",
}

// watchSignals ends the returned context on SIGTERM, SIGHUP or an interrupt.
// With ignoreFirst the first SIGTERM only raises the stop notice.
func watchSignals(ctx context.Context, ignoreFirst bool, n *node.Node, log *slog.Logger) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, os.Interrupt)
	signal.Ignore(syscall.SIGPIPE)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				if s == syscall.SIGTERM && ignoreFirst {
					ignoreFirst = false
					log.LogAttrs(ctx, slog.LevelInfo, signalText[s]+": Notifying enclave, but not shutting down.")
					n.SetStopNotice()
					continue
				}
				log.LogAttrs(ctx, slog.LevelInfo, signalText[s]+": Shutting down enclave gracefully...")
				cancel()
				return
			}
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}
