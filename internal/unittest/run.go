package unittest

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	"synod/app"
	"synod/internal/bundle"
	"synod/internal/js"
	"synod/internal/sourcemap"
)

//go:embed harness.js
var harness string

// Result is how one test ended.
type Result struct {
	File    string        `json:"file"` // relative to the application's folder
	Name    string        `json:"name"`
	Failure string        `json:"failure,omitempty"` // "" if it passed
	Trace   string        `json:"trace,omitempty"`   // in lines of the sources
	Took    time.Duration `json:"took_ns"`
}

// ErrNoTests says that an application has no test files.
var ErrNoTests = errors.New("there are no tests: name them src/*.test.ts, src/*.test.js or put them in test/")

// Options says what to run.
type Options struct {
	Filter *regexp.Regexp // of the tests' names; nil for all
	Log    *slog.Logger   // receives what scripts print; nil for nothing
	// Done is called after each test, in order.
	Done func(Result)
}

// Run runs the tests of the application in dir, one after the other. Its
// error is that they could not be run: what fails in them is in the results.
func Run(ctx context.Context, dir string, opts Options) ([]Result, error) {
	files, err := find(dir)
	if err != nil {
		return nil, err
	}
	built, err := bundle.Build(dir)
	if err != nil {
		return nil, err
	}
	engine, err := js.NewEngine(js.Config{Log: opts.Log})
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	r := &runner{ctx: ctx, dir: dir, opts: opts, bundle: built.Bundle, engine: engine, texts: built.Bundle.Texts(), maps: built.SourceMaps}
	r.app = js.NewApp(engine, host{&r.service}, nil)
	for _, file := range files {
		if err := r.file(file); err != nil {
			return r.results, err
		}
	}
	return r.results, nil
}

// find lists the test files, relative to dir.
func find(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "dist" || name != dir && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		script := strings.HasSuffix(rel, ".ts") && !strings.HasSuffix(rel, ".d.ts") || strings.HasSuffix(rel, ".js")
		isTest := strings.HasSuffix(rel, ".test.ts") || strings.HasSuffix(rel, ".test.js") || strings.HasPrefix(rel, "test/")
		if d.Type().IsRegular() && script && isTest {
			files = append(files, rel)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find tests: %w", err)
	}
	if len(files) == 0 {
		return nil, ErrNoTests
	}
	sort.Strings(files)
	return files, nil
}

type runner struct {
	ctx     context.Context
	dir     string
	opts    Options
	bundle  *bundle.Bundle
	texts   map[string]string
	maps    map[string][]byte
	engine  *js.Engine
	app     *app.App
	service *service // of the test that runs
	results []Result
}

// file runs the tests of one file.
func (r *runner) file(file string) error {
	t, err := bundle.BuildTest(r.dir, file, harness)
	if err != nil {
		return err
	}
	texts, maps := map[string]string{t.Name: t.Source}, map[string][]byte{t.Name + ".map": t.SourceMap}
	for name, text := range r.texts {
		texts[name] = text
	}
	for name, m := range r.maps {
		maps[name] = m
	}
	mapper, err := sourcemap.New(texts, maps)
	if err != nil {
		return err
	}
	listed, err := r.call(t, "__list")
	var thrown *js.Exception
	if errors.As(err, &thrown) {
		r.done(Result{File: file, Name: "(declaring tests)", Failure: thrown.Reason, Trace: mapper.Trace(thrown.Trace)})
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	if err := json.Unmarshal(listed, &names); err != nil {
		return fmt.Errorf("%s: list of tests: %w", file, err)
	}
	for i, name := range names {
		if r.opts.Filter != nil && !r.opts.Filter.MatchString(name) {
			continue
		}
		began := time.Now()
		_, err := r.call(t, "__run", i)
		result := Result{File: file, Name: name, Took: time.Since(began)}
		switch {
		case errors.As(err, &thrown):
			result.Failure, result.Trace = thrown.Reason, mapper.Trace(thrown.Trace)
		case err != nil:
			return err
		}
		r.done(result)
	}
	return nil
}

func (r *runner) done(result Result) {
	r.results = append(r.results, result)
	if r.opts.Done != nil {
		r.opts.Done(result)
	}
}

// call calls a function of the harness with a store of its own.
func (r *runner) call(t *bundle.Test, function string, args ...any) (json.RawMessage, error) {
	s, err := newService(r.ctx, r.app, r.bundle)
	if err != nil {
		return nil, err
	}
	r.service = s
	defer s.close()
	return r.engine.CallUnit(r.ctx, js.UnitCall{
		Module: "/" + t.Name, Source: t.Source, Function: function, Args: args,
		Context: app.NewContext(r.ctx, &app.Request{}, s.tx, nil, nil), Host: host{&r.service}, Request: s.call,
	})
}
