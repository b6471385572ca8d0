package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"synod/client"
)

const (
	// watchQuiet is how long the sources must be left alone before they are
	// built: an editor writes a file in several steps, a checkout many files.
	watchQuiet = 15 * time.Millisecond
	// deployWait bounds one deployment.
	deployWait = 30 * time.Second
)

// watcher redeploys a sandbox's application when its sources change.
type watcher struct {
	s       *sandbox
	files   *fsnotify.Watcher
	client  *client.Client
	members []*client.Member
	bundle  []byte // what is deployed
}

// newWatcher starts to look at the sources; changes made from now on count.
func (s *sandbox) newWatcher(r *sandboxNode, deployed []byte) (*watcher, error) {
	files, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch sources: %w", err)
	}
	w := &watcher{s: s, files: files, bundle: deployed}
	if err := files.Add(s.app); err != nil {
		return nil, errors.Join(fmt.Errorf("watch sources: %w", err), files.Close())
	}
	if err := w.add(filepath.Join(s.app, "src")); err != nil {
		return nil, errors.Join(err, files.Close())
	}
	if w.client, w.members, err = r.asMembers(); err != nil {
		return nil, errors.Join(err, files.Close())
	}
	return w, nil
}

func (w *watcher) close() error {
	w.client.Close()
	return w.files.Close()
}

// add watches a folder and those below it: the operating system reports only
// what happens directly in one.
func (w *watcher) add(dir string) error {
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == "node_modules" || name != dir && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return w.files.Add(name)
	})
	if err != nil {
		return fmt.Errorf("watch sources: %w", err)
	}
	return nil
}

// concerns says whether an event can change the bundle. New folders are
// watched from here on.
func (w *watcher) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	if filepath.Dir(e.Name) == filepath.Clean(w.s.app) {
		name := filepath.Base(e.Name)
		if name == "src" && e.Has(fsnotify.Create) {
			w.warn(w.add(e.Name))
		}
		return slices.Contains([]string{"app.json", "package.json", "tsconfig.json", "src"}, name)
	}
	if info, err := os.Lstat(e.Name); err == nil && info.IsDir() && e.Has(fsnotify.Create) {
		w.warn(w.add(e.Name))
	}
	return true
}

func (w *watcher) warn(err error) {
	if err != nil {
		fmt.Fprintf(w.s.env.Stderr, "warning: %s\n", err)
	}
}

// run redeploys until ctx ends or the node does.
func (w *watcher) run(ctx context.Context, r *sandboxNode) error {
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	// What changed while the service opened counts too.
	saved := time.Now() // of the first change since the last build
	quiet.Reset(watchQuiet)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-r.ended:
			r.ended <- err
			return w.s.explain(fmt.Errorf("the node ended by itself: %w", err))
		case e := <-w.files.Events:
			if !w.concerns(e) {
				continue
			}
			if saved.IsZero() {
				saved = time.Now()
			}
			quiet.Reset(watchQuiet)
		case err := <-w.files.Errors:
			// The queue of events overflowed: something changed.
			w.warn(err)
			quiet.Reset(watchQuiet)
		case <-quiet.C:
			if err := w.redeploy(ctx, saved); err != nil && ctx.Err() == nil {
				fmt.Fprintf(w.s.env.Stderr, "%s\nthe application before this change is still served\n", err)
			}
			saved = time.Time{}
		}
	}
}

// redeploy builds the sources and, if that makes another bundle, deploys it
// as members do: by a proposal and their votes.
func (w *watcher) redeploy(ctx context.Context, saved time.Time) error {
	text, err := w.s.build()
	if err != nil {
		return err
	}
	if bytes.Equal(text, w.bundle) {
		return nil
	}
	body, err := client.ProposalBody(setApp(text))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deployWait)
	defer cancel()
	p, err := decide(ctx, w.client, w.members, body)
	if err != nil {
		return err
	}
	if err := mustBeAccepted(p); err != nil {
		return err
	}
	w.bundle = text
	fmt.Fprintf(w.s.env.Stderr, "deployed %s at %s, %d ms after the change\n", w.s.app, p.TxID, time.Since(saved).Milliseconds())
	return nil
}
