"""PyPI's gmssl, in pure Python, as a peer of the tests. Keys are bare hexadecimal: a scalar, an uncompressed point.

    python3 gmssl_python.py FOLDER        where FOLDER/python/gmssl is
"""

import os
import secrets
import sys

sys.path.insert(0, os.path.join(sys.argv[1], "python"))

from importlib.metadata import version  # noqa: E402

from gmssl import sm2, sm3  # noqa: E402

from commands import serve, unhex  # noqa: E402

CURVE = sm2.default_ecc_table
N = int(CURVE["n"], 16)
DEFAULT_USER_ID = b"1234567812345678"


def party(private, public, form):
    key = sm2.CryptSM2(private_key=private, public_key="", asn1=form == "der")
    # Set here: the constructor takes every leading 0 and 4 off a point that begins with 04.
    key.public_key = public[2:]
    return key


def point(private):
    key = sm2.CryptSM2(private_key=private, public_key="")
    return "04" + key._kg(int(private, 16), CURVE["g"])


def hashed(data):
    return bytes.fromhex(sm3.sm3_hash(list(data)))


def digest(user_id, public, message):
    """e = SM3(Z ‖ M); the package itself knows no other user id than the default one."""
    identity = unhex(user_id)
    curve = bytes.fromhex(CURVE["a"] + CURVE["b"] + CURVE["g"] + public[2:])
    z = hashed((len(identity) * 8).to_bytes(2, "big") + identity + curve)
    return hashed(z + unhex(message))


def nonce():
    return f"{1 + secrets.randbelow(N - 1):064x}"


def generate():
    private = f"{1 + secrets.randbelow(N - 2):064x}"
    return f"{private} {point(private)}"


def check_hash(name):
    if name != "sm3":
        raise ValueError("no hash " + name)


def sign(name, form, user_id, private, message):
    check_hash(name)
    public = point(private)
    key = party(private, public, form)
    if unhex(user_id) == DEFAULT_USER_ID:
        return key.sign_with_sm3(unhex(message), nonce())
    return key.sign(digest(user_id, public, message), nonce())


def verify(name, form, user_id, public, message, signature):
    check_hash(name)
    key = party("", public, form)
    if unhex(user_id) == DEFAULT_USER_ID:
        holds = key.verify_with_sm3(signature, unhex(message))
    else:
        holds = key.verify(signature, digest(user_id, public, message))
    return "yes" if holds else "no"


serve(
    {
        "version": lambda: "gmssl " + version("gmssl"),
        "generate": generate,
        "private": point,
        "public": lambda public: public,
        "sign": sign,
        "verify": verify,
        "sign-digest": lambda private, e: party(private, point(private), "raw").sign(unhex(e), nonce()),
    }
)
