package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"synod/internal/provision"
)

type object = map[string]any

// config is the configuration of a node, without what only the first one has.
// Paths are relative to the node's directory, where it runs. Ports are the
// system's choice, and stay for as long as the node does.
func (d *Driver) config(spec provision.NodeSpec) object {
	names := []string{"iPAddress:" + d.o.Bind, "dNSName:localhost"}
	for _, host := range spec.Hosts {
		kind := "dNSName:"
		if _, err := netip.ParseAddr(host); err == nil {
			kind = "iPAddress:"
		}
		if host != d.o.Bind && host != "localhost" {
			names = append(names, kind+host)
		}
	}
	c := object{
		"network": object{
			"node_to_node_interface": object{"bind_address": d.o.Bind + ":0"},
			"rpc_interfaces": object{"main": object{
				"bind_address":       d.o.Bind + ":0",
				"http_configuration": object{"max_body_size": "64MB"}, // an application's bundle is one request
			}},
		},
		"node_data_json_file": "node_data.json",
		"node_certificate":    object{"initial_validity_days": spec.CertificateDays, "subject_alt_names": names},
		"consensus":           object{"election_timeout": fmt.Sprintf("%dms", d.o.ElectionTimeout/time.Millisecond)},
		"ledger":              object{"directory": "ledger", "read_only_directories": []string{filepath.Join("..", "..", keptDir)}},
		"snapshots":           object{"directory": "snapshots"},
		"files_cleanup":       object{"max_snapshots": 5},
		"output_files": object{
			"node_certificate_file": "node_cert.pem", "pid_file": "node.pid",
			"rpc_addresses_file": "rpc_addresses.json", "node_to_node_address_file": "node_address.json",
			"sealed_ledger_secret_location": "sealed", // nothing is, unless members allow it
		},
	}
	command := object{"type": spec.Kind, "service_certificate_file": "service_cert.pem"}
	switch spec.Kind {
	case provision.KindJoin:
		command["join"] = object{"target_rpc_address": spec.Join.Target, "retry_timeout": "200ms"}
	case provision.KindRecover:
		recover := object{
			"previous_service_identity_file":            "previous_cert.pem",
			"initial_service_certificate_validity_days": spec.CertificateDays,
		}
		if spec.Recover.SealedSecrets != "" {
			recover["previous_sealed_ledger_secret_location"], recover["sealed_resume"] = "previously_sealed", true
		}
		command["recover"] = recover
	}
	c["command"] = command
	return c
}

// prepareStart writes what a new service begins with, and names it in the
// configuration.
func (d *Driver) prepareStart(config object, put func(string, []byte) error, spec provision.NodeSpec) error {
	if err := put("constitution.js", []byte(spec.Genesis.Constitution)); err != nil {
		return err
	}
	members := []object{}
	for i, m := range spec.Genesis.Members {
		member := object{}
		for _, file := range []struct {
			key, name string
			content   []byte
		}{
			{"certificate_file", "cert.pem", []byte(m.Certificate)},
			{"encryption_public_key_file", "enc_pubk.pem", []byte(m.EncryptionKey)},
			{"data_json_file", "data.json", m.Data},
		} {
			if len(file.content) == 0 {
				continue
			}
			name := fmt.Sprintf("member%d_%s", i, file.name)
			if err := put(name, file.content); err != nil {
				return err
			}
			member[file.key] = name
		}
		members = append(members, member)
	}
	config["command"].(object)["start"] = object{
		"constitution_files":    []string{"constitution.js"},
		"members":               members,
		"service_configuration": object{"recovery_threshold": spec.Genesis.Threshold},
		"initial_service_certificate_validity_days": spec.CertificateDays,
	}
	return nil
}

// copyRecovered copies what a service is recovered from into a node's directory:
// the node writes there.
func copyRecovered(ctx context.Context, home string, from provision.Recover) error {
	for name, dir := range map[string]string{"ledger": from.Ledger, "snapshots": from.Snapshots, "previously_sealed": from.SealedSecrets} {
		if dir == "" {
			continue
		}
		if err := copyDir(ctx, filepath.Join(home, name), dir); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return nil
}

// copyDir copies the files of a directory, and of those below it. One that is not
// there has none.
func copyDir(ctx context.Context, to, from string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		source, target := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch {
		case e.IsDir():
			err = copyDir(ctx, target, source)
		case e.Type().IsRegular():
			err = copyFile(target, source)
		}
		if err != nil {
			return err
		}
	}
	return syncDir(to)
}

// syncDir makes the names in a directory outlive the machine's end. What a service is
// recovered from is removed once it serves: the copy is then all that there is.
func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
