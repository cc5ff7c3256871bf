-- A compartment is one account's office or personal mail of one month.
CREATE TABLE compartment (
  id      INTEGER PRIMARY KEY,
  account INTEGER NOT NULL,
  class   TEXT NOT NULL CHECK (class IN ('office', 'personal')),
  month   INTEGER NOT NULL,  -- year * 12 + month - 1
  method  INTEGER NOT NULL,  -- how message keys are wrapped: 1 AES-256-GCM under the compartment's key, 2 HPKE to its public key
  public  BLOB,              -- the public key where method is 2
  UNIQUE (account, class, month)
);

-- The key of a compartment (its private key where method is 2), once for
-- everyone who may open it. Deleting the row of 'server' makes it cold.
CREATE TABLE compartment_key (
  compartment INTEGER NOT NULL REFERENCES compartment (id),
  holder      TEXT NOT NULL, -- 'server'; later 'everyday', 'deep', 'records' and a unit's parties
  method      INTEGER NOT NULL,
  wrapped     BLOB NOT NULL,
  PRIMARY KEY (compartment, holder)
) WITHOUT ROWID;

-- The key of a message, once for each compartment that holds it: the only
-- thing to delete in order to destroy a message.
CREATE TABLE message_key (
  entry       INTEGER NOT NULL,
  compartment INTEGER NOT NULL REFERENCES compartment (id),
  wrapped     BLOB NOT NULL,
  PRIMARY KEY (entry, compartment)
) WITHOUT ROWID;

-- Secrets of the office itself, wrapped under the server's key: the keys that
-- sign checkpoints.
CREATE TABLE secret (
  name    TEXT PRIMARY KEY,
  wrapped BLOB NOT NULL
) WITHOUT ROWID;
