"""Any text as a key of a setting: Hydra's grammar has only letters, digits, ``_`` and ``-`` there."""

import re

_MARK = "utf8-"


def text_key(text: str) -> str:
    """Return a text as a key, itself where it can be.

    Example:
        >>> text_key("bored"), text_key("müde")
        ('bored', 'utf8-6dc3bc6465')
    """
    return text if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", text) else _MARK + text.encode().hex()


def key_text(key: str) -> str:
    """Return the text of a key.

    Example:
        >>> key_text("bored"), key_text("utf8-6dc3bc6465")
        ('bored', 'müde')
    """
    return bytes.fromhex(key.removeprefix(_MARK)).decode() if re.fullmatch(_MARK + "([0-9a-f]{2})+", key) else key
