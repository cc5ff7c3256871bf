-- The queue of outgoing mail: one row a letter that has a recipient left, made
-- and removed in the transactions of register entries. Times are microseconds;
-- 0 for never.
CREATE TABLE outbox_letter (
  entry    INTEGER PRIMARY KEY,  -- of the sent entry
  account  INTEGER NOT NULL,     -- of the sender
  class    TEXT NOT NULL,
  sender   TEXT NOT NULL,        -- MAIL FROM; empty for the null sender
  language TEXT NOT NULL,        -- of notices to the sender
  ret      TEXT NOT NULL,        -- RET and ENVID of RFC 3461
  envid    TEXT NOT NULL,
  flags    INTEGER NOT NULL,     -- see flag in letter.go
  hops     INTEGER NOT NULL,     -- Received fields
  sent_to  INTEGER NOT NULL,     -- how many recipients it had
  size     INTEGER NOT NULL,     -- bytes
  start    INTEGER NOT NULL,     -- when the first attempt may be made
  key      BLOB NOT NULL         -- the key of its parts, wrapped; deleting it destroys them
);

-- The message in sealed parts.
CREATE TABLE outbox_part (
  id   INTEGER PRIMARY KEY,      -- entry * 2^20 + number of the part
  data BLOB NOT NULL
);

-- A recipient who is not done with.
CREATE TABLE outbox_recipient (
  id       INTEGER PRIMARY KEY,  -- entry * 2^20 + number of the recipient
  address  TEXT NOT NULL,
  domain   TEXT NOT NULL,
  notify   TEXT NOT NULL,        -- NOTIFY and ORCPT of RFC 3461
  orcpt    TEXT NOT NULL,
  state    INTEGER NOT NULL,     -- see state in store.go
  due      INTEGER NOT NULL,     -- when to try next
  attempts INTEGER NOT NULL,
  tried    INTEGER NOT NULL,     -- when last
  held     INTEGER NOT NULL,     -- 1: an act that is given up goes back to held
  began    INTEGER NOT NULL,     -- when the attempt that is under way began to hand over, or the act was begun
  doubt    INTEGER NOT NULL,     -- attempts of which nobody knows how they ended
  told     INTEGER NOT NULL,     -- bits: 1 the first deferral is on record, 2 the sender knows of the delay
  owed     INTEGER NOT NULL,     -- the notice that the sender is owed; see owed in store.go
  code     INTEGER NOT NULL,     -- the last answer
  status   TEXT NOT NULL,
  answer   TEXT NOT NULL,
  host     TEXT NOT NULL,
  captured INTEGER NOT NULL      -- entry of the arrival at an own address; 0 for none
);
CREATE INDEX outbox_due ON outbox_recipient (domain, due, id) WHERE state = 0;
CREATE INDEX outbox_owed ON outbox_recipient (id) WHERE owed <> 0;
CREATE INDEX outbox_state ON outbox_recipient (state, id) WHERE state <> 0;

-- When each domain has something due at the earliest: few rows for many letters.
CREATE TABLE outbox_destination (
  domain TEXT PRIMARY KEY,
  due    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX outbox_destination_due ON outbox_destination (due);

-- Policies of MTA-STS (RFC 8461 section 3.3), until they expire.
CREATE TABLE outbox_policy (
  domain  TEXT PRIMARY KEY,
  id      TEXT NOT NULL,
  mode    TEXT NOT NULL,
  mx      TEXT NOT NULL,         -- patterns, one a line
  expires INTEGER NOT NULL
) WITHOUT ROWID;
