-- What the server answers or passes on by itself, for one identity of an account.
CREATE TABLE post_rule (
  account INTEGER NOT NULL,
  class   TEXT NOT NULL CHECK (class IN ('office', 'personal')),
  rule    BLOB NOT NULL, -- JSON
  PRIMARY KEY (account, class)
) WITHOUT ROWID;

-- Who got a vacation answer, so that nobody gets two in a week. Who it was is a
-- keyed digest.
CREATE TABLE post_answered (
  account INTEGER NOT NULL,
  class   TEXT NOT NULL,
  whom    BLOB NOT NULL,
  at      INTEGER NOT NULL, -- seconds since 1970
  PRIMARY KEY (account, class, whom)
) WITHOUT ROWID;
