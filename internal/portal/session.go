package portal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"synod/internal/arm"
)

// Sessions.
const (
	// sessionLife is how long a session lasts after signing in.
	sessionLife = 12 * time.Hour
	// codeLife is how long a one-time code may be used.
	codeLife = 10 * time.Minute
	// codesMax bounds the one-time codes that wait.
	codesMax = 64
	// tokenMax bounds a bearer token, in bytes: it has to fit into a cookie.
	tokenMax = 2800
	// cookieName has the prefix with which browsers hold the cookie to this host.
	cookieName = "__Host-synod"
)

// session is what a cookie seals.
type session struct {
	Token string    `json:"t"`
	Until time.Time `json:"u"`

	who arm.Principal // whose token it is, as of now
}

type sessionKey struct{}

func newSeal(key [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// NewCode makes a one-time code, which signs in as the bearer of Config.Token,
// once and for ten minutes. It belongs into the fragment of the portal's address.
// It is empty if there is no token.
func (p *Portal) NewCode() string {
	if p.c.Token == "" {
		return ""
	}
	code := rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.c.Now()
	for d, until := range p.codes {
		if now.After(until) || len(p.codes) >= codesMax {
			delete(p.codes, d)
		}
	}
	p.codes[sha256.Sum256([]byte(code))] = now.Add(codeLife)
	return code
}

// makeCode gives the bearer of Config.Token a one-time code.
func (p *Portal) makeCode(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || p.c.Token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(p.c.Token)) != 1 {
		fail(w, &problem{http.StatusUnauthorized, "TokenRefused", "A code is made for who holds the server's own token."})
		return
	}
	_ = answer(w, map[string]string{"code": p.NewCode()})
}

func (p *Portal) redeem(code string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := sha256.Sum256([]byte(code))
	until, ok := p.codes[d]
	delete(p.codes, d)
	return ok && p.c.Now().Before(until)
}

// signIn exchanges a one-time code or a bearer token for a session.
func (p *Portal) signIn(w http.ResponseWriter, r *http.Request) {
	var in struct{ Code, Token string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 2*tokenMax)).Decode(&in); err != nil {
		fail(w, &problem{http.StatusBadRequest, "InvalidInput", "Send a code or a token."})
		return
	}
	token := in.Token
	if in.Code != "" {
		if !p.redeem(in.Code) {
			fail(w, &problem{http.StatusUnauthorized, "CodeSpent", "This sign-in address was used already, or is older than ten minutes. Print a new one: synod portal --sign-in"})
			return
		}
		token = p.c.Token
	}
	who, err := p.c.ARM.Token(r.Context(), token)
	if err != nil || len(token) > tokenMax {
		fail(w, &problem{http.StatusUnauthorized, "TokenRefused", "The control plane does not accept this token."})
		return
	}
	s := session{Token: token, Until: p.c.Now().Add(sessionLife).UTC(), who: who}
	http.SetCookie(w, p.cookie(p.sealed(s), s.Until))
	_ = answer(w, p.sessionView(s))
}

func (p *Portal) signOut(w http.ResponseWriter, _ *http.Request) {
	http.SetCookie(w, p.cookie("", time.Unix(0, 0)))
	w.WriteHeader(http.StatusNoContent)
}

func (p *Portal) cookie(value string, until time.Time) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", Expires: until, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

func (p *Portal) sealed(s session) string {
	plain, err := json.Marshal(s)
	if err != nil {
		panic(err) // a text and a time
	}
	nonce := make([]byte, p.seal.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return base64.RawURLEncoding.EncodeToString(p.seal.Seal(nonce, nonce, plain, []byte(cookieName)))
}

// sessionOf opens the request's cookie and asks whether its token still counts.
func (p *Portal) sessionOf(r *http.Request) (session, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return session{}, errSignIn
	}
	b, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(b) < p.seal.NonceSize() {
		return session{}, errSignIn
	}
	n := p.seal.NonceSize()
	plain, err := p.seal.Open(nil, b[:n], b[n:], []byte(cookieName))
	if err != nil {
		return session{}, errSignIn
	}
	var s session
	if json.Unmarshal(plain, &s) != nil || !p.c.Now().Before(s.Until) {
		return session{}, errSignIn
	}
	if s.who, err = p.c.ARM.Token(r.Context(), s.Token); err != nil {
		return session{}, errSignIn
	}
	return s, nil
}

// allow says whether the session may do something with a network, or with
// everything if scope is "/".
func (p *Portal) allow(ctx context.Context, right arm.Right, action, scope string) error {
	return p.c.ARM.Allow(ctx, sessionIn(ctx).who, right, action, scope)
}

func sessionIn(ctx context.Context) session {
	s, _ := ctx.Value(sessionKey{}).(session)
	return s
}

type sessionView struct {
	Who     string    `json:"who"`
	Until   time.Time `json:"until"`
	Version string    `json:"version"`
	Now     time.Time `json:"now"`
}

func (p *Portal) sessionView(s session) sessionView {
	return sessionView{s.who.Name, s.Until, p.c.Version, p.c.Now().UTC()}
}

// session tells a page whether it has a session. Not to have one is no error: it
// is how every visit begins.
func (p *Portal) session(w http.ResponseWriter, r *http.Request) {
	s, err := p.sessionOf(r)
	if err != nil {
		_ = answer(w, struct{}{})
		return
	}
	_ = answer(w, p.sessionView(s))
}
