package imapd

import (
	"context"
	"net/netip"
	"time"

	"sijill"
	"sijill/internal/mailbox"
)

// Backend knows who may sign in. It is called from many goroutines.
type Backend interface {
	// Login signs in with a name or address and a password for mail programs.
	// from is zero where the peer has no IP address. The error wraps
	// people.ErrCredentials when they don't fit and is a people.ErrSlowDown when
	// too many didn't; any other error is taken as passing.
	Login(ctx context.Context, name, password string, from netip.Addr) (User, error)
}

// User is what one credential gives access to. It belongs to one connection;
// of its methods Folders, Places, Snapshot, Changes, Watch, Summaries and Ready may
// be called while another runs.
//
// Errors wrap fs.ErrNotExist for a folder that isn't there, fs.ErrExist for one
// that is, and mailbox.ErrWall where office and personal mail would mix. Any other
// error is noted in the log and told as a fault of the server.
type User interface {
	// Classes are the classes of mail that the credential may see.
	Classes() []sijill.Class

	// Folders are all folders of those classes, with their counts.
	Folders(ctx context.Context) ([]mailbox.Folder, error)
	// CreateFolder makes a folder. The name has its parents in front, with "/".
	CreateFolder(ctx context.Context, class sijill.Class, name string) (mailbox.Folder, error)
	// RenameFolder renames a folder and those below it.
	RenameFolder(ctx context.Context, folder int64, name string) error
	// DeleteFolder deletes a folder that is empty and has no role.
	DeleteFolder(ctx context.Context, folder int64) error
	// Subscribe notes whether mail programs should show the folder.
	Subscribe(ctx context.Context, folder int64, on bool) error

	// Places are the messages of a folder from one UID to another, by UID.
	Places(ctx context.Context, folder, first, last int64) ([]mailbox.Place, error)
	// Snapshot is what is known of all messages of a folder as it is now.
	Snapshot(ctx context.Context, folder int64) (*mailbox.Snapshot, error)
	// Changes are what has changed in a folder since a state that Folder.ModSeq
	// or Changes.ModSeq named.
	Changes(ctx context.Context, folder, since int64) (mailbox.Changes, error)
	// Watch gives a channel on which something comes after every change in a
	// folder of the account, until stop is called.
	Watch() (changed <-chan struct{}, stop func())

	// Flag changes flags and keywords of messages, and returns their places as
	// they are then. UIDs that there aren't are passed over.
	Flag(ctx context.Context, folder int64, uids []int64, op mailbox.Op, flags mailbox.Flags, keywords []string) ([]mailbox.Place, error)
	// Copy puts messages in another folder too, Move in the other instead.
	// Neither does a part of it.
	Copy(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error)
	Move(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error)
	// Expunge takes messages out of a folder for good.
	Expunge(ctx context.Context, folder int64, uids []int64) error
	// Append returns only when the message is sealed and has its place. An error
	// that wraps syscall.ENOSPC is told as lack of room.
	Append(ctx context.Context, folder int64, m *Mail) (mailbox.Place, error)

	// Summaries are what lists need of messages. Those that can't be had are
	// left out.
	Summaries(ctx context.Context, entries []int64) ([]mailbox.Summary, error)
	// Sizes are about how many octets messages have, to reckon with before they
	// are opened. Some may be missing, and of others there.
	Sizes(ctx context.Context, entries []int64) (map[int64]int64, error)
	// Ready reads in one go what opening messages needs, at most 500 of them.
	// What it returns opens the one at index i, as mail programs are to see it;
	// it is called many times at once, and an error is of that message alone.
	Ready(ctx context.Context, entries []int64) (open func(i int) ([]byte, error), err error)
	// Search returns the entries that have the words of text in them one after
	// the other, in the header or the body, ascending.
	Search(ctx context.Context, text string) ([]int64, error)

	// Close ends the sign-in.
	Close()
}

// Mail is a message to be appended.
type Mail struct {
	Message  []byte
	Flags    mailbox.Flags
	Keywords []string
	Internal time.Time // when the client says it arrived; zero for now
}
