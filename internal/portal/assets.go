//go:build !noportal

package portal

import (
	"embed"
	"io/fs"
)

// dist holds what `make portal` builds; in a fresh checkout only the page that
// says so.
//
//go:embed all:dist
var dist embed.FS

func files() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // a constant
	}
	return sub
}
