-- A root of an account: a key pair (MLKEM768-X25519) of which the public half
-- stands here. Its private half is a seed that the envelopes wrap. Account 0 is
-- the records office, whose one root is 'records'.
CREATE TABLE root (
  account    INTEGER NOT NULL,
  root       TEXT NOT NULL CHECK (root IN ('everyday', 'deep', 'records')),
  generation INTEGER NOT NULL,  -- from 1; only the newest is sealed to
  public     BLOB NOT NULL,
  created    INTEGER NOT NULL,  -- microseconds
  PRIMARY KEY (account, root, generation)
) WITHOUT ROWID;

-- The seed of a root, wrapped once for every holder: 'password', 'app/3',
-- 'session/9', 'passkey/2', 'recovery'; 'deep' is the account's own deep root,
-- 'officer/5' the deep root of account 5.
CREATE TABLE envelope (
  account    INTEGER NOT NULL,
  root       TEXT NOT NULL,
  generation INTEGER NOT NULL,
  holder     TEXT NOT NULL,
  under      INTEGER NOT NULL,  -- generation of the root that it is sealed to; 0 under a holder's secret
  mask       INTEGER NOT NULL,
  wrapped    BLOB NOT NULL,
  created    INTEGER NOT NULL,  -- microseconds
  PRIMARY KEY (account, root, generation, holder, under)
) WITHOUT ROWID;

-- A mask is the half of a wrapped key that can be destroyed for certain: rows
-- are appended, never moved, and overwritten with zeros where they stand, while
-- rows of other tables may leave copies behind when the engine rearranges pages.
CREATE TABLE mask (
  id   INTEGER PRIMARY KEY,
  mask BLOB NOT NULL
);

-- A compartment is one account's office or personal mail of one month.
CREATE TABLE compartment (
  id         INTEGER PRIMARY KEY,
  account    INTEGER NOT NULL,
  class      TEXT NOT NULL CHECK (class IN ('office', 'personal')),
  month      INTEGER NOT NULL,  -- year * 12 + month - 1
  generation INTEGER NOT NULL,  -- of the owner's roots where it is personal, else 0
  public     BLOB,              -- the public key that message keys are sealed to, where it is personal
  UNIQUE (account, class, month, generation)
);

-- The key of a compartment (its private seed where it is personal), once for
-- everyone who may open it: 'server', or a root. Deleting the row of 'server'
-- makes an office compartment cold, that of 'everyday' a personal one.
CREATE TABLE compartment_key (
  compartment INTEGER NOT NULL REFERENCES compartment (id),
  holder      TEXT NOT NULL,
  generation  INTEGER NOT NULL, -- of the root; 0 for the server
  mask        INTEGER NOT NULL,
  wrapped     BLOB NOT NULL,
  PRIMARY KEY (compartment, holder, generation)
) WITHOUT ROWID;

-- The key of a message, once for each office compartment that holds it.
CREATE TABLE message_key (
  entry       INTEGER NOT NULL,
  compartment INTEGER NOT NULL REFERENCES compartment (id),
  wrapped     BLOB NOT NULL,
  PRIMARY KEY (entry, compartment)
) WITHOUT ROWID;

-- The key of a personal message, which has one holder. Without its mask it is
-- worth nothing.
CREATE TABLE personal_key (
  entry       INTEGER PRIMARY KEY,
  compartment INTEGER NOT NULL REFERENCES compartment (id),
  method      INTEGER NOT NULL, -- 1 AES-256-GCM under a key derived from the compartment's seed, 2 HPKE to its public key
  wrapped     BLOB NOT NULL
);
CREATE INDEX personal_key_sealed ON personal_key (compartment) WHERE method = 2;

CREATE TABLE personal_mask (
  entry INTEGER PRIMARY KEY,
  mask  BLOB NOT NULL           -- all zero: the message was destroyed
);

-- One row: how often months were closed, so that every process forgets the keys
-- that it remembers; how often keys were deleted, and up to which of those
-- deletions the write-ahead log was emptied.
CREATE TABLE vault_state (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  closed   INTEGER NOT NULL,
  deleted  INTEGER NOT NULL,
  scrubbed INTEGER NOT NULL
);
INSERT INTO vault_state (id, closed, deleted, scrubbed) VALUES (1, 0, 0, 0);

-- Secrets of the office itself, wrapped under the server's key: the keys that
-- sign checkpoints.
CREATE TABLE secret (
  name    TEXT PRIMARY KEY,
  wrapped BLOB NOT NULL
) WITHOUT ROWID;
