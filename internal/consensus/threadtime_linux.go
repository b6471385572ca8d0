package consensus

import (
	"syscall"
	"time"
)

// rusageThread is RUSAGE_THREAD of getrusage(2).
const rusageThread = 1

// threadTime is the processor time that the calling thread has spent.
func threadTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &u); err != nil {
		panic("consensus: getrusage: " + err.Error()) // a thread may always ask for its own
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
