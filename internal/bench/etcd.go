package bench

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// etcdBinary is what tools/etcd-bench makes: an etcd server, and a load on one
// by etcd's own client.
const etcdBinary = "etcd-bench"

// Etcd is an etcd cluster to compare with: mutual TLS, fdatasync before each
// answer, its defaults otherwise.
type Etcd struct {
	binary  string
	dir     string
	members []*etcdMember
}

type etcdMember struct {
	cmd    *exec.Cmd
	client string // URL
}

// StartEtcd starts a cluster with its files below dir.
func StartEtcd(ctx context.Context, binary, dir string, members int) (e *Etcd, err error) {
	e = &Etcd{binary: binary, dir: dir}
	if err := e.writeCertificate(); err != nil {
		return nil, err
	}
	urls, err := freeURLs(ctx, 2*members)
	if err != nil {
		return nil, err
	}
	var cluster []string
	for i := range members {
		cluster = append(cluster, fmt.Sprintf("m%d=%s", i, urls[2*i+1]))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Stop())
		}
	}()
	for i := range members {
		name := fmt.Sprintf("m%d", i)
		m := &etcdMember{client: urls[2*i]}
		m.cmd = exec.CommandContext(ctx, binary, "serve",
			"--name", name, "--data-dir", filepath.Join(dir, name), "--log-level", "error",
			"--listen-client-urls", m.client, "--advertise-client-urls", m.client,
			"--listen-peer-urls", urls[2*i+1], "--initial-advertise-peer-urls", urls[2*i+1],
			"--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-state", "new",
			"--cert-file", e.path("cert.pem"), "--key-file", e.path("key.pem"),
			"--client-cert-auth", "--trusted-ca-file", e.path("cert.pem"),
			"--peer-cert-file", e.path("cert.pem"), "--peer-key-file", e.path("key.pem"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file", e.path("cert.pem"))
		log, err := os.Create(e.path(name + ".log"))
		if err != nil {
			return e, err
		}
		m.cmd.Stdout, m.cmd.Stderr = log, log
		err = m.cmd.Start()
		_ = log.Close() // the process has its own
		if err != nil {
			return e, fmt.Errorf("start %s: %w", binary, err)
		}
		e.members = append(e.members, m)
	}
	return e, nil
}

func (e *Etcd) path(name string) string { return filepath.Join(e.dir, name) }

// Stop ends the members and waits for them.
func (e *Etcd) Stop() error {
	var errs []error
	for _, m := range e.members {
		errs = append(errs, m.cmd.Process.Signal(syscall.SIGTERM))
	}
	for _, m := range e.members {
		_ = m.cmd.Wait() // it dies of the signal
	}
	return errors.Join(errs...)
}

// Load puts 32-byte values at the leader, each connection a client of its own
// that puts again when the last put is answered. The processor time is the
// leader's first.
func (e *Etcd) Load(ctx context.Context, connections int, d time.Duration) (Result, error) {
	var endpoints []string
	for _, m := range e.members {
		endpoints = append(endpoints, m.client)
	}
	cmd := exec.CommandContext(ctx, e.binary, "load",
		"--endpoints", strings.Join(endpoints, ","), "--cert", e.path("cert.pem"), "--key", e.path("key.pem"),
		"--connections", strconv.Itoa(connections), "--duration", d.String(), "--keys", strconv.Itoa(keys), "--value", message)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	in, err := cmd.StdinPipe()
	if err != nil {
		return Result{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Result{}, err
	}
	if err := cmd.Start(); err != nil {
		return Result{}, err
	}
	res, err := e.follow(json.NewDecoder(out), in)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return Result{}, fmt.Errorf("etcd's load: %w: %s", err, problem.Bytes())
	}
	return res, nil
}

// follow lets the load begin once it has connected, and reads its result.
func (e *Etcd) follow(from *json.Decoder, to io.Writer) (Result, error) {
	var ready struct{ Leader int }
	if err := from.Decode(&ready); err != nil {
		return Result{}, err
	}
	pids := []int{e.members[ready.Leader].cmd.Process.Pid}
	for i, m := range e.members {
		if i != ready.Leader {
			pids = append(pids, m.cmd.Process.Pid)
		}
	}
	before := processorTimes(pids)
	if _, err := io.WriteString(to, "go\n"); err != nil {
		return Result{}, err
	}
	var res Result
	if err := from.Decode(&res); err != nil {
		return Result{}, err
	}
	for i, t := range processorTimes(pids) {
		res.CPU = append(res.CPU, (t-before[i])/time.Duration(max(res.Requests, 1)))
	}
	return res, nil
}

// writeCertificate makes the one key and self-signed certificate that servers,
// peers and clients use. P-256 is what etcd's users have.
func (e *Etcd) writeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(e.path("cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(e.path("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}

// freeURLs are addresses that nobody listened at a moment ago: etcd wants to be
// told which to take.
func freeURLs(ctx context.Context, n int) (urls []string, err error) {
	for range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		urls = append(urls, "https://"+l.Addr().String())
	}
	return urls, nil
}
