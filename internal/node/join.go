package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"synod"
	"synod/internal/identity"
	"synod/internal/tables"
)

const (
	// joinAnswerMax bounds what a node believes of a join's answer, in bytes.
	joinAnswerMax = 64 << 20
	// joinTryTimeout bounds one request to join.
	joinTryTimeout = 10 * time.Second
	// joinFirstRetry is the first pause of a node that is told to wait; it
	// doubles up to command.join.retry_timeout.
	joinFirstRetry = 20 * time.Millisecond
)

var (
	// errJoinRefused says that the service does not want this node, ever.
	errJoinRefused = errors.New("join refused")
	// errForeign says that who answers is none of the service's nodes. CCF's
	// suites look for the text (CCF: tests/infra/network.py).
	errForeign = errors.New("invalid cert on handshake")
)

// join asks until the service trusts this node, and then makes it one of its
// replicas.
func (n *Node) join(ctx context.Context) error {
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: n.joinTLS(), DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       joinTryTimeout,
	}
	target := n.cfg.Command.Join.TargetRPCAddress
	pause := joinFirstRetry
	waiting := false
	for {
		answer, next, err := n.askToJoin(ctx, client, target, n.startup.SeqNo)
		switch {
		case errors.Is(err, errJoinRefused):
			return err
		case err != nil:
			n.log.LogAttrs(ctx, slog.LevelWarn, "join not answered, will retry", slog.String("target", target), slog.String("err", err.Error()))
			pause = n.cfg.Command.Join.RetryTimeout
			// A primary that a redirect led to may be gone; who sent us there
			// knows the next one.
			target = n.cfg.Command.Join.TargetRPCAddress
		case next != "":
			n.info(ctx, "Target node redirected to "+next)
			target = next
		case answer.NetworkInfo != nil:
			return n.becomeReplica(answer)
		case !waiting:
			waiting = true
			n.info(ctx, fmt.Sprintf("Node %s is waiting for votes of members to be trusted", n.id.node))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(pause, n.cfg.Command.Join.RetryTimeout)):
			pause *= 2
		}
	}
}

// joinTLS shows the node's self-signed certificate and wants one that the
// service has endorsed.
func (n *Node) joinTLS() *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS12,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return n.id.self.Load().tls, nil },
		InsecureSkipVerify:   true, //nolint:gosec // names are not checked; VerifyConnection checks what counts
		VerifyConnection: func(state tls.ConnectionState) error {
			roots := x509.NewCertPool()
			roots.AddCert(n.service.current.Load().cert)
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
			switch {
			case ok && invalid.Reason == x509.Expired:
				return err // until it is renewed
			case err != nil:
				return fmt.Errorf("%w: the target is not a node of the service whose certificate is in command.service_certificate_file (%s): %w",
					errForeign, n.cfg.Command.ServiceCertificateFile, err)
			}
			return nil
		},
	}
}

// askToJoin asks once, as a node whose log begins after a transaction. next is where
// to ask instead.
func (n *Node) askToJoin(ctx context.Context, client *http.Client, target string, after synod.SeqNo) (answer *joinResponse, next string, err error) {
	info, err := n.nodeInfo()
	if err != nil {
		return nil, "", err
	}
	body, err := json.Marshal(joinRequest{
		NodeInfoNetwork: tables.NodeInfo{NodeToNodeInterface: info.NodeToNodeInterface, RPCInterfaces: info.RPCInterfaces, WillLocallySealLedgerSecrets: info.WillLocallySealLedgerSecrets},
		QuoteInfo:       info.QuoteInfo, PublicEncryptionKey: info.EncryptionPubKey, StartupSeqno: new(uint64(after)),
		CertificateSigningRequest: info.CertificateSigningRequest, NodeData: info.NodeData, Synod: &spokenJoins,
	})
	if err != nil {
		return nil, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+target+"/node/join", bytes.NewReader(body))
	if err != nil {
		return nil, "", fmt.Errorf("%w: command.join.target_rpc_address: %w", errJoinRefused, err)
	}
	req.Header.Set("content-type", "application/json")
	resp, err := client.Do(req)
	if errors.Is(err, errForeign) {
		return nil, "", fmt.Errorf("%w: %w", errJoinRefused, err)
	}
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, joinAnswerMax))
	if err != nil {
		return nil, "", err
	}
	return n.readAnswer(resp, text)
}

func (n *Node) readAnswer(resp *http.Response, text []byte) (*joinResponse, string, error) {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		answer := &joinResponse{}
		if err := json.Unmarshal(text, answer); err != nil {
			return nil, "", fmt.Errorf("the answer to join cannot be read: %w", err)
		}
		return answer, "", nil
	case code == http.StatusTemporaryRedirect || code == http.StatusPermanentRedirect:
		to, err := url.Parse(resp.Header.Get("location"))
		if err != nil || to.Host == "" || !n.cfg.Command.Join.FollowRedirect {
			return nil, "", fmt.Errorf("redirected to %q", resp.Header.Get("location"))
		}
		return nil, to.Host, nil
	case code >= 400 && code < 500:
		// CCF's suites look for the body in the log (CCF: tests/infra/network.py).
		return nil, "", fmt.Errorf("%w: %s answered %s: %s", errJoinRefused, resp.Request.URL.Host, resp.Status, text)
	default:
		return nil, "", fmt.Errorf("status %d: %s", code, text)
	}
}

// becomeReplica takes what the service told this node, now that it is trusted.
func (n *Node) becomeReplica(answer *joinResponse) error {
	network, start := answer.NetworkInfo, answer.Synod
	if start == nil || start.Origin == 0 {
		return fmt.Errorf("%w: the service is not one of Synod", errJoinRefused)
	}
	if _, ok := spokenJoins.agree(joinVersions{start.Version, start.Version}); !ok {
		return fmt.Errorf("%w: the service speaks version %d of the join protocol, this node %d to %d: upgrade one release at a time",
			errJoinRefused, start.Version, spokenJoins.Oldest, spokenJoins.Newest)
	}
	key, err := identity.ParseKeyPEM([]byte(network.Identity.PrivKey))
	if err != nil {
		return fmt.Errorf("service key: %w", err)
	}
	if err := n.service.set(network.Identity.Cert); err != nil {
		return err
	}
	if !key.PublicKey.Equal(n.service.current.Load().cert.PublicKey) {
		return fmt.Errorf("%w: the service's key and certificate do not belong together", errJoinRefused)
	}
	n.service.key = key
	for _, s := range network.LedgerSecrets {
		n.secrets.Add(s.entry())
	}
	n.host.Issuer, n.host.Subject = network.COSESignaturesConfig.Issuer, network.COSESignaturesConfig.Subject
	if err := n.usePeerCertificate(network.EndorsedCertificate); err != nil {
		return err
	}
	n.roster.introduce(start.Peers)
	if network.PublicOnly {
		n.hide()
	}
	n.origin.Store(uint64(start.Origin))
	n.machine.After(start.Origin)
	if start.Origin > 1 && network.ServiceStatus != string(tables.ServiceOpen) {
		n.beginRecovery(start.Origin - 1)
	}
	begin, err := n.loadSnapshot(start)
	if err != nil {
		return err
	}
	if err := n.replica.Join(begin); err != nil {
		return err
	}
	if network.PublicOnly {
		n.setState(statePartOfPublicNetwork)
	} else {
		n.setState(statePartOfNetwork)
	}
	n.info(context.Background(), "Node has now joined the network as node "+string(n.id.node))
	return nil
}

// usePeerCertificate shows a certificate of the service to peers.
func (n *Node) usePeerCertificate(pem string) error {
	cert, err := identity.ParseCertPEM([]byte(pem))
	if err != nil {
		return fmt.Errorf("endorsed certificate: %w", err)
	}
	n.peerCert.Store(n.served(cert.Raw).tls)
	return nil
}

// readServiceCertificate takes the service's certificate that a joining node
// was given.
func (n *Node) readServiceCertificate() error {
	name := n.cfg.Command.ServiceCertificateFile
	text, err := os.ReadFile(name)
	if err != nil {
		return &Error{ExitValidation, fmt.Errorf("command.service_certificate_file: %w", err)}
	}
	n.service = &serviceState{}
	if err := n.service.set(string(text)); err != nil {
		return &Error{ExitValidation, fmt.Errorf("%s: %w", name, err)}
	}
	return nil
}
