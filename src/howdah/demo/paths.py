"""File names travel as text: as they are when they are UTF-8, else percent-escaped."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

_PLAIN = "/ !\"#$&'()*+,:;<=>?@[]^`{|}"


@dataclass(frozen=True, slots=True)
class PathText:
    """A path as text; `escaped` says whether its percent signs stand for bytes."""

    text: str
    escaped: bool = False

    @classmethod
    def from_bytes(cls, path: bytes) -> PathText:
        r"""Return the text for a path.

        >>> PathText.from_bytes(b"100%.txt")
        PathText(text='100%.txt', escaped=False)
        >>> PathText.from_bytes(b"caf\xe9 100%")
        PathText(text='caf%E9 100%25', escaped=True)
        """
        try:
            return cls(path.decode())
        except UnicodeDecodeError:
            return cls(quote_from_bytes(path, safe=_PLAIN), escaped=True)

    def to_bytes(self) -> bytes:
        r"""Return the path that this text stands for.

        >>> PathText("caf%E9 100%25", escaped=True).to_bytes()
        b'caf\xe9 100%'
        """
        return unquote_to_bytes(self.text) if self.escaped else self.text.encode()
