"""OTLP JSON by way of google.protobuf.json_format, to compare the workbench's own with."""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf import json_format

IDS = {"traceId", "spanId", "parentSpanId", "profileId"}


def to_otlp_json(message: Any) -> Any:
    """A message as protobuf's own mapping has it, then its ids turned to hex."""
    whole = json_format.MessageToDict(message, use_integers_for_enums=True)
    return _turn(whole, lambda text: base64.b64decode(text).hex())


def from_otlp_json(value: Any, message: Any) -> Any:
    """Ids turned to base64, then read by protobuf's own mapping, which refuses unknown names."""
    turned = _turn(value, lambda text: base64.b64encode(bytes.fromhex(text)).decode())
    return json_format.ParseDict(turned, message)


def _turn(value: Any, change: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _turn(child, change, name) for name, child in value.items()}
    if isinstance(value, list):
        return [_turn(child, change) for child in value]
    return change(value) if key in IDS else value
