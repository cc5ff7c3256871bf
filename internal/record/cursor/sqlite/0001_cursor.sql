-- How far each projection has come: next is the first entry it has not seen.
CREATE TABLE cursor (
  projection TEXT PRIMARY KEY,
  version    INTEGER NOT NULL,
  next       INTEGER NOT NULL
) WITHOUT ROWID;
