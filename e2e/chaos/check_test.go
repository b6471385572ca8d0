//go:build e2e

package chaos

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"synod"
	"synod/client"
	"synod/internal/history"
	"synod/internal/kv"
	"synod/internal/ledger"
)

// finish waits until all nodes have committed the same, and ends them.
func (r *run) finish(ctx context.Context) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	err := poll(ctx, patience, func() error {
		commits := map[string]bool{}
		for _, n := range r.service.present() {
			err := r.service.at(n, func(c *client.Client) error {
				var answer struct {
					ID string `json:"transaction_id"`
				}
				_, err := c.Get(ctx, "/node/commit", &answer)
				commits[answer.ID] = true
				return err
			})
			if err != nil {
				return err
			}
		}
		if len(commits) != 1 {
			return fmt.Errorf("the nodes have committed %v", commits)
		}
		for id := range commits {
			var err error
			if r.final, err = synod.ParseTxID(id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.last = r.service.present()
	for _, n := range r.last {
		n.kill()
	}
	return nil
}

// truth is what was committed, as the ledgers say it.
type truth struct {
	entries []entry                    // by seqno - 1
	keys    map[string][]version       // of each key, in order
	values  map[string]synod.TxID      // where each value was written
	places  map[synod.TxID][32]byte    // every entry that any node wrote to its disk
	owner   map[synod.TxID]string      // which node has it
	files   map[synod.SeqNo]ledgerFile // committed chunks, by their last entry
}

type entry struct {
	view   synod.View
	digest [32]byte
}

type version struct {
	seqno synod.SeqNo
	value string
}

type ledgerFile struct {
	path  string
	first synod.SeqNo
}

// check holds what clients were told against what the ledgers say.
func (r *run) check(root string) {
	if r.final.SeqNo == 0 {
		r.t.Error("the run did not come to its end: the ledgers are not checked")
		return
	}
	began := time.Now()
	truth, err := r.readLedgers()
	if err != nil {
		r.t.Error(err)
		return
	}
	counts := map[string]int{}
	for _, err := range slices.Concat(
		r.checkWrites(truth, counts), r.checkReads(truth, counts), r.checkSessions(truth, counts), r.checkRegisters(truth, counts),
	) {
		r.t.Error(err)
	}
	for _, o := range r.workload.history {
		if o.ok() && (o.Status == string(synod.TxCommitted) && o.write() || o.Kind == kindLinearizable) {
			r.figures.add("clients, all the time: "+string(o.Kind), o.Answer-o.Call)
		}
	}
	r.note("%d entries were committed, up to %s; %d operations: %v; checked in %v", len(truth.entries), r.final,
		len(r.workload.history), counts, time.Since(began).Round(time.Millisecond))
	r.verify(root, truth)
}

// readLedgers reads the ledgers of all nodes. No place may have two contents,
// committed or not; what the last nodes have up to the last commit is equal, and
// so is what is in files that any node named as committed.
func (r *run) readLedgers() (*truth, error) {
	t := &truth{
		entries: make([]entry, r.final.SeqNo), keys: map[string][]version{}, values: map[string]synod.TxID{},
		places: map[synod.TxID][32]byte{}, owner: map[synod.TxID]string{}, files: map[synod.SeqNo]ledgerFile{},
	}
	for _, n := range r.service.everybody() {
		if err := r.readLedger(t, n); err != nil {
			return nil, fmt.Errorf("the ledger of %s: %w", n.name, err)
		}
	}
	for i, e := range t.entries {
		if e.view == 0 {
			return nil, fmt.Errorf("no node has the committed entry %d", i+1)
		}
	}
	for _, list := range t.keys {
		slices.SortFunc(list, func(a, b version) int { return cmp.Compare(a.seqno, b.seqno) })
	}
	return t, nil
}

func (r *run) readLedger(t *truth, n *node) error {
	dir := filepath.Join(n.dir, "ledger")
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil // it ended before it joined
	}
	list, err := ledger.List(dir, ledger.WalkOptions{Uncommitted: true})
	if err != nil {
		return err
	}
	var named synod.SeqNo // the entries up to here are in files with a committed name
	for _, f := range list {
		if f.Name.Committed {
			named = f.Name.End
			t.files[f.Name.End] = ledgerFile{f.Path, f.Name.Start}
		}
	}
	if slices.Contains(r.last, n) {
		named = r.final.SeqNo
	}
	reached := synod.SeqNo(0)
	err = ledger.Walk(dir, ledger.WalkOptions{Uncommitted: true}, func(_ ledger.Place, e *ledger.Entry) error {
		reached = e.TxID.SeqNo
		digest := sha256.Sum256(e.Raw)
		if was, ok := t.places[e.TxID]; ok && was != digest {
			return fmt.Errorf("%s has two contents: the other is in the ledger of %s", e.TxID, t.owner[e.TxID])
		}
		t.places[e.TxID], t.owner[e.TxID] = digest, n.name
		if e.TxID.SeqNo > named {
			return nil
		}
		if e.TxID.SeqNo > r.final.SeqNo {
			return fmt.Errorf("%s is in a file with a committed name, the service has committed %s", e.TxID, r.final)
		}
		was := &t.entries[e.TxID.SeqNo-1]
		if was.view != 0 && *was != (entry{e.TxID.View, digest}) {
			return fmt.Errorf("another node has committed %d.%d", was.view, e.TxID.SeqNo)
		}
		if was.view != 0 {
			return nil
		}
		*was = entry{e.TxID.View, digest}
		return t.take(e)
	})
	var corrupt *ledger.CorruptError
	if errors.As(err, &corrupt) && corrupt.Tail {
		err = nil // a write that the end of its node tore
	}
	if err == nil && slices.Contains(r.last, n) && reached < r.final.SeqNo {
		err = fmt.Errorf("it ends at %d, the node has committed %s", reached, r.final)
	}
	return err
}

// take notes what an entry wrote for clients.
func (t *truth) take(e *ledger.Entry) error {
	maps, err := kv.DecodeDomain(e.PublicMaps, true)
	if err != nil {
		return err
	}
	for _, m := range maps {
		if m.Name != cells {
			continue
		}
		for _, w := range m.Writes {
			value := string(w.Value)
			if was, ok := t.values[value]; ok {
				return fmt.Errorf("the value %.20s was written at %s and at %s", value, was, e.TxID)
			}
			t.values[value] = e.TxID
			t.keys[string(w.Key)] = append(t.keys[string(w.Key)], version{e.TxID.SeqNo, value})
		}
	}
	return nil
}

// has says whether a transaction was committed.
func (t *truth) has(id synod.TxID) bool {
	return id.SeqNo > 0 && id.SeqNo <= synod.SeqNo(len(t.entries)) && t.entries[id.SeqNo-1].view == id.View
}

// at is the value of a key after an entry.
func (t *truth) at(key string, seqno synod.SeqNo) string {
	list := t.keys[key]
	i := sort.Search(len(list), func(i int) bool { return list[i].seqno > seqno })
	if i == 0 {
		return ""
	}
	return list[i-1].value
}

// checkWrites sees that no write is lost or happened that was said to be
// committed or not to be, and that no transaction ID was given to two of them.
func (r *run) checkWrites(t *truth, counts map[string]int) (errs []error) {
	given := map[synod.TxID]string{}
	for _, o := range r.workload.history {
		if o.Kind == kindStatus {
			counts["status "+o.Status]++
			if committed := t.has(o.TxID); o.Status == string(synod.TxCommitted) && !committed || o.Status == string(synod.TxInvalid) && committed {
				errs = append(errs, fmt.Errorf("%s was said to be %s: %s", o.TxID, o.Status, describe(o)))
			}
			continue
		}
		if !o.write() {
			continue
		}
		at, happened := t.values[o.Value]
		if o.TxID.SeqNo != 0 {
			if other, ok := given[o.TxID]; ok {
				errs = append(errs, fmt.Errorf("%s was given to the writes of %.20s and of %.20s", o.TxID, other, o.Value))
			}
			given[o.TxID] = o.Value
		}
		switch {
		case o.ok() && o.TxID.SeqNo == 0:
			errs = append(errs, fmt.Errorf("a write was answered without a transaction ID: %s", describe(o)))
		case o.ok() && happened && at != o.TxID:
			errs = append(errs, fmt.Errorf("a write is at %s, not where it was said to be: %s", at, describe(o)))
		case o.ok() && o.Status == string(synod.TxCommitted) && !happened:
			errs = append(errs, fmt.Errorf("a committed write is lost: %s", describe(o)))
		case o.Status == string(synod.TxInvalid) && happened:
			errs = append(errs, fmt.Errorf("a write that was said to be invalid was committed: %s", describe(o)))
		case o.Again && !o.ok() && o.TxID.SeqNo == 0 && happened:
			errs = append(errs, fmt.Errorf("a write of which it was said that nothing was done was committed: %s", describe(o)))
		}
		switch {
		case o.ok() && o.Status == string(synod.TxCommitted):
			counts["writes committed"]++
		case o.ok() && happened:
			counts["writes answered before commit"]++
		case o.ok():
			counts["writes answered and lost before commit"]++
		case happened:
			counts["writes unanswered or answered by an error, committed"]++
		default:
			counts["writes refused or lost"]++
		}
	}
	return errs
}

// checkReads sees that each read shows the state that it says, and that
// linearizable ones show what was known to be committed when they were asked.
func (r *run) checkReads(t *truth, counts map[string]int) (errs []error) {
	// How far the service was known to have committed, by when.
	type knowledge struct {
		at    time.Duration
		seqno synod.SeqNo
	}
	var known []knowledge
	for _, o := range r.workload.history {
		if o.ok() && (o.Status == string(synod.TxCommitted) || o.Kind == kindLinearizable) {
			known = append(known, knowledge{o.Answer, o.TxID.SeqNo})
		}
	}
	slices.SortFunc(known, func(a, b knowledge) int { return cmp.Compare(a.at, b.at) })
	for i := 1; i < len(known); i++ {
		known[i].seqno = max(known[i].seqno, known[i-1].seqno)
	}
	for _, o := range r.workload.history {
		if o.Kind != kindRead && o.Kind != kindLinearizable {
			continue
		}
		if !o.ok() {
			counts[string(o.Kind)+" refused"]++
			continue
		}
		counts[string(o.Kind)]++
		committed := t.has(o.TxID)
		if committed && t.at(o.Key, o.TxID.SeqNo) != o.Value {
			errs = append(errs, fmt.Errorf("a read does not show the state of its transaction, which has %.20q: %s", t.at(o.Key, o.TxID.SeqNo), describe(o)))
		}
		if o.Kind != kindLinearizable {
			continue
		}
		if !committed {
			errs = append(errs, fmt.Errorf("a linearizable read shows what was not committed: %s", describe(o)))
		}
		i := sort.Search(len(known), func(i int) bool { return known[i].at >= o.Call })
		if i > 0 && known[i-1].seqno > o.TxID.SeqNo {
			errs = append(errs, fmt.Errorf("a linearizable read is stale: %d was known to be committed before: %s", known[i-1].seqno, describe(o)))
		}
	}
	return errs
}

// checkSessions sees that what one connection was shown never goes back, and
// that it sees its own writes.
func (r *run) checkSessions(t *truth, counts map[string]int) (errs []error) {
	sessions := map[int64][]*operation{}
	for _, o := range r.workload.history {
		if o.ok() && o.Kind != kindStatus {
			sessions[o.Session] = append(sessions[o.Session], o)
		}
	}
	for id, list := range sessions {
		counts["sessions"]++
		own := fmt.Sprintf("s%d", id)
		written := ""
		var newest *operation // the last write
		var seen synod.SeqNo
		for _, o := range list {
			if o.TxID.SeqNo < seen {
				errs = append(errs, fmt.Errorf("a session was shown %d before: %s", seen, describe(o)))
			}
			seen = max(seen, o.TxID.SeqNo)
			if o.Key == own && !o.write() && o.Value != written {
				errs = append(errs, fmt.Errorf("a session does not see what it wrote, %.20s: %s", written, describe(o)))
			}
			if newest != nil && t.has(o.TxID) && !t.has(newest.TxID) {
				errs = append(errs, fmt.Errorf("a session goes on that has lost its write %s: %s", newest.TxID, describe(o)))
			}
			if o.write() {
				newest = o
				if o.Key == own {
					written = o.Value
				}
			}
		}
	}
	return errs
}

// registerTime is far more than all keys take.
const registerTime = 5 * time.Minute

// checkRegisters has porcupine check the linearizable reads, and the writes,
// key by key. What became of each write is known by now.
func (r *run) checkRegisters(t *truth, counts map[string]int) []error {
	var list []history.Operation
	for _, o := range r.workload.history {
		op := history.Operation{Write: o.write(), Key: o.Key, Value: o.Value, Call: int64(o.Call), Answer: int64(o.Answer)}
		switch _, happened := t.values[o.Value]; {
		case o.Kind == kindLinearizable && o.ok(), o.write() && o.ok() && o.Status == string(synod.TxCommitted):
		case o.write() && happened:
			op.Outcome = history.Unknown // when it was committed, nobody was told
		default:
			continue
		}
		list = append(list, op)
	}
	counts["operations for porcupine"] = len(list)
	if err := history.Check(list, registerTime); err != nil {
		return []error{err}
	}
	return nil
}

func describe(o *operation) string {
	short := *o
	if len(short.Value) > 20 {
		short.Value = short.Value[:20]
	}
	text, err := json.Marshal(short)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// verify has synod and CCF's Python package verify the ledgers of the last nodes,
// whose entries those of the others were compared with. The ledger of a node that
// joined from a snapshot is completed by files of others, as an operator would.
func (r *run) verify(root string, t *truth) {
	for _, n := range r.last {
		began := time.Now()
		dir, err := t.complete(n)
		if err != nil {
			r.t.Errorf("%s: %v", n.name, err)
			continue
		}
		synod := exec.Command(filepath.Join(root, "bin", "synod"), "ledger", "verify", dir, "--governance",
			"--service-cert", filepath.Join(r.service.dir, "service_cert.pem"), "--contains", r.final.String())
		if out, err := synod.CombinedOutput(); err != nil {
			r.t.Errorf("%s: synod ledger verify: %v: %s", n.name, err, lastLines(out))
		}
		python := exec.Command(filepath.Join(root, ".venv", "bin", "python3"), filepath.Join(root, "e2e", "python", "verify.py"),
			"ledger", dir, "--uncommitted", "--at-least", strconv.FormatUint(uint64(r.final.SeqNo), 10))
		out, err := python.CombinedOutput()
		if err != nil {
			r.t.Errorf("%s: %v: %s", n.name, err, lastLines(out))
			continue
		}
		r.note("%s: %s (%v)", n.name, lastLines(out), time.Since(began).Round(time.Millisecond))
	}
}

// lastLines is the end of what a command said.
func lastLines(text []byte) string {
	const most = 8
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(len(lines)-most, 0):], "\n")
}

// complete makes a directory of links to the chunks of a node, and to those of
// others that come before.
func (t *truth) complete(n *node) (string, error) {
	list, err := ledger.List(filepath.Join(n.dir, "ledger"), ledger.WalkOptions{Uncommitted: true})
	if err != nil {
		return "", err
	}
	dir := filepath.Join(n.dir, "complete")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	link := func(path string) error { return os.Link(path, filepath.Join(dir, filepath.Base(path))) }
	for _, f := range list {
		if err := link(f.Path); err != nil {
			return "", err
		}
	}
	for first := list[0].Name.Start; first > 1; {
		f, ok := t.files[first-1]
		if !ok {
			return "", fmt.Errorf("no node has a committed chunk that ends at %d", first-1)
		}
		if err := link(f.path); err != nil {
			return "", err
		}
		first = f.first
	}
	return dir, nil
}
