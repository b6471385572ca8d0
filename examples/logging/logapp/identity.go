package logapp

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"synod/app"
)

// multiAuth says who the caller is, by the policy that accepted.
func multiAuth(c *app.Context) error {
	var lines []string
	if all := c.Caller; all != nil && len(all.AllOf) > 0 {
		lines = append(lines, "Conjoined auth policy: "+all.Policy)
		for name := range strings.SplitSeq(all.Policy, "+") {
			lines = append(lines, "", name+":")
			lines = append(lines, describe(all.AllOf[name])...)
		}
	} else {
		lines = describe(c.Caller)
	}
	c.Text(strings.Join(lines, "\n"))
	return nil
}

func describe(caller *app.Caller) []string {
	if caller == nil {
		return []string{"Unauthenticated", "The caller did not provide any authenticated identity"}
	}
	switch caller.Policy {
	case app.UserCert.Name():
		return append([]string{"User TLS cert", "The caller is a user with ID: " + caller.ID, certText(caller)},
			dataText("user", caller)...)
	case app.MemberCert.Name():
		return append([]string{"Member TLS cert", "The caller is a member with ID: " + caller.ID, certText(caller)},
			dataText("member", caller)...)
	case app.AnyCert.Name():
		return []string{"Any TLS cert", certText(caller)}
	case app.JWT.Name():
		return []string{
			"JWT",
			"The caller is identified by a JWT issued by: " + caller.JWT.KeyIssuer,
			"The JWT header is:\n" + indent(caller.JWT.Header),
			"The JWT payload is:\n" + indent(caller.JWT.Payload),
		}
	case app.UserCOSE.Name():
		return []string{
			"User COSE Sign1",
			"The caller is identified by a COSE Sign1 signed by kid: " + caller.ID,
			fmt.Sprintf("The caller is identified by a COSE Sign1 with content of size: %d", len(caller.COSE.Content)),
		}
	default:
		return []string{"Unauthenticated", "The caller did not provide any authenticated identity"}
	}
}

func certText(caller *app.Caller) string {
	return "The caller's cert is:\n" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caller.Cert}))
}

func dataText(who string, caller *app.Caller) []string {
	if caller.Data == nil {
		return nil
	}
	return []string{"The caller's " + who + " data is: " + string(caller.Data)}
}

func indent(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}
