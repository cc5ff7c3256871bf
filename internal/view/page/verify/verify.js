// Checks that a message is the one that a register sealed.
//
// This file is written to be read by someone who doubts it. It is complete: it
// uses no library, sends nothing anywhere, and believes nothing that it can
// compute. It follows docs/format.md, "Checking a proof"; the numbers in the
// comments are that section's. What goes in is
//
//   proof    the bytes of a .tlog-proof file,
//   message  the bytes of the message, or null,
//   keys     the register's public keys as text,
//
// and what comes out is the list of steps with what each of them found.
//
// Run it elsewhere if you like:   node -e 'require("./verify.js") …'
"use strict";
(() => {
  // ---- SHA-256 (FIPS 180-4), so that not even the browser's has to be asked.

  const K = new Uint32Array(64); // first 32 bits of the fractions of the cube roots of the first 64 primes
  const START = new Uint32Array(8); // likewise, of the square roots of the first 8
  const prime = (n) => { for (let d = 2; d * d <= n; d++) if (n % d === 0) return false; return true; };
  const fraction = (x) => Math.floor((x - Math.floor(x)) * 4294967296);
  for (let n = 2, i = 0; i < 64; n++) {
    if (!prime(n)) continue;
    if (i < 8) START[i] = fraction(Math.sqrt(n));
    K[i++] = fraction(Math.cbrt(n));
  }

  function join(parts) {
    let size = 0;
    for (const p of parts) size += p.length;
    const all = new Uint8Array(size);
    let at = 0;
    for (const p of parts) {
      all.set(p, at);
      at += p.length;
    }
    return all;
  }

  // sha256 hashes its arguments, joined.
  function sha256(...parts) {
    const data = join(parts);
    const blocks = Math.ceil((data.length + 9) / 64);
    const padded = new Uint8Array(blocks * 64);
    padded.set(data);
    padded[data.length] = 0x80;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 8, Math.floor(data.length / 0x20000000));
    view.setUint32(padded.length - 4, (data.length << 3) >>> 0);
    const h = Uint32Array.from(START);
    const w = new Uint32Array(64);
    const turn = (x, n) => (x >>> n) | (x << (32 - n));
    for (let block = 0; block < padded.length; block += 64) {
      for (let i = 0; i < 16; i++) w[i] = view.getUint32(block + 4 * i);
      for (let i = 16; i < 64; i++) {
        const a = w[i - 15];
        const b = w[i - 2];
        w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
      }
      let [a, b, c, d, e, f, g, z] = h;
      for (let i = 0; i < 64; i++) {
        const t = (z + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
        const s = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        z = g; g = f; f = e; e = (d + t) | 0;
        d = c; c = b; b = a; a = (t + s) | 0;
      }
      h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += z;
    }
    const out = new Uint8Array(32);
    h.forEach((word, i) => new DataView(out.buffer).setUint32(4 * i, word));
    return out;
  }

  // ---- Bytes and text.

  const LEAF = Uint8Array.of(0); // first bytes that keep the kinds of hash apart
  const NODE = Uint8Array.of(1);
  const LEFT = Uint8Array.of(2);
  const RIGHT = Uint8Array.of(3);

  const bytes = (text) => new TextEncoder().encode(text);
  const ascii = (data) => {
    let s = "";
    for (let i = 0; i < data.length; i += 8192) s += String.fromCharCode(...data.subarray(i, i + 8192));
    return s;
  };
  const hex = (data) => Array.from(data, (b) => b.toString(16).padStart(2, "0")).join("");
  const equal = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);
  const uint64 = (n) => {
    const out = new Uint8Array(8);
    new DataView(out.buffer).setUint32(0, Math.floor(n / 4294967296));
    new DataView(out.buffer).setUint32(4, n >>> 0);
    return out;
  };

  class Refused extends Error {}
  function refuse(why) { throw new Refused(why); }

  // unbase64 reads base64 in its one form (RFC 4648, section 4).
  function unbase64(text, size) {
    if (typeof text !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) refuse("base64");
    const raw = atob(text);
    if (btoa(raw) !== text) refuse("base64");
    if (size !== undefined && raw.length !== size) refuse("length");
    return Uint8Array.from(raw, (c) => c.charCodeAt(0));
  }

  // canonical reads JSON and refuses it unless writing it again in the one form
  // that the format allows gives the very same text.
  function canonical(text) {
    if (!/^[\x20-\x7e]*$/.test(text)) refuse("characters");
    const write = (v) => {
      if (Array.isArray(v)) return `[${v.map(write).join(",")}]`;
      if (v !== null && typeof v === "object") {
        return `{${Object.keys(v).sort().map((k) => `${JSON.stringify(k)}:${write(v[k])}`).join(",")}}`;
      }
      if (typeof v === "number" && !Number.isSafeInteger(v) || v === null) refuse("value");
      return JSON.stringify(v);
    };
    let value;
    try {
      value = JSON.parse(text);
    } catch {
      refuse("JSON");
    }
    if (write(value) !== text) refuse("not canonical");
    return value;
  }

  // only refuses an object with members other than those named.
  function only(object, ...names) {
    if (object === null || typeof object !== "object" || Array.isArray(object)) refuse("no object");
    for (const name of Object.keys(object)) if (!names.includes(name)) refuse("member");
  }

  // ---- 1. Form.

  function whole(text) {
    if (!/^(0|[1-9][0-9]{0,15})$/.test(text) || !Number.isSafeInteger(Number(text))) refuse("number");
    return Number(text);
  }

  // readProof takes a .tlog-proof apart (C2SP tlog-proof).
  function readProof(file) {
    const gap = file.findIndex((b, i) => b === 10 && file[i + 1] === 10);
    if (gap < 0) refuse("no checkpoint");
    const lines = ascii(file.subarray(0, gap)).split("\n");
    if (lines.length < 3 || lines.length > 66 || lines[0] !== "c2sp.org/tlog-proof@v1") refuse("first lines");
    if (!lines[1].startsWith("extra ") || !lines[2].startsWith("index ")) refuse("first lines");
    const extra = canonical(ascii(unbase64(lines[1].slice(6))));
    only(extra, "disclosure", "entry", "envelope", "envelope_salt", "seed", "v");
    if (extra.v !== 1 || ("envelope" in extra) !== ("envelope_salt" in extra)) refuse("extra");
    if ("disclosure" in extra && "seed" in extra) refuse("extra");
    const some = (name, size) => name in extra ? unbase64(extra[name], size) : null;
    return {
      index: whole(lines[2].slice(6)),
      path: lines.slice(3).map((line) => unbase64(line, 32)),
      entry: unbase64(extra.entry),
      seed: some("seed", 32),
      disclosure: some("disclosure"),
      envelope: some("envelope"),
      salt: some("envelope_salt", 32),
      checkpoint: readCheckpoint(file.subarray(gap + 2)),
    };
  }

  // readCheckpoint takes a signed checkpoint apart (C2SP signed-note, and
  // tlog-checkpoint). Its signatures are still to be checked.
  function readCheckpoint(note) {
    const gap = note.findIndex((b, i) => b === 10 && note[i + 1] === 10);
    if (gap < 0) refuse("no signatures");
    const text = note.subarray(0, gap + 1); // what is signed, its last line end included
    const lines = new TextDecoder("utf-8", { fatal: true }).decode(text).split("\n");
    if (lines.length < 4 || lines[0] === "") refuse("checkpoint");
    const signatures = [];
    for (const line of new TextDecoder().decode(note.subarray(gap + 2)).split("\n")) {
      const m = /^\u2014 (\S+) (\S+)$/.exec(line);
      if (!m) {
        if (line !== "") refuse("signature line");
        continue;
      }
      const value = unbase64(m[2]);
      signatures.push({ name: m[1], id: hex(value.subarray(0, 4)), value: value.subarray(4) });
    }
    return { text, origin: lines[0], size: whole(lines[1]), root: unbase64(lines[2], 32), signatures };
  }

  // ---- 4. Entry.

  function readEntry(data) {
    if (data.length > 65535) refuse("entry");
    const entry = canonical(ascii(data));
    only(entry, "accounts", "actor", "fields", "kind", "message", "time", "v");
    if (entry.v !== 1 || !/^[a-z]{1,32}$/.test(entry.kind)) refuse("entry");
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(entry.time)) refuse("entry");
    if (!("message" in entry)) return { units: -1, commitment: null, envelope: null };
    const m = entry.message;
    only(m, "ciphertext", "commitment", "envelope", "id", "units");
    if (("units" in m) !== ("commitment" in m)) refuse("entry");
    return {
      units: "units" in m ? m.units : -1,
      commitment: "commitment" in m ? unbase64(m.commitment, 32) : null,
      envelope: "envelope" in m ? unbase64(m.envelope, 32) : null,
    };
  }

  // ---- 5. Message.

  // cut divides a message into units: header fields, lines, and runs of base64.
  function cut(data) {
    const FINE = 65536; // from this unit on everything is cut coarsely
    const units = [];
    const lineEnd = (at) => {
      const i = data.indexOf(10, at);
      return i < 0 ? data.length : i + 1;
    };
    const empty = (from, to) => to - from === 1 && data[from] === 10 || to - from === 2 && data[from] === 13 && data[from + 1] === 10;
    const dense = (from, to) => {
      if (to > from && data[to - 1] === 10) to -= to - from > 1 && data[to - 2] === 13 ? 2 : 1;
      if (to - from < 60) return false;
      for (let i = from; i < to; i++) {
        const c = data[i];
        const ok = c >= 65 && c <= 90 || c >= 97 && c <= 122 || c >= 48 && c <= 57 || c === 43 || c === 47 || c === 61;
        if (!ok) return false;
      }
      return true;
    };
    let at = 0;
    while (at < data.length && units.length < FINE) { // the header
      let end = lineEnd(at);
      if (empty(at, end)) {
        units.push([at, end]);
        at = end;
        break;
      }
      while (end < data.length && (data[end] === 32 || data[end] === 9)) end = lineEnd(end); // folded lines
      units.push([at, end]);
      at = end;
    }
    let open = false;
    while (at < data.length) { // the body
      const end = lineEnd(at);
      const last = units[units.length - 1];
      if (open && end - last[0] <= 4096 && (units.length - 1 >= FINE || dense(at, end))) {
        last[1] = end;
      } else {
        open = units.length >= FINE || dense(at, end);
        units.push([at, end]);
      }
      at = end;
    }
    return units.map(([from, to]) => data.subarray(from, to));
  }

  // split is the number of leaves on the left of a tree of n (RFC 6962, 2.1).
  function split(n) {
    let k = 1;
    while (k * 2 < n) k *= 2;
    return k;
  }

  const node = (left, right) => sha256(NODE, left, right);

  // rootOf hashes units under a seed: seeds go down the tree, hashes come up.
  function rootOf(units, seed) {
    if (units.length === 0) return sha256();
    if (units.length === 1) return sha256(LEAF, seed, units[0]);
    const k = split(units.length);
    return node(rootOf(units.slice(0, k), sha256(LEFT, seed)), rootOf(units.slice(k), sha256(RIGHT, seed)));
  }

  const commitmentOf = (n, root) => sha256(bytes("sijill/commitment/v1\n"), uint64(n), root);

  // readDisclosure gives the root that a disclosure leads to, and its units:
  // null for those that are withheld.
  function readDisclosure(data) {
    let at = 0;
    const take = (n) => {
      if (n > data.length - at) refuse("disclosure");
      return data.subarray(at, at += n);
    };
    const number = () => {
      const b = take(4);
      return new DataView(b.buffer, b.byteOffset).getUint32(0);
    };
    const units = [];
    let withheld = 0;
    const tree = (m) => {
      const op = String.fromCharCode(take(1)[0]);
      if (op === "H") {
        withheld += m;
        return [op, take(32)];
      }
      if (op === "S") {
        const seed = take(32);
        const shown = [];
        for (let i = 0; i < m; i++) {
          const unit = take(number());
          if (unit.length === 0) refuse("disclosure");
          shown.push(unit);
          units.push({ number: units.length + withheld, unit });
        }
        return [op, rootOf(shown, seed)];
      }
      if (op !== "N" || m < 2) refuse("disclosure");
      const [left, l] = tree(split(m));
      const [right, r] = tree(m - split(m));
      if (left === right && left !== "N") refuse("disclosure");
      return [op, node(l, r)];
    };
    const n = number();
    if (n > 4194304) refuse("disclosure");
    const root = n === 0 ? sha256() : tree(n)[1];
    if (at !== data.length) refuse("disclosure");
    return { n, root, units, withheld };
  }

  // ---- 3. Inclusion (RFC 9162, section 2.1.3.2).

  function climb(leaf, index, size, path) {
    if (index >= size) return null;
    let fn = index;
    let sn = size - 1;
    let r = leaf;
    for (const p of path) {
      if (sn === 0) return null;
      if (fn % 2 === 1 || fn === sn) {
        r = node(p, r);
        while (fn % 2 === 0 && fn !== 0) {
          fn = Math.floor(fn / 2);
          sn = Math.floor(sn / 2);
        }
      } else {
        r = node(r, p);
      }
      fn = Math.floor(fn / 2);
      sn = Math.floor(sn / 2);
    }
    return sn === 0 ? r : null;
  }

  // ---- 2. Signature.

  // readKeys takes public keys apart: name+id+base64(type ‖ key), where the id is
  // the beginning of a hash over the others (C2SP signed-note).
  function readKeys(text) {
    const keys = [];
    for (const vkey of text.split(/[\s,]+/).filter((s) => s !== "")) {
      const [name, id] = vkey.split("+", 2);
      const value = unbase64(vkey.slice(name.length + (id || "").length + 2));
      if (hex(sha256(bytes(`${name}\n`), value).subarray(0, 4)) !== id) refuse("key");
      keys.push({ name, id, type: value[0], key: value.subarray(1) });
    }
    return keys;
  }

  // signed tells whether the checkpoint has a valid Ed25519 signature of every
  // Ed25519 key of the register: true, false, or null where that can't be found
  // out here. Keys of other kinds (ML-DSA-44) are beyond browsers; the sijill
  // program checks them.
  async function signed(checkpoint, keys) {
    const own = keys.filter((k) => k.name === checkpoint.origin && k.type === 1);
    const subtle = globalThis.crypto && globalThis.crypto.subtle;
    if (own.length === 0 || !subtle) return null;
    for (const k of own) {
      const s = checkpoint.signatures.find((sig) => sig.name === k.name && sig.id === k.id);
      if (!s) return false;
      let key;
      try {
        key = await subtle.importKey("raw", k.key, { name: "Ed25519" }, false, ["verify"]);
      } catch {
        return null; // This browser knows no Ed25519.
      }
      if (!await subtle.verify({ name: "Ed25519" }, key, s.value, checkpoint.text)) return false;
    }
    return true;
  }

  // ---- All of it.

  // check does the steps in order and tells each to report(name, state, numbers,
  // value), where state is "done", "failed" or "skipped". It gives the verdict:
  //
  //   genuine   the whole message is the one that was sealed
  //   partly    so are the shown units of it; the others are withheld
  //   entry     the entry is in the register; no message was checked
  //   unsigned  as far as it goes, but the signature couldn't be checked here
  //   altered   something doesn't match
  async function check({ proof, message, keys }, report) {
    const steps = ["proof", "units", "commitment", "envelope", "leaf", "inclusion", "origin", "signature"];
    const said = [];
    const tell = (name, state, numbers = [], value = "") => {
      said.push(name);
      report(name, state, numbers, value);
    };
    let step = "proof";
    let verdict = "entry";
    const result = { verdict: "altered", index: -1, commitment: null, withheld: 0, units: 0 };
    try {
      const p = readProof(proof);
      const entry = readEntry(p.entry);
      const trusted = readKeys(keys);
      result.index = p.index;
      tell("proof", "done", [p.index, p.checkpoint.size]);

      step = "units";
      if (!p.disclosure && (!p.seed || !message)) {
        if (message) {
          step = "commitment"; // a message, but nothing to check it with
          refuse("nothing to check the message with");
        }
        tell("units", "skipped");
        tell("commitment", "skipped");
      } else {
        if (!entry.commitment) refuse("no message in the entry");
        const units = message ? cut(message) : null;
        const shown = p.disclosure ? readDisclosure(p.disclosure) : null;
        const n = shown ? shown.n : units.length;
        if (n !== entry.units || units && units.length !== n) refuse("units");
        tell("units", "done", [n]);

        step = "commitment";
        const root = shown ? shown.root : rootOf(units, p.seed);
        const commitment = commitmentOf(n, root);
        if (!equal(commitment, entry.commitment)) refuse("commitment");
        if (shown && units && !shown.units.every((u) => equal(u.unit, units[u.number]))) refuse("message");
        result.commitment = commitment;
        result.units = n;
        result.withheld = shown ? shown.withheld : 0;
        verdict = result.withheld > 0 ? "partly" : "genuine";
        tell("commitment", "done", [result.withheld, n], hex(commitment));
      }

      step = "envelope";
      if (!p.salt) tell("envelope", "skipped");
      else {
        const e = sha256(bytes("sijill/envelope/v1\n"), p.salt, p.envelope);
        if (!entry.envelope || !equal(e, entry.envelope)) refuse("envelope");
        tell("envelope", "done", [], hex(e));
      }

      step = "leaf";
      const leaf = sha256(LEAF, p.entry);
      tell("leaf", "done", [], hex(leaf));

      step = "inclusion";
      const root = climb(leaf, p.index, p.checkpoint.size, p.path);
      if (!root || !equal(root, p.checkpoint.root)) refuse("inclusion");
      tell("inclusion", "done", [p.path.length], hex(root));

      step = "origin";
      if (!trusted.some((k) => k.name === p.checkpoint.origin)) refuse("origin");
      tell("origin", "done", [], p.checkpoint.origin);

      step = "signature";
      const ok = await signed(p.checkpoint, trusted);
      if (ok === false) refuse("signature");
      tell("signature", ok ? "done" : "skipped");
      result.verdict = ok ? verdict : "unsigned";
    } catch (e) {
      // Whatever goes wrong, by design or not, is a step that did not hold.
      tell(step, "failed");
      for (const name of steps) if (!said.includes(name)) report(name, "after", [], "");
      if (!(e instanceof Refused)) result.error = e;
    }
    return result;
  }

  globalThis.sijillVerify = { check, sha256, cut, rootOf, commitmentOf, readDisclosure, climb, hex, unbase64 };
})();
