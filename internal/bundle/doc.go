// Package bundle turns the folder of a JavaScript or TypeScript application
// into the one JSON object that the set_js_app action takes: metadata (the
// content of app.json) and modules (every source file by name). TypeScript,
// npm packages and imports without extension are bundled by esbuild; a plain
// JavaScript application that needs none of that is packed unchanged.
//
// It checks what can be checked before anybody votes: the shape of app.json,
// that each endpoint's module exists and exports its function, and that every
// import resolves. It does not check types (use tsc --noEmit) and runs nothing
// of the application.
//
// This is the only package that imports esbuild. It starts no goroutine of its
// own, keeps no state, and its functions may be called from several goroutines.
//
// Reading order: bundle.go, manifest.go, build.go, fault.go.
package bundle
