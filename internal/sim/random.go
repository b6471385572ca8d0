package sim

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// randomness is held by the simulation that runs.
var randomness sync.Mutex

// seedRandomness makes what this process draws from crypto/rand.Reader follow
// from a seed, until the function that it returns is called. Raft draws its
// election timeouts there, from a variable that cannot be set otherwise.
func seedRandomness(seed uint64) (restore func()) {
	randomness.Lock()
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	real := crand.Reader
	crand.Reader = rand.NewChaCha8(key)
	return func() {
		crand.Reader = real
		randomness.Unlock()
	}
}
