package portal

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"synod/internal/arm"
)

// networkView is a network as the portal shows it: nothing that may hold a
// secret of its user's.
type networkView struct {
	ResourceID   string            `json:"resourceId"`
	Subscription string            `json:"subscription"`
	Group        string            `json:"group"`
	Name         string            `json:"name"`
	Location     string            `json:"location"`
	Tags         map[string]string `json:"tags"`
	ETag         string            `json:"etag"`

	NodeCount        int      `json:"nodeCount"`
	Zones            []string `json:"zones"`
	Members          int      `json:"members"`
	RunningState     string   `json:"runningState"`
	DeleteProtection bool     `json:"deleteProtection"`
	UpgradeStrategy  string   `json:"upgradeStrategy"`
	CertificateDays  int      `json:"certificateDays"`
	BackupEvery      int64    `json:"backupEverySeconds"`
	BackupTarget     bool     `json:"backupTarget"` // whether one was given; its address may hold a token
	Continuous       bool     `json:"backupContinuous"`

	Status    arm.Status     `json:"status"`
	Operation *operationView `json:"operation"` // that runs, or null

	CreatedAt  time.Time `json:"createdAt"`
	CreatedBy  string    `json:"createdBy"`
	ModifiedAt time.Time `json:"modifiedAt"`
}

func viewOf(n arm.Network) networkView {
	v := networkView{
		ResourceID: n.ID.ResourceID(), Subscription: n.ID.Subscription, Group: n.ID.Group, Name: n.ID.Name, Location: n.Location,
		Tags: n.Tags, ETag: n.ETag, NodeCount: n.Desired.NodeCount, Zones: n.Desired.Zones, Members: len(n.Desired.Members),
		RunningState: n.Desired.RunningState, DeleteProtection: n.Desired.DeleteProtection, UpgradeStrategy: n.Desired.UpgradeStrategy,
		CertificateDays: n.Desired.CertificateDays, BackupEvery: int64(n.Desired.Backup.Every / time.Second),
		BackupTarget: n.Desired.Backup.Target != "", Continuous: n.Desired.Backup.Continuous, Status: n.Status,
		CreatedAt: n.CreatedAt, CreatedBy: n.CreatedBy, ModifiedAt: n.ModifiedAt,
	}
	if b := n.Status.LastBackup; b != nil {
		shown := *b
		shown.Target = ""
		v.Status.LastBackup = &shown
	}
	return v
}

// operationView is an operation without its input, which may hold a secret.
type operationView struct {
	ID              string              `json:"id"`
	Network         arm.NetworkID       `json:"network"`
	Kind            string              `json:"kind"`
	Status          string              `json:"status"`
	Ended           bool                `json:"ended"`
	Steps           []arm.OperationStep `json:"steps"`
	Message         string              `json:"message,omitempty"`
	Error           *arm.Error          `json:"error,omitempty"`
	StartedAt       time.Time           `json:"startedAt"`
	EndedAt         time.Time           `json:"endedAt,omitzero"`
	RequestedBy     string              `json:"requestedBy"`
	CancelRequested bool                `json:"cancelRequested"`
}

func operationOf(op arm.Operation) operationView {
	v := operationView{
		ID: op.ID, Network: op.Network, Kind: op.Kind, Status: op.Status, Ended: op.Ended(), Steps: op.Steps, Error: op.Error,
		StartedAt: op.StartedAt, EndedAt: op.EndedAt, RequestedBy: op.RequestedBy, CancelRequested: op.CancelRequested,
	}
	var result arm.MessageResult
	if json.Unmarshal(op.Result, &result) == nil {
		v.Message = result.Message
	}
	return v
}

// Bounds of the views.
const (
	// operationsMax is how many operations of a network are shown.
	operationsMax = 50
	// activityMax is how many lines of the audit log are answered at once.
	activityMax = 200
)

func (p *Portal) summary(w http.ResponseWriter, r *http.Request) error {
	networks, err := p.c.Store.Networks(r.Context(), arm.Filter{})
	if err != nil {
		return err
	}
	running, err := p.c.Store.RunningOperations(r.Context())
	if err != nil {
		return err
	}
	views := []networkView{}
	for _, n := range networks {
		if p.allow(r.Context(), arm.Read, actionRead, n.ID.ResourceID()) != nil {
			continue
		}
		v := viewOf(n)
		for _, op := range running {
			if op.Network.Key() == n.ID.Key() {
				shown := operationOf(op)
				v.Operation = &shown
			}
		}
		views = append(views, v)
	}
	return answer(w, map[string]any{"networks": views, "now": p.c.Now().UTC()})
}

// named finds the network of a request's path, for those who may read it.
func (p *Portal) named(ctx context.Context, name string) (arm.Network, error) {
	n, err := p.c.Store.NetworkNamed(ctx, name)
	if missing(err) {
		return n, &problem{http.StatusNotFound, "NetworkNotFound", "There is no network " + strconv.Quote(name) + "."}
	}
	if err != nil {
		return n, err
	}
	return n, p.allow(ctx, arm.Read, actionRead, n.ID.ResourceID())
}

// The actions that refusals and roles name.
const (
	actionRead   = "Microsoft.ConfidentialLedger/managedCCFs/read"
	actionGovern = "Microsoft.ConfidentialLedger/managedCCFs/govern/action"
	actionAudit  = "Microsoft.ConfidentialLedger/managedCCFs/audit/read"
)

func missing(err error) bool {
	var e *arm.Error
	return errors.Is(err, arm.ErrNotFound) || errors.As(err, &e) && e.Status == http.StatusNotFound
}

func (p *Portal) network(w http.ResponseWriter, r *http.Request) error {
	n, err := p.named(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	v := viewOf(n)
	ops, err := p.c.Store.Operations(r.Context(), n.ID, 1)
	if err != nil {
		return err
	}
	if len(ops) > 0 && !ops[0].Ended() {
		op := operationOf(ops[0])
		v.Operation = &op
	}
	return answer(w, v)
}

func (p *Portal) operationsOf(w http.ResponseWriter, r *http.Request) error {
	n, err := p.named(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	ops, err := p.c.Store.Operations(r.Context(), n.ID, operationsMax)
	if err != nil {
		return err
	}
	views := []operationView{}
	for _, op := range ops {
		views = append(views, operationOf(op))
	}
	return answer(w, map[string]any{"operations": views})
}

func (p *Portal) backups(w http.ResponseWriter, r *http.Request) error {
	n, err := p.named(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	all := []arm.BackupRecord{}
	if b := n.Status.LastBackup; b != nil {
		all = append(all, *b)
	}
	if p.c.Backups != nil {
		if all, err = p.c.Backups(r.Context(), n); err != nil {
			return err
		}
	}
	own := []arm.BackupRecord{}
	for _, b := range all {
		// By the network: another's name may begin with this one's.
		if strings.EqualFold(b.Network, n.ID.ResourceID()) && !b.Continual {
			if last := n.Status.LastBackup; last != nil && last.Share == b.Share {
				b = *last // says also when it was verified
			}
			b.Target = "" // may hold a token
			own = append(own, b)
		}
	}
	return answer(w, map[string]any{"backups": own})
}

func (p *Portal) operation(w http.ResponseWriter, r *http.Request) error {
	op, err := p.c.Store.Operation(r.Context(), r.PathValue("id"))
	if missing(err) {
		return &problem{http.StatusNotFound, "OperationNotFound", "There is no such operation, or it ended long ago."}
	}
	if err != nil {
		return err
	}
	if err := p.allow(r.Context(), arm.Read, actionRead, op.Network.ResourceID()); err != nil {
		return err
	}
	return answer(w, operationOf(op))
}

func (p *Portal) activity(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	before, _ := strconv.ParseInt(q.Get("before"), 10, 64) // 0 is the newest
	scope := q.Get("target")
	if scope == "" {
		scope = "/"
	}
	if err := p.allow(r.Context(), arm.Read, actionAudit, scope); err != nil {
		return err
	}
	entries, err := p.c.Store.Audit(r.Context(), arm.AuditFilter{Before: before, Target: q.Get("target"), Limit: activityMax})
	if err != nil {
		return err
	}
	if entries == nil {
		entries = []arm.AuditEntry{}
	}
	return answer(w, map[string]any{"entries": entries})
}

// resource sends the address of an ARM resource to its page.
func (p *Portal) resource(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/id"), "/"), "/")
	name := parts[len(parts)-1]
	if len(parts) != 8 || !strings.EqualFold(parts[6], "managedCCFs") {
		fail(w, errNoSuchPage)
		return
	}
	http.Redirect(w, r, "/portal/networks/"+name, http.StatusFound)
}

// arm hands a request to the ARM API as the bearer of the session's token.
func (p *Portal) arm(w http.ResponseWriter, r *http.Request) error {
	path := "/" + r.PathValue("path")
	if !strings.HasPrefix(strings.ToLower(path), "/subscriptions") && !strings.HasPrefix(strings.ToLower(path), "/providers/") {
		return errNoSuchPage
	}
	to := r.Clone(r.Context())
	to.URL.Path, to.URL.RawPath, to.RequestURI = path, "", ""
	to.Header.Del("Cookie")
	to.Header.Set("Authorization", "Bearer "+sessionIn(r.Context()).Token)
	to.Body = http.MaxBytesReader(w, r.Body, bodyMax)
	p.c.ARM.ServeHTTP(w, to)
	return nil
}
