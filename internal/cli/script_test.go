package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"synod/client"
	"synod/internal/identity"
)

// Scripts run this test binary as synod.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"synod": func() {
		args := os.Args[1:]
		env := Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
		ctx, stop := context.Background(), func() {}
		if !IsNode(args) {
			ctx, stop = signal.NotifyContext(ctx, os.Interrupt)
		}
		code := Run(ctx, env, args)
		stop()
		os.Exit(code)
	}})
}

func scriptParams(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			vectors, err := filepath.Abs(filepath.Join("..", "audit", "testdata", "ledger"))
			if err != nil {
				return err
			}
			e.Setenv("LEDGER", vectors)
			data, err := filepath.Abs("testdata")
			if err != nil {
				return err
			}
			e.Setenv("DATA", data)
			examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
			if err != nil {
				return err
			}
			e.Setenv("EXAMPLES", examples)
			// Scripts that build in Go share the caches of this test.
			for _, name := range []string{"GOMODCACHE", "GOCACHE"} {
				dir, err := exec.CommandContext(context.Background(), "go", "env", name).Output()
				if err != nil {
					return err
				}
				e.Setenv(name, strings.TrimSpace(string(dir)))
			}
			tmp := filepath.Join(e.WorkDir, "tmp")
			e.Setenv("TMPDIR", tmp)
			return os.MkdirAll(tmp, 0o755)
		},
		Condition: func(cond string) (bool, error) {
			// Whether npm ci has brought the sample's packages.
			_, err := os.Stat(filepath.Join("..", "..", "examples", "logging-ts", "node_modules"))
			return cond == "npm" && err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":   cmdStatus,
			"flip":     cmdFlip,
			"truncate": cmdTruncate,
			"mode":     cmdMode,
			"sign":     cmdSign,
			"ready":    cmdReady,
			"field":    cmdField,
			"paste":    cmdPaste,
			"empty":    cmdEmpty,
			"receipt":  cmdReceipt,
			"txid":     cmdTxID,
			"served":   cmdServed,
			"entity":   cmdEntity,
			"await":    cmdAwait,
		},
	}
}

func TestScripts(t *testing.T) { testscript.Run(t, scriptParams("testdata/script")) }

// status CODE COMMAND… runs a command that must exit with that code.
func cmdStatus(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// flip FILE OFFSET flips a bit of the byte there.
func cmdFlip(ts *testscript.TestScript, _ bool, args []string) {
	b := []byte(ts.ReadFile(args[0]))
	at := number(ts, args[1])
	b[at] ^= 4
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// truncate FILE SIZE cuts a file.
func cmdTruncate(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.Truncate(ts.MkAbs(args[0]), int64(number(ts, args[1]))))
}

func number(ts *testscript.TestScript, s string) int {
	var n int
	ts.Check(json.Unmarshal([]byte(s), &n))
	return n
}

// mode FILE MODE compares a file's permissions.
func cmdMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := info.Mode().Perm().String(); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// sign KEY DIGESTFILE OUT signs a hex digest as an HSM would, in ASN.1 DER.
func cmdSign(ts *testscript.TestScript, _ bool, args []string) {
	key, err := identity.ParseKeyPEM([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	digest, err := hex.DecodeString(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	signature, err := key.Sign(rand.Reader, digest, nil)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), signature, 0o644))
}

// ready PATTERN waits for a sandbox's sandbox.json, at most a minute, and sets
// SYNOD_URL, SYNOD_SERVICE_CERT and MEMBER0, MEMBER1, … from it.
func cmdReady(ts *testscript.TestScript, _ bool, args []string) {
	var text []byte
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		files, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		if len(files) == 1 {
			text, err = os.ReadFile(files[0])
			ts.Check(err)
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("the sandbox did not open")
		}
	}
	var info sandboxInfo
	ts.Check(json.Unmarshal(text, &info))
	ts.Setenv("SYNOD_URL", info.URL)
	ts.Setenv("SYNOD_SERVICE_CERT", info.ServiceCert)
	ts.Setenv("USER0", info.User)
	ts.Setenv("SANDBOX", info.Dir)
	for i, m := range info.Members {
		ts.Setenv("MEMBER"+string(rune('0'+i)), m)
	}
	ts.Check(os.WriteFile(ts.MkAbs("commands.sh"), []byte("set -e\n"+strings.Join(info.Commands, "\necho\n")+"\n"), 0o644))
}

// field VARIABLE FILE NAME sets a variable to a member of a JSON object.
func cmdField(ts *testscript.TestScript, _ bool, args []string) {
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &object))
	s, ok := object[args[2]].(string)
	if !ok {
		ts.Fatalf("%s has no text %q", args[1], args[2])
	}
	ts.Setenv(args[0], s)
}

// paste FILE runs commands as a user would paste them into a shell.
func cmdPaste(ts *testscript.TestScript, _ bool, args []string) { ts.Check(ts.Exec("sh", args...)) }

// empty DIR checks that nothing is in a directory.
func cmdEmpty(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, e := range entries {
		ts.Fatalf("%s is left in %s", e.Name(), args[0])
	}
}

// receipt HEADERS OUT writes the receipt that came in an answer's header.
func cmdReceipt(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.SplitSeq(ts.ReadFile(args[0]), "\n") {
		if value, ok := strings.CutPrefix(line, "x-synod-receipt: "); ok {
			ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.TrimSpace(value)), 0o644))
			return
		}
	}
	ts.Fatalf("no receipt in %s", args[0])
}

// txid VARIABLE HEADERS sets a variable to the transaction of an answer.
func cmdTxID(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.SplitSeq(ts.ReadFile(args[1]), "\n") {
		if value, ok := strings.CutPrefix(line, "x-ms-ccf-transaction-id: "); ok {
			ts.Setenv(args[0], strings.TrimSpace(value))
			return
		}
	}
	ts.Fatalf("no transaction in %s", args[1])
}

// served PATH TEXT asks the sandbox until its answer contains a text, at most
// ten seconds, and says how long that took.
func cmdServed(ts *testscript.TestScript, _ bool, args []string) {
	began := time.Now()
	c, err := client.Dial(ts.Getenv("SYNOD_URL"), client.WithServiceCertificate([]byte(ts.ReadFile(ts.Getenv("SYNOD_SERVICE_CERT")))))
	ts.Check(err)
	defer c.Close()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		a, err := c.Do(ctx, client.Request{Method: "GET", Path: args[0]})
		var text string
		if a != nil {
			text = string(a.Body)
		}
		if err != nil {
			text = err.Error()
		}
		if strings.Contains(text, args[1]) {
			ts.Logf("served after %d ms", time.Since(began).Milliseconds())
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("the last answer was %s", text)
		}
	}
}

// entity VARIABLE CERTIFICATE sets a variable to the ID of a member or user.
func cmdEntity(ts *testscript.TestScript, _ bool, args []string) {
	id, _, err := client.MemberOf([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	ts.Setenv(args[0], string(id))
}

// await FILE TEXT waits until a file has the text, at most a minute.
func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		name := ts.MkAbs(args[0])
		if files, err := filepath.Glob(name); err == nil && len(files) == 1 {
			name = files[0]
		}
		text, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(text), args[1]) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s has no %q: %s %v", args[0], args[1], text, err)
		}
	}
}
