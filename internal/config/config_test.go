package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const smallest = `{
  "network": {
    "node_to_node_interface": {"bind_address": "127.0.0.1:0"},
    "rpc_interfaces": {"main": {"bind_address": "127.0.0.1:8000"}}
  },
  "command": {"type": "Start", "start": {"constitution_files": ["c.js"], "members": [{"certificate_file": "m.pem"}]}}
}`

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseSmallestHasDefaults(t *testing.T) {
	got := mustParse(t, smallest)
	want := Default()
	want.Text = []byte(smallest)
	want.Network.NodeToNode.BindAddress = "127.0.0.1:0"
	i := DefaultInterface()
	i.BindAddress, i.AcceptAll = "127.0.0.1:8000", true
	i.Raw = []byte(`{"bind_address": "127.0.0.1:8000"}`)
	want.Network.RPCInterfaces["main"] = i
	want.Command.Type = CommandStart
	want.Command.Start.ConstitutionFiles = []string{"c.js"}
	want.Command.Start.Members = []MemberFiles{{CertificateFile: "m.pem"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestLoadRendered(t *testing.T) {
	c, err := Load("testdata/rendered_start.json", 0)
	if err != nil {
		t.Fatal(err)
	}
	i := c.Network.RPCInterfaces["primary_rpc_interface"]
	if c.Network.NodeToNode.PublishedAddress != "" || c.Attestation.UVMEndorsementsFile != "" || c.NodeDataFile != "" {
		t.Error("an empty string is not absent")
	}
	if i.AcceptAll || len(i.AcceptedEndpoints) != 2 || i.Redirections.ToPrimary.Address != "primary.example.com" || i.Redirections.ToBackup.Role != "backup" {
		t.Errorf("interface: %+v", i)
	}
	if i.HTTP.BodySizeMax != 1<<20 || c.Ledger.ChunkSize != 20<<10 || c.LedgerSignatures.Delay != 100*time.Millisecond {
		t.Errorf("units: %+v %+v %+v", i.HTTP, c.Ledger, c.LedgerSignatures)
	}
	if c.IdleConnectionTimeout != DefaultIdleConnectionTimeout || c.Consensus.UncommittedTxMax != 0 {
		t.Errorf("idle %v, uncommitted %d", c.IdleConnectionTimeout, c.Consensus.UncommittedTxMax)
	}
	join, err := Load("testdata/rendered_join.json", 0)
	if err != nil {
		t.Fatal(err)
	}
	if join.Command.Join.TargetRPCAddress != "127.10.2.3:8000" || join.IdleConnectionTimeout != 5*time.Second {
		t.Errorf("join: %+v", join.Command.Join)
	}
}

func TestLoadFull(t *testing.T) {
	c, err := Load("testdata/full.json", 0)
	if err != nil {
		t.Fatal(err)
	}
	i := c.Network.RPCInterfaces["primary_rpc_interface"]
	if got, want := i.HTTP, (HTTP{1 << 20, 16 << 10, 256, 50, 128 << 10, 32 << 10}); got != want {
		t.Errorf("http %+v, want %+v", got, want)
	}
	if !strings.Contains(string(i.Raw), `"x-tolerated": 1`) {
		t.Errorf("raw lost a key: %s", i.Raw)
	}
	if c.IdleConnectionTimeout != 0 {
		t.Error("null idle timeout is not 'never'")
	}
	if c.FilesCleanup != (FilesCleanup{SnapshotsMax: 3, Interval: time.Hour}) {
		t.Errorf("files_cleanup %+v", c.FilesCleanup)
	}
	want := []EndorsementsServer{{Type: "AMD", URL: "kdsintf.amd.com", RetriesMax: 4}}
	if d := cmp.Diff(want, c.Attestation.EndorsementsServers); d != "" {
		t.Error(d)
	}
	if c.Command.Start.ServiceConfiguration.RecentProposalsWindow != 7 || c.Logging.Format != LogJSON || !c.IgnoreFirstSIGTERM {
		t.Errorf("%+v", c)
	}
}

func TestParseFaults(t *testing.T) {
	replace := func(old, with string) string {
		if !strings.Contains(smallest, old) {
			panic("no " + old)
		}
		return strings.Replace(smallest, old, with, 1)
	}
	top := func(more string) string { return replace(`"command":`, more+`, "command":`) }
	iface := func(more string) string {
		return replace(`"bind_address": "127.0.0.1:8000"`, `"bind_address": "127.0.0.1:8000", `+more)
	}
	for name, tc := range map[string]struct{ text, want string }{
		"no snapshot kept":     {top(`"files_cleanup": {"max_snapshots": 0}`), "$.files_cleanup.max_snapshots is 0, want at least 1"},
		"endless cleanup":      {top(`"files_cleanup": {"interval": "0s"}`), "$.files_cleanup.interval is zero"},
		"empty file":           {"", "$ at byte 0: unexpected end of JSON input"},
		"trailing data":        {smallest + "{}", "$ at byte 272: invalid character '{' after top-level value"},
		"not an object":        {"[]", "$ is array, want object"},
		"nothing":              {"{}", "$.network is required|$.command is required"},
		"unknown top":          {top(`"x": 1`), "$.x is not a known key"},
		"case variant":         {top(`"Ledger": {}`), "$.Ledger is not a known key"},
		"case of known":        {top(`"ledger": {}, "LEDGER": {}`), "$.LEDGER is not a known key; keys are case-sensitive: ledger"},
		"duplicate":            {top(`"ledger": {}, "ledger": {}`), "$.ledger appears twice"},
		"deep duplicate":       {top(`"jwt": {"key_refresh_interval": "1s", "key_refresh_interval": "1s"}`), "$.jwt.key_refresh_interval appears twice"},
		"escaped duplicate":    {top(`"jwt": {}, "\u006awt": {}`), "$.jwt appears twice"},
		"tolerated":            {iface(`"x": 1`), ""},
		"tolerated case":       {iface(`"Protocol": "udp"`), "$.network.rpc_interfaces.main.Protocol is not a known key; keys are case-sensitive: protocol"},
		"command tolerates":    {replace(`"type": "Start"`, `"type": "Start", "x": 1, "join": 7`), ""},
		"command case":         {replace(`"type": "Start"`, `"type": "Start", "Join": {}`), "$.command.Join is not a known key; keys are case-sensitive: join"},
		"command type":         {replace(`"Start"`, `"start"`), `$.command.type is "start", want one of Start, Join, Recover`},
		"fraction":             {top(`"consensus": {"election_timeout": "1.5s"}`), `$.consensus.election_timeout is "1.5s", want a whole number and a unit (us, ms, s, min, h)`},
		"unknown unit":         {top(`"ledger": {"chunk_size": "5MiB"}`), `$.ledger.chunk_size is "5MiB": unit MiB is invalid, allowed: B, KB, MB, GB, TB, PB`},
		"empty unit string":    {top(`"ledger": {"chunk_size": ""}`), `$.ledger.chunk_size is empty, want digits and a unit (B, KB, MB, GB, TB, PB)`},
		"overflow":             {top(`"ledger": {"chunk_size": "9000PB"}`), `$.ledger.chunk_size is "9000PB": too large`},
		"chunk size zero":      {top(`"ledger": {"chunk_size": "0"}`), `$.ledger.chunk_size is 0 bytes, want 1 to 4294967295`},
		"null where no null":   {top(`"ledger": null`), `$.ledger is null, want object`},
		"float":                {top(`"worker_threads": 1.0`), `$.worker_threads is 1.0, want a whole number`},
		"negative":             {top(`"worker_threads": -1`), `$.worker_threads is -1, want at least 0`},
		"too many threads":     {top(`"worker_threads": 24`), `$.worker_threads is 24, want at most 23`},
		"string for integer":   {top(`"worker_threads": "1"`), `$.worker_threads is string, want number`},
		"bad port":             {replace("127.0.0.1:8000", "127.0.0.1:65536"), `$.network.rpc_interfaces.main.bind_address is "127.0.0.1:65536": port "65536" is not a number from 0 to 65535`},
		"no interfaces":        {replace(`"main": {"bind_address": "127.0.0.1:8000"}`, ``), "$.network.rpc_interfaces is empty: a node needs an interface for clients"},
		"interface no address": {replace(`{"bind_address": "127.0.0.1:8000"}`, `{}`), "$.network.rpc_interfaces.main.bind_address is required"},
		"endorsement":          {iface(`"endorsement": {}`), "$.network.rpc_interfaces.main.endorsement.authority is required"},
		"caps":                 {iface(`"max_open_sessions_soft": 5, "max_open_sessions_hard": 4`), "$.network.rpc_interfaces.main.max_open_sessions_hard is 4, want at least max_open_sessions_soft (5)"},
		"http on udp":          {iface(`"protocol": "udp"`), `$.network.rpc_interfaces.main.app_protocol is "HTTP1" on udp: QUIC is what udp carries, and only udp`},
		"quic on tcp":          {iface(`"app_protocol": "QUIC"`), `$.network.rpc_interfaces.main.app_protocol is "QUIC" on tcp: QUIC is what udp carries, and only udp`},
		"expression":           {iface(`"accepted_endpoints": ["("]`), "$.network.rpc_interfaces.main.accepted_endpoints[0] is not a regular expression: error parsing regexp: missing closing ): `\\A(?:()\\z`"},
		"static redirection":   {iface(`"redirections": {"to_primary": {"kind": "StaticAddress"}}`), "$.network.rpc_interfaces.main.redirections.to_primary.target is required"},
		"redirection target":   {iface(`"redirections": {"to_primary": {"kind": "NodeByRole", "target": {"role": "primary", "interface": "x"}}}`), "$.network.rpc_interfaces.main.redirections.to_primary.target.interface is not a known key"},
		"member key":           {replace(`{"certificate_file": "m.pem"}`, `{"certificate": "m.pem"}`), "$.command.start.members[0].certificate_file is required|$.command.start.members[0].certificate is not a known key"},
		"member not object":    {replace(`{"certificate_file": "m.pem"}`, `1`), "$.command.start.members[0] is number, want object"},
		"recovery threshold":   {replace(`"members"`, `"service_configuration": {}, "members"`), "$.command.start.service_configuration.recovery_threshold is required"},
		"cose tolerates":       {replace(`"members"`, `"cose_signatures": {"x": 1}, "members"`), ""},
		"alt name":             {top(`"node_certificate": {"subject_alt_names": ["localhost"]}`), `$.node_certificate.subject_alt_names[0] is "localhost", want iPAddress:… or dNSName:…`},
		"deep":                 {strings.Repeat("[", 100000) + strings.Repeat("]", 100000), "exceeded max depth"},
		"nested":               {strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested deeper than 64"},
		"not UTF-8":            {"\"\xff\"", "$ is not UTF-8"},
		"many": {
			top(`"ledger": {"chunk_size": 5, "x": 0}, "consensus": {"message_timeout": "-1s"}, "jwt": []`),
			"$.ledger.chunk_size is number, want string|$.ledger.x is not a known key|$.consensus.message_timeout is|$.jwt is array, want object",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(tc.text))
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			faulty, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got %v, want *Error", err)
			}
			wants := strings.Split(tc.want, "|")
			if len(faulty.Faults) != len(wants) {
				t.Errorf("%d faults, want %d", len(faulty.Faults), len(wants))
			}
			for _, want := range wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestLoadWaitsForTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "late.json")
	if _, err := Load(path, 0); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("missing file: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := Load(path, time.Minute)
		done <- err
	}()
	if err := os.WriteFile(path, []byte(smallest[:20]), 0o600); err != nil {
		t.Fatal(err)
	}
	whole := path + ".whole"
	if err := os.WriteFile(whole, []byte(smallest), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(whole, path); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, time.Minute); err == nil || !strings.Contains(err.Error(), path+": 2 faults") {
		t.Fatalf("a wrong file is final: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"rendered_start.json", "rendered_join.json", "full.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(smallest))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err == nil {
			if err := c.Validate(); err != nil {
				t.Fatalf("parsed but not valid: %v", err)
			}
			return
		}
		if faulty, ok := errors.AsType[*Error](err); !ok || len(faulty.Faults) == 0 {
			t.Fatalf("not an *Error with faults: %v", err)
		}
	})
}
