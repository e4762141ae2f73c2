"""Botan 2 through its Python module as a peer of the tests. Keys are bare hexadecimal: a scalar, an uncompressed point.

    python3 botan.py        with Debian's python3-botan, which any Python 3 can load
"""

import sys

# Behind everything else, so that nothing in it stands in another module's way.
sys.path.append("/usr/lib/python3/dist-packages")

import botan2  # noqa: E402

from commands import serve, unhex  # noqa: E402

CURVE = "sm2p256v1"
HASHES = {"sm3": "SM3", "sha256": "SHA-256"}
RANDOM = botan2.RandomNumberGenerator("system")


def private_key(word):
    return botan2.PrivateKey.load_sm2(CURVE, int(word, 16))


def public_key(word):
    if len(word) != 130 or not word.startswith("04"):
        raise ValueError("not an uncompressed point")
    key = botan2.PublicKey.load_sm2(CURVE, int(word[2:66], 16), int(word[66:], 16))
    if not key.check_key(RANDOM, True):
        raise ValueError("not a point of the curve")
    return key


def point(key):
    return f"04{int(key.get_field('public_x')):064x}{int(key.get_field('public_y')):064x}"


def generate():
    key = botan2.PrivateKey.create("SM2", CURVE, RANDOM)
    return f"{int(key.get_field('x')):064x} {point(key)}"


def generate_pem():
    key = botan2.PrivateKey.create("SM2", CURVE, RANDOM)
    return f"{key.to_pem().encode().hex()} {key.get_public_key().to_pem().encode().hex()}"


def padding(digest, user_id):
    return f"{unhex(user_id).decode('ascii')},{HASHES[digest]}"


def text(word):
    # The module takes messages as text.
    return unhex(word).decode("utf-8")


def sign(digest, form, user_id, key, message):
    # The operation refers to the key's memory without owning it: the key has to outlive it.
    owner = private_key(key)
    signer = botan2.PKSign(owner, padding(digest, user_id), form == "der")
    signer.update(text(message))
    return signer.finish(RANDOM).hex()


def verify(digest, form, user_id, key, message, signature):
    owner = public_key(key)
    verifier = botan2.PKVerify(owner, padding(digest, user_id), form == "der")
    verifier.update(text(message))
    return "yes" if verifier.check_signature(unhex(signature)) else "no"


serve(
    {
        "version": botan2.version_string,
        "generate": generate,
        "generate-pem": generate_pem,
        "private": lambda key: point(private_key(key)),
        "public": lambda key: point(public_key(key)),
        "sign": sign,
        "verify": verify,
    }
)
