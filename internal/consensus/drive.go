package consensus

import (
	"fmt"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/machine"
)

// Driver runs a replica by calls, on the caller's goroutine and clock: what Run
// does with goroutines, a simulation does step by step, in an order of its
// choice. Signatures of other nodes are verified at once.
type Driver struct {
	*Replica
	appends []diskOp // handed to the disk and not done
	job     *signJob // handed to the signer and not done
}

// Drive begins to run a replica.
func Drive(r *Replica) (*Driver, error) {
	d := &Driver{Replica: r}
	if err := r.begin(); err != nil {
		return nil, err
	}
	d.settle()
	return d, nil
}

// settle does what follows from a call, up to what disk, signer and network
// have to do.
func (d *Driver) settle() {
	if d.failed != nil {
		return
	}
	d.act()
	for len(d.disk) > 0 {
		d.appends = append(d.appends, <-d.disk)
	}
	if len(d.toSign) > 0 {
		job := <-d.toSign
		d.job = &job
	}
	for len(d.toVerify) > 0 {
		sig := <-d.toVerify
		if err := d.cfg.Verify(sig); err != nil {
			d.failed = fmt.Errorf("the signature at %s: %w", sig.TxID, err)
		}
	}
}

// Tick is the passing of one Config.Tick.
func (d *Driver) Tick() { d.tick(); d.settle() }

// Deliver is the arrival of a message. One that finds the disk's queue full is
// lost.
func (d *Driver) Deliver(m *pb.Message) {
	if d.receiving() != nil {
		d.step(m)
		d.settle()
	}
}

// Order is Submit, or the beginning of SubmitAndWait. ErrDropped also means that
// the replica takes no transaction just now.
func (d *Driver) Order(p *machine.Prepared, waits bool) (synod.TxID, error) {
	if d.accepting() == nil {
		return synod.TxID{}, ErrDropped
	}
	s := &Submission{prepared: p, answer: make(chan submitted, 1), waits: waits, waiter: newWaiter()}
	d.order(s)
	a := submitted{id: s.waiter.id}
	if len(s.answer) > 0 {
		a = <-s.answer
	}
	d.settle()
	return a.id, a.err
}

// HandOver is Transfer.
func (d *Driver) HandOver() { d.transfer(); d.settle() }

// Campaign is the passing of an election timeout.
func (d *Driver) Campaign() error {
	defer d.settle()
	return d.raft.Campaign()
}

// Appends is how many appends wait for the disk.
func (d *Driver) Appends() int { return len(d.appends) }

// Entries are those of the oldest n appends that wait for the disk.
func (d *Driver) Entries(n int) (entries []*pb.Entry) {
	for _, op := range d.appends[:n] {
		entries = append(entries, op.entries...)
	}
	return entries
}

// Sync stores the oldest n appends with one fdatasync, and tells raft.
func (d *Driver) Sync(n int) {
	batch := d.appends[:n]
	done := storedOp{err: d.write(batch)}
	for _, op := range batch {
		if op.committed == 0 {
			done.ops++
			done.responses = append(done.responses, op.responses...)
		}
	}
	d.appends = append([]diskOp(nil), d.appends[n:]...)
	d.finishStore(done)
	d.settle()
}

// Signing says whether a signature is being made.
func (d *Driver) Signing() bool { return d.job != nil }

// Sign ends the making of a signature that took a while.
func (d *Driver) Sign(took time.Duration) {
	job := *d.job
	d.job = nil
	sig, err := d.cfg.Signer.Sign(job.id, job.root, job.tree)
	d.finishSign(signResult{job: job, sig: sig, cost: took, err: err})
	d.settle()
}

// Overtake is Overtake; it is told nothing of what comes of it.
func (d *Driver) Overtake(s *State) error {
	err := s.read()
	if err == nil {
		d.arrived = s
		d.settle()
	}
	return err
}

// Err is why the replica has ended, nil while it runs.
func (d *Driver) Err() error { return d.failed }

// Read is a linearizable read under way.
type Read struct {
	d *Driver
	q *read
	// index is what the read must see, once it is confirmed.
	index     synod.SeqNo
	confirmed bool
}

// Read is the beginning of ReadIndex.
func (d *Driver) Read() *Read {
	r := &Read{d: d, q: &read{index: make(chan uint64, 1), err: make(chan error, 1)}}
	d.startRead(r.q)
	d.settle()
	return r
}

// Result is what ReadIndex returns, once it is done.
func (r *Read) Result() (seqno synod.SeqNo, done bool, err error) {
	select {
	case index := <-r.q.index:
		r.index, r.confirmed = synod.SeqNo(index), true
	case err := <-r.q.err:
		return 0, true, err
	default:
	}
	seqno = r.d.Committed().SeqNo
	return seqno, r.confirmed && seqno >= r.index, nil
}
