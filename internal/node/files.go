package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"synod/internal/config"
	"synod/internal/tables"
)

// writePID writes the process's identifier to a file that must not exist. A
// node that ran never removes it, as with CCF.
func (n *Node) writePID() error {
	name := n.cfg.OutputFiles.PIDFile
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return pidFileExists(name)
	}
	if err != nil {
		return fmt.Errorf("write PID file: %w", err)
	}
	n.wrotePID = true
	_, err = f.WriteString(strconv.Itoa(os.Getpid()))
	return errors.Join(err, f.Close())
}

// removePID takes back the PID file of a start that failed.
func (n *Node) removePID() {
	if n.wrotePID {
		_ = os.Remove(n.cfg.OutputFiles.PIDFile)
	}
}

// writeAddresses tells which ports were chosen.
func (n *Node) writeAddresses() error {
	if name := n.cfg.OutputFiles.NodeToNodeAddressFile; name != "" {
		if err := writeJSON(name, map[string]string{"node_to_node_interface": n.n2nAddr}); err != nil {
			return err
		}
	}
	name := n.cfg.OutputFiles.RPCAddressesFile
	if name == "" {
		return nil
	}
	addresses := map[string]string{}
	for itf, l := range n.rpc {
		addresses[itf] = l.Addr().String()
	}
	return writeJSON(name, addresses)
}

func (n *Node) writeCertificates() error {
	if name := n.cfg.OutputFiles.NodeCertificateFile; name != "" {
		if err := replaceFile(name, []byte(n.id.selfSigned())); err != nil {
			return err
		}
	}
	if n.cfg.Command.Type == config.CommandJoin {
		return nil // it was read from there
	}
	return replaceFile(n.cfg.Command.ServiceCertificateFile, []byte(n.service.cert()))
}

func writeJSON(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return replaceFile(name, b)
}

// replaceFile writes a file that others poll for: they see all of it or
// nothing.
func replaceFile(name string, content []byte) error {
	tmp := name + ".tmp"
	if err := os.WriteFile(tmp, content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(tmp, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// netInterface is an interface as the configuration says it, with the ports
// that were bound.
func netInterface(raw json.RawMessage, bind, published, bound string) (tables.NetInterface, error) {
	var itf tables.NetInterface
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &itf); err != nil {
			return itf, fmt.Errorf("interface %s: %w", bind, err)
		}
	}
	itf.BindAddress = withPort(bind, bound)
	if published == "" {
		published = itf.BindAddress
	}
	itf.PublishedAddress = withPort(published, bound)
	return itf, nil
}

// withPort replaces a port of 0 by that of the bound address.
func withPort(address, bound string) string {
	host, port := tables.SplitAddress(address)
	if port == "" || port == "0" {
		_, port = tables.SplitAddress(bound)
	}
	return host + ":" + port
}
