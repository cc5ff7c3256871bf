package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// client is an IMAP client that keeps up with any server.
type client struct {
	conn *tls.Conn
	in   *bufio.Reader
	tag  int
}

func dialIMAP(address, user, secret string) (*client, error) {
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, in: bufio.NewReaderSize(conn, 4<<10)}
	_ = conn.SetDeadline(time.Now().Add(12 * time.Minute))
	if _, err := c.in.ReadString('\n'); err != nil {
		return nil, err
	}
	_, err = c.command("LOGIN " + strconv.Quote(user) + " " + strconv.Quote(secret))
	return c, err
}

func (c *client) close() { _ = c.conn.Close() }

// answer is what came before the end of a command.
type answer struct {
	octets int64    // Literals included.
	lines  []string // Untagged responses without literals, at most the first 1,000.
	count  int      // All lines.
}

// command sends a command and reads to its end.
func (c *client) command(text string) (answer, error) {
	if err := c.start(text); err != nil {
		return answer{}, err
	}
	return c.finish(text)
}

func (c *client) start(text string) error {
	c.tag++
	_, err := fmt.Fprintf(c.conn, "t%d %s\r\n", c.tag, text)
	return err
}

func (c *client) finish(text string) (a answer, err error) {
	prefix := fmt.Appendf(nil, "t%d ", c.tag)
	for {
		line, err := c.in.ReadSlice('\n')
		whole := err == nil
		if err != nil && err != bufio.ErrBufferFull {
			return a, err
		}
		a.octets += int64(len(line))
		if bytes.HasPrefix(line, prefix) {
			if !bytes.HasPrefix(line[len(prefix):], []byte("OK")) {
				verb, _, _ := strings.Cut(text, " ")
				return a, fmt.Errorf("%s: %s", verb, bytes.TrimSpace(line))
			}
			return a, nil
		}
		a.count++
		if len(a.lines) < 1000 {
			a.lines = append(a.lines, strings.TrimRight(string(line), "\r\n"))
		}
		if whole {
			if err := c.literal(line, &a); err != nil {
				return a, err
			}
		}
	}
}

// literal passes over the literal that a line announces.
func (c *client) literal(line []byte, a *answer) error {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 || line[len(line)-1] != '}' {
		return nil
	}
	size, err := strconv.ParseInt(string(line[bytes.LastIndexByte(line, '{')+1:len(line)-1]), 10, 64)
	if err != nil {
		return nil // Not a literal, but text that looks like one.
	}
	n, err := io.CopyN(io.Discard, c.in, size)
	a.octets += n
	return err
}

// append stores a message and waits until it is there.
func (c *client) append(folder string, raw []byte) error {
	c.tag++
	if _, err := fmt.Fprintf(c.conn, "t%d APPEND %s {%d}\r\n", c.tag, folder, len(raw)); err != nil {
		return err
	}
	if line, err := c.in.ReadString('\n'); err != nil || line[0] != '+' {
		return fmt.Errorf("APPEND: %s %w", strings.TrimSpace(line), err)
	}
	if _, err := c.conn.Write(append(raw[:len(raw):len(raw)], "\r\n"...)); err != nil {
		return err
	}
	_, err := c.finish("APPEND")
	return err
}

// idle begins to wait for news.
func (c *client) idle() error {
	if err := c.start("IDLE"); err != nil {
		return err
	}
	line, err := c.in.ReadString('\n')
	if err == nil && line[0] != '+' {
		err = fmt.Errorf("IDLE: %s", strings.TrimSpace(line))
	}
	return err
}

// news reads lines until one ends with what.
func (c *client) news(what string) error {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil || strings.HasSuffix(strings.TrimSpace(line), what) {
			return err
		}
	}
}

// holding is the folder with the most messages, of which there must be least.
func (c *client) holding(least int) (string, error) {
	a, err := c.command(`LIST "" "*"`)
	if err != nil {
		return "", err
	}
	best, most := "", -1
	for _, line := range a.lines {
		name, ok := listed(line)
		if !ok {
			continue
		}
		n, err := c.messages(name)
		if err != nil {
			return "", err
		}
		if n > most {
			best, most = name, n
		}
	}
	if most < least {
		return "", fmt.Errorf("the largest folder has %d messages of %d", most, least)
	}
	return best, nil
}

// messages is how many a folder has.
func (c *client) messages(folder string) (n int, err error) {
	a, err := c.command("STATUS " + folder + " (MESSAGES)")
	if err != nil {
		return 0, err
	}
	for _, line := range a.lines {
		if _, rest, ok := strings.Cut(line, "(MESSAGES "); ok {
			_, err = fmt.Sscanf(rest, "%d", &n)
		}
	}
	return n, err
}

// listed is the name in a LIST response, quoted as it came.
func listed(line string) (string, bool) {
	_, rest, ok := strings.Cut(line, `) "/" `)
	return rest, ok && strings.HasPrefix(line, "* LIST ") && !strings.Contains(strings.ToLower(line), `\noselect`)
}
