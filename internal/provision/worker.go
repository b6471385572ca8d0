package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"synod/internal/arm"
)

const (
	// busyPause is between two looks while something is going on, idlePause while
	// all is well.
	busyPause = 50 * time.Millisecond
	waitPause = 150 * time.Millisecond
	mutePause = 500 * time.Millisecond // while a node does not answer
	idlePause = 2 * time.Second
	// backoffMin and backoffMax bound the pause after a step that failed.
	backoffMin = 250 * time.Millisecond
	backoffMax = 30 * time.Second
	// stepsMax bounds the steps that an operation shows; older ones are dropped.
	stepsMax = 200
	// stuckAfter is how long an operation may go without a step taken, other than by
	// members.
	stuckAfter = 10 * time.Minute
)

// worker is the owner of one network: it looks, plans, takes a step and tells what
// it saw, again and again. One goroutine runs it, and nothing that it keeps is needed
// by the next one.
type worker struct {
	m       *Manager
	id      arm.NetworkID
	name    string // the network's, for the driver
	watcher *watcher
	nudge   chan struct{}

	net      arm.Network
	op       *arm.Operation // running, or nil
	opID     string         // of the operation that was running last
	seen     *Observed
	endpoint *endpoint
	serving  string // the certificate that the endpoint was seen to serve
	// openRefused says that members open the service, by the constitution.
	openRefused bool
	checked     string // the constitution that was found to be usable
	cannotOpen  string // why the endpoint is not open
	keepPolicy  bool   // members let code join that the upgrade would have removed
	ended       bool   // there is nothing left of the network
	failures    int    // steps in a row that failed
	startAfter  time.Time
	startPause  time.Duration
	progress    time.Time // when a step was taken last
}

func newWorker(m *Manager, id arm.NetworkID) *worker {
	return &worker{m: m, id: id, name: strings.ToLower(id.Name), watcher: newWatcher(id.Name), nudge: make(chan struct{}, 1)}
}

// complain logs what went wrong beside the steps.
func (w *worker) complain(ctx context.Context, what string, err error) {
	w.m.o.Log.ErrorContext(ctx, what, "network", w.name, "err", err.Error())
}

// wake has the worker look now.
func (w *worker) wake() {
	select {
	case w.nudge <- struct{}{}:
	default:
	}
}

// run looks after the network until the context ends or the network has.
func (w *worker) run(ctx context.Context) {
	defer w.watcher.close()
	defer w.closeEndpoint()
	w.progress = time.Now()
	stale := true // what is wanted has to be read again
	for {
		pause := backoffMax
		if stale {
			if err := w.read(ctx); err != nil {
				w.complain(ctx, "cannot read a network", err)
			} else {
				stale = false
			}
		}
		if w.ended {
			return
		}
		if !stale {
			pause = w.once(ctx)
		}
		if w.ended {
			return
		}
		nudged, ok := w.rest(ctx, pause)
		if !ok {
			return
		}
		stale = stale || nudged || w.op != nil // it may have been canceled
	}
}

// rest waits until the next round: for a pause, or until somebody says that there is
// something new. A step that failed is not tried again sooner for that.
func (w *worker) rest(ctx context.Context, pause time.Duration) (nudged, ok bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, false
		case <-timer.C:
			return nudged, true
		case <-w.nudge:
			if nudged = true; w.failures == 0 {
				return true, true
			}
		}
	}
}

// read reads what is wanted, and what is being done about it.
func (w *worker) read(ctx context.Context) error {
	net, err := w.m.o.Store.Network(ctx, w.id)
	gone := errors.Is(err, arm.ErrNotFound)
	if err != nil && !gone {
		return err
	}
	w.op = nil
	running, err := w.m.o.Store.RunningOperations(ctx)
	if err != nil {
		return err
	}
	for _, op := range running {
		if op.Network.Key() == w.id.Key() {
			w.op = &op
			if w.opID != op.ID {
				w.opID, w.progress = op.ID, time.Now()
			}
		}
	}
	if gone {
		// Its record went last; only the operation was still to be ended.
		w.ended = true
		if w.op != nil {
			return w.end(ctx, arm.OperationSucceeded, nil)
		}
		return nil
	}
	w.net = net
	return nil
}

// once is one round. It returns how long to wait until the next.
func (w *worker) once(ctx context.Context) time.Duration {
	if w.op != nil && w.op.CancelRequested {
		if done := w.cancel(ctx); done {
			return busyPause
		}
	}
	if w.givenUp() {
		return idlePause
	}
	if handler := w.handler(); handler != nil {
		return w.handle(ctx, handler)
	}
	if err := w.look(ctx); err != nil {
		return w.failed(ctx, Step{Kind: StepWait, Ordinal: -1, Reason: "Look"}, err)
	}
	steps := Plan(w.net.Desired, *w.seen)
	if mark, ok := w.toMark(); ok {
		steps = append([]Step{mark}, steps...)
	}
	if renew, ok := w.toRenew(); ok {
		steps = append([]Step{renew}, steps...)
	}
	w.tell(ctx, steps)
	pause := idlePause
	for _, s := range steps {
		switch s.Kind {
		case StepWait, StepWaitMembers:
			if s.Background {
				continue
			}
			w.note(ctx, s, arm.OperationRunning, s.Message)
			if s.Kind == StepWait {
				pause = waitPause
			} else {
				pause = time.Second
				w.progress = time.Now()
			}
			w.checkStuck(ctx, s)
			return pause
		case StepFail:
			w.giveUp(ctx, &arm.Error{Code: s.Reason, Message: s.Message})
			return pause
		case StepStart:
			if now := time.Now(); now.Before(w.startAfter) {
				return min(w.startAfter.Sub(now), idlePause)
			}
		}
		w.m.fault("before", s)
		meant := w.op
		if w.note(ctx, s, arm.OperationRunning, s.Message); w.op != meant {
			return busyPause // the operation that the step is of has ended
		}
		if err := w.take(ctx, s); err != nil {
			return w.failed(ctx, s, err)
		}
		w.m.fault("after", s)
		w.failures = 0
		if s.Kind != StepStart && s.Kind != StepDiscard { // nodes may end again and again
			w.progress = time.Now()
		}
		w.note(ctx, s, arm.OperationSucceeded, s.Message)
		w.learn(s)
		pause = busyPause
		if s.Kind == StepTakeDown {
			w.ended = true
			if w.op != nil {
				if err := w.end(ctx, arm.OperationSucceeded, nil); err != nil {
					w.complain(ctx, "cannot end an operation", err)
				}
			}
			return 0
		}
	}
	if done(steps) {
		if err := w.finish(ctx); err != nil {
			w.complain(ctx, "cannot end an operation", err)
		}
		w.startPause = 0
	}
	if w.watcher.somebodyMute() {
		pause = min(pause, mutePause)
	}
	return pause
}

// toMark is the first step of replacing a node that somebody no longer wants.
func (w *worker) toMark() (Step, bool) {
	if w.op == nil || w.op.Kind != arm.KindReplace {
		return Step{}, false
	}
	var in arm.ReplaceInput
	if json.Unmarshal(w.op.Input, &in) != nil {
		return Step{}, false
	}
	s := Step{Kind: StepMark, Ordinal: in.Ordinal, Reason: "Asked"}
	there := slices.ContainsFunc(w.seen.Nodes, func(n NodeView) bool { return n.Ordinal == in.Ordinal && !n.Replace })
	return s, there
}

// done says whether nothing is left to do but what members do in their own time.
func done(steps []Step) bool {
	return !slices.ContainsFunc(steps, func(s Step) bool { return !s.Background })
}

// learn has nodes that end at once be started at longer and longer intervals.
func (w *worker) learn(s Step) {
	// What a node that recovers has left is kept, so there is no discard to learn from.
	again := s.Kind == StepStart && s.NodeKind == KindRecover
	if again || s.Kind == StepDiscard && (s.Reason == "Ended" || s.Reason == "NotJoined") {
		w.startPause = min(max(2*w.startPause, backoffMin), backoffMax)
		w.startAfter = time.Now().Add(w.startPause)
	}
}

// look sees what there is.
func (w *worker) look(ctx context.Context) error {
	nodes, err := w.m.o.Driver.Nodes(ctx, w.name)
	if err != nil {
		return err
	}
	o := &Observed{Now: w.m.o.Now(), Fresh: w.net.Status.MadeAt.IsZero(), Target: w.target()}
	if release, ok := w.m.o.Releases.Get(o.Target); ok {
		o.TargetKnown, o.TargetHostData = true, release.HostData
	}
	o.OpenRefused = w.openRefused
	o.Restored = w.op != nil && w.op.Kind == arm.KindRestore && !w.restoring()
	o.Recovering = w.op != nil && w.op.Kind == arm.KindRecover
	if o.Restoring = w.restoring(); o.Restoring {
		s, ok := w.staged()
		o.Staged = ok && s.Operation == w.op.ID
	}
	o.Upgrading = w.op != nil && w.op.Kind == arm.KindUpgrade && !w.keepPolicy
	w.seen = o
	known := w.net.Status.ServiceCertificate
	if o.Fresh {
		known = ""
	}
	c := w.watcher.look(ctx, nodes, known, o)
	w.lookAtEndpoint(ctx) // first: clients wait for it
	if c != nil && o.Service.Primary != "" {
		w.watcher.readCertificates(ctx, o)
		if err := w.watcher.readMembers(ctx, c, w.m.o.Operator, o); err != nil {
			return err
		}
		if err := w.watcher.readPolicy(ctx, c, w.m.o.Operator, o); err != nil {
			return err
		}
	}
	return nil
}

// lookAtEndpoint routes it, and sees whether it serves the certificate that clients
// are told.
func (w *worker) lookAtEndpoint(ctx context.Context) {
	o := w.seen
	if w.net.Desired.RunningState == arm.RunningPaused && !slices.ContainsFunc(o.Nodes, func(n NodeView) bool { return n.Alive }) {
		w.closeEndpoint()
	}
	if w.endpoint == nil && o.Service.Known && w.port() != 0 {
		_ = w.openEndpoint(ctx) // it comes again as a step, whose failure is told
	}
	o.EndpointError = w.cannotOpen
	if w.endpoint == nil || !o.Service.Known {
		return
	}
	w.route()
	if w.serving != o.Service.Certificate && o.Service.Primary != "" && w.endpoint.serves(ctx, o.Service.Certificate, o.Now) {
		w.serving = o.Service.Certificate
	}
	o.EndpointOpen = true
	o.EndpointServes = w.serving == o.Service.Certificate
}

// target is the release that the network's nodes should run: what is wanted, or what
// they run, or the server's own.
func (w *worker) target() string {
	for _, name := range []string{w.net.Desired.Release, w.net.Status.Release} {
		if name != "" {
			return name
		}
	}
	if release, ok := w.m.o.Releases.Get(""); ok {
		return release.Name
	}
	return ""
}

// tell stores what was seen.
func (w *worker) tell(ctx context.Context, steps []Step) {
	s := &w.net.Status
	o := w.seen
	if o.Service.Known {
		w.keepIdentity(o)
		s.ServiceStatus = o.Service.Status
	}
	if o.Service.Known || len(o.Nodes) == 0 || !slices.ContainsFunc(o.Nodes, func(n NodeView) bool { return n.Alive }) {
		s.Nodes = w.watcher.statusOf(o)
		if w.net.Desired.RunningState == arm.RunningPaused {
			restPaused(s.Nodes)
		}
	}
	if s.Release == "" && o.Service.Known {
		s.Release = o.Target
	}
	if s.IdentityServiceURI == "" && w.m.o.IdentityURI != nil {
		s.IdentityServiceURI = w.m.o.IdentityURI(w.id.Name)
	}
	s.RunningState = w.runningState()
	if w.op != nil {
		switch {
		case w.net.Desired.Deleted:
			s.ProvisioningState = arm.StateDeleting
		case s.MadeAt.IsZero():
			s.ProvisioningState = arm.StateCreating
		default:
			s.ProvisioningState = arm.StateUpdating
		}
	}
	newest, _ := w.m.o.Releases.Get("")
	s.Conditions = conditions(s.Conditions, w.net.Desired, *o, steps, newest.Name)
	w.tellBackups()
	if o.Service.Known && !o.Restoring {
		w.dropStage(ctx)
	}
	s.ObservedRevision = w.net.Revision
	if s.MadeAt.IsZero() && done(steps) && o.Service.Known && !w.net.Desired.Deleted {
		s.MadeAt = o.Now.UTC()
	}
	if err := w.m.o.Store.PutStatus(ctx, w.id, *s); err != nil && !errors.Is(err, arm.ErrNotFound) {
		w.complain(ctx, "cannot store a status", err)
	}
}

// keepIdentity notes the service's certificate, and those of services before it with
// other keys.
func (w *worker) keepIdentity(o *Observed) {
	s := &w.net.Status
	if s.ServiceCertificate == o.Service.Certificate {
		return
	}
	if s.ServiceCertificate != "" && (!o.Fresh || s.RestoredBy != "") && !sameKey(s.ServiceCertificate, o.Service.Certificate) {
		w.keepPrevious(o.Now)
	}
	s.ServiceCertificate = o.Service.Certificate
}

// keepPrevious puts the present identity among the previous ones.
func (w *worker) keepPrevious(now time.Time) {
	s := &w.net.Status
	from := s.MadeAt
	if n := len(s.PreviousIdentities); n > 0 {
		from = s.PreviousIdentities[n-1].Until
	}
	s.PreviousIdentities = append(s.PreviousIdentities, arm.Identity{Certificate: s.ServiceCertificate, From: from, Until: now.UTC()})
}

func (w *worker) runningState() string {
	running := slices.ContainsFunc(w.seen.Nodes, func(n NodeView) bool { return n.Alive })
	switch {
	case w.net.Desired.RunningState == arm.RunningPaused && running:
		return arm.RunningPausing
	case w.net.Desired.RunningState == arm.RunningPaused:
		return arm.RunningPaused
	case !w.seen.Service.Known && !w.net.Status.MadeAt.IsZero(), w.seen.Service.Status == "Recovering", w.seen.Service.Status == "WaitingForRecoveryShares":
		return arm.RunningResuming
	}
	return arm.RunningActive
}

// failed notes a step that failed, and returns when to try again.
func (w *worker) failed(ctx context.Context, s Step, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	w.failures++
	w.m.o.Log.WarnContext(ctx, "a step failed", "network", w.name, "step", string(s.Kind), "node", s.Ordinal, "err", err.Error())
	w.note(ctx, s, arm.OperationRunning, err.Error())
	if s.Kind == StepOpen && errors.Is(err, errNotAlone) {
		w.openRefused = true
		return busyPause
	}
	var wrong *arm.Error
	if errors.Is(err, errNotAlone) {
		wrong = &arm.Error{Code: CodeConstitutionDeniesOperator, Message: err.Error()}
	}
	if wrong != nil || errors.As(err, &wrong) {
		w.giveUp(ctx, wrong)
		return idlePause
	}
	w.checkStuck(ctx, Step{Kind: s.Kind, Ordinal: s.Ordinal, Message: err.Error()})
	return min(backoffMin<<min(w.failures-1, 7), backoffMax)
}

// toRenew is the step of a renewal that somebody asked for, until it is done: when the
// service has another certificate than the one that the step, which is stored before
// it is taken, says it is in the place of.
func (w *worker) toRenew() (Step, bool) {
	if w.op == nil || w.op.Kind != arm.KindRenew || w.seen.Service.Primary == "" {
		return Step{}, false
	}
	const place = "in the place of "
	now := place + digestText(w.seen.Service.Certificate)
	s := Step{Kind: StepRenew, Ordinal: -1, NodeID: w.seen.Service.Primary, Reason: "Asked", Message: now}
	done := slices.ContainsFunc(w.op.Steps, func(t arm.OperationStep) bool {
		return t.Name == string(StepRenew) && strings.HasPrefix(t.Message, place) && t.Message != now
	})
	return s, !done
}

func digestText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

func stepName(s Step) string {
	name := string(s.Kind)
	if s.Kind == StepWait {
		name = "Wait: " + s.Reason
	}
	if s.Ordinal >= 0 {
		name = fmt.Sprintf("%s %d", name, s.Ordinal)
	}
	return name
}

// note writes a step into the running operation: its begin, or its end.
func (w *worker) note(ctx context.Context, s Step, status, message string) {
	if w.op == nil {
		return
	}
	name, now := stepName(s), w.m.o.Now().UTC()
	if s.Kind == StepStart {
		name = strings.TrimSpace(fmt.Sprintf("%s (%s) %s", name, s.NodeKind, s.Zone))
	}
	steps := w.op.Steps
	if n := len(steps); n > 0 && steps[n-1].EndedAt.IsZero() {
		last := &steps[n-1]
		if last.Name == name {
			if last.Status == status && last.Message == message {
				return
			}
			last.Status, last.Message = status, message
			if status != arm.OperationRunning {
				last.EndedAt = now
			}
			w.store(ctx)
			return
		}
		last.Status, last.EndedAt = arm.OperationSucceeded, now // a wait is over
	}
	step := arm.OperationStep{Name: name, Status: status, Message: message, StartedAt: now}
	if status != arm.OperationRunning {
		step.EndedAt = now
	}
	if steps = append(steps, step); len(steps) > stepsMax {
		steps = steps[len(steps)-stepsMax:]
	}
	w.op.Steps = steps
	if w.op.Status == arm.OperationAccepted {
		w.op.Status = arm.OperationRunning
	}
	w.store(ctx)
}

func (w *worker) store(ctx context.Context) {
	err := w.m.o.Store.UpdateOperation(ctx, *w.op)
	if errors.Is(err, arm.ErrOperationEnded) || errors.Is(err, arm.ErrNotFound) {
		w.op = nil
		w.wake()
		return
	}
	if err != nil {
		w.complain(ctx, "cannot store an operation", err)
	}
}

// finish ends the running operation: the network is as wanted.
func (w *worker) finish(ctx context.Context) error {
	if w.op == nil || w.net.Desired.Deleted {
		return nil
	}
	s := &w.net.Status
	s.ProvisioningState = arm.StateSucceeded
	if w.seen.TargetKnown && w.net.Desired.RunningState != arm.RunningPaused {
		s.Release = w.seen.Target
	}
	w.keepPolicy = false
	if err := w.m.o.Store.PutStatus(ctx, w.id, *s); err != nil {
		return err
	}
	if from := w.net.Desired.RestoreFrom; w.op.Kind == arm.KindRestore && from != nil {
		text, err := json.Marshal(arm.MessageResult{Message: "restored from backup " + from.Share})
		if err != nil {
			return err
		}
		w.op.Result = text
	}
	return w.end(ctx, arm.OperationSucceeded, nil)
}

// end ends the running operation.
func (w *worker) end(ctx context.Context, status string, why *arm.Error) error {
	w.op.Status, w.op.Error = status, why
	if n := len(w.op.Steps); n > 0 && w.op.Steps[n-1].EndedAt.IsZero() {
		last := &w.op.Steps[n-1]
		last.EndedAt, last.Status = w.m.o.Now().UTC(), status
	}
	err := w.m.o.Store.UpdateOperation(ctx, *w.op)
	w.op = nil
	if errors.Is(err, arm.ErrOperationEnded) {
		return nil
	}
	return err
}

// giveUp ends an operation that comes to nothing. Of a network that was never made
// nothing is left behind.
func (w *worker) giveUp(ctx context.Context, why *arm.Error) {
	fresh := w.net.Status.MadeAt.IsZero()
	if fresh {
		for _, n := range w.seen.Nodes {
			if err := w.m.o.Driver.Stop(ctx, w.name, n.Ordinal, false); err != nil {
				w.complain(ctx, "cannot stop a node", err)
			}
		}
		w.closeEndpoint()
	}
	if w.op == nil {
		return
	}
	w.m.o.Log.ErrorContext(ctx, "an operation fails", "network", w.name, "code", why.Code, "err", why.Message)
	w.net.Status.ProvisioningState = arm.StateFailed
	if !fresh && w.restoring() {
		w.net.Status.ProvisioningState = arm.StateSucceeded // nothing of what there is was touched
	}
	if fresh {
		w.net.Status.Nodes, w.net.Status.ServiceCertificate, w.net.Status.ServiceStatus = nil, "", ""
	}
	if err := w.m.o.Store.PutStatus(ctx, w.id, w.net.Status); err != nil {
		w.complain(ctx, "cannot store a status", err)
	}
	if err := w.end(ctx, arm.OperationFailed, why); err != nil {
		w.complain(ctx, "cannot end an operation", err)
	}
}

// givenUp says whether the network could not be made: nothing is done until somebody
// wants something else.
func (w *worker) givenUp() bool {
	s := w.net.Status
	ended := s.ProvisioningState == arm.StateFailed || s.ProvisioningState == arm.StateCanceled
	return w.op == nil && s.MadeAt.IsZero() && ended && s.ObservedRevision == w.net.Revision
}

// checkStuck gives an operation up on which nothing has happened for long.
func (w *worker) checkStuck(ctx context.Context, s Step) {
	if w.op != nil && time.Since(w.progress) > stuckAfter {
		w.giveUp(ctx, &arm.Error{
			Code:    CodeOperationTimedOut,
			Message: fmt.Sprintf("nothing has come of %s for %v: %s", stepName(s), stuckAfter, s.Message),
		})
	}
}

// cancel ends an operation that somebody wants no more, where that leaves nothing
// half-made: a network that was not made yet goes, and an upgrade for which members
// have not voted. Backups and the like end where they are (whileWanted); others go on.
func (w *worker) cancel(ctx context.Context) bool {
	why := &arm.Error{Code: CodeCanceled, Message: "The operation was canceled."}
	switch {
	case w.op.Kind == arm.KindCreate && w.net.Status.MadeAt.IsZero():
		if err := w.look(ctx); err != nil {
			return false
		}
		for _, n := range w.seen.Nodes {
			if err := w.m.o.Driver.Stop(ctx, w.name, n.Ordinal, false); err != nil {
				return false
			}
		}
		w.closeEndpoint()
		w.net.Status.ProvisioningState, w.net.Status.ObservedRevision = arm.StateCanceled, w.net.Revision
	case w.op.Kind == arm.KindUpgrade && w.seen != nil && w.seen.Approving:
		if err := w.withdrawRelease(ctx); err != nil {
			return false
		}
		w.net.Desired.Release = w.net.Status.Release
		// What somebody else wanted meanwhile, such as that all of it goes, stays.
		stored, err := w.m.o.Store.PutDesired(ctx, w.net, arm.Precondition{Match: w.net.ETag}, nil)
		if err != nil {
			return false
		}
		w.net = stored
		w.net.Status.ProvisioningState = arm.StateSucceeded
	default:
		return false
	}
	if err := w.m.o.Store.PutStatus(ctx, w.id, w.net.Status); err != nil {
		return false
	}
	return w.end(ctx, arm.OperationCanceled, why) == nil
}

func (w *worker) withdrawRelease(ctx context.Context) error {
	c, err := w.actor()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	return w.m.o.Operator.withdraw(ctx, c, approveAction+" "+w.seen.Target)
}

func (w *worker) closeEndpoint() {
	if w.endpoint != nil {
		w.endpoint.close()
		w.endpoint, w.serving = nil, ""
	}
}
