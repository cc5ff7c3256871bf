-- The register: one row an entry, never changed, in its compact form (the
-- canonical bytes, which are hashed, follow from it). segment, at and length say
-- where its ciphertext is; NULL for an entry without a message.
CREATE TABLE entry (
  number  INTEGER PRIMARY KEY,
  compact BLOB NOT NULL,
  segment INTEGER,
  at      INTEGER,
  length  INTEGER
);

-- Hashes of the Merkle tree above its leaves, under the numbers that
-- golang.org/x/mod/sumdb/tlog gives them. Those of leaves follow from entries.
CREATE TABLE hash (
  number INTEGER PRIMARY KEY,
  hash   BLOB NOT NULL
);

-- The head: one row, moved with every batch of entries.
CREATE TABLE head (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  origin     TEXT NOT NULL,
  size       INTEGER NOT NULL,
  time       INTEGER NOT NULL,  -- of the newest entry, microseconds
  checkpoint BLOB NOT NULL
);

-- Older checkpoints, about one an hour in which something was appended.
CREATE TABLE checkpoint (
  size INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,        -- microseconds
  note BLOB NOT NULL
);

-- Where the last referenced frame of each segment ends.
CREATE TABLE segment_end (
  segment INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL
);

-- Contents that are to be captured once only, under a keyed digest: number and
-- rest are its halves.
CREATE TABLE content (
  number INTEGER PRIMARY KEY,
  rest   INTEGER NOT NULL,
  entry  INTEGER NOT NULL
);
CREATE INDEX content_entry ON content (entry); -- for forgetting what was destroyed

-- How far an import has come, and which sources were imported.
CREATE TABLE progress (
  name  TEXT PRIMARY KEY,
  state BLOB NOT NULL
) WITHOUT ROWID;
