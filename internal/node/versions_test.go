package node

import "testing"

// TestAgree has releases talk that are up to two apart; each speaks its own
// version and the one before.
func TestAgree(t *testing.T) {
	for ours := 2; ours < 5; ours++ {
		for theirs := 1; theirs < 7; theirs++ {
			version, ok := joinVersions{ours - 1, ours}.agree(joinVersions{theirs - 1, theirs})
			if near := theirs >= ours-1 && theirs <= ours+1; ok != near || ok && version != min(ours, theirs) {
				t.Errorf("%d with %d: version %d, %v", ours, theirs, version, ok)
			}
		}
	}
}
