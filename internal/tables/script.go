package tables

import "encoding/json"

// JSRuntimeOptions is the row of JSRuntime
// (CCF: include/ccf/service/tables/jsengine.h). Sizes are bytes. Reading a
// row over DefaultJSRuntimeOptions fills in what it leaves out.
type JSRuntimeOptions struct {
	LogExceptionDetails    bool   `json:"log_exception_details"`
	MaxCachedInterpreters  uint64 `json:"max_cached_interpreters"`
	MaxExecutionTimeMS     uint64 `json:"max_execution_time_ms"`
	MaxHeapBytes           uint64 `json:"max_heap_bytes"`
	MaxStackBytes          uint64 `json:"max_stack_bytes"`
	ReturnExceptionDetails bool   `json:"return_exception_details"`
}

// DefaultJSRuntimeOptions is what holds without a row.
func DefaultJSRuntimeOptions() JSRuntimeOptions {
	return JSRuntimeOptions{
		MaxCachedInterpreters: 10,
		MaxExecutionTimeMS:    5000,
		MaxHeapBytes:          100 << 20,
		MaxStackBytes:         1 << 20,
	}
}

// UnmarshalJSON reads any subset of the options; the others get their
// defaults.
func (o *JSRuntimeOptions) UnmarshalJSON(b []byte) error {
	type plain JSRuntimeOptions
	p := plain(DefaultJSRuntimeOptions())
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	*o = JSRuntimeOptions(p)
	return nil
}

// EndpointProperties is one row of Endpoints
// (CCF: include/ccf/endpoint.h). An absent Mode means readwrite, an absent
// RedirectionStrategy to_primary.
type EndpointProperties struct {
	AuthnPolicies       []json.RawMessage `json:"authn_policies"` // names, or {"all_of":[...]}
	ForwardingRequired  string            `json:"forwarding_required"`
	InterpreterReuse    *InterpreterReuse `json:"interpreter_reuse,omitempty"`
	JSFunction          string            `json:"js_function,omitempty"`
	JSModule            string            `json:"js_module,omitempty"`
	Mode                string            `json:"mode,omitempty"`
	OpenAPI             json.RawMessage   `json:"openapi,omitempty"`
	OpenAPIHidden       bool              `json:"openapi_hidden,omitempty"`
	RedirectionStrategy string            `json:"redirection_strategy,omitempty"`
}

// InterpreterReuse lets requests with the same key share global state.
type InterpreterReuse struct {
	Key string `json:"key"`
}

// JWTIssuer is one row of JWTIssuers
// (CCF: include/ccf/service/tables/jwt.h).
type JWTIssuer struct {
	AutoRefresh      bool   `json:"auto_refresh,omitempty"`
	CACertBundleName string `json:"ca_cert_bundle_name,omitempty"`
}

// JWTKey is one element of a row of JWTSigningKeys.
type JWTKey struct {
	Constraint string `json:"constraint,omitempty"`
	Issuer     string `json:"issuer"`
	PublicKey  Bytes  `json:"public_key"` // DER SPKI
}

// JWTCert is one element of a row of JWTSigningCerts.
type JWTCert struct {
	Cert       Bytes  `json:"cert"` // DER
	Constraint string `json:"constraint,omitempty"`
	Issuer     string `json:"issuer"`
}
