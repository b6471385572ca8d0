package app

import (
	"encoding/json"
	"sort"
	"strings"
)

// Policy says what a caller must show. An endpoint's policies are tried in
// the order declared and the first that accepts provides the caller; an
// endpoint without policies accepts anybody.
type Policy struct {
	name    string
	msgType string
	headers COSEHeaders
	allOf   []Policy
	custom  func(*Context) (any, error)
}

// The policies of CCF, by the names that bundles use.
var (
	UserCert   = Policy{name: "user_cert"}       // client certificate of a user, within its dates
	MemberCert = Policy{name: "member_cert"}     // client certificate of a member
	AnyCert    = Policy{name: "any_cert"}        // any client certificate within its dates
	JWT        = Policy{name: "jwt"}             // bearer token of a registered issuer
	UserCOSE   = Policy{name: "user_cose_sign1"} // body signed by a user
	NoAuth     = Policy{name: "no_auth"}         // nobody in particular
)

// COSEHeaders are the names of the protected headers that an application gives
// to the messages of its users; "" means ccf.msg.type and ccf.msg.created_at.
type COSEHeaders struct {
	MsgType   string // text: what kind of message it is
	CreatedAt string // number: seconds since the epoch
}

// TypedUserCOSE accepts a body signed by a user, of the given message type.
func TypedUserCOSE(msgType string, headers COSEHeaders) Policy {
	return Policy{name: "typed_user_cose_sign1", msgType: msgType, headers: headers}
}

// MemberCOSE accepts a body signed by a member, of the given
// ccf.gov.msg.type ("" for any).
func MemberCOSE(msgType string) Policy {
	return Policy{name: "member_cose_sign1", msgType: msgType}
}

// ActiveMemberCOSE is MemberCOSE for members whose status is Active.
func ActiveMemberCOSE(msgType string) Policy {
	return Policy{name: "active_member_cose_sign1", msgType: msgType}
}

// AllOf accepts a caller whom every one of the policies accepts.
func AllOf(policies ...Policy) Policy {
	names := make([]string, len(policies))
	for i, p := range policies {
		names[i] = p.name
	}
	sort.Strings(names)
	return Policy{name: strings.Join(names, "+"), allOf: policies}
}

// Custom accepts a caller for whom check returns an identity and no error;
// the error's text is the reason shown, and the next policy is tried. An error
// that is a *synod.Error ends the request with that answer instead. The
// identity is Caller.Custom.
func Custom(name string, check func(*Context) (any, error)) Policy {
	return Policy{name: name, custom: check}
}

// PolicyByName returns the policy that a JavaScript bundle names, and whether
// there is one (CCF: include/ccf/endpoints/authentication/js.h).
func PolicyByName(name string) (Policy, bool) {
	for _, p := range []Policy{UserCert, MemberCert, AnyCert, JWT, UserCOSE, NoAuth} {
		if p.name == name {
			return p, true
		}
	}
	return Policy{}, false
}

// Name is the policy's scheme, as in request.caller.policy and in error
// details; for AllOf the names sorted and joined by "+".
func (p Policy) Name() string { return p.name }

// MessageType is the type that a COSE policy demands of the message, or "".
func (p Policy) MessageType() string { return p.msgType }

// Headers are the names of the protected headers that a TypedUserCOSE policy
// reads; "" as COSEHeaders says.
func (p Policy) Headers() COSEHeaders { return p.headers }

// Parts are the policies of an AllOf, or nil.
func (p Policy) Parts() []Policy { return p.allOf }

// Check is the function of a Custom policy, or nil.
func (p Policy) Check() func(*Context) (any, error) { return p.custom }

// Caller is who made a request, as the policy that accepted found it. Fields
// that the policy does not provide are empty.
type Caller struct {
	Policy string          // Policy.Name
	ID     string          // hex user or member ID
	Data   json.RawMessage // user_data or member_data; nil if none
	Cert   []byte          // DER certificate
	JWT    *JWTIdentity
	COSE   *COSEIdentity
	AllOf  map[string]*Caller // by policy name
	Custom any
}

// JWTIdentity is what a verified token says.
type JWTIdentity struct {
	KeyIssuer string
	Header    json.RawMessage
	Payload   json.RawMessage
}

// COSEIdentity is what a verified COSE_Sign1 body says.
type COSEIdentity struct {
	Content    []byte // payload
	Envelope   []byte // the whole message as received
	Signature  []byte // raw r||s
	MsgType    string // ccf.gov.msg.type or what COSEHeaders says, "" if absent
	ProposalID string // ccf.gov.msg.proposal_id, or ""
	CreatedAt  uint64 // likewise ccf.gov.msg.created_at, seconds since the epoch
	HasCreated bool   // whether created_at was present
}
