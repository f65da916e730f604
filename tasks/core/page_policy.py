"""Content-Security-Policy for the stored pages of other libraries, as a tag in the page itself. Pure.

A stored page is shown by MLflow, from whose address a script could act in the reader's name. Texts from data have no
markup in such a page already (`outside_text.page_text`); the policy holds if one slips through.
"""

import base64
import hashlib
import re
from urllib.parse import urlsplit

_HEAD = re.compile(r"<head(?:\s[^>]*)?>", re.IGNORECASE)
_SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script>", re.IGNORECASE | re.DOTALL)
_SOURCE = re.compile(r"""\bsrc=["'](https://[^"']+)["']""")
_STYLE = re.compile(r"""<link[^>]*\bhref=["'](https://[^"']+\.css)["']""", re.IGNORECASE)
_HANDLER = re.compile(r"""\son[a-z]+=(?:"([^"]*)"|'([^']*)')""")

_SHUT = "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:"

SELF_CONTAINED = f"{_SHUT}; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; font-src data:"
"""The policy of a page that has all it needs: it can load nothing and send nothing anywhere."""


def with_policy(page: str, policy: str) -> str:
    """Return a page with a policy at the start of its head.

    Args:
        page: The page, with a head.
        policy: The directives.

    Raises:
        ValueError: The page has no head, so that no policy would hold.
    """
    tag = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    if not _HEAD.search(page):
        raise ValueError("the page has no head to put a Content-Security-Policy into")
    return _HEAD.sub(lambda head: head[0] + tag, page, count=1)


def policy_of(shell: str) -> str:
    """Return a policy that allows the scripts and styles of a library's page without data, and no others.

    Args:
        shell: The page as the library makes it for no data.
    """
    scripts, hashes = [], []
    for attributes, content in _SCRIPT.findall(shell):
        if source := _SOURCE.search(attributes):
            scripts.append(source[1])
        else:
            hashes.append(content)
    hashes += [double or single for double, single in _HANDLER.findall(shell)]
    styles = list(dict.fromkeys(_STYLE.findall(shell)))
    fonts = sorted({f"https://{urlsplit(style).netloc}" for style in styles})
    allowed = [*dict.fromkeys(scripts), "'unsafe-hashes'", *dict.fromkeys(map(_hash, hashes))]
    return (
        f"{_SHUT}; script-src {' '.join(allowed)}; style-src 'unsafe-inline' {' '.join(styles)}; "
        f"font-src data: {' '.join(fonts)}"
    )


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
