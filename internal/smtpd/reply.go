package smtpd

import (
	"strconv"

	"github.com/emersion/go-smtp"
)

// reply is one answer to the peer, with its code of RFC 3463. Its text is
// fixed: no error text of ours reaches the peer.
type reply = *smtp.SMTPError

func say(code, class, subject, detail int, text string) reply {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}

var (
	replyBusy               = say(421, 4, 3, 2, "too many connections, try again later")
	replyTooManyConnections = say(421, 4, 7, 0, "too many connections from your address, try again later")
	replyStopping           = say(421, 4, 3, 2, "service closing, try again later")
	replyIdle               = say(421, 4, 4, 2, "timeout, closing connection")
	replySlow               = say(421, 4, 4, 2, "message took too long, closing connection")
	replyTooManyErrors      = say(421, 4, 7, 0, "too many errors, closing connection")
	replyTooManyCommands    = say(421, 4, 7, 0, "too many commands without a message, closing connection")
	replyTooManyMessages    = say(421, 4, 7, 0, "too many messages in one connection, please reconnect")
	replyMessageRate        = say(451, 4, 7, 1, "too many messages from your address, try again later")

	replyBadLine     = say(500, 5, 5, 2, "command lines are UTF-8 without control characters and end with CR LF")
	replyLongLine    = say(500, 5, 5, 2, "command line too long, closing connection")
	replyLongName    = say(501, 5, 5, 4, "name too long")
	replyBadChunk    = say(501, 5, 5, 4, "malformed BDAT, closing connection")
	replyHugeChunk   = say(552, 5, 3, 4, "chunk exceeds the message size, closing connection")
	replyNoMail      = say(503, 5, 5, 1, "MAIL and an accepted RCPT come first")
	replyInChunks    = say(503, 5, 5, 1, "not between BDAT chunks; send BDAT LAST or RSET")
	replyMailTwice   = say(503, 5, 5, 1, "MAIL was given already; send RSET first")
	replyGreetFirst  = say(503, 5, 5, 1, "introduce yourself first")
	replyNoTLS       = say(502, 5, 5, 1, "STARTTLS is not offered")
	replyTLSArgument = say(501, 5, 5, 4, "STARTTLS takes no argument")
	replyTLSInjected = say(501, 5, 5, 1, "commands sent before the TLS handshake, closing connection")
	replyTLSGo       = say(220, 2, 0, 0, "ready to start TLS")
	replyChunk       = say(250, 2, 0, 0, "chunk received")

	replyNeedsUTF8     = say(553, 5, 6, 7, "non-ASCII address needs SMTPUTF8")
	replyBadSender     = say(501, 5, 1, 7, "malformed sender address")
	replyBadRecipient  = say(553, 5, 1, 3, "malformed recipient address")
	replyUnknown       = say(550, 5, 1, 1, "no such mailbox here")
	replyForeign       = say(550, 5, 7, 1, "relaying denied")
	replyJournalClosed = say(550, 5, 7, 1, "not allowed to send to this address")
	replyNoJournal     = say(451, 4, 3, 5, "the journal address has no account here yet, try again later")
	replyLookup        = say(451, 4, 3, 0, "cannot check the recipient now, try again later")

	replyGrey             = say(451, 4, 7, 1, "not known here yet, try again in some minutes")
	replyLoop             = say(554, 5, 4, 6, "too many hops; the message goes in a circle")
	replyUnchecked        = say(451, 4, 3, 0, "cannot check the message now, try again later")
	replyTLSFirst         = say(530, 5, 7, 0, "STARTTLS comes first")
	replyAuthFirst        = say(530, 5, 7, 0, "sign in with AUTH first")
	replyAuthClear        = say(538, 5, 7, 11, "AUTH needs TLS; use STARTTLS first")
	replyAuthTwice        = say(503, 5, 5, 1, "signed in already")
	replyAuthLate         = say(503, 5, 5, 1, "not within a message; send RSET first")
	replyAuthSyntax       = say(501, 5, 5, 4, "malformed AUTH")
	replyAuthBase64       = say(501, 5, 5, 2, "malformed base64")
	replyAuthCancelled    = say(501, 5, 7, 0, "AUTH was cancelled")
	replyAuthMechanism    = say(504, 5, 5, 4, "mechanisms are PLAIN and LOGIN")
	replyAuthDone         = say(235, 2, 7, 0, "signed in")
	replyCredentials      = say(535, 5, 7, 8, "wrong name or application password")
	replySlowDown         = say(454, 4, 7, 0, "too many failures to sign in, try again later")
	replyAuthLater        = say(454, 4, 7, 0, "cannot check credentials now, try again later")
	replyNotYours         = say(553, 5, 7, 1, "sender address is not one that this sign-in writes from")
	replyFromNotYours     = say(550, 5, 7, 1, "an address in From, Sender or their Resent- fields is not one of yours")
	replyOneFrom          = say(550, 5, 6, 0, "the header needs one From field with one address")
	replyOneSender        = say(550, 5, 6, 0, "the header may have one Sender field with one address")
	replyResent           = say(550, 5, 6, 0, "Resent-From and Resent-Sender need addresses, at most ten of them")
	replyBadHeader        = say(550, 5, 6, 0, "malformed header")
	replySenderMessages   = say(451, 4, 7, 1, "you have sent too many messages in an hour, try again later")
	replySenderRecipients = say(451, 4, 7, 1, "you have written to too many recipients in an hour, try again later")

	replyTooBig      = say(552, 5, 3, 4, "message exceeds the maximum size")
	replyMemory      = say(452, 4, 3, 1, "insufficient memory, try again later")
	replyBareCR      = say(550, 5, 6, 0, "message holds a bare CR; end lines with CR LF or encode the part in base64")
	replyBareLF      = say(550, 5, 6, 0, "message holds a bare LF; end lines with CR LF or encode the part in base64")
	replyNUL         = say(550, 5, 6, 0, "message holds a NUL; encode the part in base64 or quoted-printable")
	replyLongData    = say(550, 5, 6, 0, "message holds a line longer than 131072 octets; encode the part in base64 or quoted-printable")
	replyManyJournal = say(550, 5, 5, 3, "journal report names too many addresses")
	replyFull        = say(452, 4, 3, 1, "insufficient system storage, try again later")
	replyUnsealed    = say(451, 4, 3, 0, "cannot seal the message now, try again later")
)

// sealed is the one answer that takes responsibility for a message.
func sealed(entry int64) reply {
	return say(250, 2, 0, 0, "sealed as entry "+strconv.FormatInt(entry, 10))
}

// wire appends the line that r is sent as.
func wire(b []byte, r reply) []byte {
	b = strconv.AppendInt(b, int64(r.Code), 10)
	sep := byte(' ')
	for _, n := range r.EnhancedCode {
		b = append(b, sep)
		b = strconv.AppendInt(b, int64(n), 10)
		sep = '.'
	}
	b = append(b, ' ')
	b = append(b, r.Message...)
	return append(b, "\r\n"...)
}
