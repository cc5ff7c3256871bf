-- Rows of the mailbox projection. All but mail_state is derived from entries.
-- Times are unix seconds; a row is
-- sort date << 24 | number (see RowID), so that row order is date order.

-- One line of a message list for each captured message, whoever holds it.
CREATE TABLE mail_message (
	row         INTEGER PRIMARY KEY,
	entry       INTEGER NOT NULL UNIQUE,
	size        INTEGER NOT NULL, -- octets as captured
	sent        INTEGER,          -- Date header
	received    INTEGER,          -- newest Received field
	internal    INTEGER,          -- the date that the mailbox it came from gave it
	captured    INTEGER NOT NULL, -- time of the entry
	from_name   TEXT NOT NULL,
	from_addr   TEXT NOT NULL,
	to_text     TEXT NOT NULL,
	subject     TEXT NOT NULL,
	snippet     TEXT NOT NULL,
	attachments INTEGER NOT NULL
);

CREATE TABLE mail_folder (
	id           INTEGER PRIMARY KEY,
	account      INTEGER NOT NULL,
	name         TEXT NOT NULL,
	role         TEXT NOT NULL,
	uid_validity INTEGER NOT NULL,
	uid_next     INTEGER NOT NULL,
	total        INTEGER NOT NULL,
	unseen       INTEGER NOT NULL,
	UNIQUE (account, name)
);

-- Where a message lies for an account that holds it. Threads are an account's
-- own: nobody learns from them what another account holds.
CREATE TABLE mail_placement (
	row     INTEGER NOT NULL,
	account INTEGER NOT NULL,
	folder  INTEGER NOT NULL,
	uid     INTEGER NOT NULL,
	thread  INTEGER NOT NULL,
	PRIMARY KEY (row, account, folder)
) WITHOUT ROWID;
CREATE INDEX mail_placement_folder ON mail_placement (folder, row);
CREATE INDEX mail_placement_thread ON mail_placement (account, thread, row);

-- The thread of every Message-ID that an account's messages have or name.
CREATE TABLE mail_reference (
	account INTEGER NOT NULL,
	hash    INTEGER NOT NULL,
	thread  INTEGER NOT NULL,
	PRIMARY KEY (account, hash)
) WITHOUT ROWID;

-- The latest thread about a subject.
CREATE TABLE mail_subject (
	account INTEGER NOT NULL,
	hash    INTEGER NOT NULL,
	thread  INTEGER NOT NULL,
	oldest  INTEGER NOT NULL, -- sort dates of what it has with this subject
	newest  INTEGER NOT NULL,
	begun   INTEGER NOT NULL, -- 1 when a message that isn't marked as a reply is among them
	PRIMARY KEY (account, hash)
) WITHOUT ROWID;

-- Where the messages of a thread went that turned out to be part of another.
-- mail_reference and mail_subject may still name the old one.
CREATE TABLE mail_merged (
	account INTEGER NOT NULL,
	thread  INTEGER NOT NULL,
	target  INTEGER NOT NULL,
	PRIMARY KEY (account, thread)
) WITHOUT ROWID;

-- What people did to messages: state of its own that no rebuild touches.
CREATE TABLE mail_state (
	account INTEGER NOT NULL,
	entry   INTEGER NOT NULL,
	flags   INTEGER NOT NULL, -- 1 seen
	PRIMARY KEY (account, entry)
) WITHOUT ROWID;
