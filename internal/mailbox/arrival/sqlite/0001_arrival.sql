-- Where a message is to go when it is placed, of those that go anywhere but
-- where they would by themselves. It is written with the message's entry.
CREATE TABLE mail_arrival (
	entry    INTEGER NOT NULL,
	account  INTEGER NOT NULL,
	folder   INTEGER NOT NULL, -- 0 for where it would go by itself
	flags    INTEGER NOT NULL,
	keywords TEXT NOT NULL,
	internal INTEGER,          -- unix seconds
	match    INTEGER NOT NULL, -- of the Message-ID; 0 where it wasn't given
	PRIMARY KEY (entry, account)
) WITHOUT ROWID;

-- Notes of the mailbox that have become entries, until the mailbox has
-- forgotten them.
CREATE TABLE mail_noted (
	mark BLOB PRIMARY KEY
) WITHOUT ROWID;
