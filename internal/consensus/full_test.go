package consensus

import (
	"errors"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/internal/ledger"
	"synod/internal/ledger/faultfs"
	"synod/internal/machine"
)

// A full disk ends nothing: what was answered is committed once there is room,
// and until then everybody is told.
func TestFullDisk(t *testing.T) {
	disk := faultfs.New()
	g := newRig(t, func(c *Config) {
		var err error
		if c.Log, err = ledger.Open(ledger.Config{Dir: "ledger", FS: disk}); err != nil {
			t.Fatal(err)
		}
	})
	g.wait(t, g.write(t, "before", "v"))
	disk.SetCapacity(disk.Used() + 10_000)
	try := func() (synod.TxID, error) {
		tx := g.store.Begin()
		defer tx.Release()
		tx.Put("public:records", []byte("k"), []byte(strings.Repeat("v", 1000)))
		return g.Submit(machine.Prepare(tx, [32]byte{}))
	}
	var answered []synod.TxID
	deadline := time.After(10 * time.Second)
	for {
		id, err := try()
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		answered = append(answered, id)
		select {
		case <-deadline:
			t.Fatal("the disk never is full")
		case <-time.After(time.Millisecond): // the disk gets its turn
		}
	}
	last := answered[len(answered)-1]
	if status := g.Status(last); status != synod.TxPending {
		t.Errorf("%s is %s on a full disk", last, status)
	}
	disk.SetCapacity(0)
	for _, id := range answered {
		g.wait(t, id)
	}
	g.wait(t, g.write(t, "after", "v"))
	for seqno := synod.SeqNo(1); seqno <= last.SeqNo; seqno++ {
		g.entry(t, seqno)
	}
}
