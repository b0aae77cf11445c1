"""Why an installation failed: uv's own words, seen, and the error they come down to."""

import pytest

from dsk.errors import DskError, EngineMissing, VerificationFailed
from dsk.runtime.install import installation_error

# uv 0.13.9's own output; the index's address is made up.
HASH = """\
error: Failed to download `iniconfig==2.1.0`
  cause: Hash mismatch for `iniconfig==2.1.0`

         Expected:
           sha256:0000000000000000000000000000000000000000000000000000000000000000
"""
REFUSED = """\
Using Python 3.11.7 environment at: v1
error: Request failed after 3 retries in 7.0s
  cause: Failed to fetch: http://127.0.0.1:9/simple/iniconfig/
  cause: error sending request for url (http://127.0.0.1:9/simple/iniconfig/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
OFFLINE = """\
error: No solution found when resolving dependencies
  cause: Because iniconfig was not found in the cache and you require iniconfig==2.1.0, we can \
conclude that your requirements are unsatisfiable.
"""
NO_NAME = """\
error: Request failed after 3 retries in 5.5s
  cause: Failed to fetch: http://user:secret@nowhere.invalid/simple/iniconfig/
  cause: dns error
"""
NO_VERSION = """\
error: No solution found when resolving dependencies
  cause: Because there is no version of iniconfig==99.1.0 and you require iniconfig==99.1.0, we \
can conclude that your requirements are unsatisfiable.
"""
FULL = """\
Downloading numpy (16.1MiB)
error: Failed to download `numpy==2.3.5`
  cause: failed to write to file `/c/x.so`: No space left on device (os error 28)
"""


@pytest.mark.parametrize(
    ("said", "kind", "names"),
    [
        (HASH, VerificationFailed, "iniconfig==2.1.0"),
        (REFUSED, EngineMissing, "127.0.0.1:9"),
        (OFFLINE, EngineMissing, "UV_OFFLINE"),
        (NO_NAME, EngineMissing, "nowhere.invalid"),
        (NO_VERSION, EngineMissing, "iniconfig==99.1.0"),
        (FULL, EngineMissing, "the disk is full"),
        ("error: something new", DskError, "something new"),
    ],
)
def test_uvs_words_become_one_line_of_its_kind(said: str, kind: type[DskError], names: str) -> None:
    error = installation_error(said)
    assert type(error) is kind
    assert names in str(error)
    assert "\n" not in str(error)


def test_an_indexs_password_is_not_repeated() -> None:
    assert "secret" not in str(installation_error(NO_NAME))
