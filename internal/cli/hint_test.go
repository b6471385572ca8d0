package cli

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"synod"
	"synod/client"
	"synod/internal/arm"
	"synod/internal/armclient"
)

// TestHints: what went wrong comes with what to do, and its exit code.
func TestHints(t *testing.T) {
	refusal := func(code string) error { return fmt.Errorf("proposal: %w", synod.Errorf(400, code, "no")) }
	for _, tc := range []struct {
		err  error
		hint string
		code int
	}{
		{refusal(synod.CodeRequestBodyTooLarge), "max_body_size", ExitRefused},
		{refusal(synod.CodeFrontendNotOpen), "transition_service_to_open", ExitRefused},
		{refusal(synod.CodeInvalidAuthenticationInfo), "the member active", ExitRefused},
		{refusal(synod.CodeProposalNotFound), "a later one was decided", ExitRefused},
		{refusal(synod.CodeTransactionPendingOrUnknown), "wait until", ExitRefused},
		{refusal(synod.CodeProposalFailedToValidate), "the constitution refused", ExitRefused},
		{refusal(synod.CodeVoteAlreadyExists), "", ExitRefused},
		{&armclient.Error{Status: 404, Code: arm.CodeGroupNotFound}, "SYNOD_GROUP", ExitRefused},
		{&armclient.Error{Status: 404, Code: arm.CodeNotFound}, "", ExitRefused},
		{client.ErrNoServiceCertificate, "--service-cert", ExitFailed},
		{&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, "is the service running", ExitUnreachable},
		{fmt.Errorf("wait: %w", context.DeadlineExceeded), "--timeout", ExitFailed},
		{&unverified{fmt.Errorf("bad")}, "", ExitUnverified},
		{&usageError{err: fmt.Errorf("bad"), command: "synod x"}, "synod x --help", ExitUsage},
	} {
		if got := hintOf(tc.err); !strings.Contains(got, tc.hint) || tc.hint == "" && got != "" {
			t.Errorf("%v: hint %q, want %q", tc.err, got, tc.hint)
		}
		if got := exitCodeOf(tc.err); got != tc.code {
			t.Errorf("%v: exit code %d, want %d", tc.err, got, tc.code)
		}
	}
}
