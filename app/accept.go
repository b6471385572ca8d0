package app

import (
	"strconv"
	"strings"

	"synod"
)

// takesJSON returns nil if an accept header takes application/json. An entry
// that is no media type, or whose weight is no number, is 400
// InvalidHeaderValue, and a header without JSON in it 406
// UnsupportedContentType (CCF: include/ccf/http_accept.h). Other parameters
// of an entry do not matter, nor do the weights: there is nothing to choose.
func takesJSON(accept string) error {
	takes := false
	for entry := range strings.SplitSeq(strings.ReplaceAll(accept, " ", ""), ",") {
		kinds, weight, weighted := strings.Cut(entry, ";q=")
		kinds, _, _ = strings.Cut(kinds, ";")
		kind, sub, _ := strings.Cut(kinds, "/")
		if kind == "" || sub == "" {
			return synod.Errorf(400, synod.CodeInvalidHeaderValue, "Entry in Accept header is not a valid MIME type: %s", entry)
		}
		if weighted {
			weight, _, _ = strings.Cut(weight, ";")
			if _, err := strconv.ParseFloat(weight, 32); err != nil {
				return synod.Errorf(400, synod.CodeInvalidHeaderValue,
					"Could not parse q-factor from MIME type in Accept header: %s", entry)
			}
		}
		kind, sub = strings.ToLower(kind), strings.ToLower(sub)
		if (kind == "*" || kind == "application") && (sub == "*" || sub == "json") {
			takes = true
		}
	}
	if !takes {
		return synod.Errorf(406, synod.CodeUnsupportedContentType,
			"No supported content type in accept header: %s\nOnly application/json is currently supported", accept)
	}
	return nil
}
