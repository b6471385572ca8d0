package consensus

import (
	"context"
	"runtime"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/evidence"
)

// signState is what the timing of signatures needs. Owned by the replica
// goroutine.
type signState struct {
	lastSigned   synod.SeqNo // newest signature ordered
	firstPending time.Time   // when the oldest unsigned entry was ordered
	lastOrdered  time.Time   // when the newest entry was ordered
	cost         time.Duration
	credit       time.Duration // signing time that may be spent now
	refilled     time.Time
	notBefore    time.Time     // after a failure
	group        int64         // how many requests the last commit that somebody waited for has answered
	began        time.Time     // when the newest signature was begun
	round        time.Duration // from a signature's beginning to its commit, smoothed
	busy         bool          // the worker has a job, maybe of a view that is over
}

// never is how long the loop waits for a signature that is not due.
const never = time.Hour

// noteOrdered starts the clocks of the entries just ordered.
func (r *Replica) noteOrdered() {
	now := r.cfg.Now()
	r.signer.lastOrdered = now
	if r.signer.firstPending.IsZero() {
		r.signer.firstPending = now
	}
}

// sign starts a signature if one is due, and otherwise says how long until
// the next look. One is due when the bounds on count or delay are reached,
// when somebody waits for commit, or after a quiet moment; the last two only
// within the share of a core that signing may take. There is one job at a time:
// however often a slow signer is overtaken by new views, nobody waits for it.
func (r *Replica) sign(now time.Time) time.Duration {
	if !r.leading || r.change != nil || r.signer.busy || r.failed != nil || r.last == r.signer.lastSigned {
		return never
	}
	if wait := r.signer.notBefore.Sub(now); wait > 0 {
		return wait
	}
	unsigned := int(r.last - r.signer.lastSigned)
	overdue := r.signer.firstPending.Add(r.cfg.SignatureDelay).Sub(now)
	if unsigned >= r.cfg.SignatureTxCount || overdue <= 0 {
		r.startSign()
		return never
	}
	wait, share := time.Duration(0), time.Duration(signingShare)
	switch waiting := r.waiters.unsigned.Load(); {
	case waiting > 0:
		share, wait = awaitedShare, r.gather(waiting).Sub(now)
	case !r.interest.Load():
		wait = r.signer.lastOrdered.Add(r.cfg.Quiet).Sub(now)
	}
	if wait = max(wait, r.signer.affordable(now, share)); wait <= 0 {
		r.startSign()
		return never
	}
	return min(wait, overdue)
}

// gatherMax bounds how long a signature is put off for others to share it.
const gatherMax = 10 * time.Millisecond

// gather is until when a signature that somebody waits for is put off so that
// others share it. Whoever was answered by the last commit may be about to
// write again: as long as fewer wait than then, transactions keep coming, and
// less time has passed than a commit takes.
func (r *Replica) gather(waiting int64) time.Time {
	s := &r.signer
	if waiting >= s.group {
		return time.Time{}
	}
	until, most := s.lastOrdered.Add(s.round/4), s.firstPending.Add(s.round)
	if most.Before(until) {
		return most
	}
	return until
}

// tookRound notes how long a signature took from its beginning to its commit.
func (s *signState) tookRound(d time.Duration) {
	d = min(d, gatherMax)
	if s.round == 0 {
		s.round = d
	}
	s.round = (7*s.round + d) / 8
}

// affordable is how long until signing has earned the cost of a signature, at
// one part in share of a core.
func (s *signState) affordable(now time.Time, share time.Duration) time.Duration {
	if s.cost == 0 {
		return 0
	}
	s.credit += now.Sub(s.refilled) / share
	s.credit = min(s.credit, signingBurst*s.cost)
	s.refilled = now
	return (s.cost - s.credit) * share
}

// spent accounts for a signature that took cost.
func (s *signState) spent(cost time.Duration, now time.Time) {
	if s.cost == 0 {
		s.cost, s.credit, s.refilled = cost, signingBurst*cost, now
	}
	s.cost = (7*s.cost + cost) / 8
	// What the bounds on count and delay force is not held against those who
	// wait afterwards for more than one signature's worth.
	s.credit = max(s.credit-cost, -s.cost)
}

type signJob struct {
	id   synod.TxID
	root [32]byte
	tree []byte
}

type signResult struct {
	job  signJob
	sig  *evidence.Signature
	cost time.Duration
	err  error
}

// startSign reserves the next seqno for a signature over everything before
// it; ordering waits until the worker has made it.
func (r *Replica) startSign() {
	id := synod.TxID{View: r.view, SeqNo: r.last + 1}
	tree, err := r.cfg.Machine.Tree.Serialise(r.last)
	if err != nil {
		panic("consensus: serialise tree for " + id.String() + ": " + err.Error())
	}
	r.signing, r.signer.busy = true, true
	r.signer.began = r.cfg.Now()
	r.interest.Store(false)
	r.toSign <- signJob{id: id, root: r.cfg.Machine.Tree.Root(), tree: tree}
}

// signaturesEach is how many signatures a signer makes side by side, one of
// them on the worker's thread.
const signaturesEach = 2

// runSigner is the signing worker. It keeps a thread to itself, whose processor
// time is what a signature costs: on a busy machine it takes longer than that,
// and commits must not become rarer for it.
func (r *Replica) runSigner() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for job := range r.toSign {
		start := threadTime()
		sig, err := r.cfg.Signer.Sign(job.id, job.root, job.tree)
		r.signatures <- signResult{job: job, sig: sig, cost: signaturesEach * (threadTime() - start), err: err}
	}
}

// finishSign orders the signature at the seqno reserved for it.
func (r *Replica) finishSign(res signResult) {
	r.signer.busy = false
	if !r.signing {
		return // of a view that this replica no longer leads
	}
	r.signing = false
	r.signer.spent(res.cost, r.cfg.Now())
	if r.failed != nil {
		return
	}
	before := r.last
	if res.err == nil {
		res.err = r.orderSignature(res.sig, before)
	}
	if res.err != nil {
		r.signer.notBefore = r.cfg.Now().Add(signRetry)
		r.cfg.Logger.LogAttrs(context.Background(), levelFail, "no signature", attrTx(res.job.id), attrErr(res.err))
		return
	}
	r.counters.signatures.Add(1)
	r.counters.signing.Add(int64(res.cost))
}

func (r *Replica) orderSignature(sig *evidence.Signature, before synod.SeqNo) error {
	entry, err := r.cfg.Machine.OrderSignature(sig.WriteSet, sig.TxID)
	if err != nil {
		return err
	}
	r.logged(sig.TxID, sig.WriteSet, 0)
	if err := r.propose([]*pb.Entry{{Data: entry}}); err != nil {
		r.undo(before)
		return err
	}
	r.ordered.Store(uint64(r.last))
	r.signedAt(sig)
	return nil
}

// signedAt notes a signature that was ordered: nothing is unsigned now.
func (r *Replica) signedAt(sig *evidence.Signature) {
	r.sigs = append(r.sigs, pendingSignature{sig, r.pending, r.signer.began})
	r.signer.lastSigned = sig.TxID.SeqNo
	r.signer.firstPending = time.Time{}
	r.waiters.covered(sig.TxID.SeqNo)
}
