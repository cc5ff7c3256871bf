-- What each account's filter has learned from.
CREATE TABLE junk_account (
  account INTEGER PRIMARY KEY,
  spam    INTEGER NOT NULL, -- messages, halved whenever the counts of words are
  ham     INTEGER NOT NULL,
  trained INTEGER NOT NULL  -- how often it has learned; tidying goes by it
);

-- In how many messages of each kind a word was. The word is a keyed hash.
CREATE TABLE junk_word (
  account INTEGER NOT NULL,
  word    INTEGER NOT NULL,
  spam    INTEGER NOT NULL,
  ham     INTEGER NOT NULL,
  used    INTEGER NOT NULL, -- days since 1970, when it was last learned
  PRIMARY KEY (account, word)
) WITHOUT ROWID;

-- Which messages were learned from and as what, by a keyed hash, so that none
-- counts twice and each can be unlearned.
CREATE TABLE junk_message (
  account INTEGER NOT NULL,
  message BLOB NOT NULL,
  spam    INTEGER NOT NULL,
  number  INTEGER NOT NULL, -- junk_account.trained when it was learned
  PRIMARY KEY (account, message)
) WITHOUT ROWID;
CREATE INDEX junk_message_number ON junk_message (account, number);
