// Command synod runs, governs and verifies confidential services; see
// synod --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"synod/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	args := os.Args[1:]
	env := cli.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
	// A node handles its signals itself.
	if cli.IsNode(args) {
		return cli.Run(context.Background(), env, args)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return cli.Run(ctx, env, args)
}
