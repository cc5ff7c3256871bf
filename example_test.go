package sijill_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sijill"
)

const message = "From: mona@diwan.example\r\n" +
	"Subject: The wall\r\n" +
	"\r\n" +
	"The mason asks for 100 dirhams.\r\n" +
	"My telephone is 555 0100.\r\n"

// A reader shows a commitment to be of this message, or finds that it isn't.
func ExampleCommit() {
	seed := sijill.Hash{1} // in a register: CommitmentSeed of the message's random key
	commitment, units := sijill.Commit(seed, []byte(message))
	fmt.Println(units, "units")

	altered := strings.Replace(message, "100", "1000", 1)
	other, _ := sijill.Commit(seed, []byte(altered))
	fmt.Println("altered message has the same commitment:", other == commitment)
	// Output:
	// 5 units
	// altered message has the same commitment: false
}

// An officer withholds a line; a reader checks the rest.
func ExampleDisclose() {
	seed := sijill.Hash{1}
	commitment, _ := sijill.Commit(seed, []byte(message))

	redacted := sijill.Disclose(seed, []byte(message), func(i int, unit []byte) bool {
		return !bytes.Contains(unit, []byte("telephone"))
	}).Marshal()

	disclosure, err := sijill.ParseDisclosure(redacted)
	if err != nil {
		fmt.Println(err)
		return
	}
	units, err := disclosure.Verify(commitment)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, unit := range units {
		if unit == nil {
			fmt.Println("[withheld]")
			continue
		}
		fmt.Println(strings.TrimSpace(string(unit)))
	}
	// Output:
	// From: mona@diwan.example
	// Subject: The wall
	//
	// The mason asks for 100 dirhams.
	// [withheld]
}

// A stranger checks a message with its proof, knowing only the public keys.
func ExampleVerify() {
	file, key, err := office()
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := sijill.ParseKeys(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	proof, err := sijill.ParseProof(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := sijill.Verify(proof, []byte(message), keys)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("entry %d of %s, whole: %v\n", v.Index, v.Checkpoint.Origin, v.Whole)

	altered := strings.Replace(message, "100", "1000", 1)
	_, err = sijill.Verify(proof, []byte(altered), keys)
	fmt.Println(errors.Is(err, sijill.ErrMessageDiffers))
	// Output:
	// entry 0 of diwan.example/register, whole: true
	// true
}

// office makes a register of one entry and returns the entry's proof and the
// register's public key.
func office() (proof []byte, key string, err error) {
	seed := sijill.Hash{1}
	commitment, units := sijill.Commit(seed, []byte(message))
	entry := sijill.Entry{
		Time:    time.Date(2026, 11, 21, 22, 11, 49, 0, time.UTC),
		Kind:    sijill.Captured,
		Message: &sijill.Message{ID: sijill.ID{1}, Commitment: commitment, Units: units},
	}
	raw, err := entry.Marshal()
	if err != nil {
		return nil, "", err
	}
	signer, err := sijill.NewEd25519Signer("diwan.example/register", [32]byte{1})
	if err != nil {
		return nil, "", err
	}
	checkpoint := sijill.Checkpoint{Origin: signer.Name(), Size: 1, Root: sijill.LeafHash(raw)}
	signed, err := checkpoint.Sign(signer)
	if err != nil {
		return nil, "", err
	}
	p := sijill.Proof{Entry: raw, Checkpoint: signed, Seed: &seed}
	proof, err = p.Marshal()
	return proof, signer.VerifierKey(), err
}

// A register is published as tiles, whose names C2SP tlog-tiles gives.
func ExampleTilePath() {
	fmt.Println(sijill.TilePath(sijill.NewTile(0, 1234067, 256)))
	fmt.Println(sijill.TilePath(tlog.Tile{H: sijill.TileHeight, L: sijill.EntryTile, N: 273, W: 112}))
	// Output:
	// tile/0/x001/x234/067
	// tile/entries/273.p/112
}

// The entry of a captured message has one encoding.
func ExampleEntry_Marshal() {
	fields, err := sijill.CapturedFields{Door: "smtp"}.Marshal()
	if err != nil {
		fmt.Println(err)
		return
	}
	e := sijill.Entry{
		Time:     time.Date(2026, 11, 21, 22, 11, 49, 123456789, time.UTC),
		Kind:     sijill.Captured,
		Actor:    "smtp",
		Accounts: []string{"0123456789abcdef0123456789abcdef"},
		Fields:   fields,
	}
	b, err := e.Marshal()
	if err != nil {
		fmt.Println(err)
		return
	}
	os.Stdout.Write(append(b, '\n'))
	// Output:
	// {"accounts":["0123456789abcdef0123456789abcdef"],"actor":"smtp","fields":{"door":"smtp"},"kind":"captured","time":"2026-11-21T22:11:49.123456Z","v":1}
}
