package arm

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Limits of what an issuer may say and how often it is asked.
const (
	// tokenMax bounds a bearer token, in bytes.
	tokenMax = 16 << 10
	// groupsMax bounds the groups of one caller that are looked at.
	groupsMax = 200
	// discoveryInterval is the time between two attempts to reach an issuer.
	discoveryInterval = 2 * time.Second
	// issuerTimeout bounds one question to an issuer.
	issuerTimeout = 10 * time.Second
)

// issuer verifies tokens of an OpenID Connect provider.
type issuer struct {
	config AuthConfig

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier // guarded by mu; nil until the provider has answered
	asked    time.Time             // guarded by mu
}

// ready returns the verifier; it asks the provider for its configuration when
// that is due.
func (i *issuer) ready(ctx context.Context) *oidc.IDTokenVerifier {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.verifier != nil || i.config.Now().Sub(i.asked) < discoveryInterval {
		return i.verifier
	}
	i.asked = i.config.Now()
	client := i.config.Client
	if client == nil {
		client = &http.Client{Timeout: issuerTimeout}
	}
	// The provider's key set keeps the context and asks for keys later.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), client), i.config.Issuer)
	if err != nil {
		return nil
	}
	i.verifier = provider.Verifier(&oidc.Config{ClientID: i.config.Audience, Now: i.config.Now})
	return i.verifier
}

func (i *issuer) verify(ctx context.Context, token string) (Principal, error) {
	refused := errorf(http.StatusUnauthorized, CodeInvalidToken, "Authorization",
		"The access token is invalid: it must be an unexpired token of %s for the audience %s.", i.config.Issuer, i.config.Audience)
	if len(token) > tokenMax || strings.Count(token, ".") != 2 {
		return Principal{}, refused
	}
	verifier := i.ready(ctx)
	if verifier == nil {
		return Principal{}, errorf(http.StatusServiceUnavailable, CodeAuthenticationOffline, "", "The issuer %s does not answer, so its tokens cannot be verified now.", i.config.Issuer)
	}
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		return Principal{}, refused // the library's error may quote the token's content
	}
	var claims struct {
		Email         string `json:"email"`
		EmailVerified bool   `json:"email_verified"`
		Kind          string `json:"idtyp"`
	}
	var all map[string]any
	if verified.Claims(&claims) != nil || verified.Claims(&all) != nil || verified.Subject == "" || strings.ContainsAny(verified.Subject, " \t\r\n") {
		return Principal{}, refused
	}
	p := Principal{Name: "oidc:" + verified.Issuer + "#" + verified.Subject, Kind: "User", Via: "a token of " + verified.Issuer}
	if claims.Kind == "app" {
		p.Kind = "Application"
	}
	if claims.Email != "" && claims.EmailVerified {
		p.Others = append(p.Others, "email:"+claims.Email)
	}
	claim := i.config.GroupsClaim
	if claim == "" {
		claim = "groups"
	}
	groups, _ := all[claim].([]any)
	for _, g := range groups[:min(len(groups), groupsMax)] {
		if name, ok := g.(string); ok {
			p.Others = append(p.Others, "group:"+name)
		}
	}
	return p, nil
}
