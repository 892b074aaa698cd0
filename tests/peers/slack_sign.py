"""Signs what comes in with Slack's own SDK: arguments are the secret and the time, the answer is the signature."""

import sys

from slack_sdk.signature import SignatureVerifier

secret, timestamp = sys.argv[1:]
print(SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=sys.stdin.buffer.read()))
