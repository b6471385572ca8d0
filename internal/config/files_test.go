package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadStartFiles(t *testing.T) {
	dir := t.TempDir()
	s := Start{
		ConstitutionFiles: []string{write(t, dir, "a.js", "a"), write(t, dir, "b.js", "b\n"), write(t, dir, "c.js", "c")},
		Members: []MemberFiles{
			{CertificateFile: write(t, dir, "m.pem", "cert"), EncryptionKeyFile: write(t, dir, "k.pem", "key"), RecoveryRole: RoleOwner},
			{CertificateFile: write(t, dir, "n.pem", "cert2"), DataFile: write(t, dir, "d.json", ` {"a":1}`), RecoveryRole: RoleOwner},
		},
	}
	text, err := s.ReadConstitution()
	if err != nil || text != "a\nb\n\nc" {
		t.Errorf("constitution %q, %v", text, err)
	}
	members, err := s.ReadMembers()
	if err != nil {
		t.Fatal(err)
	}
	if m := members[0]; string(m.Certificate) != "cert" || string(m.EncryptionKey) != "key" || m.Data != nil || m.RecoveryRole != RoleOwner {
		t.Errorf("%+v", m)
	}
	if m := members[1]; m.EncryptionKey != nil || m.RecoveryRole != "" || string(m.Data) != ` {"a":1}` {
		t.Errorf("%+v", m)
	}
	s.Members[1].DataFile = write(t, dir, "bad.json", `{"a":1,"a":2}`)
	if _, err := s.ReadMembers(); err == nil || !strings.Contains(err.Error(), "data of member 1") {
		t.Errorf("bad member data: %v", err)
	}
	s.ConstitutionFiles = append(s.ConstitutionFiles, filepath.Join(dir, "none"))
	if _, err := s.ReadConstitution(); err == nil {
		t.Error("missing constitution file accepted")
	}
}

func TestRecoveryThreshold(t *testing.T) {
	participant := MemberFiles{EncryptionKeyFile: "k"}
	owner := MemberFiles{EncryptionKeyFile: "k", RecoveryRole: RoleOwner}
	none := MemberFiles{EncryptionKeyFile: "k", RecoveryRole: RoleNonParticipant}
	keyless := MemberFiles{}
	for name, tc := range map[string]struct {
		members []MemberFiles
		written int64
		want    int // -1: error
	}{
		"none":             {nil, 0, 0},
		"all participants": {[]MemberFiles{participant, participant, keyless, none}, 0, 2},
		"written":          {[]MemberFiles{participant, participant}, 1, 1},
		"too many":         {[]MemberFiles{participant, owner}, 2, -1},
		"only owners":      {[]MemberFiles{owner, owner}, 0, 1},
		"owners, 1":        {[]MemberFiles{owner}, 1, 1},
		"owners, 2":        {[]MemberFiles{owner, owner}, 2, -1},
		"nobody":           {[]MemberFiles{keyless}, 1, -1},
	} {
		t.Run(name, func(t *testing.T) {
			s := Start{Members: tc.members, ServiceConfiguration: ServiceConfiguration{RecoveryThreshold: tc.written}}
			got, err := s.RecoveryThreshold()
			if err != nil {
				got = -1
			}
			if got != tc.want {
				t.Errorf("got %d (%v), want %d", got, err, tc.want)
			}
		})
	}
}

func TestSplitAddress(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:80":      "127.0.0.1 80",
		"host":              "host 0",
		"invalid:8000":      "invalid 8000",
		"[::1]:9":           "::1 9",
		"[::ffff:7f00:1]:0": "::ffff:7f00:1 0",
		"[::1]":             "::1 0",
		":80":               "",
		"host:x":            "",
		"host:-1":           "",
		"[::1:80":           "",
		"a b:1":             "",
	} {
		host, port, err := SplitAddress(address)
		got := host + " " + port
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%s: got %q, want %q (%v)", address, got, want, err)
		}
	}
}
