"""What the document cannot say about a valid request."""

import base64
import itertools

import schemathesis
from hypothesis import strategies

# A text that shows something, with nothing that begins an escape sequence.
texts = strategies.text(
    min_size=1, max_size=60, alphabet=strategies.characters(codec="utf-8", exclude_characters="\0\x1b\x9b")
).filter(lambda text: text.strip())

# base64url of something that is text.
schemathesis.openapi.format(
    "base64url", texts.map(lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))
)

# What begins an escape sequence: it is taken out, and nothing may be left of a text that was made of it.
escapes = str.maketrans("\x1b\x9b", "??")

addresses = itertools.count(10 << 24)


@schemathesis.hook
def map_case(context, case):
    case.headers = case.headers or {}
    # The key in both places must be the same.
    if "once" in (case.query or {}):
        case.headers.pop("Idempotency-Key", None)
    if case.meta and case.meta.generation.mode.is_positive:
        for values in (case.query or {}), (case.path_parameters or {}):
            for name, value in values.items():
                values[name] = value.translate(escapes) if isinstance(value, str) else value
    # A client of its own for each case: one that tries bad credentials all the time is told 429.
    case.headers["X-Forwarded-For"] = ".".join(map(str, next(addresses).to_bytes(4, "big")))
    return case
