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
// the next look.
func (r *Replica) sign(now time.Time) time.Duration {
	wait := r.dueIn(now, r.waiters.unsigned.Load())
	if wait <= 0 {
		r.startSign()
		return never
	}
	return wait
}

// dueIn says how long until a signature is due, with so many requests waiting for
// what none covers: when the bounds on count or delay are reached, when somebody
// waits for commit, or after a quiet moment; the last two only within the share of a
// core that signing may take. There is one job at a time: however often a slow
// signer is overtaken by new views, nobody waits for it.
func (r *Replica) dueIn(now time.Time, waiting int64) time.Duration {
	if !r.leading || r.change != nil || r.signer.busy || r.failed != nil || r.last == r.signer.lastSigned {
		return never
	}
	if wait := r.signer.notBefore.Sub(now); wait > 0 {
		return wait
	}
	unsigned := int(r.last - r.signer.lastSigned)
	overdue := r.signer.firstPending.Add(r.cfg.SignatureDelay).Sub(now)
	if unsigned >= r.cfg.SignatureTxCount || overdue <= 0 {
		return 0
	}
	wait, share := time.Duration(0), time.Duration(signingShare)
	switch {
	case waiting > 0:
		share, wait = awaitedShare, r.gather(waiting).Sub(now)
	case !r.interest.Load():
		wait = r.signer.lastOrdered.Add(r.cfg.Quiet).Sub(now)
	}
	return min(max(wait, r.signer.affordable(now, share)), overdue)
}

// gatherMax bounds how long a signature is put off for others to share it.
const gatherMax = 10 * time.Millisecond

// gather is until when a signature that somebody waits for is put off so that
// others share it. Whoever was answered by the last commits may be about to
// write again: as long as fewer wait than then, transactions keep coming, and
// less time has passed than a commit takes. It is also put off while a commit is on
// its way that answers more than twice as many.
func (r *Replica) gather(waiting int64) time.Time {
	s := &r.signer
	until, most := s.lastOrdered.Add(s.round/4), s.firstPending.Add(s.round)
	switch covered := r.waiters.count.Load() - r.waiters.unsigned.Load(); {
	case covered > 2*waiting:
		return most
	case waiting >= s.group:
		return time.Time{}
	}
	if most.Before(until) {
		return most
	}
	return until
}

// answers notes how many requests waited when a commit answered some: of late most
// that did.
func (s *signState) answers(waited int64) { s.group = max(waited, 7*s.group/8) }

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

// nextSignature is the job of a signature over everything in the log.
func (r *Replica) nextSignature() signJob {
	id := synod.TxID{View: r.view, SeqNo: r.last + 1}
	tree, err := r.cfg.Machine.Tree.Serialise(r.last)
	if err != nil {
		panic("consensus: serialise tree for " + id.String() + ": " + err.Error())
	}
	r.signer.began = r.cfg.Now()
	r.interest.Store(false)
	return signJob{id: id, root: r.cfg.Machine.Tree.Root(), tree: tree}
}

// startSign has a signature made that is due, at the next seqno: at once if it is
// quick; otherwise the worker makes it, and ordering waits until it has.
func (r *Replica) startSign() {
	if r.cfg.Signer.Quick() {
		r.signNow()
		return
	}
	r.signing, r.signer.busy = true, true
	r.toSign <- r.nextSignature()
}

// signNow makes and orders a quick signature.
func (r *Replica) signNow() {
	before := r.last
	sig := r.quickSignature()
	if sig == nil {
		return
	}
	if err := r.propose([]*pb.Entry{{Data: sig.entry}}); err != nil {
		r.undo(before)
		r.noSignature(sig.TxID, err)
		return
	}
	r.ordered.Store(uint64(r.last))
	r.signedNow(sig)
}

// signAlong makes a signature that leaves with what has just been ordered, if it
// is quick and due; awaited of that wait for commit. Nil if there is none.
func (r *Replica) signAlong(awaited int) *orderedSignature {
	if r.dueIn(r.cfg.Now(), r.waiters.unsigned.Load()+int64(awaited)) > 0 || !r.cfg.Signer.Quick() {
		return nil
	}
	return r.quickSignature()
}

// orderedSignature is a signature in the log that raft may not have taken yet.
type orderedSignature struct {
	*evidence.Signature
	entry []byte
	cost  time.Duration
}

// quickSignature makes a quick signature and gives it its place; nil if it fails.
func (r *Replica) quickSignature() *orderedSignature {
	job := r.nextSignature()
	sig, err := r.cfg.Signer.Sign(job.id, job.root, job.tree)
	if err != nil {
		r.noSignature(job.id, err)
		return nil
	}
	entry, err := r.placeSignature(sig)
	if err != nil {
		r.noSignature(job.id, err)
		return nil
	}
	return &orderedSignature{Signature: sig, entry: entry, cost: time.Duration(r.preparing.Load())}
}

// placeSignature makes a signature the next entry of the log.
func (r *Replica) placeSignature(sig *evidence.Signature) ([]byte, error) {
	entry, err := r.cfg.Machine.OrderSignature(sig.WriteSet, sig.TxID)
	if err != nil {
		return nil, err
	}
	r.logged(sig.TxID, sig.WriteSet, 0)
	return entry, nil
}

// signedNow accounts for a signature that raft has taken.
func (r *Replica) signedNow(sig *orderedSignature) {
	r.signer.spent(sig.cost, r.cfg.Now())
	r.signedAt(sig.Signature)
	r.prepareSignatures()
	r.counters.signatures.Add(1)
	r.counters.signing.Add(int64(sig.cost))
}

// noSignature puts off a signature that failed.
func (r *Replica) noSignature(id synod.TxID, err error) {
	r.signer.notBefore = r.cfg.Now().Add(signRetry)
	r.cfg.Logger.LogAttrs(context.Background(), levelFail, "no signature", attrTx(id), attrErr(err))
}

// prepareSignatures has the worker make signatures quick.
func (r *Replica) prepareSignatures() {
	select {
	case r.prepare <- struct{}{}:
	default:
	}
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
	for {
		select {
		case job, ok := <-r.toSign:
			if !ok {
				return
			}
			start := threadTime()
			sig, err := r.cfg.Signer.Sign(job.id, job.root, job.tree)
			r.signatures <- signResult{job: job, sig: sig, cost: signaturesEach * (threadTime() - start), err: err}
		case <-r.prepare:
			r.runPrepare()
		}
	}
}

// runPrepare prepares signatures until enough are or one is wanted that is not, and
// notes what one costs. An error is that of the next signature, too.
func (r *Replica) runPrepare() {
	for len(r.toSign) == 0 {
		start := threadTime()
		n, err := r.cfg.Signer.Prepare()
		if n == 0 || err != nil {
			return
		}
		r.preparing.Store(int64(threadTime()-start) / int64(n))
	}
}

// finishSign orders the signature at the seqno reserved for it.
func (r *Replica) finishSign(res signResult) {
	r.signer.busy = false
	if !r.signing {
		return // of a view that this replica no longer leads
	}
	r.signing = false
	if r.failed != nil {
		return
	}
	before := r.last
	sig := &orderedSignature{Signature: res.sig, cost: res.cost}
	if res.err == nil {
		sig.entry, res.err = r.placeSignature(res.sig)
	}
	if res.err == nil {
		if res.err = r.propose([]*pb.Entry{{Data: sig.entry}}); res.err != nil {
			r.undo(before)
		}
	}
	if res.err != nil {
		r.signer.spent(res.cost, r.cfg.Now())
		r.noSignature(res.job.id, res.err)
		return
	}
	r.ordered.Store(uint64(r.last))
	r.signedNow(sig)
}

// signedAt notes a signature that was ordered: nothing is unsigned now.
func (r *Replica) signedAt(sig *evidence.Signature) {
	r.sigs = append(r.sigs, pendingSignature{sig, r.pending, r.signer.began})
	r.signer.lastSigned = sig.TxID.SeqNo
	r.signer.firstPending = time.Time{}
	r.waiters.covered(sig.TxID.SeqNo)
}
