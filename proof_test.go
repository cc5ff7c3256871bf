package sijill

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// roundTrip writes a proof and reads it again, as a stranger would get it.
func roundTrip(t testing.TB, p *Proof) *Proof {
	t.Helper()
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	q, err := ParseProof(b)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := q.Marshal(); err != nil || !bytes.Equal(again, b) {
		t.Fatalf("encoded again it differs: %v", err)
	}
	return q
}

func TestVerify(t *testing.T) {
	r, msg, envelope := newRegister(t), letter(20), []byte(`{"door":"smtp"}`)
	r.fill(t, 5)
	index, seed, salt := r.capture(t, msg, envelope)
	r.fill(t, 300)
	keys := mustKeys(t, r.keys)

	bare := roundTrip(t, r.prove(t, index))
	v, err := Verify(bare, nil, keys)
	if err != nil || v.Index != 5 || v.Entry.Kind != Captured || v.Checkpoint.Size != 300 || v.Whole ||
		!v.Time.Equal(signedAt) || v.Units != nil {
		t.Errorf("entry: %+v, %v", v, err)
	}

	whole := r.prove(t, index)
	whole.Seed, whole.Envelope, whole.EnvelopeSalt = &seed, envelope, &salt
	whole = roundTrip(t, whole)
	if v, err := Verify(whole, msg, keys); err != nil || !v.Whole || string(v.Envelope) != string(envelope) {
		t.Errorf("whole: %+v, %v", v, err)
	}
	if v, err := Verify(whole, nil, keys); err != nil || v.Whole {
		t.Errorf("whole without its message: %+v, %v", v, err)
	}

	redacted := r.prove(t, index)
	redacted.Disclosure = Disclose(seed, msg, func(i int, _ []byte) bool { return i != 9 })
	redacted = roundTrip(t, redacted)
	v, err = Verify(redacted, nil, keys)
	if err != nil || v.Whole || v.Units[9] != nil || !bytes.Equal(v.Units[8], Split(msg)[8]) {
		t.Errorf("redacted: %+v, %v", v, err)
	}
	if _, err := Verify(redacted, msg, keys); err != nil {
		t.Errorf("redacted beside its message: %v", err)
	}

	inside := r.prove(t, index)
	inside.Disclosure = Disclose(seed, msg, func(int, []byte) bool { return true })
	v, err = Verify(roundTrip(t, inside), nil, keys)
	if err != nil || !v.Whole || !bytes.Equal(bytes.Join(v.Units, nil), msg) {
		t.Errorf("message inside: %+v, %v", v, err)
	}
}

// Each way in which a proof can fail has its own error.
func TestVerifyNamesWhatFailed(t *testing.T) {
	r, msg, envelope := newRegister(t), letter(20), []byte(`{"door":"smtp"}`)
	r.fill(t, 5)
	index, seed, salt := r.capture(t, msg, envelope)
	notEntry := r.append(t, []byte(`{"kind": "login"}`))
	r.fill(t, 30)
	keys := mustKeys(t, r.keys)
	other, err := NewEd25519Signer(testOrigin, [32]byte{99})
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(msg, []byte("met"), []byte("sat"), 1)
	disclose := func(m []byte, s Hash) *Disclosure {
		return Disclose(s, m, func(i int, _ []byte) bool { return i != 3 })
	}
	for name, c := range map[string]struct {
		spoil func(p *Proof)
		msg   []byte
		keys  Keys
		want  error
	}{
		"another key": {keys: mustKeys(t, other.VerifierKey()), want: ErrSignature},
		"one key more": {keys: mustKeys(t, r.keys+" "+other.VerifierKey()),
			want: ErrSignature},
		"no keys": {keys: Keys{}, want: ErrSignature},
		"checkpoint of another size": {spoil: func(p *Proof) {
			p.Checkpoint = bytes.Replace(p.Checkpoint, []byte("\n30\n"), []byte("\n31\n"), 1)
		}, want: ErrSignature},
		"another index":  {spoil: func(p *Proof) { p.Index++ }, want: ErrInclusion},
		"index beyond":   {spoil: func(p *Proof) { p.Index = 1 << 40 }, want: ErrInclusion},
		"a hash changed": {spoil: func(p *Proof) { p.Inclusion[0][0] ^= 1 }, want: ErrInclusion},
		"a hash missing": {spoil: func(p *Proof) { p.Inclusion = p.Inclusion[1:] }, want: ErrInclusion},
		"a hash more":    {spoil: func(p *Proof) { p.Inclusion = append(p.Inclusion, Hash{1}) }, want: ErrInclusion},
		"entry changed": {spoil: func(p *Proof) {
			p.Entry = bytes.Replace(p.Entry, []byte("2026"), []byte("2025"), 1)
		}, want: ErrInclusion},
		"not an entry":     {spoil: func(p *Proof) { *p = *r.prove(t, notEntry) }, want: ErrEntry},
		"message, no seed": {msg: msg, want: ErrCommitment},
		"entry of no message": {spoil: func(p *Proof) {
			*p = *r.prove(t, 0)
			p.Seed = &seed
		}, want: ErrCommitment},
		"other message":   {spoil: func(p *Proof) { p.Seed = &seed }, msg: changed, want: ErrMessageDiffers},
		"empty message":   {spoil: func(p *Proof) { p.Seed = &seed }, msg: []byte{}, want: ErrMessageDiffers},
		"other seed":      {spoil: func(p *Proof) { p.Seed = &Hash{1} }, msg: msg, want: ErrMessageDiffers},
		"other shown":     {spoil: func(p *Proof) { p.Disclosure = disclose(changed, seed) }, want: ErrCommitment},
		"fewer units":     {spoil: func(p *Proof) { p.Disclosure = disclose(letter(19), seed) }, want: ErrCommitment},
		"shown, differs":  {spoil: func(p *Proof) { p.Disclosure = disclose(msg, seed) }, msg: changed, want: ErrMessageDiffers},
		"shown, longer":   {spoil: func(p *Proof) { p.Disclosure = disclose(msg, seed) }, msg: letter(21), want: ErrMessageDiffers},
		"other envelope":  {spoil: func(p *Proof) { p.EnvelopeSalt, p.Envelope = &salt, []byte("{}") }, want: ErrEnvelope},
		"other salt":      {spoil: func(p *Proof) { p.EnvelopeSalt, p.Envelope = &Hash{1}, envelope }, want: ErrEnvelope},
		"holds after all": {spoil: func(p *Proof) { p.Seed = &seed }, msg: msg},
	} {
		p := r.prove(t, index)
		if c.spoil != nil {
			c.spoil(p)
		}
		if c.keys.keys == nil && name != "no keys" {
			c.keys = keys
		}
		v, err := Verify(p, c.msg, c.keys)
		if !errors.Is(err, c.want) || err != nil && v != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A stranger's file with any one bit changed either isn't a proof or doesn't
// hold; only the witness lines, which nobody asked for, may be anything.
func TestProofBitFlips(t *testing.T) {
	r, msg := newRegister(t), letter(3)
	r.fill(t, 2)
	index, seed, _ := r.capture(t, msg, nil)
	r.fill(t, 6)
	p, keys := r.prove(t, index), mustKeys(t, r.keys)
	p.Seed = &seed
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		if i > len(b)/2 && i < len(b)-8 && i%9 > 0 {
			continue // inside the long signature one byte is like another
		}
		bad := bytes.Clone(b)
		bad[i] ^= 1 << (i % 8)
		q, err := ParseProof(bad)
		if err != nil {
			if !errors.Is(err, ErrProof) {
				t.Errorf("byte %d: %v", i, err)
			}
			continue
		}
		if _, err := Verify(q, msg, keys); err == nil {
			t.Errorf("byte %d changed, %q for %q, and it holds", i, bad[i], b[i])
		}
	}
}

func TestParseProofRefuses(t *testing.T) {
	r, msg := newRegister(t), letter(3)
	index, seed, _ := r.capture(t, msg, nil)
	r.fill(t, 6)
	p := r.prove(t, index)
	p.Seed = &seed
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	file := string(b)
	extra := strings.SplitN(file, "\n", 3)[1]
	encode := func(json string) string { return "extra " + base64.StdEncoding.EncodeToString([]byte(json)) }
	entry := base64.StdEncoding.EncodeToString(p.Entry)
	for name, change := range map[string][2]string{
		"version":           {"proof@v1", "proof@v2"},
		"CRLF":              {"proof@v1\n", "proof@v1\r\n"},
		"no extra":          {extra + "\n", ""},
		"blank extra":       {extra, "extra "},
		"not base64":        {extra, "extra !"},
		"spaces":            {extra, encode(`{"entry": "` + entry + `","v":1}`)},
		"unknown member":    {extra, encode(`{"entry":"` + entry + `","other":1,"v":1}`)},
		"other version":     {extra, encode(`{"entry":"` + entry + `","v":2}`)},
		"no entry":          {extra, encode(`{"v":1}`)},
		"envelope, no salt": {extra, encode(`{"entry":"` + entry + `","envelope":"","v":1}`)},
		"both":              {extra, encode(`{"disclosure":"AAAAAA==","entry":"` + entry + `","seed":"` + seed.String() + `","v":1}`)},
		"bad disclosure":    {extra, encode(`{"disclosure":"","entry":"` + entry + `","v":1}`)},
		"leading zero":      {"\nindex 0\n", "\nindex 00\n"},
		"negative":          {"\nindex 0\n", "\nindex -1\n"},
		"huge index":        {"\nindex 0\n", "\nindex 9223372036854775808\n"},
		"short hash":        {"\nindex 0\n", "\nindex 0\nAAAA\n"},
		"too many hashes":   {"\nindex 0\n", "\nindex 0\n" + strings.Repeat(seed.String()+"\n", 64)},
		"no checkpoint":     {testOrigin + "\n6\n", "\n"},
		"size with a zero":  {testOrigin + "\n6\n", testOrigin + "\n06\n"},
	} {
		bad := strings.Replace(file, change[0], change[1], 1)
		if bad == file {
			t.Fatalf("%s: nothing to change", name)
		}
		if _, err := ParseProof([]byte(bad)); !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.Disclosure = Disclose(seed, msg, func(int, []byte) bool { return true })
	if _, err := p.Marshal(); !errors.Is(err, ErrProof) {
		t.Errorf("wrote a proof with both seed and disclosure: %v", err)
	}
}

func BenchmarkVerify(b *testing.B) {
	r, msg := newRegister(b), letter(151)
	index, seed, salt := r.capture(b, msg, []byte("{}"))
	r.fill(b, 1000)
	keys := mustKeys(b, r.keys)
	p := r.prove(b, index)
	p.EnvelopeSalt, p.Envelope = &salt, []byte("{}")
	q := *p
	p.Seed = &seed
	q.Disclosure = Disclose(seed, msg, func(i int, _ []byte) bool { return i%10 != 0 })
	for name, c := range map[string]struct {
		proof *Proof
		msg   []byte
	}{"whole": {p, msg}, "redacted": {&q, nil}} {
		file, err := c.proof.Marshal()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := ParseProof(file)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := Verify(p, c.msg, keys); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(file)), "B/proof")
		})
	}
}
