"""Writes vectors.json: test vectors of docs/format.md.

This is an implementation of its own, written from the document and not from the
Go package, so that the two check each other. Run it in this folder:

    python3 vectors.py > vectors.json
"""
import base64
import hashlib
import hmac
import json
import struct

import primitives as prim

BASE64 = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64(b):
    return base64.b64encode(b).decode()


# --- units and commitment ---

def cut(message):
    lines = message.split(b"\n")
    last = lines.pop()
    lines = [line + b"\n" for line in lines] + ([last] if last else [])
    units, at = [], 0
    while at < len(lines) and len(units) < 65536:
        unit, at = lines[at], at + 1
        if unit in (b"\n", b"\r\n"):
            units.append(unit)
            break
        while at < len(lines) and lines[at][:1] in (b" ", b"\t"):
            unit, at = unit + lines[at], at + 1
        units.append(unit)
    joining = False
    for line in lines[at:]:
        bare = line[:-2] if line.endswith(b"\r\n") else line[:-1] if line.endswith(b"\n") else line
        dense = len(bare) >= 60 and set(bare) <= BASE64
        if joining and len(units[-1]) + len(line) <= 4096 and (dense or len(units) - 1 >= 65536):
            units[-1] += line
        else:
            units.append(line)
            joining = dense or len(units) - 1 >= 65536
    assert b"".join(units) == message
    return units


def left_size(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def salted_root(units, seed):
    if not units:
        return sha()
    if len(units) == 1:
        return sha(b"\0", seed, units[0])
    k = left_size(len(units))
    return sha(b"\1", salted_root(units[:k], sha(b"\2", seed)), salted_root(units[k:], sha(b"\3", seed)))


def commit(seed, message):
    units = cut(message)
    return sha(b"sijill/commitment/v1\n", struct.pack(">Q", len(units)), salted_root(units, seed))


def disclose(seed, message, keep):
    units = cut(message)

    def tree(lo, hi, seed):
        kept = [i in keep for i in range(lo, hi)]
        if all(kept):
            return b"S" + seed + b"".join(struct.pack(">I", len(u)) + u for u in units[lo:hi])
        if not any(kept):
            return b"H" + salted_root(units[lo:hi], seed)
        k = lo + left_size(hi - lo)
        return b"N" + tree(lo, k, sha(b"\2", seed)) + tree(k, hi, sha(b"\3", seed))

    return struct.pack(">I", len(units)) + (tree(0, len(units), seed) if units else b"")


def expand(key, label):
    return hmac.new(key, label + b"\1", hashlib.sha256).digest()


# --- register ---

def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def tree_root(entries):
    if len(entries) == 1:
        return sha(b"\0", entries[0])
    k = left_size(len(entries))
    return sha(b"\1", tree_root(entries[:k]), tree_root(entries[k:]))


def inclusion(index, entries):
    if len(entries) == 1:
        return []
    k = left_size(len(entries))
    if index < k:
        return inclusion(index, entries[:k]) + [tree_root(entries[k:])]
    return inclusion(index - k, entries[k:]) + [tree_root(entries[:k])]


def key_id(name, kind, public):
    return sha(name.encode(), b"\n", bytes([kind]), public)[:4]


def vkey(name, kind, public):
    return f"{name}+{key_id(name, kind, public).hex()}+{b64(bytes([kind]) + public)}"


ORIGIN = "diwan.example/register"
WITNESS = "witness.example/w1"
ED_SEED, ML_SEED, WITNESS_SEED = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
ED_PUBLIC = prim.ed25519_public(ED_SEED)
ML_PUBLIC, ML_PRIVATE = prim.mldsa_key(ML_SEED)
WITNESS_PUBLIC = prim.ed25519_public(WITNESS_SEED)
SIGNED_AT, WITNESSED_AT = 1795299120, 1795299180


def checkpoint(entries):
    root = tree_root(entries)
    text = f"{ORIGIN}\n{len(entries)}\n{b64(root)}\n"
    name = ORIGIN.encode()
    message = (b"subtree/v1\n\0" + bytes([len(name)]) + name + struct.pack(">Q", SIGNED_AT)
               + bytes([len(name)]) + name + struct.pack(">QQ", 0, len(entries)) + root)
    cosigned = f"cosignature/v1\ntime {WITNESSED_AT}\n{text}".encode()
    lines = [
        (ORIGIN, key_id(ORIGIN, 1, ED_PUBLIC) + prim.ed25519_sign(ED_SEED, text.encode())),
        (ORIGIN, key_id(ORIGIN, 6, ML_PUBLIC) + struct.pack(">Q", SIGNED_AT)
         + prim.mldsa_sign(ML_PRIVATE, message)),
        (WITNESS, key_id(WITNESS, 4, WITNESS_PUBLIC) + struct.pack(">Q", WITNESSED_AT)
         + prim.ed25519_sign(WITNESS_SEED, cosigned)),
    ]
    return text + "\n" + "".join(f"\u2014 {name} {b64(sig)}\n" for name, sig in lines)


def proof(index, entries, **extra):
    members = {name: b64(value) for name, value in extra.items()}
    members.update(entry=b64(entries[index]), v=1)
    hashes = "".join(b64(h) + "\n" for h in inclusion(index, entries))
    return (f"c2sp.org/tlog-proof@v1\nextra {b64(canonical(members))}\nindex {index}\n{hashes}\n"
            + checkpoint(entries))


# --- the vectors ---

LETTER = """\
Received: from post.example by diwan.example with ESMTPS;\r
\tSat, 21 Nov 2026 22:11:49 +0000\r
From: Salma <salma@post.example>\r
To: archive@diwan.example\r
Subject: The well at the east gate\r
\r
Peace be upon you,\r
\r
The mason asks for 100 dirhams.\r
السور الشرقي بحاجة إلى ترميم.\r
My telephone is 555 0100.\r
\r
Salma\r
""".encode()

ROW = b64(bytes(range(57)))  # 76 characters of base64

MESSAGES = {
    "letter": (LETTER, 1),
    "empty": (b"", 1),
    "one byte": (b"x", 1),
    "header only, no line end": (b"Subject: a\r\n b\r\n\tc", 1),
    "starts folded": (b" folded\nFrom: a\n\nbody\n", 1),
    "no header": (b"\nfirst\n\n\nlast", 1),
    "lone CR and a blank that folds": (b"A: 1\r \nB: 2\n \n\r\n\r\nx\ry\n", 1),
    "base64": (("A: 1\r\n\r\n--cut\r\n\r\n" + (ROW + "\r\n") * 120 + ROW[:60] + "\r\n" + ROW[:59]
                + "\r\n--cut\r\n" + ROW + "\n" + ROW[:58] + "==\n" + ROW + " \n" + ROW + "\n").encode(), 1),
    "base64 in a row longer than a unit": (("\n" + ROW * 60 + "\n" + (ROW + "\n") * 3).encode(), 1),
    "exactly full": (("\n" + (ROW[:63] + "\n") * 129).encode(), 1),
    "lines without end": (b"\n", 65600),
    "fields without end": (b"a:\r\n", 66000),
    "dense across the change": (b"x\n", 1, 65534, (ROW + "\n").encode() * 3 + b"y\nz\n"),
}


def message_of(part, times=1, more=0, tail=b""):
    if more:
        return b"\n" + part * more + tail
    return part * times


def message_vectors():
    out = []
    seed = sha(b"a seed")
    for name, recipe in MESSAGES.items():
        message = message_of(*recipe)
        units = cut(message)
        sizes = [len(u) for u in units]
        vector = {"name": name, "seed": b64(seed), "units": len(units), "commitment": b64(commit(seed, message)),
                  "sizes_sha256": b64(sha(*(struct.pack(">I", s) for s in sizes)))}
        if len(message) < 20000:
            vector.update(message=b64(message), sizes=sizes)
        else:
            recipe = (recipe + (0, b""))[:4]
            vector.update(part=b64(recipe[0]), times=recipe[1], more=recipe[2], tail=b64(recipe[3]))
        out.append(vector)
    return out


def main():
    key, ident = sha(b"a message key"), bytes(range(16))
    seed, salt = expand(key, b"sijill/commitment/v1"), expand(key, b"sijill/envelope/v1")
    envelope = b'{"door":"smtp","from":"salma@post.example","to":["archive@diwan.example"]}'
    assert len(envelope) < 128
    payload = b"\0" + bytes([len(envelope)]) + envelope + LETTER
    ciphertext = prim.aes_gcm(key, bytes(12), ident, payload)
    envelope_commitment = sha(b"sijill/envelope/v1\n", salt, envelope)
    captured = canonical({
        "v": 1, "time": "2026-11-21T22:11:49.123456Z", "kind": "captured", "actor": "smtp",
        "accounts": ["0123456789abcdef0123456789abcdef"], "fields": {"door": "smtp"},
        "message": {"id": ident.hex(), "commitment": b64(commit(seed, LETTER)), "units": len(cut(LETTER)),
                    "envelope": b64(envelope_commitment), "ciphertext": b64(sha(ciphertext))}})
    others = [canonical({"v": 1, "time": f"2026-11-21T22:11:0{i}.000000Z", "kind": "login", "actor": "web"})
              for i in range(6)]
    entries = others[:3] + [captured] + others[3:]
    keep = [i for i in range(len(cut(LETTER))) if i not in (0, 9)]
    disclosure = disclose(seed, LETTER, keep)
    single = [canonical({"v": 1, "time": "2026-11-21T22:00:00.000000Z", "kind": "config"})]
    json.dump({
        "keys": {"name": ORIGIN, "ed25519_seed": b64(ED_SEED), "ed25519": vkey(ORIGIN, 1, ED_PUBLIC),
                 "mldsa44_seed": b64(ML_SEED), "mldsa44": vkey(ORIGIN, 6, ML_PUBLIC),
                 "witness": vkey(WITNESS, 4, WITNESS_PUBLIC), "signed_at": SIGNED_AT, "witnessed_at": WITNESSED_AT},
        "message": {"key": b64(key), "id": ident.hex(), "message": b64(LETTER), "envelope": b64(envelope),
                    "seed": b64(seed), "envelope_salt": b64(salt), "commitment": b64(commit(seed, LETTER)),
                    "envelope_commitment": b64(envelope_commitment), "payload": b64(payload),
                    "ciphertext": b64(ciphertext)},
        "entries": [{"entry": e.decode(), "leaf": b64(sha(b"\0", e))} for e in entries],
        "root": b64(tree_root(entries)),
        "index": 3,
        "keep": keep,
        "disclosure": b64(disclosure),
        "proofs": {
            "whole": proof(3, entries, seed=seed),
            "redacted": proof(3, entries, disclosure=disclosure, envelope=envelope, envelope_salt=salt),
            "entry": proof(6, entries),
            "alone": proof(0, single)},
        "messages": message_vectors(),
    }, fp=__import__("sys").stdout, indent=1)
    print()


main()
