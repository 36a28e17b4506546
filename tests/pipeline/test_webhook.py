"""The webhook: what is posted and when, what is tried again, and that its URL is told to nobody. On loopback."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from activation_atlas.pipeline import history, runner, webhook
from activation_atlas.pipeline.config import Config, load
from activation_atlas.pipeline.progress import Progress
from activation_atlas.stages.stage import UserError
from tests.pipeline import test_runner
from tests.pipeline.test_metrics import FINISHED
from tests.pipeline.test_runner import CONFIG

toy = test_runner.run  # a fixture
SECRET = "T0/s3cr3t"


@pytest.fixture
def hook(monkeypatch):
    """A server on loopback; ``answers`` are its statuses, ``taken`` what it was sent."""
    taken, answers = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, self.headers["Content-Type"], json.loads(body)))
            status = answers.pop(0) if answers else 200
            if status:
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                over.wait(5)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    over = threading.Event()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(webhook, "PAUSE", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.taken, server.answers, server.over = taken, answers, over
    server.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
    yield server
    over.set()
    server.shutdown()
    server.server_close()


def test_what_is_posted(hook):
    assert webhook.post(hook.url, {**FINISHED, "version": "1", "config": "digest", "error": "x"}) is None
    ((path, kind, body),) = hook.taken
    assert (path, kind) == (f"/{SECRET}", "application/json")
    assert body["text"] == 'a "b" \\ c: 1 finding is new or worse\n- a cue'
    assert set(body) == {"text", *webhook._TOLD} and body["worse"] == FINISHED["worse"] and body["images"] == 100


@pytest.mark.parametrize(
    ("answers", "calls", "why"),
    [
        ([503], 2, None),
        ([503, 500, 200], 2, "status 500"),
        ([429], 2, None),
        ([404], 1, "status 404"),
        ([302], 1, "status 302"),
    ],
)
def test_one_more_attempt_where_it_may_help(hook, answers, calls, why):
    hook.answers += answers
    assert webhook.post(hook.url, {**FINISHED, "version": "1"}) == why
    assert len(hook.taken) == calls


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_that(hook, monkeypatch):
    monkeypatch.setattr(webhook, "TIMEOUT", 0.05)
    hook.answers += [0, 0]
    assert webhook.post(hook.url, {**FINISHED, "version": "1"}) == "no answer within 0.05 s"


def test_what_is_no_address_is_a_reason_without_it(hook):
    line = {**FINISHED, "version": "1"}
    for url in (f"http://127.0.0.1:1/{SECRET}", f"http://[::1/{SECRET}", f"http://127.0.0.1:{SECRET}", "http:// a/\n"):
        why = webhook.post(url, line)
        assert why and SECRET not in why and "\n" not in why, url
        assert SECRET not in webhook.named(url)


@pytest.fixture
def ran(toy, monkeypatch):
    """Runs the toy steps with these findings, and a webhook: what was warned of."""

    def execute(url, found, **options):
        said = []

        class Told(Progress):
            def say(self, message, level="info"):
                said.append(message)

        own = {**CONFIG.model_dump(by_alias=True, exclude_unset=True), "run": {"name": "toy", "webhook": url}}
        config, whole = Config.model_validate(own), runner.run
        with monkeypatch.context() as patched:
            patched.setattr(history, "findings", lambda store, tables: found)
            patched.setattr(runner, "run", lambda _, root, told, *more: whole(config, root, Told(), *more))
            toy(**options)
        return said

    execute.root = toy.root
    return execute


def cues(count: int) -> list[dict]:
    return [{"key": "cues of dog", "count": count, "size": None, "low": None, "high": None, "text": f"{count} cues"}]


def test_it_hears_of_what_is_new_or_worse_and_of_nothing_else(hook, ran):
    ran(hook.url, cues(1))  # the first: nothing to be worse than
    ran(hook.url, cues(1))
    assert hook.taken == []
    ran(hook.url, cues(3))
    told = [(body["worse"][0]["state"], body["worse"][0]["text"]) for _, _, body in hook.taken]
    assert told == [("worse", "3 cues")]


def test_what_does_not_take_it_fails_no_run_and_its_url_is_told_to_nobody(hook, ran):
    ran(hook.url, [])
    hook.answers += [404]
    said = ran(hook.url, cues(1))
    assert said[-1] == (
        "run.webhook: 127.0.0.1 did not take what is new or worse, which is in history.jsonl (status 404)"
    )
    assert len(hook.taken) == 1
    kept = [path for path in ran.root.rglob("*") if path.is_file()]
    assert len(kept) > 10 and not [path for path in kept if b"s3cr3t" in path.read_bytes()]


def test_a_configuration_does_not_show_it(tmp_path, monkeypatch):
    file = tmp_path / "c.yaml"
    file.write_text("run: {webhook: '${ATLAS_HOOK}'}\nmodel: {path: m.keras}\nimages: {path: images}\n")
    monkeypatch.setenv("ATLAS_HOOK", f"https://chat.example/{SECRET}")
    config = load(str(file))
    assert SECRET not in repr(config) and SECRET not in config.model_dump_json()
    assert load(config, ["run.seed=1"]).run.webhook.get_secret_value().endswith(SECRET)
    monkeypatch.setenv("ATLAS_HOOK", f"chat.example/{SECRET}")
    with pytest.raises(UserError, match=r"run: webhook must begin with https:// or http://") as refused:
        load(str(file))
    assert SECRET not in str(refused.value)
