package auth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"synod"
	"synod/app"
)

// The challenges of policies that have one
// (CCF: src/endpoints/authentication/cose_auth.cpp, jwt_auth.cpp).
const (
	challengeCOSE = `COSE-SIGN1 realm="Signed request access"`
	challengeJWT  = `Bearer realm="JWT bearer token access", error="invalid_token"`
)

// refusal is why one policy did not accept a caller.
type refusal struct {
	reason    string
	challenge string // www-authenticate, "" for none
}

func refuse(format string, args ...any) *refusal {
	return &refusal{reason: fmt.Sprintf(format, args...)}
}

// attempt is one request being authenticated.
type attempt struct {
	c     *app.Context
	tx    app.Tx
	cache *Cache
	now   int64 // seconds since the epoch
}

// Authenticate tries the policies in order and returns the caller as the
// first that accepts finds it; without policies the caller is nil.
//
// Errors are *synod.Error. If every policy refuses, 401
// InvalidAuthenticationInfo has one detail for each, and the last policy sets
// the www-authenticate header of c. A body that is not COSE where it should
// be is 500 InternalError, as CCF has it (CCF: src/node/rpc/frontend.h,
// get_authenticated_identity). cache belongs to the caller's session and may
// not be nil; now is compared with certificates and tokens.
func Authenticate(c *app.Context, policies []app.Policy, now time.Time, cache *Cache) (*app.Caller, error) {
	if len(policies) == 0 {
		return nil, nil
	}
	a := attempt{c: c, tx: c.Tx(), cache: cache, now: now.Unix()}
	var details []synod.ErrorDetail
	var last *refusal
	for _, p := range policies {
		caller, no, err := a.try(p)
		if err != nil {
			return nil, internal(err)
		}
		if no == nil {
			return caller, nil
		}
		details = append(details, synod.ErrorDetail{
			AuthPolicy: p.Name(), Code: synod.CodeInvalidAuthenticationInfo, Message: no.reason,
		})
		last = no
	}
	if last.challenge != "" {
		c.SetHeader("www-authenticate", last.challenge)
	}
	return nil, &synod.Error{
		Status: http.StatusUnauthorized, Code: synod.CodeInvalidAuthenticationInfo,
		Message: "Invalid authentication credentials.", Details: details,
	}
}

// internal keeps a *synod.Error as it is and shows any other by its text.
func internal(err error) error {
	if e, ok := err.(*synod.Error); ok { //nolint:errorlint // only what this package made
		return e
	}
	return &synod.Error{Status: http.StatusInternalServerError, Code: synod.CodeInternalError, Message: err.Error(), Cause: err}
}

// try applies one policy. Exactly one of caller, refusal and error is not nil.
func (a *attempt) try(p app.Policy) (*app.Caller, *refusal, error) {
	if check := p.Check(); check != nil {
		id, err := check(a.c)
		if wire := (*synod.Error)(nil); errors.As(err, &wire) {
			return nil, nil, wire
		}
		if err != nil {
			return nil, refuse("%s", err), nil //nolint:nilerr // a refusal, not a failure
		}
		return &app.Caller{Policy: p.Name(), Custom: id}, nil, nil
	}
	if parts := p.Parts(); parts != nil {
		return a.allOf(p, parts)
	}
	switch p.Name() {
	case "user_cert":
		return a.userCert()
	case "member_cert":
		return a.memberCert()
	case "any_cert":
		return a.anyCert()
	case "jwt":
		return a.jwt()
	case "user_cose_sign1":
		return a.userCOSE(p.Name(), app.COSEHeaders{})
	case "typed_user_cose_sign1":
		return a.typedUserCOSE(p)
	case "member_cose_sign1":
		return a.memberCOSE(p.Name(), p.MessageType())
	case "active_member_cose_sign1":
		return a.activeMemberCOSE(p.Name(), p.MessageType())
	case "no_auth":
		return &app.Caller{Policy: p.Name()}, nil, nil
	default:
		return nil, nil, fmt.Errorf("unknown authentication policy: %s", p.Name())
	}
}

// allOf needs every part to accept. Parts are tried in order of their names;
// the first that refuses speaks for all, with its name in front
// (CCF: src/endpoints/authentication/all_of_auth.cpp).
func (a *attempt) allOf(p app.Policy, parts []app.Policy) (*app.Caller, *refusal, error) {
	sorted := slices.SortedFunc(slices.Values(parts), func(x, y app.Policy) int {
		return strings.Compare(x.Name(), y.Name())
	})
	caller := &app.Caller{Policy: p.Name(), AllOf: make(map[string]*app.Caller, len(sorted))}
	for _, part := range sorted {
		if _, twice := caller.AllOf[part.Name()]; twice {
			return nil, nil, fmt.Errorf("authentication policy %s names %s twice", p.Name(), part.Name())
		}
		found, no, err := a.try(part)
		if err != nil {
			return nil, nil, err
		}
		if no != nil {
			no.reason = part.Name() + ":" + no.reason
			return nil, no, nil
		}
		caller.AllOf[part.Name()] = found
	}
	return caller, nil, nil
}
