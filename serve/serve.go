package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"synod/app"
	"synod/internal/config"
	"synod/internal/logfmt"
	"synod/internal/node"
)

// Version is what a node says of itself in /node/version and --version.
const Version = "synod-0.1.0"

// Exit codes besides those of the node (CCF: src/host/run.cpp and its command
// line parser).
const (
	exitOK         = 0
	exitFailed     = 1
	exitFile       = 103
	exitValidation = 105
	exitRequired   = 106
	exitExtras     = 109
)

// Main runs a node around a native application with the process's arguments
// and exits with its code. A nil application means the JavaScript application
// that members deploy.
func Main(a *app.App) { os.Exit(Run(a, os.Args[1:], os.Stdout)) }

// Run is Main with arguments and the place where the log goes. It returns the
// exit code.
func Run(a *app.App, args []string, stdout io.Writer) int {
	opts, code, done := parseArgs(args, stdout)
	if done {
		return code
	}
	cfg, err := config.Load(opts.config, opts.timeout)
	if err != nil {
		return configFailed(stdout, err)
	}
	log := slog.New(logfmt.New(stdout, logfmt.Options{Format: logfmt.Format(cfg.Logging.Format), Level: opts.level}))
	if a != nil {
		a.Started(log)
	}
	ctx := context.Background()
	if opts.check {
		log.LogAttrs(ctx, slog.LevelInfo, "Configuration file successfully verified")
		return exitOK
	}
	log.LogAttrs(ctx, slog.LevelInfo, "CCF version: "+Version)
	log.LogAttrs(ctx, slog.LevelInfo, "Command line: "+strings.Join(os.Args, " "))
	log.LogAttrs(ctx, slog.LevelInfo, "Configuration "+opts.config+":\n"+string(cfg.Text))
	tuneMemory()
	n, err := node.Start(node.Options{Config: cfg, App: a, Logger: log, Version: Version})
	if err != nil {
		log.LogAttrs(ctx, logfmt.LevelFatal, err.Error())
		return exitCode(err)
	}
	ctx, stop := watchSignals(ctx, cfg.IgnoreFirstSIGTERM, n, log)
	defer stop()
	if err := n.Run(ctx); err != nil {
		log.LogAttrs(ctx, logfmt.LevelFatal, "node ended: "+err.Error())
		return exitFailed
	}
	log.LogAttrs(ctx, slog.LevelInfo, "node stopped")
	return exitOK
}

// tuneMemory lets garbage grow with the state: most of a node's memory is
// state that a collection walks in vain.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

func exitCode(err error) int {
	var e *node.Error
	if errors.As(err, &e) {
		return e.Exit
	}
	return exitFailed
}

func configFailed(stdout io.Writer, err error) int {
	log := slog.New(logfmt.New(stdout, logfmt.Options{}))
	log.LogAttrs(context.Background(), logfmt.LevelFatal, err.Error())
	var faults *config.Error
	if errors.As(err, &faults) {
		return exitValidation
	}
	return exitFile
}

type options struct {
	config  string
	timeout time.Duration
	level   slog.Level
	check   bool
}

const usage = `Usage: %s --config FILE [options]

Runs one node of a service.

  -c, --config FILE          configuration (JSON); required
      --config-timeout TIME  keep trying to read it for so long, e.g. 5s
      --check                validate the configuration and exit
      --log-level LEVEL      trace, debug, info, fail or fatal
  -v, --version              print version and platform, and exit
  -h, --help                 print this, and exit
`

// parseArgs reads CCF's own command line (CCF: src/host/run.cpp). done says
// that nothing is left to do but exit with code.
func parseArgs(args []string, stdout io.Writer) (o options, code int, done bool) {
	fs := flag.NewFlagSet("node", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	var level, timeout string
	var version bool
	for _, name := range []string{"c", "config"} {
		fs.StringVar(&o.config, name, "", "")
	}
	for _, name := range []string{"v", "version"} {
		fs.BoolVar(&version, name, false, "")
	}
	fs.StringVar(&level, "log-level", "info", "")
	fs.StringVar(&timeout, "config-timeout", "0s", "")
	fs.BoolVar(&o.check, "check", false, "")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, usage, os.Args[0])
		return o, exitOK, true
	case err != nil:
		fmt.Fprintf(stdout, "%s\n"+usage, err, os.Args[0])
		return o, exitExtras, true
	case version:
		fmt.Fprintf(stdout, "CCF host: %s\nPlatform: Virtual\nGo: %s\n", Version, runtime.Version())
		return o, exitOK, true
	case fs.NArg() > 0:
		fmt.Fprintf(stdout, "unexpected argument %q\n"+usage, fs.Arg(0), os.Args[0])
		return o, exitExtras, true
	case o.config == "":
		fmt.Fprintf(stdout, "--config is required\n"+usage, os.Args[0])
		return o, exitRequired, true
	}
	if o.level, err = logfmt.ParseLevel(level); err == nil {
		o.timeout, err = config.ParseTime(timeout)
	}
	if err != nil {
		fmt.Fprintf(stdout, "%s\n"+usage, err, os.Args[0])
		return o, exitValidation, true
	}
	return o, 0, false
}
