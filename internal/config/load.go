package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// retryInterval is the pause between two tries of Load (CCF: src/host/run.cpp).
const retryInterval = 100 * time.Millisecond

// Load reads the file at path. As long as the file is missing or is not JSON
// it tries again until timeout has passed, for containers that mount the file
// late; it always tries once. Other faults are final.
func Load(path string, timeout time.Duration) (*Config, error) {
	end := time.Now().Add(timeout)
	for {
		c, err := load(path)
		if err == nil || !retryable(err) || !time.Now().Before(end) {
			return c, err
		}
		time.Sleep(min(retryInterval, max(0, time.Until(end))))
	}
}

func load(path string) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	c, err := Parse(text)
	if faulty, ok := errors.AsType[*Error](err); ok {
		faulty.File = path
	}
	return c, err
}

func retryable(err error) bool {
	if faulty, ok := errors.AsType[*Error](err); ok {
		return faulty.Syntax
	}
	return errors.Is(err, os.ErrNotExist)
}

// readFile reads at most FileSizeMax bytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, FileSizeMax+1))
	if err == nil && len(b) > FileSizeMax {
		err = fmt.Errorf("longer than %d bytes", FileSizeMax)
	}
	return b, err
}
