package config

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Member is what the files of one initial member hold.
type Member struct {
	Certificate   []byte          // PEM
	EncryptionKey []byte          // PEM of an RSA public key, nil if there is none
	Data          json.RawMessage // nil if there is none
	// RecoveryRole is Participant, Owner or NonParticipant; "" without an
	// encryption key or if the file does not say.
	RecoveryRole string
}

// ReadMembers reads the files of the initial members.
func (s *Start) ReadMembers() ([]Member, error) {
	members := make([]Member, 0, len(s.Members))
	for i, files := range s.Members {
		var m Member
		var err error
		if m.Certificate, err = readFile(files.CertificateFile); err != nil {
			return nil, fmt.Errorf("read certificate of member %d: %w", i, err)
		}
		if files.EncryptionKeyFile != "" {
			if m.EncryptionKey, err = readFile(files.EncryptionKeyFile); err != nil {
				return nil, fmt.Errorf("read encryption key of member %d: %w", i, err)
			}
			m.RecoveryRole = files.RecoveryRole
		}
		if m.Data, err = readJSON(files.DataFile); err != nil {
			return nil, fmt.Errorf("read data of member %d: %w", i, err)
		}
		members = append(members, m)
	}
	return members, nil
}

// ReadConstitution joins the constitution files with one newline between two.
func (s *Start) ReadConstitution() (string, error) {
	var b strings.Builder
	for _, path := range s.ConstitutionFiles {
		text, err := readFile(path)
		if err != nil {
			return "", fmt.Errorf("read constitution: %w", err)
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.Write(text)
	}
	return b.String(), nil
}

// RecoveryThreshold returns the number of shares that recovery needs: what the
// file says, or if that is 0 the number of participants, or 1 if only owners
// hold keys. More than that is an error (CCF: src/host/run.cpp).
func (s *Start) RecoveryThreshold() (int, error) {
	var participants, owners int64
	for _, m := range s.Members {
		switch {
		case m.EncryptionKeyFile == "":
		case m.RecoveryRole == RoleOwner:
			owners++
		case m.RecoveryRole != RoleNonParticipant:
			participants++
		}
	}
	most := participants
	if participants == 0 && owners > 0 {
		most = 1
	}
	want := s.ServiceConfiguration.RecoveryThreshold
	if want == 0 {
		return int(most), nil
	}
	if want > most {
		return 0, fmt.Errorf("recovery threshold (%d) cannot be greater than %d: %d initial members are recovery participants, %d owners",
			want, most, participants, owners)
	}
	return int(want), nil
}

// ReadNodeData returns the JSON of NodeDataFile, nil if there is none.
func (c *Config) ReadNodeData() (json.RawMessage, error) {
	data, err := readJSON(c.NodeDataFile)
	if err != nil {
		return nil, fmt.Errorf("read node data: %w", err)
	}
	return data, nil
}

// ReadServiceData returns the JSON of ServiceDataFile, nil if there is none.
func (c *Config) ReadServiceData() (json.RawMessage, error) {
	data, err := readJSON(c.ServiceDataFile)
	if err != nil {
		return nil, fmt.Errorf("read service data: %w", err)
	}
	return data, nil
}

// ReadPreviousIdentity returns the PEM of the service to recover.
func (r *Recover) ReadPreviousIdentity() ([]byte, error) {
	pem, err := readFile(r.PreviousServiceIdentityFile)
	if err != nil {
		return nil, fmt.Errorf("recovery requires a previous service identity certificate: %w", err)
	}
	return pem, nil
}

func readJSON(path string) (json.RawMessage, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if _, faults, err := decode(text); err != nil {
		return nil, err
	} else if len(faults) > 0 {
		return nil, &Error{File: path, Faults: faults}
	}
	return text, nil
}
