package observe

import _ "embed"

// Alerts are rules for Prometheus over what Scrape and the managed service's own
// metrics say, YAML.
//
//go:embed alerts.yaml
var Alerts string
