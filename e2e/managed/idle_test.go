//go:build e2e

package managed

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"synod/internal/arm"
)

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestIdle has a control plane look after networks in which nothing happens: a hundred
// of them may take a tenth of a processor.
func TestIdle(t *testing.T) {
	const networks, period = 10, 10 * time.Second
	w := newWorld(t)
	m := newMember(t, false)
	for i := range networks {
		w.succeed(put(t, w.store, fmt.Sprintf("net%d", i), arm.KindCreate, desired(1, m)), time.Minute)
	}
	<-time.After(3 * time.Second)
	begin := processorTime(t)
	<-time.After(period)
	used := processorTime(t) - begin
	t.Logf("%d networks at rest: %.2f %% of a processor", networks, 100*used.Seconds()/period.Seconds())
	if used > period*networks/1000 {
		t.Errorf("%v of processor time in %v for %d networks", used, period, networks)
	}
}
