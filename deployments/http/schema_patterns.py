r"""Regular expressions of the OpenAPI document, from which a client can generate valid requests.

A schema cannot count bytes, so these are a little narrower than what is taken: an id of ASCII has up to 256
letters here, another one 64 of any script, which are 256 bytes at most; 29 February is left out.
"""

CONTROL = r"\u0000-\u001f\u007f-\u009f"


def text(most_bytes: int) -> str:
    """Text of so many bytes of UTF-8 at most, without control characters."""
    return rf"^([\u0020-\u007e]{{1,{most_bytes}}}|[^{CONTROL}]{{1,{most_bytes // 4}}})$"


ID = text(256)
MEMBERS = {
    "anyOf": [
        {"items": {"type": "string"}},
        {"items": {"type": "number", "minimum": -1e38, "maximum": 1e38}, "minItems": 2, "maxItems": 4096},
    ]
}
"""Of a list: text, or the numbers of a dense vector."""
FEATURE_NAME = text(128)
FILTER = "^(-[^:]+|[^:-][^:]*):"
CURSOR = "^[0-9]{1,12}$"
RULE_FILTER = "^[^:-][^:]*:[^:\\s]"
FEATURE_ALONE = "^[^:]{1,32}$"
FEATURE = "^[^:]+:"
"""A feature as a boost names it, ``genres:Comedy``."""
BOOST = r"^[^:]+:[^:]*:-?[0-9]{1,6}(\.[0-9]{1,6})?$"
_THIRD = "[ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9_-]"
SHOWN = f"^d[A-H]{_THIRD}([A-Za-f][A-HQ-Xg-nw-z0-3]{_THIRD}){{0,500}}$"
"""Base64 of a t and ids of ASCII in letters a multiple of three, less one: cursors of recommendations that are not
packed."""

_MONTH_AND_DAY = (
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"


def timestamp(years: str) -> str:
    """RFC 3339 in these years."""
    return f"^({years})-{_MONTH_AND_DAY}T{_TIME}$"


TIMESTAMP = timestamp("197[1-9]|19[89][0-9]|20[01][0-9]|202[0-5]")
"""RFC 3339, of the years 1971 to 2025: a pattern cannot say that no time may lie in the future."""
MOMENT = timestamp("20[0-9][0-9]")
"""RFC 3339, of this century."""
