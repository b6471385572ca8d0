package cli

import (
	"fmt"
	"strings"
)

// counted is "1 entry", "2 entries".
func counted[N ~int | ~int64 | ~uint64](n N, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "y"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
