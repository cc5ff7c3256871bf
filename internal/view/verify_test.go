package view

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tries runs verify.js over the vectors that every implementation of the format
// is held to, and over copies of their proofs with one byte changed.
const tries = `
const { readFileSync } = require("node:fs");
require(process.argv[2]);
const V = globalThis.sijillVerify, v = JSON.parse(readFileSync(process.argv[3]));
const b = (s) => Uint8Array.from(atob(s), (c) => c.charCodeAt(0)), out = [];
const expect = (what, got, want) => { if (got !== want) out.push(what + ": " + got + ", want " + want); };
const built = (m) => {
  if ("message" in m) return b(m.message);
  const part = atob(m.part);
  const text = m.more ? "\n" + part.repeat(m.more) + atob(m.tail) : part.repeat(m.times);
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
};
const run = async (proof, message, keys) => (await V.check({ proof, message, keys }, () => {})).verdict;
(async () => {
  let n = 0;
  for (const m of v.messages) {
    const units = V.cut(built(m));
    expect(m.name, units.length, m.units);
    if (m.sizes) expect(m.name + " sizes", units.map((u) => u.length).join(), m.sizes.join());
    expect(m.name, V.hex(V.commitmentOf(units.length, V.rootOf(units, b(m.seed)))), V.hex(b(m.commitment)));
    n++;
  }
  if (n < 10) out.push("only " + n + " messages");
  const msg = b(v.message.message), key = v.keys.ed25519, bytes = (s) => new TextEncoder().encode(s);
  const { whole, redacted, entry, alone } = Object.fromEntries(Object.entries(v.proofs).map(([k, p]) => [k, bytes(p)]));
  const both = key + "\n" + v.keys.mldsa44;
  expect("whole", await run(whole, msg, both), "genuine");
  expect("whole alone", await run(whole, null, key), "entry");
  expect("redacted", await run(redacted, null, key), "partly");
  expect("redacted beside its message", await run(redacted, msg, key), "partly");
  expect("entry", await run(entry, null, key), "entry");
  expect("entry and message", await run(entry, msg, key), "altered");
  expect("alone", await run(alone, null, key), "entry");
  expect("only a key that browsers don't know", await run(whole, msg, v.keys.mldsa44), "unsigned");
  expect("another's key", await run(whole, msg, v.keys.witness), "altered");
  expect("no key", await run(whole, msg, ""), "altered");
  expect("not a key", await run(whole, msg, key.replace("6758", "6759")), "altered");
  expect("nothing", await run(new Uint8Array(), msg, key), "altered");
  expect("cut short", await run(whole.subarray(0, 200), msg, key), "altered");
  for (let i = 0; i < msg.length; i += 7) {
    const bad = Uint8Array.from(msg);
    bad[i] ^= 1;
    expect("message byte " + i, await run(whole, bad, key), "altered");
  }
  expect("message longer", await run(whole, Uint8Array.from([...msg, 10]), key), "altered");
  // A byte of the ML-DSA signature may change: this verifier doesn't look at it.
  const text = new TextDecoder().decode(whole), signatures = text.indexOf("\n\n\u2014") < 0 ? text.indexOf("\u2014") : text.indexOf("\n\n\u2014");
  const upTo = bytes(text.slice(0, signatures)).length;
  for (let i = 0; i < upTo; i += 11) {
    const bad = Uint8Array.from(whole);
    bad[i] ^= 1;
    expect("proof byte " + i, await run(bad, msg, key), "altered");
  }
  const sha = (s) => V.hex(V.sha256(bytes(s)));
  expect("sha256 of nothing", sha(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (const size of [55, 56, 63, 64, 65, 119, 1000]) {
    const want = require("node:crypto").createHash("sha256").update("x".repeat(size)).digest("hex");
    expect("sha256 of " + size, sha("x".repeat(size)), want);
  }
  console.log(JSON.stringify(out));
})();
`

// TestVerifyScript holds the script that readers are shown to the vectors of
// the format.
func TestVerifyScript(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node here: verify.js is not tried outside a browser")
	}
	script, err := filepath.Abs("page/verify/verify.js")
	if err != nil {
		t.Fatal(err)
	}
	vectors, err := filepath.Abs("../../testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(t.TempDir(), "run.cjs")
	if err := os.WriteFile(run, []byte(tries), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), node, run, script, vectors).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var wrong []string
	if err := json.Unmarshal(out, &wrong); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, w := range wrong {
		t.Error(w)
	}
}
