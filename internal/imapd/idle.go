package imapd

import (
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
)

// lookAgain is how often a session that idles looks for changes of which this
// process heard nothing.
const lookAgain = time.Minute

// pause is how long after "+ idling" the first of it is told. What a program reads
// together with that line may lie there unnoticed until it ends IDLE: with
// Thunderbird that was up to half an hour.
const pause = 50 * time.Millisecond

// Idle tells what others do as it happens, until stop is closed.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	s.mu.Lock()
	sel := s.sel
	s.mu.Unlock()
	if sel == nil {
		<-stop
		return nil
	}
	select {
	case <-stop:
		return nil
	case <-time.After(pause):
	}
	t := time.NewTicker(lookAgain)
	defer t.Stop()
	for {
		if err := s.Poll(w, true); err != nil {
			<-stop
			return err
		}
		select {
		case <-stop:
			return nil
		case <-s.ctx.Done():
			return nil
		case <-sel.changed:
		case <-t.C:
		}
	}
}
