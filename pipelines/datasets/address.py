"""Web addresses whose secret parts are sent only to their server."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from bench.pipelines.errors import WrongOption


@dataclass(frozen=True)
class Address:
    """A web address. Its text, for messages and logs, contains no user, password, token or query."""

    shown: str
    url: str
    authorization: str | None

    @classmethod
    def of(cls, text: str, origin: str) -> Address:
        """The address in a text such as `https://user:token@host/folder?key=secret`; `origin` says who gave it.

        Raises WrongOption, without quoting the text, for an unusable address.
        """
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise WrongOption(f"{origin} is no address: its host or port cannot be read.") from None
        if parts.scheme not in ("http", "https") or not host:
            raise WrongOption(f"{origin} is no address of the web; it must start with http:// or https:// and a host.")
        place = f"[{host}]" if ":" in host else host
        place += f":{port}" if port is not None else ""
        secret = None
        if "@" in parts.netloc:
            pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
            secret = "Basic " + base64.b64encode(pair.encode()).decode()
        shown = urlunsplit((parts.scheme, place, parts.path, "", ""))
        return cls(shown, urlunsplit((parts.scheme, place, parts.path, parts.query, "")), secret)

    def file(self, name: str) -> Address:
        """The address of a file in this folder; a query stays at the end."""
        parts = urlsplit(self.url)
        url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))
        return Address(f"{self.shown.rstrip('/')}/{name}", url, self.authorization)

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"
