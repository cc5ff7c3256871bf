-- Personal mail that looks like the office's business: it came from a contact of
-- the office, and a copy is to be filed within the time that the law gives. Only
-- when it came is kept, not from whom.
CREATE TABLE wall_due (
  entry   INTEGER PRIMARY KEY,
  account INTEGER NOT NULL,
  arrived INTEGER NOT NULL, -- microseconds since 1970
  state   INTEGER NOT NULL  -- 0 due, 1 a copy was filed, 2 its owner said that it is personal
);
CREATE INDEX wall_due_account ON wall_due (account, arrived) WHERE state = 0;
