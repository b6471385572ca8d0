package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/secrets"
)

// TestTraps sees that each of the 26 traps of the raft library in traps.md names
// tests, and that all that it names are there.
func TestTraps(t *testing.T) {
	text, err := os.ReadFile("traps.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, dir := range []string{".", "../sim", "../machine", "../node", "../frontend"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range append(files, "../sim/bug.go", "../sim/testdata/mutants.txtar") {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \|.*\|(.*)\|$`).FindAllStringSubmatch(string(text), -1)
	const traps = 26
	if len(rows) != traps {
		t.Fatalf("%d rows", len(rows))
	}
	cited := regexp.MustCompile("`([^`]+)`|“([^”]+)”")
	for i, row := range rows {
		names := cited.FindAllStringSubmatch(row[2], -1)
		if row[1] != fmt.Sprint(i+1) || len(names) == 0 {
			t.Errorf("row %s names no test", row[1])
		}
		for _, n := range names {
			found := false
			switch name := n[1] + n[2]; {
			case strings.HasSuffix(name, ".txt"):
				_, err := os.Stat(filepath.Join("../sim/testdata/transcripts", name))
				found = err == nil
			case n[1] != "":
				found = bytes.Contains(all, []byte("func "+name+"("))
			default:
				found = bytes.Contains(all, []byte(name))
			}
			if !found {
				t.Errorf("row %s names %s, which does not exist", row[1], n[0])
			}
		}
	}
}

// TestRefusedChangeBecomesEmpty holds that the library puts an empty entry in the
// place of a change that it does not take, and says nothing: why the replica
// proposes one only when it will be taken.
func TestRefusedChangeBecomesEmpty(t *testing.T) {
	g := newTrial(t, 3)
	if err := g.nodes[1].Campaign(); err != nil {
		t.Fatal(err)
	}
	g.settle()
	add := func(id uint64) *pb.ConfChangeV2 {
		return &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: pb.ConfChangeAddLearnerNode.Enum(), NodeId: &id}}}
	}
	for id := uint64(4); id <= 5; id++ {
		if err := g.nodes[1].ProposeConfChange(add(id)); err != nil {
			t.Fatal(err)
		}
	}
	rd := g.nodes[1].Ready()
	if n := len(rd.Entries); n != 2 || rd.Entries[0].GetType() == pb.EntryNormal || rd.Entries[1].GetType() != pb.EntryNormal || len(rd.Entries[1].GetData()) != 0 {
		t.Errorf("the library made %v of two changes", rd.Entries)
	}
}

// newDriven is a replica that is driven by calls: the founder of a service, or
// one that joins it.
func newDriven(t *testing.T, id uint64, change func(*Config)) *Driver {
	t.Helper()
	log, err := ledger.Open(ledger.Config{Dir: filepath.Join(t.TempDir(), "ledger"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	secret, err := secrets.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	chain := secrets.NewChain()
	chain.Set(1, secret)
	store := kv.New()
	cfg := Config{
		ID: id, Log: log, Machine: machine.New(store, evidence.NewTree(), chain, 64<<10),
		Send: func(*pb.Message) {}, Logger: slog.New(slog.DiscardHandler),
	}
	if id == 1 {
		cfg.Create = func() (*machine.Prepared, error) { return write(store, nil), nil }
	}
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if id != 1 {
		if err := r.Join(&Start{Configuration: marshal(&pb.ConfState{Voters: []uint64{1, 2, 3}})}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Drive(r)
	if err != nil {
		t.Fatal(err)
	}
	for d.Appends() > 0 {
		d.Sync(d.Appends())
	}
	return d
}

func write(store *kv.Store, value []byte) *machine.Prepared {
	tx := store.Begin()
	tx.Put("public:records", []byte("k"), value)
	return machine.Prepare(tx, [32]byte{})
}

// TestElectionTimeout sees that a node that hears nobody asks for votes after
// half the configured time to all of it, as in CCF.
func TestElectionTimeout(t *testing.T) {
	const timeout, tick = 500 * time.Millisecond, 10 * time.Millisecond
	seen := map[int]bool{}
	for range 20 {
		asked := false
		d := newDriven(t, 2, func(c *Config) {
			c.ElectionTimeout, c.Tick = timeout, tick
			c.Send = func(m *pb.Message) { asked = asked || m.GetType() == pb.MsgPreVote }
		})
		ticks := 0
		for ; !asked; ticks++ {
			d.Tick()
		}
		seen[ticks] = true
		if ticks < int(timeout/tick)/2 || ticks > int(timeout/tick) {
			t.Errorf("it asks for votes after %d ticks", ticks)
		}
	}
	if len(seen) < 3 {
		t.Errorf("timeouts are not random: %v", seen)
	}
}

// TestFollowerOrdersNothing: an executed transaction is never forwarded.
func TestFollowerOrdersNothing(t *testing.T) {
	store := kv.New()
	d := newDriven(t, 2, func(c *Config) {
		c.Send = func(m *pb.Message) { t.Errorf("it sends %s", m.GetType()) }
	})
	if _, err := d.Order(write(store, []byte("v")), false); !errors.Is(err, ErrNotPrimary) {
		t.Errorf("got %v", err)
	}
}

// TestJoinNeedsConfiguration: raft panics later if it begins without voters.
func TestJoinNeedsConfiguration(t *testing.T) {
	for _, configuration := range [][]byte{nil, {0xff}, marshal(&pb.ConfState{Learners: []uint64{2}})} {
		r, err := New(Config{ID: 2, Log: newDriven(t, 2, nil).cfg.Log})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Join(&Start{Configuration: configuration}); err == nil {
			t.Errorf("it joins with the configuration %x", configuration)
		}
	}
}

// TestUncommittedIsBounded: what waits to be committed has a bound in bytes,
// before raft's; what waits for the disk has one in appends.
func TestUncommittedIsBounded(t *testing.T) {
	var store *kv.Store
	found := func(c *Config) {
		store = kv.New()
		chain := secrets.NewChain()
		chain.Set(1, secrets.SecretFrom([secrets.Size]byte{1}))
		c.Machine = machine.New(store, evidence.NewTree(), chain, 64<<10)
		c.Create = func() (*machine.Prepared, error) { return write(store, nil), nil }
		c.SignatureDelay, c.Quiet = time.Hour, time.Hour
	}
	d := newDriven(t, 1, found)
	value := make([]byte, 32<<20)
	n, err := 0, error(nil)
	for ; err == nil && n < 64; n++ {
		_, err = d.Order(write(store, value), false)
	}
	if !errors.Is(err, ErrTooMuch) || n > uncommittedBytesMax/len(value)+1 {
		t.Errorf("%d transactions of %d MB, then %v", n, len(value)>>20, err)
	}
	d = newDriven(t, 1, found)
	for n, err = 0, nil; err == nil && n < 4*diskMax; n++ {
		_, err = d.Order(write(store, []byte("v")), false)
	}
	if !errors.Is(err, ErrDropped) || d.Appends() > diskMax+1 {
		t.Errorf("%d appends wait for the disk, then %v", d.Appends(), err)
	}
}

// TestTailIsBounded: of what is on disk, a bounded part stays in memory, and
// raft and others read the rest from there.
func TestTailIsBounded(t *testing.T) {
	var store *kv.Store
	d := newDriven(t, 1, func(c *Config) {
		store = kv.New()
		chain := secrets.NewChain()
		chain.Set(1, secrets.SecretFrom([secrets.Size]byte{1}))
		c.Machine = machine.New(store, evidence.NewTree(), chain, 64<<10)
		c.Create = func() (*machine.Prepared, error) { return write(store, nil), nil }
		c.SignatureDelay, c.Quiet = time.Hour, time.Hour
	})
	value := make([]byte, 1<<20)
	const writes = 3 * tailBytes >> 20
	for range writes {
		if _, err := d.Order(write(store, value), false); err != nil {
			t.Fatal(err)
		}
		d.Sync(d.Appends())
		if d.Replica.store.bytes > 2*tailBytes {
			t.Fatalf("%d bytes in memory", d.Replica.store.bytes)
		}
	}
	entries, err := d.Replica.store.Entries(1, writes, 4<<20)
	if err != nil || len(entries) == 0 || entries[0].GetIndex() != 1 {
		t.Errorf("%d entries from the beginning, %v", len(entries), err)
	}
	if _, err := d.Entry(2); err != nil {
		t.Error(err)
	}
}

// TestRaftID: raft's names are never zero, nor those it keeps for itself.
func TestRaftID(t *testing.T) {
	node := func(first uint64) synod.NodeID { return synod.NodeID(fmt.Sprintf("%016x%048d", first, 7)) }
	for first, ok := range map[uint64]bool{1: true, 0: false, raft.LocalAppendThread: false, raft.LocalApplyThread: false, 0xab << 56: true} {
		name, err := RaftID(node(first))
		if (err == nil) != ok || ok && name != first {
			t.Errorf("%x: %x, %v", first, name, err)
		}
	}
	if _, err := RaftID("n0"); err == nil {
		t.Error("a name that is no hash is taken")
	}
}

// TestPanicsAreNotCaught: a broken invariant of raft ends the process.
func TestPanicsAreNotCaught(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f, "_test.go") && bytes.Contains(b, []byte("recover()")) {
			t.Errorf("%s recovers from panics", f)
		}
	}
}
