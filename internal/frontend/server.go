package frontend

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"synod"
	"synod/app"
	"synod/internal/auth"
	"synod/internal/config"
	"synod/internal/consensus"
	"synod/internal/httpd"
	"synod/internal/kv"
)

// attemptsMax bounds how often one request is executed because of conflicts.
const attemptsMax = 30

// Config is what a Server is made of; everything is required but Cluster,
// Interfaces, Accepted and Unsecured.
type Config struct {
	Replica Replica
	Store   *kv.Store
	// Cluster is the other nodes; nil in a service of one node.
	Cluster Cluster
	// Interfaces are the client interfaces by name: how each routes. One that
	// is not named forwards.
	Interfaces map[string]config.Interface
	// UncommittedMax refuses application and governance requests while that
	// many transactions are ordered and not committed; 0 means no limit.
	UncommittedMax int
	// Receipt makes the JSON receipt of a committed transaction.
	Receipt func(id synod.TxID, proof *consensus.Proof) ([]byte, error)
	// Node is what handlers may ask of the node.
	Node app.Node
	// Accepted limits, by interface name, which endpoints answer there.
	Accepted map[string][]*regexp.Regexp
	// Unsecured names the plaintext interfaces, where only accepted endpoints
	// answer.
	Unsecured map[string]bool
	Mounts    []Mount
	Logger    *slog.Logger
	Now       func() time.Time
}

// Mount is an application under a prefix.
type Mount struct {
	Prefix string // "/app", "/gov" or "/node"
	App    *app.App
	Open   func() bool
	// Audit logs every request of this application: what it serves is public.
	Audit bool
	// Documented may answer a request for the OpenAPI document with one of the
	// application's own; false leaves it to the one that is generated. nil
	// never does.
	Documented func(c *app.Context) (bool, error)
}

// Server is the front end of a node; it serves httpd's requests.
type Server struct {
	cfg     Config
	mounts  map[string]*mount
	routing routing

	forwardedCaches forwardedCaches
}

type mount struct {
	Mount
	router *router
	node   bool
}

var _ httpd.Handler = (*Server)(nil)

// New makes a front end over the given applications.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, mounts: map[string]*mount{}}
	for _, m := range cfg.Mounts {
		mm := &mount{Mount: m, node: m.Prefix == "/node"}
		r, err := newRouter(slices.Concat(m.App.Endpoints(), s.common(mm)))
		if err != nil {
			return nil, err
		}
		mm.router = r
		s.mounts[m.Prefix] = mm
	}
	return s, nil
}

// Serve answers one request.
func (s *Server) Serve(ctx context.Context, hs *httpd.Session, req *app.Request) *app.Response {
	sess, _ := hs.State.(*session)
	if sess == nil {
		sess = &session{cache: &auth.Cache{}}
		hs.State = sess
	}
	return s.answer(ctx, execution{server: s, session: hs, sess: sess, req: req})
}

// answer runs an execution that has its request and session.
func (s *Server) answer(ctx context.Context, x execution) *app.Response {
	x.mount, x.path = s.choose(x.req.Path)
	if x.mount == nil {
		return failure(synod.Errorf(404, synod.CodeResourceNotFound, "Unknown path: %s.", x.path))
	}
	if !x.mount.Audit {
		resp, _ := s.serve(ctx, x)
		return resp
	}
	start := s.cfg.Now()
	resp, attempts := s.serve(ctx, x)
	s.audit(ctx, x.req, resp, attempts, s.cfg.Now().Sub(start))
	return resp
}

// choose picks the application by the first segment of the path, which counts
// only if another follows; anything else belongs to /app with its whole path.
func (s *Server) choose(path string) (*mount, string) {
	if len(path) > 1 {
		if i := strings.IndexByte(path[1:], '/'); i >= 0 {
			if m := s.mounts[path[:i+1]]; m != nil {
				return m, path[i+1:]
			}
		}
	}
	return s.mounts["/app"], path
}

func (s *Server) serve(ctx context.Context, x execution) (*app.Response, int) {
	if !x.mount.node && s.overloaded() {
		return retryLater(tooManyPending()), 0
	}
	if !x.mount.Open() {
		return failure(synod.Errorf(404, synod.CodeFrontendNotOpen, "Frontend is not open.")), 0
	}
	var err error
	if x.wait, err = waitMode(x.req); err != nil {
		return failure(err), 0
	}
	if x.linearizable, err = linearizableWanted(x.req); err != nil {
		return failure(err), 0
	}
	for attempt := 1; attempt <= attemptsMax; attempt++ {
		try := x
		resp, err := try.run(ctx)
		if err == nil {
			return resp, attempt
		}
		if !errors.Is(err, kv.ErrConflict) {
			return failure(err), attempt
		}
	}
	return retryLater(synod.Errorf(503, synod.CodeTransactionCommitAttempts,
		"Transaction continued to conflict after %d attempts. Retry later.", attemptsMax)), attemptsMax
}

// overloaded says that this node leads and too much of what it has ordered is
// not committed.
func (s *Server) overloaded() bool {
	return s.cfg.UncommittedMax > 0 && s.cfg.Replica.Uncommitted() >= s.cfg.UncommittedMax && s.cfg.Replica.Role().Leading
}

func tooManyPending() *synod.Error {
	return synod.Errorf(503, synod.CodeTooManyPendingTransactions, "Too many transactions pending commit on the service. Retry later.")
}

// retryLater is a failure that passes by itself.
func retryLater(e *synod.Error) *app.Response {
	resp := failure(e)
	resp.Header.Set("retry-after", "3")
	return resp
}

// audit writes the line of a request to an application whose requests are
// public anyway.
func (s *Server) audit(ctx context.Context, req *app.Request, resp *app.Response, attempts int, took time.Duration) {
	s.cfg.Logger.LogAttrs(ctx, slog.LevelInfo,
		"RequestCompletedEvent: "+req.Method+" "+req.Path,
		slog.String("tag", "gov"), slog.Int("status", resp.Status),
		slog.Int64("ms", took.Milliseconds()), slog.Int("attempts", attempts))
}

// failure is the answer that tells of an error. What is not a *synod.Error
// becomes 500 InternalError with its text.
func failure(err error) *app.Response {
	e := asError(err)
	resp := &app.Response{Status: e.Status}
	body, marshalErr := e.MarshalJSON()
	if marshalErr != nil {
		panic(marshalErr) // strings only: cannot fail
	}
	resp.Header.Set("content-type", "application/json")
	resp.Body = body
	return resp
}

func asError(err error) *synod.Error {
	var e *synod.Error
	if errors.As(err, &e) {
		return e
	}
	return &synod.Error{Status: 500, Code: synod.CodeInternalError, Message: err.Error(), Cause: err}
}

// notAllowed answers a method that a known path does not have.
func notAllowed(method string, allow []string) *app.Response {
	slices.Sort(allow)
	allow = slices.Compact(allow)
	value := "OPTIONS, " + strings.Join(allow, ", ")
	if method == "OPTIONS" {
		resp := &app.Response{Status: 204}
		resp.Header.Set("allow", value)
		return resp
	}
	resp := failure(synod.Errorf(405, synod.CodeUnsupportedHTTPVerb,
		"Allowed methods for this path are: %s.", value))
	resp.Header.Set("allow", value)
	return resp
}
