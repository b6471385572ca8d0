package arm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"synod/internal/identity"
)

// Limits of what a network may be asked to be.
const (
	// membersMax bounds the members that a network is created with.
	membersMax = 100
	// pemMax bounds one certificate or key, in bytes.
	pemMax = 64 << 10
	// memberTagsMax bounds the data of one member, in bytes.
	memberTagsMax = 16 << 10
	// constitutionMax bounds a constitution's text, in bytes.
	constitutionMax = 512 << 10
	// zonesMax bounds the labels that nodes are spread over.
	zonesMax = 9
	// tagsMax, tagNameMax and tagValueMax bound tags as ARM does.
	tagsMax     = 50
	tagNameMax  = 512
	tagValueMax = 256
	// DefaultNodeCount is how many nodes a network has unless it says otherwise.
	DefaultNodeCount = 3
	// DefaultCertificateDays is the validity of a network's certificates.
	DefaultCertificateDays = 90
	// certificateDaysMax is the longest validity that a constitution takes by default.
	certificateDaysMax = 365
	// backupEveryMin is the shortest time between scheduled backups.
	backupEveryMin = time.Minute
	// recoveryKeyBitsMin is the shortest RSA key that a recovery share is encrypted to.
	recoveryKeyBitsMin = 2048
)

var (
	networkName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]$`)
	groupName   = regexp.MustCompile(`^[A-Za-z0-9_.()-]{0,89}[A-Za-z0-9_()-]$`)
	subscriptID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)
	label       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	locationOK  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// networkInput is the body of a PUT or PATCH. Absent and null are the same.
type networkInput struct {
	Location   *string            `json:"location"`
	Tags       map[string]*string `json:"tags"`
	Properties propertiesInput    `json:"properties"`
}

type propertiesInput struct {
	DeploymentType *struct {
		LanguageRuntime *string `json:"languageRuntime"`
		AppSourceURI    *string `json:"appSourceUri"`
	} `json:"deploymentType"`
	Members         *[]memberInput `json:"memberIdentityCertificates"`
	NodeCount       *int           `json:"nodeCount"`
	RunningState    *string        `json:"runningState"`
	EnclavePlatform *string        `json:"enclavePlatform"`
	ownInput
}

// ownInput is what only OwnVersion takes.
type ownInput struct {
	Zones            *[]string    `json:"zones"`
	Constitution     *string      `json:"constitution"`
	Release          *string      `json:"release"`
	UpgradeStrategy  *string      `json:"upgradeStrategy"`
	Backup           *backupInput `json:"backupPolicy"`
	DeleteProtection *bool        `json:"deleteProtection"`
	CertificateDays  *int         `json:"certificateDays"`
}

type memberInput struct {
	Certificate   string          `json:"certificate"`
	EncryptionKey *string         `json:"encryptionkey"`
	Tags          json.RawMessage `json:"tags"`
}

type backupInput struct {
	Target     *string `json:"target"`
	Every      *string `json:"every"` // as Go writes durations: 24h
	Keep       *int    `json:"keep"`
	Continuous *bool   `json:"continuous"`
}

// newDesired is what a network is unless its creator says otherwise.
func newDesired() Desired {
	return Desired{
		NodeCount: DefaultNodeCount, LanguageRuntime: "JS", AppSourceURI: AppCustom, RunningState: RunningActive,
		UpgradeStrategy: Supervised, CertificateDays: DefaultCertificateDays,
	}
}

// apply changes d to what in says and collects what is wrong with it. What in
// does not say stays, if the network exists. Members and constitution are the
// creator's to say: they are governed by the network's members once it has come to life.
func (s *Server) apply(d *Desired, in propertiesInput, own, exists, governed bool, f *faults) {
	if t := in.DeploymentType; t != nil {
		if t.LanguageRuntime != nil && !strings.EqualFold(*t.LanguageRuntime, "JS") {
			f.add("properties.deploymentType.languageRuntime", "Networks run JavaScript applications: the language runtime must be JS.")
		}
		if t.AppSourceURI != nil {
			d.AppSourceURI = appSource(*t.AppSourceURI)
		}
	}
	if in.NodeCount != nil {
		d.NodeCount = *in.NodeCount
		if d.NodeCount < 1 || d.NodeCount > 9 || d.NodeCount%2 == 0 {
			f.add("properties.nodeCount", "The node count must be 1 (which survives no loss), 3, 5, 7 or 9.")
		}
	}
	if in.RunningState != nil {
		setWord(&d.RunningState, *in.RunningState, "properties.runningState", f, RunningActive, RunningPaused)
	}
	if in.EnclavePlatform != nil { // nodes run on what the machine is: the word is taken, and has no effect
		var platform string
		setWord(&platform, *in.EnclavePlatform, "properties.enclavePlatform", f, "IntelSgx", "AmdSevSnp")
	}
	if in.Members != nil {
		applyMembers(d, *in.Members, governed, f)
	} else if !exists {
		f.add("properties.memberIdentityCertificates", "A network needs at least one member: the PEM certificate of each.")
	}
	if own {
		s.applyOwn(d, in.ownInput, governed, f)
	}
}

func appSource(sent string) string {
	for _, known := range []string{AppCustom, AppSample} {
		if strings.EqualFold(sent, known) {
			return known
		}
	}
	return AppCustom // SDK samples send an empty or a dummy one: members deploy an application
}

func setWord(to *string, sent, target string, f *faults, known ...string) {
	if i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, sent) }); i >= 0 {
		*to = known[i]
		return
	}
	f.add(target, "The value must be %s.", strings.Join(known, " or "))
}

func (s *Server) applyOwn(d *Desired, in ownInput, governed bool, f *faults) {
	if in.Zones != nil {
		d.Zones = *in.Zones
		if len(d.Zones) > zonesMax || slices.ContainsFunc(d.Zones, func(z string) bool { return !label.MatchString(z) }) {
			f.add("properties.zones", "Zones are at most %d labels of letters, digits, dots and hyphens.", zonesMax)
		}
		if sorted := slices.Sorted(slices.Values(d.Zones)); len(slices.Compact(sorted)) != len(d.Zones) {
			f.add("properties.zones", "A zone is named twice.")
		}
	}
	if in.Constitution != nil && *in.Constitution != d.Constitution {
		d.Constitution = *in.Constitution
		if governed {
			*f = append(*f, Error{
				Code: CodeMembersAreGoverned, Target: "properties.constitution",
				Message: "A network's constitution is changed by its members: propose set_constitution (synod proposal create).",
			})
		}
		if len(d.Constitution) > constitutionMax {
			f.add("properties.constitution", "A constitution has at most %d bytes.", constitutionMax)
		}
	}
	if in.Release != nil && *in.Release != d.Release {
		d.Release = *in.Release
		switch {
		case d.Release != "" && !label.MatchString(d.Release):
			f.add("properties.release", "A release is a label of letters, digits, dots and hyphens.")
		case d.Release != "" && s.CheckRelease != nil:
			if err := s.CheckRelease(d.Release); err != nil {
				f.add("properties.release", "%s", sentence(err))
			}
		}
	}
	if in.UpgradeStrategy != nil {
		setWord(&d.UpgradeStrategy, *in.UpgradeStrategy, "properties.upgradeStrategy", f, Supervised, Unsupervised)
	}
	if in.DeleteProtection != nil {
		d.DeleteProtection = *in.DeleteProtection
	}
	if in.CertificateDays != nil {
		d.CertificateDays = *in.CertificateDays
		if d.CertificateDays < 1 || d.CertificateDays > certificateDaysMax {
			f.add("properties.certificateDays", "Certificates are valid for 1 to %d days.", certificateDaysMax)
		}
	}
	if in.Backup != nil {
		s.applyBackup(&d.Backup, *in.Backup, f)
	}
}

func (s *Server) applyBackup(p *BackupPolicy, in backupInput, f *faults) {
	if in.Target != nil && *in.Target != redact(p.Target) { // what was read may be sent back
		p.Target = *in.Target
		s.checkTarget(p.Target, "properties.backupPolicy.target", f)
	}
	if in.Every != nil {
		every, err := time.ParseDuration(*in.Every)
		if *in.Every == "" {
			every, err = 0, nil
		}
		if err != nil || every != 0 && every < backupEveryMin {
			f.add("properties.backupPolicy.every", "The time between backups is a duration such as 24h, at least %s, or empty for none.", backupEveryMin)
		}
		p.Every = every
	}
	if in.Keep != nil {
		p.Keep = *in.Keep
		if p.Keep < 0 {
			f.add("properties.backupPolicy.keep", "The number of backups to keep is not negative.")
		}
	}
	if in.Continuous != nil {
		p.Continuous = *in.Continuous
	}
}

// checkTarget adds a fault if a backup store's address cannot be used.
func (s *Server) checkTarget(address, target string, f *faults) {
	if len(address) > 8<<10 {
		f.add(target, "The address is too long.")
		return
	}
	if s.CheckTarget != nil {
		if err := s.CheckTarget(address); err != nil {
			f.add(target, "%s", sentence(err))
		}
	}
}

// sentence makes an error's text one that a person is told.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func applyMembers(d *Desired, in []memberInput, governed bool, f *faults) {
	const target = "properties.memberIdentityCertificates"
	if len(in) == 0 && !governed || len(in) > membersMax {
		f.add(target, "A network is created with 1 to %d members.", membersMax)
		return
	}
	var members []Member
	seen := map[string]int{}
	for i, m := range in {
		at := fmt.Sprintf("%s[%d]", target, i)
		checked := checkMember(m, at, f)
		if first, ok := seen[checked.Certificate]; ok && checked.Certificate != "" {
			f.add(at+".certificate", "It is the certificate of member %d as well: a member's identity is its certificate.", first)
		}
		seen[checked.Certificate] = i
		members = append(members, checked)
	}
	if !governed {
		d.Members = members
		return
	}
	if !slices.EqualFunc(members, d.Members, func(a, b Member) bool {
		return a.Certificate == b.Certificate && a.EncryptionKey == b.EncryptionKey
	}) {
		*f = append(*f, Error{
			Code: CodeMembersAreGoverned, Target: target,
			Message: "A network's members are changed by its members: propose set_member or remove_member (synod proposal create). Leave the property out, or send it as it was at creation.",
		})
	}
}

func checkMember(m memberInput, at string, f *faults) Member {
	var checked Member
	if block := readPEM(m.Certificate, "CERTIFICATE", at+".certificate", f); block != nil {
		cert, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			f.add(at+".certificate", "It is not an X.509 certificate.")
		case !memberCurve(cert):
			f.add(at+".certificate", "The key of a member's certificate must be of the curve P-256, P-384 or P-521.")
		default:
			checked.Certificate = identity.CertPEM(cert.Raw)
		}
	}
	if m.EncryptionKey != nil && strings.TrimSpace(*m.EncryptionKey) != "" {
		if block := readPEM(*m.EncryptionKey, "PUBLIC KEY", at+".encryptionkey", f); block != nil {
			key, err := x509.ParsePKIXPublicKey(block.Bytes)
			if pub, ok := key.(*rsa.PublicKey); err != nil || !ok || pub.N.BitLen() < recoveryKeyBitsMin {
				f.add(at+".encryptionkey", "A recovery member's encryption key must be an RSA public key of at least %d bits.", recoveryKeyBitsMin)
			} else {
				checked.EncryptionKey = string(pem.EncodeToMemory(block))
			}
		}
	}
	if len(m.Tags) > memberTagsMax {
		f.add(at+".tags", "A member's data has at most %d bytes.", memberTagsMax)
	} else if len(m.Tags) > 0 && string(m.Tags) != "null" {
		var b bytes.Buffer
		if err := json.Compact(&b, m.Tags); err == nil {
			checked.Tags = b.Bytes()
		}
	}
	return checked
}

func memberCurve(cert *x509.Certificate) bool {
	pub, ok := cert.PublicKey.(*ecdsa.PublicKey)
	return ok && (pub.Curve == elliptic.P256() || pub.Curve == elliptic.P384() || pub.Curve == elliptic.P521())
}

var pemForm = regexp.MustCompile(`^-----BEGIN ([A-Z ]+)-----([A-Za-z0-9+/=\s]*)-----END ([A-Z ]+)-----$`)

// readPEM reads one block, also one whose lines were joined into one, as
// Azure's examples have it.
func readPEM(text, kind, target string, f *faults) *pem.Block {
	text = strings.TrimSpace(strings.ReplaceAll(strings.TrimRight(text, "\x00\n\r "), `\n`, "\n"))
	m := pemForm.FindStringSubmatch(text)
	switch {
	case len(text) > pemMax:
		f.add(target, "It has more than %d bytes.", pemMax)
	case strings.Contains(text, "PRIVATE KEY"):
		f.add(target, "It holds a private key. Make a new one: this one has left its owner. Only the certificate or the public key is sent.")
	case m == nil || m[1] != m[3]:
		f.add(target, "It must be one PEM block: -----BEGIN %s-----.", kind)
	case m[1] != kind:
		f.add(target, "It must be a PEM block of %s, not of %s.", kind, m[1])
	default:
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(m[2]), ""))
		if err == nil {
			return &pem.Block{Type: kind, Bytes: der}
		}
		f.add(target, "The base64 of its PEM block is broken.")
	}
	return nil
}

// applyTags returns tags changed by a merge patch: null takes one out.
func applyTags(tags map[string]string, patch map[string]*string, f *faults) map[string]string {
	changed := maps.Clone(tags)
	for name, value := range patch {
		if value == nil {
			delete(changed, name)
			continue
		}
		if changed == nil {
			changed = map[string]string{}
		}
		changed[name] = *value
		if name == "" || len(name) > tagNameMax || len(*value) > tagValueMax || strings.ContainsAny(name, `<>%&\?/`) {
			f.add("tags", "A tag's name has 1 to %d characters without <>%%&\\?/, its value at most %d.", tagNameMax, tagValueMax)
		}
	}
	if len(changed) > tagsMax {
		f.add("tags", "A resource has at most %d tags.", tagsMax)
	}
	return changed
}

// normalLocation is a location as ARM compares it: "South Central US" and
// southcentralus are one.
func normalLocation(l string) string { return strings.ToLower(strings.ReplaceAll(l, " ", "")) }

func (s *Server) checkLocation(l, target string) error {
	if !locationOK.MatchString(l) {
		return errorf(http.StatusBadRequest, CodeInvalidContent, target, "A location is a label of letters, digits and hyphens.")
	}
	if len(s.Locations) > 0 && !slices.ContainsFunc(s.Locations, func(k string) bool { return normalLocation(k) == l }) {
		return errorf(http.StatusBadRequest, CodeInvalidContent, target, "This server has no location %q; it has %s.", l, strings.Join(s.Locations, ", "))
	}
	return nil
}

// checkID says what is wrong with the names of a path.
func checkID(id NetworkID) error {
	switch {
	case !subscriptID.MatchString(id.Subscription):
		return errorf(http.StatusBadRequest, CodeInvalidName, "subscriptionId", "A subscription's id has letters, digits and hyphens, at most 64.")
	case id.Group != "" && !groupName.MatchString(id.Group):
		return errorf(http.StatusBadRequest, CodeInvalidName, "resourceGroupName", "A resource group's name has letters, digits, and _.()- , at most 90, and does not end with a dot.")
	case id.Name != "" && !networkName.MatchString(id.Name):
		return errorf(http.StatusBadRequest, CodeInvalidName, "appName", "A network's name has 3 to 32 letters, digits and hyphens, begins with a letter and does not end with a hyphen.")
	default:
		return nil
	}
}
