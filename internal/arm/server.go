package arm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// OwnVersion is the api-version that shows and takes what Azure's do not have.
const OwnVersion = "2026-11-01-synod"

// versions are the api-versions of networks. All of Azure's that ever had the
// type answer alike.
var versions = []string{
	"2022-09-08-preview", "2023-01-26-preview", "2023-06-28-preview", "2024-07-09-preview", "2024-09-19-preview", "2025-06-10-preview", OwnVersion,
}

// Limits of requests.
const (
	// BodyMax bounds the body of a request, in bytes.
	BodyMax = 1 << 20
	// DefaultPageSize is how many elements a list's page has.
	DefaultPageSize = 100
	// DefaultNetworksMax is how many networks a subscription may have.
	DefaultNetworksMax = 200
	// DefaultWritesMax is how many writes one caller may make in a row; each
	// second gives writesPerSecond back.
	DefaultWritesMax = 1200
	// writesPerSecond is how many writes a second one caller may go on with.
	writesPerSecond = 20
)

// Config is what a Server needs to know.
type Config struct {
	Store *Store
	Auth  *Auth
	Now   func() time.Time
	Log   *slog.Logger

	// PublicURL is the server's address for links that are kept, https://host:port.
	// Links to follow at once are made with the host that the caller used.
	PublicURL string
	// Locations are those that networks may name; none allows any.
	Locations []string
	// NetworksMax bounds a subscription's networks; 0 is DefaultNetworksMax.
	NetworksMax int
	// WritesMax bounds one caller's writes; 0 is DefaultWritesMax.
	WritesMax int
	// PageSize is how many elements a page of a list has; 0 is DefaultPageSize.
	PageSize int

	// CheckTarget says why a backup store's address cannot be used, without
	// repeating it: it may hold a token. Nil allows any.
	CheckTarget func(address string) error
	// ListBackups returns the backups of a store, newest first, and FindBackup one of
	// them, or ErrNotFound. Nil: this server keeps none.
	ListBackups func(ctx context.Context, address string) ([]BackupRecord, error)
	FindBackup  func(ctx context.Context, address, name string) (BackupRecord, error)
	// CheckRelease says why there is no release with a name. Nil allows any.
	CheckRelease func(name string) error
	// Logs answers what is asked of a network's logs, as JSON, and NetworkMetrics writes
	// what its nodes measure in Prometheus's text form. Nil: there is nothing.
	Logs           func(ctx context.Context, n Network, query url.Values) (any, error)
	NetworkMetrics func(ctx context.Context, n Network, w io.Writer) error
	// Metrics add their lines to /metrics.
	Metrics []func(context.Context, io.Writer) error
}

// Server is the REST API. It is an http.Handler.
type Server struct {
	Config
	throttle throttle
	counts   counts
}

// NewServer makes a server; the store's default subscription exists after it.
func NewServer(ctx context.Context, c Config) (*Server, error) {
	s := &Server{Config: c}
	if s.NetworksMax == 0 {
		s.NetworksMax = DefaultNetworksMax
	}
	if s.WritesMax == 0 {
		s.WritesMax = DefaultWritesMax
	}
	if s.PageSize == 0 {
		s.PageSize = DefaultPageSize
	}
	s.throttle.max, s.throttle.now = s.WritesMax, c.Now
	s.PublicURL = strings.TrimSuffix(s.PublicURL, "/")
	return s, s.Store.addSubscription(ctx, DefaultSubscription)
}

// call is one request on its way.
type call struct {
	w         http.ResponseWriter
	r         *http.Request
	route     *route
	params    map[string]string // of the path, in the caller's case
	version   string            // api-version
	principal Principal
	requestID string
	target    string        // the resource that it is about, once that is known
	status    int           // of the answer, once it is written
	audited   *pendingAudit // of a write
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: w, r: r, requestID: newGUID()}
	c.headers()
	started := s.Now()
	err := s.serve(c)
	code := ""
	if err != nil {
		code = s.fail(c, err)
	}
	s.counts.add(c, s.Now().Sub(started))
	if c.route != nil && (c.route.writes() || c.status == http.StatusForbidden) && c.principal.Name != "" && (c.audited == nil || !c.audited.written) {
		s.audit(c, code)
	}
}

func (s *Server) serve(c *call) error {
	found, params, allowed := findRoute(c.r.Method, c.r.URL.EscapedPath())
	c.route, c.params = found, params
	if found == nil || found.right != open {
		p, err := s.Auth.authenticate(c.r)
		if err != nil {
			return err
		}
		c.principal = p
	}
	if found == nil {
		return noRoute(c, allowed)
	}
	if err := c.takeVersion(); err != nil {
		return err
	}
	if found.right != open {
		if err := s.allow(c); err != nil {
			return err
		}
	}
	if found.writes() {
		var ctx context.Context
		ctx, c.audited = withAudit(c.r.Context(), c.auditEntry("accepted"))
		c.r = c.r.WithContext(ctx)
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, BodyMax)
	return found.handle(s, c)
}

func noRoute(c *call, allowed []string) error {
	if len(allowed) == 0 {
		return errorf(http.StatusNotFound, CodeNoSuchPath, "", "There is nothing at this path. Networks are at /%s.", networkPath)
	}
	c.w.Header().Set("Allow", strings.Join(allowed, ", "))
	return errorf(http.StatusMethodNotAllowed, CodeMethodNotAllowed, "", "The method %s is not allowed here; allowed are %s.", c.r.Method, strings.Join(allowed, ", "))
}

// allow checks the caller's rights and, of a write, its rate.
func (s *Server) allow(c *call) error {
	if c.route.writes() {
		left, wait := s.throttle.take(c.principal.Name)
		c.w.Header().Set("x-ms-ratelimit-remaining-subscription-writes", strconv.Itoa(left))
		if wait > 0 {
			c.w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			return errorf(http.StatusTooManyRequests, CodeTooManyRequests, "", "%s has made more than %d changes in a short time.", c.principal.Name, s.WritesMax)
		}
	}
	return s.Allow(c.r.Context(), c.principal, c.route.right, c.route.action, scope(c.params))
}

var (
	wellFormedVersion = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-[a-z]{1,20})?$`)
	// wellFormedID is what of a client's request ids is repeated to it.
	wellFormedID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
)

func (c *call) takeVersion() error {
	c.version = c.r.URL.Query().Get("api-version")
	known, rule := versions, "The supported api-versions are "
	switch c.route.version {
	case versionNone:
		return nil
	case versionOwn:
		known, rule = []string{OwnVersion}, "This is not an operation of Azure's; its api-version is "
	case versionAny:
		if wellFormedVersion.MatchString(c.version) {
			return nil
		}
	case versionNetwork:
	}
	if c.version == "" {
		return errorf(http.StatusBadRequest, CodeMissingAPIVersion, "api-version",
			"The api-version query parameter (?api-version=) is required for all requests. %s%s.", rule, strings.Join(known, ", "))
	}
	if i := slices.IndexFunc(known, func(v string) bool { return strings.EqualFold(v, c.version) }); i >= 0 {
		c.version = known[i]
		return nil
	}
	return errorf(http.StatusBadRequest, CodeInvalidAPIVersion, "api-version", "The api-version %.40q is invalid. %s%s.", c.version, rule, strings.Join(known, ", "))
}

// own reports whether the caller asked for what only we have.
func (c *call) own() bool { return c.version == OwnVersion }

// headers are those of every answer.
func (c *call) headers() {
	h := c.w.Header()
	h.Set("x-ms-request-id", c.requestID)
	correlation := c.r.Header.Get("x-ms-correlation-request-id")
	if !wellFormedID.MatchString(correlation) {
		correlation = c.requestID
	}
	h.Set("x-ms-correlation-request-id", correlation)
	if id := c.r.Header.Get("x-ms-client-request-id"); wellFormedID.MatchString(id) {
		h.Set("x-ms-client-request-id", id)
	}
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	h.Set("X-Content-Type-Options", "nosniff")
	if host, _, _ := strings.Cut(c.r.Host, ":"); host != "localhost" { // a browser would keep it for everything on this machine
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
}

// decode reads the body as JSON into v; an absent body leaves v as it is.
// Unknown properties are let through, as ARM lets them.
func (c *call) decode(v any) error {
	body, err := io.ReadAll(c.r.Body)
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		return errorf(http.StatusRequestEntityTooLarge, CodeContentTooLarge, "", "The body has more than %d bytes.", large.Limit)
	}
	if err != nil {
		return errorf(http.StatusBadRequest, CodeInvalidContent, "", "The body ended early.")
	}
	if len(body) == 0 {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); c.r.Header.Get("Content-Type") != "" &&
		(err != nil || kind != "application/json" && kind != "application/merge-patch+json") {
		return errorf(http.StatusUnsupportedMediaType, CodeUnsupportedMediaType, "Content-Type", "The body must be application/json.")
	}
	return decodeJSON(body, v)
}

// decodeJSON reads one JSON value into v and says where it is wrong; the error
// never repeats what was sent.
func decodeJSON(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &kind):
		return wrongType(kind)
	case errors.As(err, &syntax):
		return errorf(http.StatusBadRequest, CodeInvalidContent, "", "The body is not JSON: byte %d.", syntax.Offset)
	default:
		return errorf(http.StatusBadRequest, CodeInvalidContent, "", "The body is not what it should be.")
	}
}

// wrongType says in JSON's words what a value must be instead.
func wrongType(e *json.UnmarshalTypeError) error {
	field := strings.ReplaceAll(e.Field, "ownInput.", "") // a struct that JSON does not know of
	what := "The body"
	if field != "" {
		what = fmt.Sprintf("The property %q", field)
	}
	if field == "tags" && e.Type.Kind() == reflect.String {
		what = "Each value in tags"
	}
	want, found := jsonName(e.Type.Kind()), jsonWords[e.Value]
	if found == "" { // "number 3.5": a number, and what was sent
		return errorf(http.StatusBadRequest, CodeInvalidContent, field, "%s must be %s.", what, want)
	}
	return errorf(http.StatusBadRequest, CodeInvalidContent, field, "%s must be %s, not %s.", what, want, found)
}

// jsonWords are JSON's types as encoding/json calls them, with their articles.
var jsonWords = map[string]string{"object": "an object", "array": "an array", "bool": "a boolean", "string": "a string", "number": "a number"}

// jsonName is what JSON calls what a kind of Go's is read from.
func jsonName(kind reflect.Kind) string {
	switch kind {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	default:
		return "a whole number"
	}
}

// answer writes a JSON body.
func (c *call) answer(status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	return c.send(status, b)
}

func (c *call) send(status int, body []byte) error {
	c.status = status
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		c.w.Write(body) //nolint:errcheck // the client went away
	}
	return nil
}

// empty writes an answer without a body.
func (c *call) empty(status int) error {
	c.status = status
	c.w.WriteHeader(status)
	return nil
}

// fail answers with an error and returns its code. What is not an *Error is
// ours: its cause goes to the log.
func (s *Server) fail(c *call, err error) string {
	var e *Error
	if !errors.As(err, &e) {
		if c.r.Context().Err() == nil {
			s.Log.ErrorContext(c.r.Context(), "request failed", "request", c.requestID, "method", c.r.Method, "path", c.r.URL.Path, "err", err)
		}
		e = errorf(http.StatusInternalServerError, CodeInternalServerError, "", "Something failed here. The server's log has the cause under request %s.", c.requestID)
		if diskFull(err) {
			e = errorf(http.StatusInsufficientStorage, CodeInsufficientStorage, "",
				"The server's disk is full: nothing was changed. Make room where its data directory is (synod server doctor shows how much there is), and ask again.")
		}
	}
	if e.Status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", s.challenge(c))
	}
	c.w.Header().Set("x-ms-error-code", e.Code)
	c.answer(e.Status, map[string]*Error{"error": e}) //nolint:errcheck // an Error is JSON
	return e.Code
}

// link returns an absolute address on this server as the caller knows it.
func (c *call) link(path string) string { return "https://" + c.r.Host + path }

func (c *call) auditEntry(result string) AuditEntry {
	target := c.target
	if target == "" {
		target = scope(c.params)
	}
	return AuditEntry{Principal: c.principal.Name, Action: c.route.action, Target: target, Result: result, RequestID: c.requestID}
}

// audit writes the entry of a request that has changed nothing.
func (s *Server) audit(c *call, code string) {
	result := strconv.Itoa(c.status)
	if code != "" {
		result += " " + code
	}
	ctx := context.WithValue(context.WithoutCancel(c.r.Context()), auditKey{}, nil)
	if err := s.Store.AppendAudit(ctx, c.auditEntry(result)); err != nil {
		s.Log.ErrorContext(c.r.Context(), "audit log", "request", c.requestID, "err", err)
	}
}

// pruneInterval is the time between two removals of old operations.
const pruneInterval = time.Hour

// Run does what is due without a request, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(pruneInterval)
	defer tick.Stop()
	for {
		if err := s.Store.Prune(ctx); err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "prune the store", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
