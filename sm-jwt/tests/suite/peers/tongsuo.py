"""PyPI's tongsuopy, Tongsuo's native library, as a peer of the tests. DER, SM3 and the default user id only.

    python3 tongsuo.py FOLDER        where FOLDER/python/tongsuopy is
"""

import os
import sys

sys.path.insert(0, os.path.join(sys.argv[1], "python"))

from tongsuopy import __version__  # noqa: E402
from tongsuopy.backends.tongsuo import backend  # noqa: E402
from tongsuopy.crypto import hashes, serialization  # noqa: E402
from tongsuopy.crypto.asymciphers import ec  # noqa: E402
from tongsuopy.crypto.exceptions import InvalidSignature  # noqa: E402

from commands import serve, unhex  # noqa: E402

SM2_SM3 = ec.ECDSA(hashes.SM3())
PEM = serialization.Encoding.PEM


def version():
    library = backend._ffi.string(backend._lib.OpenSSL_version(0)).decode()
    return f"tongsuopy {__version__} ({library})"


def generate():
    key = ec.generate_private_key(ec.SM2())
    private = key.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"{private.hex()} {public.hex()}"


def private_key(word):
    return serialization.load_pem_private_key(unhex(word), None)


def public_key(word):
    return serialization.load_pem_public_key(unhex(word))


def point(key):
    return key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    ).hex()


def check_profile(digest, form, user_id):
    # The package has no way to say another user id.
    if (digest, form, unhex(user_id)) != ("sm3", "der", b"1234567812345678"):
        raise ValueError("not a profile of this peer")


def sign(digest, form, user_id, key, message):
    check_profile(digest, form, user_id)
    return private_key(key).sign(unhex(message), SM2_SM3).hex()


def verify(digest, form, user_id, key, message, signature):
    check_profile(digest, form, user_id)
    try:
        public_key(key).verify(unhex(signature), unhex(message), SM2_SM3)
    except InvalidSignature:
        return "no"
    except Exception:
        # A signature that is no DER of two numbers in range is an error of the library, not a refusal. Its queue of
        # errors has to be emptied, or the next call finds them.
        backend._consume_errors()
        return "no"
    return "yes"


serve(
    {
        "version": version,
        "generate": generate,
        "private": lambda key: point(private_key(key).public_key()),
        "public": lambda key: point(public_key(key)),
        "sign": sign,
        "verify": verify,
    }
)
