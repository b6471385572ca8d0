//go:build !linux

package consensus

import "time"

var started = time.Now()

// threadTime stands in for the processor time of the calling thread, which only
// Linux tells.
func threadTime() time.Duration { return time.Since(started) }
