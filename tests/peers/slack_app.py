"""An app made with Slack's own framework, on a free loopback port: the first line is the port, each further line is
something that it was told, as JSON. It checks the signatures itself; the argument is the signing secret."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from slack_bolt import App, BoltRequest
from slack_bolt.authorization import AuthorizeResult


def authorize(enterprise_id, team_id):
    return AuthorizeResult(
        enterprise_id=enterprise_id,
        team_id=team_id,
        bot_id="B0PROXY01",
        bot_user_id="U0PROXY01",
        bot_token="xoxb-nobody-is-called-with-it",
    )


app = App(signing_secret=sys.argv[1], authorize=authorize, process_before_response=True)


def tell(what, value):
    print(json.dumps([what, value]), flush=True)


@app.event("app_mention")
def mentioned(event):
    tell("app_mention", event["text"])


@app.action("approve")
def approved(ack, action):
    tell("action", action["value"])
    ack("approved by the app")


@app.options("places")
def places(ack, payload):
    ack(options=[{"text": {"type": "plain_text", "text": payload["value"]}, "value": "1"}])


@app.command("/deploy")
def deploy(ack, command):
    tell("command", command["text"])
    ack(text="deploying " + command["text"], response_type="in_channel")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        path, _, query = self.path.partition("?")
        answer = app.dispatch(BoltRequest(body=body, query=query, headers=dict(self.headers.items())))
        tell("answered", [path, answer.status])
        self.send_response(answer.status)
        for name, value in answer.first_headers().items():
            self.send_header(name, value)
        data = (answer.body or "").encode()
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
