package arm

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Principal is a caller whom authentication has seen.
type Principal struct {
	// Name is what roles are given to and the audit log has: token (the static
	// one), oidc:ISSUER#SUBJECT, or cert:NAME.
	Name string
	// Others are further names that roles may be given to: email:ADDRESS, if the
	// issuer has verified it, and group:NAME for each of the token's groups.
	Others []string
	// Kind is User or Application, as ARM has it.
	Kind string
	// Via says in words what the caller has shown.
	Via string

	all bool // may do everything: who holds the server's own token can read its files too
}

func (p Principal) names() []string { return append([]string{p.Name}, p.Others...) }

// AuthConfig says whom a server believes. Without anything nobody gets in.
type AuthConfig struct {
	// Token is the static token, whose holder may do everything; "" is none.
	Token string
	// Issuer is the address of an OpenID Connect provider; "" is none.
	Issuer string
	// Audience is what its tokens must be for.
	Audience string
	// GroupsClaim is the claim that lists the caller's groups; "" is "groups".
	GroupsClaim string
	// Client asks the provider for its keys; nil is the default client.
	Client *http.Client
	Now    func() time.Time
}

// Auth authenticates callers. Client certificates are verified by TLS before:
// see ServerTLS.
type Auth struct {
	config AuthConfig
	token  [sha256.Size]byte
	issuer *issuer
}

// NewAuth makes an Auth. The provider is asked when its first token comes, so
// that it may be down meanwhile.
func NewAuth(c AuthConfig) (*Auth, error) {
	a := &Auth{config: c, token: sha256.Sum256([]byte(c.Token))}
	if c.Issuer != "" {
		if c.Audience == "" {
			return nil, errors.New("an issuer without an audience would let in the tokens of every other application")
		}
		a.issuer = &issuer{config: c}
	}
	return a, nil
}

// Token returns who holds a token: the static one, or one of the issuer's.
func (s *Server) Token(ctx context.Context, token string) (Principal, error) {
	return s.Auth.bearer(ctx, token)
}

// authenticate returns who sends a request, or an *Error with status 401 or 503.
func (a *Auth) authenticate(r *http.Request) (Principal, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return a.bearer(r.Context(), strings.TrimSpace(token))
	case scheme != "":
		return Principal{}, errorf(http.StatusUnauthorized, CodeAuthenticationFailed, "Authorization", "The authentication scheme must be Bearer.")
	case r.TLS != nil && len(r.TLS.VerifiedChains) > 0:
		cert := r.TLS.VerifiedChains[0][0]
		name := cert.Subject.CommonName
		if name == "" || strings.ContainsAny(name, " \t\r\n") {
			return Principal{}, errorf(http.StatusUnauthorized, CodeAuthenticationFailed, "", "The client certificate must have a common name without spaces: roles are given to it.")
		}
		return Principal{Name: "cert:" + name, Kind: "Application", Via: "a client certificate of " + cert.Issuer.String()}, nil
	default:
		return Principal{}, errorf(http.StatusUnauthorized, CodeAuthenticationFailed, "Authorization",
			"Authentication failed. The 'Authorization' header is missing.")
	}
}

func (a *Auth) bearer(ctx context.Context, token string) (Principal, error) {
	sum := sha256.Sum256([]byte(token))
	if a.config.Token != "" && subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1 {
		return Principal{Name: "token", Kind: "User", Via: "the server's static token", all: true}, nil
	}
	if a.issuer == nil {
		return Principal{}, errorf(http.StatusUnauthorized, CodeInvalidToken, "Authorization", "The access token is invalid: it is not the server's static token, and no issuer is configured.")
	}
	return a.issuer.verify(ctx, token)
}

// challenge is the WWW-Authenticate of a 401: where tokens come from, and for
// what they must be.
func (s *Server) challenge(c *call) string {
	authority, resource := c.link(""), c.link("")
	if a := s.Auth.config; a.Issuer != "" {
		authority, resource = a.Issuer, a.Audience
	}
	return fmt.Sprintf("Bearer authorization_uri=%q, resource=%q, error=\"invalid_token\"", authority, resource)
}
