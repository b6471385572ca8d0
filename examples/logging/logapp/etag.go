package logapp

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"synod"
	"synod/app"
)

const statusNotModified = 304

// etag is the tag of a record: its message's digest.
func etag(msg string) string {
	digest := sha256.Sum256([]byte(msg))
	return hex.EncodeToString(digest[:])
}

// checkMatch obeys if-match and if-none-match for a public record. They count
// only when the record exists. When a tag must not match and does, a read (or
// a deletion) sets status 304 and a write fails.
func checkMatch(c *app.Context, records recordMap, id uint64, read bool) error {
	h := c.Request.Header
	match, noneMatch := h.Has("if-match"), h.Has("if-none-match")
	if match && noneMatch && !read {
		return bothMatch()
	}
	if !match && !noneMatch {
		return nil
	}
	msg, ok, err := records.Get(c.Tx(), id)
	if err != nil || !ok {
		return err
	}
	if match && noneMatch {
		return bothMatch()
	}
	tag := etag(msg)
	if match {
		matched, err := matches(h.Get("if-match"), tag)
		if err != nil {
			return err
		}
		if !matched {
			return changed()
		}
		return nil
	}
	matched, err := matches(h.Get("if-none-match"), tag)
	if err != nil {
		return err
	}
	switch {
	case matched && read:
		c.Status(statusNotModified)
	case matched:
		return changed()
	}
	return nil
}

func bothMatch() error {
	return synod.Errorf(400, synod.CodeInvalidHeaderValue, "Cannot have both If-Match and If-None-Match headers.")
}

func changed() error {
	return synod.Errorf(412, synod.CodePreconditionFailed, "Resource has changed.")
}

var tagList = regexp.MustCompile(`^(?:"[0-9a-f]+",?\s*)+$`)

// matches reads a list of tags as CCF does (CCF: include/ccf/http_etag.h):
// weak tags and tags that are not hex are an error.
func matches(header, tag string) (bool, error) {
	if header == "*" {
		return true, nil
	}
	if !tagList.MatchString(header) {
		return false, synod.Errorf(500, synod.CodeInternalError, "Invalid If-Match header")
	}
	return strings.Contains(header, `"`+tag+`"`), nil
}
