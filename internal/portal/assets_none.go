//go:build noportal

package portal

import "io/fs"

// files is nil in a build without the portal.
func files() fs.FS { return nil }
