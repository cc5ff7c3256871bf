-- The domains whose mailboxes are ours, as A-labels in lower case.
CREATE TABLE domain (
  name    TEXT PRIMARY KEY,
  created INTEGER NOT NULL -- microseconds since 1970, as all times here
) WITHOUT ROWID;

CREATE TABLE account (
  id        INTEGER PRIMARY KEY,
  name      TEXT NOT NULL,
  pseudonym TEXT NOT NULL UNIQUE, -- 32 hex digits, random; what the register calls the account
  role      INTEGER NOT NULL,     -- bits: 1 owner, 2 administrator, 4 records officer
  language  TEXT NOT NULL,        -- '' for the office's own
  password  TEXT NOT NULL,        -- argon2id, as a PHC string
  created   INTEGER NOT NULL
);

-- An account has one address today; nothing here stops it from having more.
CREATE TABLE address (
  domain  TEXT NOT NULL REFERENCES domain (name),
  local   TEXT NOT NULL,    -- in lower case and NFC
  account INTEGER NOT NULL REFERENCES account (id),
  class   TEXT NOT NULL CHECK (class IN ('office', 'personal')),
  place   INTEGER NOT NULL, -- the lowest of an account is its own address
  PRIMARY KEY (domain, local)
) WITHOUT ROWID;
CREATE UNIQUE INDEX address_account ON address (account, place);

CREATE TABLE session (
  id      INTEGER PRIMARY KEY,
  hash    BLOB NOT NULL UNIQUE, -- SHA-256 of the token, which is kept nowhere
  account INTEGER NOT NULL REFERENCES account (id),
  network TEXT NOT NULL,
  created INTEGER NOT NULL,
  used    INTEGER NOT NULL
);
CREATE INDEX session_account ON session (account);

-- How many attempts to sign in failed, or are under way, at an address or from
-- a network. The subject is a digest: people type passwords into the wrong box.
CREATE TABLE throttle (
  subject  BLOB PRIMARY KEY,
  failures INTEGER NOT NULL,
  last     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX throttle_last ON throttle (last);

-- Networks from which an account was signed in to.
CREATE TABLE familiar (
  account INTEGER NOT NULL REFERENCES account (id),
  network TEXT NOT NULL,
  used    INTEGER NOT NULL,
  PRIMARY KEY (account, network)
) WITHOUT ROWID;
