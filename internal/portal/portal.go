package portal

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"synod/internal/arm"
)

// Config is what New needs.
type Config struct {
	Store *arm.Store // required
	// ARM serves the paths of Azure Resource Manager, and decides who may do what.
	// Required.
	ARM *arm.Server
	// Token is the bearer token that a one-time code stands for; empty: there are
	// no codes.
	Token string
	// Key seals sessions; zero: one is made, and sessions end with the process.
	Key [32]byte
	// Ledger and Log say where the ledger directory and the log file of a node are,
	// as far as they are on this machine; nil: they are not.
	Ledger func(network string, ordinal int) string
	Log    func(network string, ordinal int) string
	// Backups lists what a network can be restored from, newest first; nil: only
	// its last backup is known.
	Backups func(ctx context.Context, n arm.Network) ([]arm.BackupRecord, error)
	// Version is the release, as it is shown.
	Version string
	// Now is the clock; nil: time.Now.
	Now    func() time.Time
	Logger *slog.Logger // required
}

// Portal is an http.Handler for everything below /portal/, and for / itself,
// which it sends there.
type Portal struct {
	c     Config
	seal  cipher.AEAD
	files fs.FS // nil without a portal
	mux   *http.ServeMux

	mu      sync.Mutex
	codes   map[[32]byte]time.Time // guarded by mu: digests of one-time codes, and until when
	streams map[string]int         // guarded by mu: of events, by user
	conns   map[string]*conn       // guarded by mu: by network key
}

// New makes the handler.
func New(c Config) (*Portal, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Key == [32]byte{} {
		if _, err := rand.Read(c.Key[:]); err != nil {
			return nil, err
		}
	}
	seal, err := newSeal(c.Key)
	if err != nil {
		return nil, err
	}
	p := &Portal{c: c, seal: seal, files: files(), mux: http.NewServeMux(), codes: map[[32]byte]time.Time{}, conns: map[string]*conn{}, streams: map[string]int{}}
	p.routes()
	return p, nil
}

func (p *Portal) routes() {
	p.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/portal/", http.StatusFound) })
	p.mux.HandleFunc("GET /id/", p.resource)
	p.mux.HandleFunc("/portal/", p.static)
	p.mux.HandleFunc("GET /portal/v1/session", p.session)
	p.mux.HandleFunc("POST /portal/v1/session", p.signIn)
	p.mux.HandleFunc("DELETE /portal/v1/session", p.signOut)
	p.mux.HandleFunc("POST /portal/v1/codes", p.makeCode)
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /portal/v1/summary":                            p.summary,
		"GET /portal/v1/networks/{name}":                    p.network,
		"GET /portal/v1/networks/{name}/operations":         p.operationsOf,
		"GET /portal/v1/networks/{name}/backups":            p.backups,
		"GET /portal/v1/networks/{name}/ledger":             p.ledger,
		"GET /portal/v1/networks/{name}/ledger/{seqno}":     p.ledgerEntry,
		"GET /portal/v1/networks/{name}/chunks/{file}":      p.chunk,
		"GET /portal/v1/networks/{name}/logs":               p.logs,
		"/portal/v1/networks/{name}/node/{which}/{path...}": p.node,
		"GET /portal/v1/operations/{id}":                    p.operation,
		"GET /portal/v1/activity":                           p.activity,
		"GET /portal/v1/events":                             p.events,
		"/portal/v1/arm/{path...}":                          p.arm,
	} {
		p.mux.HandleFunc(pattern, p.signedIn(h))
	}
	p.mux.HandleFunc("/portal/v1/", func(w http.ResponseWriter, _ *http.Request) { fail(w, errNoSuchPage) })
}

// contentSecurityPolicy rules out everything that the portal does not do. The
// style's hash is that of the one block that React Aria writes (touch-action).
const contentSecurityPolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; " +
	"style-src 'self' 'sha256-" + ariaStyleHash + "'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'"

// ServeHTTP answers with the headers that every answer has.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	securityHeaders(h)
	if strings.HasPrefix(r.URL.Path, "/portal/v1/") {
		h.Set("Cache-Control", "no-store")
		// A bearer is no browser: it has no cookie that another site's page could use. A
		// page can have a browser send Basic, by a name and a password in an address.
		if err := sameOrigin(r); err != nil && !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			fail(w, err)
			return
		}
	}
	p.mux.ServeHTTP(w, r)
}

func securityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
}

// sameOrigin refuses changing requests that another site's page may have made.
func sameOrigin(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	scheme := "https"
	if r.TLS == nil {
		scheme = "http"
	}
	if r.Header.Get("Origin") != scheme+"://"+r.Host {
		return &problem{http.StatusForbidden, "OtherOrigin", "This request does not come from the portal's own page."}
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method != http.MethodDelete &&
		kind != "application/json" && kind != "application/cose" {
		return &problem{http.StatusUnsupportedMediaType, "UnsupportedContentType", "Send application/json or application/cose."}
	}
	return nil
}

// problem is an error of the portal's own, safe to show.
type problem struct {
	status  int
	code    string
	message string
}

func (e *problem) Error() string { return e.code + ": " + e.message }

var (
	errNoSuchPage = &problem{http.StatusNotFound, "NotFound", "The portal has nothing at this address."}
	errSignIn     = &problem{http.StatusUnauthorized, "SignIn", "Sign in first: the session has ended, or there was none."}
)

// fail writes an error in the shape of ARM's and the nodes'.
func fail(w http.ResponseWriter, err error) {
	var own *problem
	var refused *arm.Error
	if errors.As(err, &refused) && refused.Status != 0 {
		own = &problem{refused.Status, refused.Code, refused.Message}
	} else if !errors.As(err, &own) {
		own = &problem{http.StatusInternalServerError, "InternalError", "The portal could not answer."}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(own.status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{
		"code": own.code, "message": own.message, "requestId": w.Header().Get("X-Request-Id"),
	}})
}

func answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// signedIn runs a handler for those who have a session, and answers its error.
func (p *Portal) signedIn(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", requestID())
		s, err := p.sessionOf(r)
		if err == nil {
			err = h(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, s)))
		}
		if err == nil || r.Context().Err() != nil {
			return
		}
		var own *problem
		var refused *arm.Error
		if !errors.As(err, &own) && !errors.As(err, &refused) {
			p.c.Logger.ErrorContext(r.Context(), "portal request", "path", r.URL.Path, "request_id", w.Header().Get("X-Request-Id"), "error", err)
		}
		fail(w, err)
	}
}

func requestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
