-- The domains whose mailboxes are ours, as A-labels in lower case. What comes to
-- no address of a domain goes to its catch-all address, if it has one.
CREATE TABLE domain (
  name         TEXT PRIMARY KEY,
  catch_domain TEXT NOT NULL,    -- '' for none, as the next
  catch_local  TEXT NOT NULL,
  created      INTEGER NOT NULL  -- microseconds since 1970, as all times here
) WITHOUT ROWID;

CREATE TABLE account (
  id        INTEGER PRIMARY KEY,
  name      TEXT NOT NULL,
  sign_in   TEXT NOT NULL UNIQUE, -- in lower case and NFC, without an "@"
  pseudonym TEXT NOT NULL UNIQUE, -- 32 hex digits, random; what the register calls the account
  handle    BLOB NOT NULL UNIQUE, -- 16 random bytes; what passkeys call the account
  role      INTEGER NOT NULL,     -- bits: 1 owner, 2 administrator, 4 records officer
  language  TEXT NOT NULL,        -- '' for the office's own
  digits    TEXT NOT NULL,        -- '' for those of the language
  password  TEXT NOT NULL,        -- from argon2id, as a PHC string
  fresh     INTEGER NOT NULL,     -- 1 while the password is one that somebody else has seen
  seen      INTEGER NOT NULL,     -- 1 while the recovery code is one that whoever made the account has seen
  state     INTEGER NOT NULL,     -- 0 active, 1 suspended, 2 removed
  former    TEXT NOT NULL,        -- the own address of an account that was removed
  rooted    INTEGER NOT NULL,     -- when the roots of its mail were last made; 0 for not yet
  created   INTEGER NOT NULL
);

CREATE TABLE address (
  domain  TEXT NOT NULL REFERENCES domain (name),
  local   TEXT NOT NULL,    -- in lower case and NFC
  account INTEGER NOT NULL REFERENCES account (id),
  class   TEXT NOT NULL CHECK (class IN ('office', 'personal')),
  name    TEXT NOT NULL,    -- how the person signs there; '' for the account's name
  signature TEXT NOT NULL,  -- what stands under what is written there
  alias   INTEGER NOT NULL, -- 1 for one that mail comes to and none need go from
  sends   INTEGER NOT NULL, -- 1 where it may be written from; 1 for all but aliases
  place   INTEGER NOT NULL, -- the lowest of an account is its own address
  PRIMARY KEY (domain, local)
) WITHOUT ROWID;
CREATE UNIQUE INDEX address_account ON address (account, place);

-- Whose personal addresses were: nobody else gets mail that is meant for them
-- until some time has passed.
CREATE TABLE former_address (
  domain  TEXT NOT NULL,
  local   TEXT NOT NULL,
  account INTEGER NOT NULL REFERENCES account (id),
  taken   INTEGER NOT NULL, -- when, from that account
  PRIMARY KEY (domain, local, account)
) WITHOUT ROWID;

CREATE TABLE session (
  id      INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: envelopes are named after it
  hash    BLOB NOT NULL UNIQUE, -- SHA-256 of the token, which is kept nowhere
  account INTEGER NOT NULL REFERENCES account (id),
  scope   INTEGER NOT NULL,     -- bits: 1 office, 2 personal
  network TEXT NOT NULL,
  agent   TEXT NOT NULL,        -- what the browser calls itself
  created INTEGER NOT NULL,
  used    INTEGER NOT NULL,
  proven  INTEGER NOT NULL      -- when the person last showed a credential
);
CREATE INDEX session_account ON session (account);

-- Passwords of single programs (IMAP, submission): random, so that a keyed hash
-- is enough and finds the row.
CREATE TABLE app_password (
  id      INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: envelopes are named after it
  hash    BLOB NOT NULL UNIQUE,
  account INTEGER NOT NULL REFERENCES account (id),
  label   TEXT NOT NULL,
  scope   INTEGER NOT NULL,
  created INTEGER NOT NULL,
  used    INTEGER NOT NULL, -- 0 for never
  network TEXT NOT NULL     -- where it was last used
);
CREATE INDEX app_password_account ON app_password (account);

CREATE TABLE passkey (
  id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: envelopes are named after it
  credential BLOB NOT NULL UNIQUE, -- the id that the authenticator gave it
  account    INTEGER NOT NULL REFERENCES account (id),
  record     BLOB NOT NULL,        -- public key, flags and so on, as JSON
  count      INTEGER NOT NULL,     -- the highest signature counter seen
  prf        INTEGER NOT NULL,     -- 1 where the authenticator evaluates the pseudo-random function
  name       TEXT NOT NULL,
  created    INTEGER NOT NULL,
  used       INTEGER NOT NULL,     -- 0 for never
  network    TEXT NOT NULL
);
CREATE INDEX passkey_account ON passkey (account);

-- Ceremonies that ended well: none does so twice.
CREATE TABLE spent (
  ceremony BLOB PRIMARY KEY,
  until    INTEGER NOT NULL
) WITHOUT ROWID;

-- Second factors. The secrets are sealed under the office's key.
CREATE TABLE totp (
  account INTEGER PRIMARY KEY REFERENCES account (id),
  secret  BLOB,             -- NULL until a code of the first one was shown
  pending BLOB,             -- what is to take its place, until a code of it was shown
  last    INTEGER NOT NULL  -- the last step (of 30 seconds) whose code was taken
);

-- The printed code of an account, and the codes of roots that it had before.
CREATE TABLE recovery (
  id       TEXT PRIMARY KEY,
  account  INTEGER NOT NULL REFERENCES account (id),
  old      INTEGER NOT NULL,     -- 1 for a code of roots that are no longer sealed to
  verifier BLOB NOT NULL UNIQUE, -- derived from the code, which is kept nowhere
  created  INTEGER NOT NULL
);
CREATE INDEX recovery_account ON recovery (account);

-- How many attempts to sign in failed, or are under way, at an address or from
-- a network. The subject is a digest: people type passwords into the wrong box.
CREATE TABLE throttle (
  subject  BLOB PRIMARY KEY,
  failures INTEGER NOT NULL,
  last     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX throttle_last ON throttle (last);

-- Who failed from where of late, and has not signed in from there since: many
-- names that fail a little each are one attack.
CREATE TABLE miss (
  name    BLOB NOT NULL, -- digests, as above
  network BLOB NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (name, network)
) WITHOUT ROWID;
CREATE INDEX miss_at ON miss (at);

-- The last spray that was noticed in a span of time, and how wide it was then.
CREATE TABLE spray (
  span  INTEGER PRIMARY KEY, -- microseconds
  at    INTEGER NOT NULL,
  names INTEGER NOT NULL
);

-- Networks from which an account was signed in to.
CREATE TABLE familiar (
  account INTEGER NOT NULL REFERENCES account (id),
  network TEXT NOT NULL,
  used    INTEGER NOT NULL,
  PRIMARY KEY (account, network)
) WITHOUT ROWID;

-- Which credential was used at which door, from which network, on which day.
CREATE TABLE use (
  day        INTEGER NOT NULL, -- days since 1970
  credential INTEGER NOT NULL, -- of app_password
  door       TEXT NOT NULL,
  network    TEXT NOT NULL,
  PRIMARY KEY (day, credential, door, network)
) WITHOUT ROWID;

-- What the register is owed: written with what happened, deleted with the entry
-- that tells it.
CREATE TABLE event (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  at      INTEGER NOT NULL,
  kind    TEXT NOT NULL,
  account INTEGER NOT NULL, -- whom it is about; 0 for nobody in particular
  actor   INTEGER NOT NULL, -- who did it; 0 for nobody who is signed in
  fields  TEXT NOT NULL,    -- JSON, for every reader of the register
  detail  TEXT NOT NULL,    -- JSON, to be sealed
  process INTEGER NOT NULL, -- which process tells it
  claimed INTEGER NOT NULL  -- since when
);
CREATE INDEX event_process ON event (process, id);
