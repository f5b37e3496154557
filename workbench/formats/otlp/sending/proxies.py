"""Proxies that the environment names: ``http_proxy``, ``https_proxy``, ``all_proxy``, ``no_proxy``.

The rules are those of Python (``urllib.request``), but that this machine itself is never reached
through a proxy, as Go has it: a receiver beside the workbench would be looked for at the proxy.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from workbench.errors import DestinationError


def is_here(host: str) -> bool:
    """Tell whether a host is this machine, by its name or address."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def proxy_for(url: str) -> str | None:
    """Return the URL of the proxy for a URL of HTTP, None for none.

    Raises
    ------
    DestinationError
        The proxy is none of HTTP.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    found = getproxies_environment()
    proxy = found.get(parts.scheme) or found.get("all")
    named = f"{host}:{parts.port}" if parts.port else host
    if not proxy or is_here(host) or proxy_bypass(named, found):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise DestinationError(
            "The proxy that the environment names is none of HTTP.",
            why=f"{parts.scheme}_proxy or all_proxy begins with {urlsplit(proxy).scheme}://.",
            advice="Name an HTTP proxy, or the receiver in no_proxy.",
        )
    return proxy
