-- Times are texts: RFC 3339 in UTC with nine digits, so that they sort.

CREATE TABLE subscriptions (
  id         TEXT NOT NULL PRIMARY KEY COLLATE NOCASE,
  name       TEXT NOT NULL,
  created_at TEXT NOT NULL
) STRICT;

CREATE TABLE resource_groups (
  subscription TEXT NOT NULL COLLATE NOCASE,
  name         TEXT NOT NULL COLLATE NOCASE,
  location     TEXT NOT NULL,
  tags         TEXT NOT NULL,
  deleting     INTEGER NOT NULL DEFAULT 0,
  created_at   TEXT NOT NULL,
  PRIMARY KEY (subscription, name)
) STRICT;

-- What the client wanted (desired) is sealed: storage URIs hold tokens.
CREATE TABLE networks (
  key          TEXT NOT NULL PRIMARY KEY, -- NetworkID.Key
  subscription TEXT NOT NULL COLLATE NOCASE,
  grp          TEXT NOT NULL COLLATE NOCASE,
  name         TEXT NOT NULL COLLATE NOCASE UNIQUE,
  location     TEXT NOT NULL,
  tags         TEXT NOT NULL,
  desired      BLOB NOT NULL,
  status       TEXT NOT NULL,
  etag         TEXT NOT NULL,
  revision     INTEGER NOT NULL,
  created_at   TEXT NOT NULL,
  created_by   TEXT NOT NULL,
  modified_at  TEXT NOT NULL,
  modified_by  TEXT NOT NULL
) STRICT;
CREATE INDEX networks_by_group ON networks (subscription, grp, name);

-- The last desired state of networks that are gone: a restore under the old
-- name begins with it.
CREATE TABLE deleted_networks (
  key        TEXT NOT NULL PRIMARY KEY,
  location   TEXT NOT NULL,
  tags       TEXT NOT NULL,
  desired    BLOB NOT NULL,
  status     TEXT NOT NULL,
  deleted_at TEXT NOT NULL
) STRICT;

CREATE TABLE operations (
  id               TEXT NOT NULL PRIMARY KEY,
  network          TEXT NOT NULL, -- NetworkID.Key
  subscription     TEXT NOT NULL,
  grp              TEXT NOT NULL,
  name             TEXT NOT NULL,
  kind             TEXT NOT NULL,
  status           TEXT NOT NULL,
  steps            TEXT NOT NULL,
  input            BLOB NOT NULL, -- sealed
  result           TEXT NOT NULL,
  error            TEXT NOT NULL,
  started_at       TEXT NOT NULL,
  updated_at       TEXT NOT NULL,
  ended_at         TEXT NOT NULL, -- '' while it runs
  requested_by     TEXT NOT NULL,
  request_id       TEXT NOT NULL,
  cancel_requested INTEGER NOT NULL
) STRICT;
-- At most one runs on a network.
CREATE UNIQUE INDEX operations_running ON operations (network) WHERE ended_at = '';
CREATE INDEX operations_by_network ON operations (network, started_at);
CREATE INDEX operations_by_end ON operations (ended_at) WHERE ended_at != '';

-- Provider registrations and features of subscriptions, as clients ask for.
CREATE TABLE registrations (
  subscription TEXT NOT NULL COLLATE NOCASE,
  name         TEXT NOT NULL COLLATE NOCASE,
  state        TEXT NOT NULL,
  PRIMARY KEY (subscription, name)
) STRICT;

CREATE TABLE role_assignments (
  principal TEXT NOT NULL, -- as authentication names it
  role      TEXT NOT NULL,
  scope     TEXT NOT NULL COLLATE NOCASE, -- '/', a subscription's or a network's resource id
  added_at  TEXT NOT NULL,
  added_by  TEXT NOT NULL,
  PRIMARY KEY (principal, scope, role)
) STRICT;

-- Each row's hash covers the one before it.
CREATE TABLE audit (
  seq        INTEGER NOT NULL PRIMARY KEY,
  at         TEXT NOT NULL,
  principal  TEXT NOT NULL,
  action     TEXT NOT NULL,
  target     TEXT NOT NULL,
  result     TEXT NOT NULL,
  request_id TEXT NOT NULL,
  hash       BLOB NOT NULL
) STRICT;
CREATE INDEX audit_by_target ON audit (target, seq);
