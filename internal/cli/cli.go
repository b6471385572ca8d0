package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"synod"
	"synod/client"
	"synod/internal/arm"
	"synod/internal/armclient"
	"synod/serve"
)

// Exit codes of every command but node, which has CCF's.
const (
	ExitOK          = 0
	ExitFailed      = 1 // anything that has no code of its own
	ExitUsage       = 2 // unknown command or flag, bad argument
	ExitUnverified  = 3 // a ledger, receipt or signature did not verify
	ExitRefused     = 4 // the service answered with an error
	ExitUnreachable = 5 // no answer from the service
)

const exitCodes = `Exit codes: 0 done; 1 failed; 2 wrong usage; 3 verification failed;
4 the service refused; 5 the service could not be reached.`

// Env is what a command may use of the process around it.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
}

// Run runs the command that args, without the program's name, spell, and
// returns the exit code. It ends early when ctx does.
//
// Arguments that start with a flag are CCF's command line of a node, so that
// the binary can stand in for CCF's.
func Run(ctx context.Context, env Env, args []string) int {
	if IsNode(args) {
		return serve.Run(nil, nodeArgs(args), env.Stdout)
	}
	root := newRoot(&env)
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(env.Stderr, "synod: %s\n", err)
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(env.Stderr, "hint: %s\n", hint)
	}
	return exitCodeOf(err)
}

// IsNode says whether args make this process a node, which handles signals
// itself: the command node, or CCF's own command line.
func IsNode(args []string) bool {
	if len(args) == 0 {
		return false
	}
	if args[0] == "node" {
		return len(args) == 1 || args[1] != "-h" && args[1] != "--help"
	}
	return strings.HasPrefix(args[0], "-") && args[0] != "-h" && args[0] != "--help"
}

func nodeArgs(args []string) []string {
	if args[0] == "node" {
		return args[1:]
	}
	return args
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "synod",
		Short: "Run, govern and verify confidential services",
		Long: `synod runs a node of a service, a whole service for development, and the
tools of its members and users.

` + exitCodes + `

Started with flags instead of a command, synod is a node and takes CCF's own
command line: synod --config node.json --log-level info`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          group,
		Args:          cobra.ArbitraryArgs,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{err: err, command: c.CommandPath()}
	})
	root.AddCommand(
		newSandbox(env), newSim(env), newNode(), newMember(env), newUser(env), newProposal(env), newRecovery(env), newJWT(env), newIdentity(env),
		newApp(env), newConstitution(env), newReceipt(env), newLedger(env), newServer(env), newNetwork(env), newOperation(env), newBackup(env), newUpgrade(env), newLogs(env), newPortal(env), newBench(env), newVersion(env),
	)
	summarize(root.Commands())
	return root
}

// summarize has the help of each command begin with what it is for.
func summarize(commands []*cobra.Command) {
	for _, c := range commands {
		if c.Long != "" {
			c.Long = c.Short + ".\n\n" + c.Long
		}
		summarize(c.Commands())
	}
}

// newNode only documents the command: Run hands its arguments to serve.
func newNode() *cobra.Command {
	return &cobra.Command{
		Use:   "node --config FILE [--log-level LEVEL] [--check] [--version]",
		Short: "Run one node of a service",
		Long: `Runs one node. The configuration, the flags, the files written, the log lines
and the exit codes are those of CCF's nodes.`,
		Example: "  synod node --config node.json --log-level info",
	}
}

// group is the run function of a command that only has subcommands.
func group(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	return &usageError{err: fmt.Errorf("there is no command %q", strings.TrimSpace(c.CommandPath()+" "+args[0])), command: c.CommandPath()}
}

// newGroup makes a command that only has subcommands.
func newGroup(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, RunE: group, Args: cobra.ArbitraryArgs}
	c.AddCommand(children...)
	return c
}

// args makes a check of the number of arguments that is a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if err := check(c, a); err != nil {
			return &usageError{err: err, command: c.CommandPath()}
		}
		return nil
	}
}

// usageError is a command line that cannot be obeyed.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
func (e *usageError) Hint() string  { return "see " + e.command + " --help" }

func usagef(c *cobra.Command, format string, a ...any) error {
	return &usageError{err: fmt.Errorf(format, a...), command: c.CommandPath()}
}

// hinted adds a hint to an error.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }
func (e *hinted) Hint() string  { return e.hint }

func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// unverified marks an error that says that something did not verify.
type unverified struct{ error }

func (e *unverified) Unwrap() error { return e.error }

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		return h.Hint()
	}
	var refused *synod.Error
	var denied *armclient.Error
	switch {
	case errors.Is(err, client.ErrNoServiceCertificate):
		return "name the service's certificate with --service-cert or SYNOD_SERVICE_CERT"
	case errors.As(err, &refused):
		return refusedHint(refused)
	case errors.As(err, &denied) && denied.Code == arm.CodeGroupNotFound:
		return "-g or SYNOD_GROUP names the resource group; `synod network list` shows that of each network"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "a node answered, but not one of the service of --service-cert: is that file the certificate of this service?"
	case unreachable(err):
		return "is the service running at that address?"
	case errors.Is(err, context.DeadlineExceeded):
		return "wait longer with --timeout"
	}
	return ""
}

func refusedHint(e *synod.Error) string {
	switch e.Code {
	case synod.CodeFrontendNotOpen:
		return "the service is not open yet: members open it with a transition_service_to_open proposal"
	case synod.CodeInvalidAuthenticationInfo:
		return "is the certificate that of a member or user of this service, and the member active?"
	case synod.CodeProposalNotFound:
		return "a proposal is dropped from the list once a later one was decided"
	case synod.CodeTransactionPendingOrUnknown:
		return "wait until the transaction is committed, or ask another node"
	case synod.CodeProposalFailedToValidate:
		return "the constitution refused the proposal's actions or arguments"
	case synod.CodeRequestBodyTooLarge:
		return "the node's operator can raise max_body_size in the interface's http_configuration"
	}
	return ""
}

func unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	var u *url.Error
	return errors.As(err, &op) || errors.As(err, &dns) || errors.As(err, &u)
}

func exitCodeOf(err error) int {
	var usage *usageError
	var bad *unverified
	var refused *synod.Error
	var managed *armclient.Error
	switch {
	case errors.As(err, &usage):
		return ExitUsage
	case errors.As(err, &bad):
		return ExitUnverified
	case errors.As(err, &refused), errors.As(err, &managed):
		return ExitRefused
	case unreachable(err):
		return ExitUnreachable
	}
	return ExitFailed
}
