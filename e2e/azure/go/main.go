// Command go is a program as users of Azure's SDK for Go have written it: the
// whole life of a managed network, with azcore's own pollers, pagers and retries.
// Where the server is, it learns from its environment; see package azure.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

const version = "2023-06-28-preview"

// token is a credential that has its token already.
type token string

// GetToken implements azcore.TokenCredential.
func (t token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(t), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("passed")
}

type life struct {
	sub, group, name, base string
	nodes                  int
	member, share          string
	groups                 *armresources.ResourceGroupsClient
	providers              *armresources.ProvidersClient
	byID                   *armresources.Client
	generic                *arm.Client
}

func run(ctx context.Context) error {
	l, err := connect()
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"group", l.makeGroup},
		{"registration", l.unregister},
		{"create", l.create},
		{"get", l.get},
		{"list", l.list},
		{"update", l.update},
		{"errors", l.mistakes},
		{"backup", l.backup},
		{"delete", l.remove},
		{"restore", l.restore},
		{"delete of the group", l.removeGroup},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("%s: %d ms\n", step.name, time.Since(began).Milliseconds())
	}
	return nil
}

func connect() (*life, error) {
	l := &life{sub: os.Getenv("SYNOD_SUBSCRIPTION"), group: "go-" + os.Getenv("SYNOD_NETWORK"), name: os.Getenv("SYNOD_NETWORK")}
	l.base = "/subscriptions/" + l.sub + "/resourceGroups/" + l.group + "/providers/Microsoft.ConfidentialLedger/managedCCFs"
	var err error
	l.share = os.Getenv("SYNOD_SHARE")
	if l.nodes, err = strconv.Atoi(os.Getenv("SYNOD_NODES")); err != nil {
		return nil, err
	}
	member, err := os.ReadFile(os.Getenv("SYNOD_MEMBER"))
	if err != nil {
		return nil, err
	}
	l.member = string(member)
	ca, err := os.ReadFile(os.Getenv("SYNOD_CA"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	address := os.Getenv("SYNOD_URL")
	opts := &arm.ClientOptions{ClientOptions: policy.ClientOptions{
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: "https://login.example/",
			Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: address, Audience: address}},
		},
		Transport: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}},
	}}
	credential := token(os.Getenv("SYNOD_TOKEN"))
	if l.groups, err = armresources.NewResourceGroupsClient(l.sub, credential, opts); err != nil {
		return nil, err
	}
	if l.providers, err = armresources.NewProvidersClient(l.sub, credential, opts); err != nil {
		return nil, err
	}
	if l.byID, err = armresources.NewClient(l.sub, credential, opts); err != nil {
		return nil, err
	}
	l.generic, err = arm.NewClient("synod", "v1.0.0", credential, opts)
	return l, err
}

func (l *life) id(name string) string { return l.base + "/" + name }

// want is an error unless got is what was expected.
func want[T comparable](what string, got, expected T) error {
	if got != expected {
		return fmt.Errorf("%s: %v instead of %v", what, got, expected)
	}
	return nil
}

// wantCode is an error unless err is the service's, with a status and a code.
func wantCode(err error, status int, code string) error {
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		return fmt.Errorf("%v instead of %s", err, code)
	}
	return errors.Join(want("status", answer.StatusCode, status), want("code", answer.ErrorCode, code))
}

func (l *life) makeGroup(ctx context.Context) error {
	before, err := l.groups.CheckExistence(ctx, l.group, nil)
	if err != nil {
		return err
	}
	made, err := l.groups.CreateOrUpdate(ctx, l.group, armresources.ResourceGroup{Location: to.Ptr("southcentralus")}, nil)
	if err != nil {
		return err
	}
	after, err := l.groups.CheckExistence(ctx, l.group, nil)
	return errors.Join(err, want("existed", before.Success, false), want("exists", after.Success, true), want("state", *made.Properties.ProvisioningState, "Succeeded"))
}

// unregister has the first write answered with the 409 at which azcore
// registers the provider by itself and tries again.
func (l *life) unregister(ctx context.Context) error {
	out, err := l.providers.Unregister(ctx, "Microsoft.ConfidentialLedger", nil)
	if err != nil {
		return err
	}
	return want("state", *out.RegistrationState, "Unregistered")
}

func (l *life) resource(nodes int) armresources.GenericResource {
	return armresources.GenericResource{
		Location: to.Ptr("southcentralus"), Tags: map[string]*string{"dept": to.Ptr("finance")},
		Properties: map[string]any{
			"deploymentType": map[string]any{"languageRuntime": "JS", "appSourceUri": ""},
			"memberIdentityCertificates": []any{map[string]any{
				"certificate": l.member, "encryptionkey": "", "tags": map[string]any{"identifier": "member0", "group": "contoso"},
			}},
			"nodeCount": nodes,
		},
	}
}

// create goes on with a poller of another process: its resume token is all that
// is taken over, and the control plane may have been restarted meanwhile.
func (l *life) create(ctx context.Context) error {
	first, err := l.byID.BeginCreateOrUpdateByID(ctx, l.id(l.name), version, l.resource(l.nodes), nil)
	if err != nil {
		return err
	}
	saved, err := first.ResumeToken()
	if err != nil {
		return err
	}
	if restart := os.Getenv("SYNOD_RESTART"); restart != "" {
		r, err := runtime.NewRequest(ctx, http.MethodPost, restart)
		if err != nil {
			return err
		}
		if _, err := l.generic.Pipeline().Do(r); err != nil {
			return err
		}
	}
	second, err := l.byID.BeginCreateOrUpdateByID(ctx, l.id(l.name), version, armresources.GenericResource{}, &armresources.ClientBeginCreateOrUpdateByIDOptions{ResumeToken: saved})
	if err != nil {
		return err
	}
	made, err := second.PollUntilDone(ctx, nil) // the server's Retry-After says how often
	if err != nil {
		return err
	}
	properties, _ := made.Properties.(map[string]any)
	return errors.Join(want("name", *made.Name, l.name), want("state", properties["provisioningState"], any("Succeeded")))
}

func (l *life) get(ctx context.Context) error {
	out, err := l.byID.GetByID(ctx, l.id(strings.ToUpper(l.name)), version, nil)
	if err != nil {
		return err
	}
	properties, _ := out.Properties.(map[string]any)
	if uri, _ := properties["appUri"].(string); !strings.HasPrefix(uri, "https://") {
		return fmt.Errorf("appUri: %v", properties["appUri"])
	}
	there, err := l.byID.CheckExistenceByID(ctx, l.id(l.name), version, nil)
	_, missing := l.byID.GetByID(ctx, l.id("missing"), version, nil)
	return errors.Join(err, want("exists", there.Success, true), want("location", *out.Location, "southcentralus"), want("nodes", properties["nodeCount"], any(float64(l.nodes))),
		wantCode(missing, http.StatusNotFound, "ResourceNotFound"))
}

type listed struct {
	Value    []struct{ Name string } `json:"value"`
	NextLink string                  `json:"nextLink"`
}

// list pages as every generated client does.
func (l *life) list(ctx context.Context) error {
	for _, path := range []string{l.base, "/subscriptions/" + l.sub + "/providers/Microsoft.ConfidentialLedger/managedCCFs/"} {
		pager := runtime.NewPager(runtime.PagingHandler[listed]{
			More: func(p listed) bool { return p.NextLink != "" },
			Fetcher: func(ctx context.Context, last *listed) (listed, error) {
				next := ""
				if last != nil {
					next = last.NextLink
				}
				resp, err := runtime.FetcherForNextLink(ctx, l.generic.Pipeline(), next, func(ctx context.Context) (*policy.Request, error) {
					r, err := runtime.NewRequest(ctx, http.MethodGet, runtime.JoinPaths(l.generic.Endpoint(), path))
					if err != nil {
						return nil, err
					}
					q := r.Raw().URL.Query()
					q.Set("api-version", version)
					r.Raw().URL.RawQuery = q.Encode()
					return r, nil
				}, nil)
				if err != nil {
					return listed{}, err
				}
				var page listed
				return page, runtime.UnmarshalAsJSON(resp, &page)
			},
		})
		found := false
		for pager.More() {
			page, err := pager.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, n := range page.Value {
				found = found || n.Name == l.name
			}
		}
		if !found {
			return fmt.Errorf("%s does not list it", path)
		}
	}
	return nil
}

func (l *life) update(ctx context.Context) error {
	l.nodes += 2
	poller, err := l.byID.BeginUpdateByID(ctx, l.id(l.name), version, armresources.GenericResource{
		Tags: map[string]*string{"dept": to.Ptr("audit")}, Properties: map[string]any{"nodeCount": l.nodes},
	}, nil)
	if err != nil {
		return err
	}
	out, err := poller.PollUntilDone(ctx, nil)
	if err != nil {
		return err
	}
	properties, _ := out.Properties.(map[string]any)
	return errors.Join(want("nodes", properties["nodeCount"], any(float64(l.nodes))), want("tag", *out.Tags["dept"], "audit"))
}

func (l *life) mistakes(ctx context.Context) error {
	_, even := l.byID.BeginCreateOrUpdateByID(ctx, l.id("even-1"), version, l.resource(4), nil)
	_, name := l.byID.BeginCreateOrUpdateByID(ctx, l.id("x"), version, l.resource(1), nil)
	_, stale := l.byID.GetByID(ctx, l.id(l.name), "2026-02-23", nil)
	err := errors.Join(wantCode(even, http.StatusBadRequest, "InvalidRequestContent"), wantCode(name, http.StatusBadRequest, "InvalidResourceName"),
		wantCode(stale, http.StatusBadRequest, "InvalidApiVersionParameter"))
	if os.Getenv("SYNOD_BROKEN") == "" {
		return err
	}
	poller, broken := l.byID.BeginCreateOrUpdateByID(ctx, l.id(os.Getenv("SYNOD_BROKEN")), version, l.resource(1), nil)
	if broken == nil {
		_, broken = poller.PollUntilDone(ctx, nil)
	}
	return errors.Join(err, wantCode(broken, http.StatusOK, "NodeStartFailed"))
}

type message struct {
	Message string `json:"message"`
}

// post begins an operation and follows it to its result.
func (l *life) post(ctx context.Context, action string, body map[string]string) (message, error) {
	r, err := runtime.NewRequest(ctx, http.MethodPost, runtime.JoinPaths(l.generic.Endpoint(), l.id(l.name), action))
	if err != nil {
		return message{}, err
	}
	r.Raw().URL.RawQuery = "api-version=" + version
	r.Raw().Header.Set("Accept", "application/json")
	if err := runtime.MarshalAsJSON(r, body); err != nil {
		return message{}, err
	}
	resp, err := l.generic.Pipeline().Do(r)
	if err != nil {
		return message{}, err
	}
	if !runtime.HasStatusCode(resp, http.StatusOK, http.StatusAccepted) {
		return message{}, runtime.NewResponseError(resp)
	}
	poller, err := runtime.NewPoller[message](resp, l.generic.Pipeline(), &runtime.NewPollerOptions[message]{FinalStateVia: runtime.FinalStateViaLocation})
	if err != nil {
		return message{}, err
	}
	return poller.PollUntilDone(ctx, nil)
}

func (l *life) backup(ctx context.Context) error {
	if os.Getenv("SYNOD_BACKUP") == "" {
		return nil
	}
	out, err := l.post(ctx, "backup", map[string]string{"uri": os.Getenv("SYNOD_BACKUP"), "restoreRegion": "southcentralus"})
	if err == nil && out.Message == "" {
		err = errors.New("no message")
	}
	fmt.Println("backup:", out.Message)
	if l.share == "" { // the message names it: backup NAME: …
		l.share = strings.TrimSuffix(strings.Fields(out.Message + " - -")[1], ":")
	}
	return err
}

func (l *life) remove(ctx context.Context) error {
	poller, err := l.byID.BeginDeleteByID(ctx, l.id(l.name), version, nil)
	if err != nil {
		return err
	}
	if _, err := poller.PollUntilDone(ctx, nil); err != nil {
		return err
	}
	_, gone := l.byID.GetByID(ctx, l.id(l.name), version, nil)
	return wantCode(gone, http.StatusNotFound, "ResourceNotFound")
}

func (l *life) restore(ctx context.Context) error {
	if os.Getenv("SYNOD_BACKUP") == "" {
		return nil
	}
	if _, err := l.post(ctx, "restore", map[string]string{"uri": os.Getenv("SYNOD_BACKUP"), "fileShareName": l.share, "restoreRegion": "southcentralus"}); err != nil {
		return err
	}
	return l.get(ctx)
}

func (l *life) removeGroup(ctx context.Context) error {
	poller, err := l.groups.BeginDelete(ctx, l.group, nil)
	if err != nil {
		return err
	}
	if _, err := poller.PollUntilDone(ctx, nil); err != nil {
		return err
	}
	_, gone := l.groups.Get(ctx, l.group, nil)
	return wantCode(gone, http.StatusNotFound, "ResourceGroupNotFound")
}
