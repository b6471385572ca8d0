package arm

import (
	"bytes"
	"context"
	"errors"
	"io"
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
	// keysInterval is how long an issuer's answer stands for its next ones: every
	// token that does not verify has its keys asked for again.
	keysInterval = 5 * time.Second
	// issuerAnswerMax bounds an issuer's answer, in bytes.
	issuerAnswerMax = 1 << 20
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
	client := &http.Client{Timeout: issuerTimeout, Transport: &sparing{next: http.DefaultTransport, now: i.config.Now}}
	if own := i.config.Client; own != nil && own.Transport != nil {
		client.Transport = &sparing{next: own.Transport, now: i.config.Now}
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

// sparing asks an issuer for the same thing no more often than each
// keysInterval, so that nobody's bad tokens become its load. What it remembers
// are the few addresses of an issuer.
type sparing struct {
	next http.RoundTripper
	now  func() time.Time

	mu    sync.Mutex
	known map[string]known // guarded by mu
}

type known struct {
	at     time.Time
	status int
	header http.Header
	body   []byte
}

// RoundTrip implements http.RoundTripper.
func (s *sparing) RoundTrip(r *http.Request) (*http.Response, error) {
	at := r.URL.String()
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.known[at]
	if !ok || s.now().Sub(k.at).Abs() >= keysInterval {
		resp, err := s.next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, issuerAnswerMax+1))
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return nil, err
		}
		if len(body) > issuerAnswerMax {
			return nil, errors.New("the issuer's answer is too large")
		}
		if s.known == nil {
			s.known = map[string]known{}
		}
		k = known{s.now(), resp.StatusCode, resp.Header, body}
		s.known[at] = k
	}
	return &http.Response{
		Status: http.StatusText(k.status), StatusCode: k.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: k.header.Clone(), Body: io.NopCloser(bytes.NewReader(k.body)), ContentLength: int64(len(k.body)), Request: r,
	}, nil
}
