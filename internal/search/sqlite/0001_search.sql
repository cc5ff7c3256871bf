-- The full-text index of mail that the server may read, in the order of dates.
--
-- A document's number is its sort date in unix seconds, or the next free number
-- after it. It is not the mailbox's row id, which is that date << 24: the index
-- stores differences of numbers, and with the wide ones it is a third larger and
-- takes 40 % longer to write.

-- The body comes first: words of the first column take two bytes less.
-- The tokenizer only splits at spaces: what it gets are terms.
CREATE VIRTUAL TABLE search_text USING fts5 (
	body, subject, sender, rcpt, cc, filename,
	tag, -- who holds it and what it has: see apply.go
	content = '', contentless_delete = 1, tokenize = "ascii tokenchars '=@.-_+'"
);
-- Fewer, larger segments: less rewriting for a little more work per query.
INSERT INTO search_text (search_text, rank) VALUES ('automerge', 16);
INSERT INTO search_text (search_text, rank) VALUES ('hashsize', 4194304);

-- The index read word by word, for checking it.
CREATE VIRTUAL TABLE search_word USING fts5vocab (search_text, instance);

-- Which row of the mailbox a document is.
CREATE TABLE search_doc (
	doc   INTEGER PRIMARY KEY,
	row   INTEGER NOT NULL,
	entry INTEGER NOT NULL,
	size  INTEGER NOT NULL -- octets as captured
);
-- From where a message lies to its document.
CREATE INDEX search_doc_row ON search_doc (row);

-- The farthest that a document's number lies after its date, in seconds.
CREATE TABLE search_spill (
	one     INTEGER PRIMARY KEY CHECK (one = 1),
	seconds INTEGER NOT NULL,
	removed INTEGER NOT NULL -- 1 while words of what was removed may be in the file still
);
INSERT INTO search_spill VALUES (1, 0, 0);

-- The accounts that hold any document there ever was. Where it is one, queries
-- needn't ask who holds what.
CREATE TABLE search_holder (account INTEGER PRIMARY KEY);
