-- What people read. State is what people and the clock did: it outlives every
-- rebuild. Facts are derived from messages. Times are unix seconds unless said
-- otherwise; a row is sort date << 24 | number (see RowID), so that row order is
-- date order.

-- STATE

-- The last numbers given, so that none is given twice, and the first entry that
-- was never placed.
CREATE TABLE mail_clock (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	folder   INTEGER NOT NULL,
	validity INTEGER NOT NULL,
	next     INTEGER NOT NULL
);
INSERT INTO mail_clock VALUES (1, 0, 0, 0);

CREATE TABLE mail_folder (
	id           INTEGER PRIMARY KEY,
	account      INTEGER NOT NULL,
	class        TEXT NOT NULL,
	name         TEXT NOT NULL,
	role         TEXT NOT NULL,
	subscribed   INTEGER NOT NULL,
	uid_validity INTEGER NOT NULL,
	uid_next     INTEGER NOT NULL,
	mod_seq      INTEGER NOT NULL, -- unix milliseconds, or the next higher number
	total        INTEGER NOT NULL,
	unseen       INTEGER NOT NULL,
	cold         INTEGER NOT NULL, -- how many of total are cold, see FlagCold,
	cold_unseen  INTEGER NOT NULL, -- and of unseen
	notice       INTEGER NOT NULL, -- UID of what mail programs see instead; 0 for nothing
	gone         INTEGER NOT NULL, -- how many UIDs mail_change.gone holds
	forgotten    INTEGER NOT NULL, -- changes up to this mod_seq are not in mail_change any more
	UNIQUE (account, class, name)
);

-- Where messages lie. One may lie in several folders, and twice in one.
CREATE TABLE mail_place (
	folder   INTEGER NOT NULL,
	uid      INTEGER NOT NULL,
	account  INTEGER NOT NULL,
	entry    INTEGER NOT NULL,
	row      INTEGER NOT NULL,
	tag      INTEGER NOT NULL, -- of the message's id, to know a message whose number was given again
	flags    INTEGER NOT NULL, -- see Flags
	keywords TEXT NOT NULL,    -- with a space between them
	mod_seq  INTEGER NOT NULL,
	PRIMARY KEY (folder, uid)
) WITHOUT ROWID;
CREATE INDEX mail_place_row ON mail_place (folder, row);
CREATE INDEX mail_place_entry ON mail_place (entry, account);
-- With the flags in them, so that they answer alone.
CREATE INDEX mail_place_unseen ON mail_place (account, row, flags) WHERE flags & 1 = 0;
CREATE INDEX mail_place_answered ON mail_place (account, row, flags) WHERE flags & 2 <> 0;
CREATE INDEX mail_place_flagged ON mail_place (account, row, flags) WHERE flags & 4 <> 0;
CREATE INDEX mail_place_cold ON mail_place (account, entry) WHERE flags & 128 <> 0;
CREATE INDEX mail_place_draft ON mail_place (account, row, flags) WHERE flags & 16 <> 0;

-- The message that mail programs see in a folder in place of those that are cold.
-- It never changes: when it has to say something else, another takes its place.
CREATE TABLE mail_notice (
	folder  INTEGER PRIMARY KEY,
	uid     INTEGER NOT NULL,
	account INTEGER NOT NULL,
	mod_seq INTEGER NOT NULL,
	at      INTEGER NOT NULL,
	message BLOB NOT NULL
);

-- What became of a folder: UIDs from first to last that bear mod_seq are new or
-- changed, and those in gone (ascending, differences as unsigned varints) went.
CREATE TABLE mail_change (
	folder  INTEGER NOT NULL,
	mod_seq INTEGER NOT NULL,
	first   INTEGER NOT NULL,
	last    INTEGER NOT NULL,
	gone    BLOB NOT NULL,
	count   INTEGER NOT NULL, -- UIDs in gone
	at      INTEGER NOT NULL,
	PRIMARY KEY (folder, mod_seq)
) WITHOUT ROWID;

-- Messages that were placed once and lie nowhere any more.
CREATE TABLE mail_left (
	account INTEGER NOT NULL,
	entry   INTEGER NOT NULL,
	tag     INTEGER NOT NULL,
	PRIMARY KEY (account, entry)
) WITHOUT ROWID;

-- Keywords in the spelling in which an account first gave them.
CREATE TABLE mail_keyword (
	account INTEGER NOT NULL,
	folded  TEXT NOT NULL,
	name    TEXT NOT NULL,
	PRIMARY KEY (account, folded)
) WITHOUT ROWID;

-- What was placed in a folder for sent mail of itself during the last day.
CREATE TABLE mail_sent (
	account INTEGER NOT NULL,
	match   INTEGER NOT NULL, -- of class and Message-ID
	folder  INTEGER NOT NULL,
	uid     INTEGER NOT NULL,
	at      INTEGER NOT NULL,
	PRIMARY KEY (account, match)
) WITHOUT ROWID;
CREATE INDEX mail_sent_at ON mail_sent (at);

-- Personal mail that was sent and whose place a copy took: when the copy is
-- destroyed, so is this.
CREATE TABLE mail_twin (
	account INTEGER NOT NULL,
	entry   INTEGER NOT NULL, -- the copy
	twin    INTEGER NOT NULL,
	PRIMARY KEY (account, entry, twin)
) WITHOUT ROWID;

-- What the register has yet to be told: see note.go.
CREATE TABLE mail_note (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	mark    BLOB NOT NULL,
	account INTEGER NOT NULL,
	kind    TEXT NOT NULL,
	count   INTEGER NOT NULL,
	detail  TEXT NOT NULL
);

-- FACTS

-- One line of a message list for each message, whoever holds it.
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
	attachments INTEGER NOT NULL,
	envelope    BLOB NOT NULL     -- what IMAP shows besides: see envelope.go
);

-- Who holds a message, and the thread that it is in for them. Threads are an
-- account's own: nobody learns from them what another account holds.
CREATE TABLE mail_holding (
	row     INTEGER NOT NULL,
	account INTEGER NOT NULL,
	thread  INTEGER NOT NULL,
	PRIMARY KEY (row, account)
) WITHOUT ROWID;
CREATE INDEX mail_holding_thread ON mail_holding (account, thread, row);

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
