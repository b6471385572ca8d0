package arm

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"
)

// networkOutput is a network as clients see it. Azure's api-versions answer all
// with one model; OwnVersion adds what they do not have.
type networkOutput struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	SystemData systemData        `json:"systemData"`
	ETag       string            `json:"etag,omitempty"` // of OwnVersion
	Properties propertiesOutput  `json:"properties"`
}

type systemData struct {
	CreatedBy          string `json:"createdBy"`
	CreatedByType      string `json:"createdByType"`
	CreatedAt          string `json:"createdAt"`
	LastModifiedBy     string `json:"lastModifiedBy"`
	LastModifiedByType string `json:"lastModifiedByType"`
	LastModifiedAt     string `json:"lastModifiedAt"`
}

type propertiesOutput struct {
	AppName            string         `json:"appName"`
	AppURI             string         `json:"appUri,omitempty"`
	IdentityServiceURI string         `json:"identityServiceUri,omitempty"`
	DeploymentType     deploymentType `json:"deploymentType"`
	Members            []memberOutput `json:"memberIdentityCertificates"`
	NodeCount          int            `json:"nodeCount"`
	RunningState       string         `json:"runningState"`
	ProvisioningState  string         `json:"provisioningState"`
	*ownOutput
}

type deploymentType struct {
	LanguageRuntime string `json:"languageRuntime"`
	AppSourceURI    string `json:"appSourceUri"`
}

type memberOutput struct {
	Certificate   string          `json:"certificate"`
	EncryptionKey string          `json:"encryptionkey"`
	Tags          json.RawMessage `json:"tags,omitempty"`
}

// ownOutput is what only OwnVersion shows.
type ownOutput struct {
	Zones              []string      `json:"zones"`
	Constitution       string        `json:"constitution,omitempty"`
	ConstitutionDigest string        `json:"constitutionDigest,omitempty"`
	Release            string        `json:"release"`
	RunningRelease     string        `json:"runningRelease,omitempty"`
	UpgradeStrategy    string        `json:"upgradeStrategy"`
	Backup             backupOutput  `json:"backupPolicy"`
	DeleteProtection   bool          `json:"deleteProtection"`
	CertificateDays    int           `json:"certificateDays"`
	ServiceCertificate string        `json:"serviceCertificate,omitempty"`
	PreviousIdentities []Identity    `json:"previousIdentities,omitempty"`
	Nodes              []NodeStatus  `json:"nodes"`
	Conditions         []Condition   `json:"conditions"`
	LastBackup         *BackupRecord `json:"lastBackup,omitempty"`
	Revision           int64         `json:"revision"`
	ObservedRevision   int64         `json:"observedRevision"`
}

type backupOutput struct {
	Target     string `json:"target"` // without what it may hold of secrets
	Every      string `json:"every"`
	Keep       int    `json:"keep"`
	Continuous bool   `json:"continuous"`
}

// redact takes out of an address what may be secret: user, password and query.
func redact(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if u.User != nil {
		u.User = url.User("redacted")
	}
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	u.Fragment = ""
	return u.String()
}

func armTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// output shows n to a caller of an api-version.
func (s *Server) output(n Network, own bool) networkOutput {
	d, status := n.Desired, n.Status
	out := networkOutput{
		ID: n.ID.ResourceID(), Name: n.ID.Name, Type: providerName + "/ManagedCCFs", Location: n.Location, Tags: n.Tags,
		SystemData: systemData{
			CreatedBy: n.CreatedBy, CreatedByType: kindOf(n.CreatedBy), CreatedAt: armTime(n.CreatedAt),
			LastModifiedBy: n.ModifiedBy, LastModifiedByType: kindOf(n.ModifiedBy), LastModifiedAt: armTime(n.ModifiedAt),
		},
		Properties: propertiesOutput{
			AppName: n.ID.Name, AppURI: status.AppURI, IdentityServiceURI: status.IdentityServiceURI,
			DeploymentType: deploymentType{d.LanguageRuntime, d.AppSourceURI},
			NodeCount:      d.NodeCount, RunningState: status.RunningState, ProvisioningState: status.ProvisioningState,
		},
	}
	p := &out.Properties
	if p.IdentityServiceURI == "" && status.ServiceCertificate != "" {
		p.IdentityServiceURI = s.PublicURL + "/ledgerIdentity/" + n.ID.Name
	}
	if p.RunningState == "" {
		p.RunningState = RunningUnknown
	}
	p.Members = []memberOutput{}
	for _, m := range d.Members {
		p.Members = append(p.Members, memberOutput(m))
	}
	if own {
		out.ETag = n.ETag
		p.ownOutput = ownProperties(n)
	}
	return out
}

func ownProperties(n Network) *ownOutput {
	d, status := n.Desired, n.Status
	o := &ownOutput{
		Zones: d.Zones, Constitution: d.Constitution, ConstitutionDigest: status.ConstitutionDigest,
		Release: d.Release, RunningRelease: status.Release, UpgradeStrategy: d.UpgradeStrategy,
		Backup:           backupOutput{Target: redact(d.Backup.Target), Keep: d.Backup.Keep, Continuous: d.Backup.Continuous},
		DeleteProtection: d.DeleteProtection, CertificateDays: d.CertificateDays,
		ServiceCertificate: status.ServiceCertificate, PreviousIdentities: status.PreviousIdentities,
		Nodes: status.Nodes, Conditions: status.Conditions, LastBackup: status.LastBackup,
		Revision: n.Revision, ObservedRevision: status.ObservedRevision,
	}
	if d.Backup.Every != 0 {
		o.Backup.Every = d.Backup.Every.String()
	}
	if o.Zones == nil {
		o.Zones = []string{}
	}
	if o.Nodes == nil {
		o.Nodes = []NodeStatus{}
	}
	if o.Conditions == nil {
		o.Conditions = []Condition{}
	}
	if o.LastBackup != nil {
		shown := *o.LastBackup
		shown.Target = redact(shown.Target)
		o.LastBackup = &shown
	}
	return o
}

// kindOf is what ARM calls a principal's kind, of its name alone.
func kindOf(principal string) string {
	if strings.HasPrefix(principal, "cert:") {
		return "Application"
	}
	return "User"
}
