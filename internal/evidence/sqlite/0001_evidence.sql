-- What DNS said when messages arrived: each answer once, however many messages
-- were judged by it, under the SHA-256 of its canonical form.
CREATE TABLE evidence_answer (
  id   INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  body BLOB NOT NULL
);

-- The answers by which a message was judged: ids in their order, each as an
-- unsigned varint. hash is that of the whole, which the message's entry commits to.
CREATE TABLE evidence (
  hash    BLOB PRIMARY KEY,
  answers BLOB NOT NULL
) WITHOUT ROWID;
