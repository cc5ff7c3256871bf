"""Signatures and the cipher of the format, from their standards, in plain Python.

Slow, not constant-time, for test vectors only: Ed25519 (RFC 8032), ML-DSA-44
(FIPS 204, deterministic signing) and AES-256-GCM (FIPS 197, SP 800-38D).
"""
import hashlib
import struct

# --- Ed25519, RFC 8032, section 5.1 ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P


def recover_x(y, odd):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return x if x & 1 == odd else P - x


BASE = (recover_x(BASE_Y, 0), BASE_Y)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P) % P
    return x, y


def times(n, point):
    total = (0, 1)
    while n:
        if n & 1:
            total = add(total, point)
        point = add(point, point)
        n >>= 1
    return total


def encode_point(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def ed25519_secret(seed):
    h = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(h[:32], "little")
    return scalar & (2**254 - 8) | 2**254, h[32:]


def ed25519_public(seed):
    return encode_point(times(ed25519_secret(seed)[0], BASE))


def ed25519_sign(seed, message):
    def number(*parts):
        return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L

    scalar, prefix = ed25519_secret(seed)
    r = number(prefix, message)
    point = encode_point(times(r, BASE))
    s = (r + number(point, ed25519_public(seed), message) * scalar) % L
    return point + s.to_bytes(32, "little")


# --- ML-DSA-44, FIPS 204 ---

Q = 8380417
DROP, TAU, GAMMA1, GAMMA2 = 13, 39, 2**17, (8380417 - 1) // 88
ROWS, COLUMNS, ETA, OMEGA = 4, 4, 2, 80
BETA = TAU * ETA
ZETAS = [pow(1753, int(f"{i:08b}"[::-1], 2), Q) for i in range(256)]


def shake(data, size):
    return hashlib.shake_256(data).digest(size)


def ntt(a):
    a, m, half = list(a), 0, 128
    while half:
        for start in range(0, 256, 2 * half):
            m += 1
            for j in range(start, start + half):
                t = ZETAS[m] * a[j + half]
                a[j], a[j + half] = (a[j] + t) % Q, (a[j] - t) % Q
        half //= 2
    return a


def inverse_ntt(a):
    a, m, half = list(a), 256, 1
    while half < 256:
        for start in range(0, 256, 2 * half):
            m -= 1
            for j in range(start, start + half):
                low, high = a[j], a[j + half]
                a[j], a[j + half] = (low + high) % Q, -ZETAS[m] * (low - high) % Q
        half *= 2
    return [x * 8347681 % Q for x in a]


def multiply(a, b):
    return [x * y % Q for x, y in zip(a, b)]


def plus(a, b):
    return [(x + y) % Q for x, y in zip(a, b)]


def minus(a, b):
    return [(x - y) % Q for x, y in zip(a, b)]


def centred(x, m=Q):
    x %= m
    return x - m if x > m // 2 else x


def norm(vector):
    return max(abs(centred(x)) for poly in vector for x in poly)


def pack(values, bits):
    total = sum(v << (i * bits) for i, v in enumerate(values))
    return total.to_bytes(len(values) * bits // 8, "little")


def unpack(data, bits):
    total = int.from_bytes(data, "little")
    return [total >> (i * bits) & (2**bits - 1) for i in range(len(data) * 8 // bits)]


def uniform(seed):
    stream = hashlib.shake_128(seed).digest(3 * 1024)
    found = (int.from_bytes(stream[i:i + 3], "little") & 0x7FFFFF for i in range(0, len(stream), 3))
    return [v for v in found if v < Q][:256]


def small(seed):
    nibbles = (n for b in shake(seed, 1024) for n in (b & 15, b >> 4))
    return [2 - n % 5 for n in nibbles if n < 15][:256]


def decompose(r):
    r %= Q
    low = centred(r, 2 * GAMMA2)
    if r - low == Q - 1:
        return 0, low - 1
    return (r - low) // (2 * GAMMA2), low


def ball(seed):
    stream = shake(seed, 8 + 1024)
    signs, rest = int.from_bytes(stream[:8], "little"), iter(stream[8:])
    c = [0] * 256
    for i in range(256 - TAU, 256):
        j = next(b for b in rest if b <= i)
        c[i] = c[j]
        c[j] = -1 if signs >> (i + TAU - 256) & 1 else 1
    return c


def mldsa_key(seed):
    expanded = shake(seed + bytes([ROWS, COLUMNS]), 128)
    rho, rho2, secret = expanded[:32], expanded[32:96], expanded[96:]
    matrix = [[uniform(rho + bytes([s, r])) for s in range(COLUMNS)] for r in range(ROWS)]
    noise = [small(rho2 + struct.pack("<H", i)) for i in range(COLUMNS + ROWS)]
    s1, s2 = noise[:COLUMNS], noise[COLUMNS:]
    t = [plus(p, e) for p, e in zip(product(matrix, s1), s2)]
    t0 = [[centred(x, 2**DROP) if x % 2**DROP != 2**(DROP - 1) else 2**(DROP - 1) for x in p] for p in t]
    t1 = [[(x - low) >> DROP for x, low in zip(p, q)] for p, q in zip(t, t0)]
    public = rho + b"".join(pack(p, 10) for p in t1)
    return public, (matrix, s1, s2, t0, secret, shake(public, 64))


def product(matrix, vector):
    hats = [ntt(p) for p in vector]
    rows = []
    for row in matrix:
        total = [0] * 256
        for a, b in zip(row, hats):
            total = plus(total, multiply(a, b))
        rows.append(inverse_ntt(total))
    return rows


def mldsa_sign(private, message):
    matrix, s1, s2, t0, secret, tr = private
    mu = shake(tr + b"\0\0" + message, 64)
    mask_seed = shake(secret + bytes(32) + mu, 64)
    for kappa in range(0, 4000, COLUMNS):
        y = [[GAMMA1 - v for v in unpack(shake(mask_seed + struct.pack("<H", kappa + r), 576), 18)]
             for r in range(COLUMNS)]
        w = product(matrix, y)
        high = b"".join(pack([decompose(x)[0] for x in p], 6) for p in w)
        challenge = shake(mu + high, 32)
        c = ntt(ball(challenge))

        def scaled(vector):
            return [inverse_ntt(multiply(c, ntt(p))) for p in vector]

        z = [plus(a, b) for a, b in zip(y, scaled(s1))]
        rest = [minus(a, b) for a, b in zip(w, scaled(s2))]
        low = max(abs(decompose(x)[1]) for p in rest for x in p)
        if norm(z) >= GAMMA1 - BETA or low >= GAMMA2 - BETA:
            continue
        ct0 = scaled(t0)
        hints = [[i for i in range(256) if decompose(a[i] + b[i])[0] != decompose(a[i])[0]]
                 for a, b in zip(rest, ct0)]
        if norm(ct0) >= GAMMA2 or sum(map(len, hints)) > OMEGA:
            continue
        places = bytes(i for h in hints for i in h)
        counts = bytes(sum(map(len, hints[:r + 1])) for r in range(ROWS))
        packed = b"".join(pack([GAMMA1 - centred(x) for x in p], 18) for p in z)
        return challenge + packed + places.ljust(OMEGA, b"\0") + counts
    raise ValueError("no signature found")


# --- AES-256-GCM ---

def gf8(a, b):
    r = 0
    while b:
        if b & 1:
            r ^= a
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return r


def sbox_entry(x):
    inverse = next((y for y in range(256) if gf8(x, y) == 1), 0)
    r = 0x63
    for shift in range(5):
        r ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
    return r


SBOX = [sbox_entry(x) for x in range(256)]


def round_keys(key):
    words, rcon = [key[i:i + 4] for i in range(0, 32, 4)], 1
    for i in range(8, 60):
        t = words[-1]
        if i % 8 == 0:
            t = bytes([SBOX[t[1]] ^ rcon, SBOX[t[2]], SBOX[t[3]], SBOX[t[0]]])
            rcon = gf8(rcon, 2)
        elif i % 8 == 4:
            t = bytes(SBOX[b] for b in t)
        words.append(bytes(a ^ b for a, b in zip(words[i - 8], t)))
    return [b"".join(words[i:i + 4]) for i in range(0, 60, 4)]


def aes(keys, block):
    state = [a ^ b for a, b in zip(block, keys[0])]
    for number, key in enumerate(keys[1:], 1):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number < len(keys) - 1:
            state = [gf8(state[i], 2) ^ gf8(state[i - i % 4 + (i + 1) % 4], 3)
                     ^ state[i - i % 4 + (i + 2) % 4] ^ state[i - i % 4 + (i + 3) % 4] for i in range(16)]
        state = [a ^ b for a, b in zip(state, key)]
    return bytes(state)


def ghash(key, data):
    h, total = int.from_bytes(key, "big"), 0
    for i in range(0, len(data), 16):
        total ^= int.from_bytes(data[i:i + 16].ljust(16, b"\0"), "big")
        v, z = h, 0
        for bit in range(127, -1, -1):
            if total >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        total = z
    return total.to_bytes(16, "big")


def aes_gcm(key, nonce, extra, plain):
    keys = round_keys(key)

    def stream(counter):
        return aes(keys, nonce + struct.pack(">I", counter))

    blocks = [plain[i:i + 16] for i in range(0, len(plain), 16)]
    out = b"".join(bytes(a ^ b for a, b in zip(block, stream(i))) for i, block in enumerate(blocks, 2))

    def padded(b):
        return b + bytes(-len(b) % 16)

    lengths = struct.pack(">QQ", 8 * len(extra), 8 * len(out))
    digest = ghash(aes(keys, bytes(16)), padded(extra) + padded(out) + lengths)
    return out + bytes(a ^ b for a, b in zip(digest, stream(1)))
