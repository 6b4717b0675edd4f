"""No secret leaves in a line, however the output is cut; and nothing else is changed."""

import random

import pytest

from iris.worker.logs.redaction import RedactedStream, Redaction, SecretRules


def streamed(redaction: Redaction, *chunks: bytes, max_held: int = 64) -> bytes:
    stream = RedactedStream(redaction, max_held=max_held)
    return b"".join([*map(stream.feed, chunks), stream.end()])


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "TOKEN", "MY_SECRET_1", "DB_PASSWORD", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY"],
)
def test_values_of_variables_that_are_secret_by_default(name: str) -> None:
    redaction = SecretRules().redaction({name: "hunter22", "HOME": "/home/hunter"})
    assert redaction.clean(b"a hunter22, twice hunter22hunter22") == b"a ***, twice ******"
    assert redaction.clean(b"/home/hunter") == b"/home/hunter"


def test_the_configuration_says_what_is_secret_and_tokens_always_are() -> None:
    rules = SecretRules(("DB_URL", "PRIVATE_?"), ("cluster-token",))
    env = {
        "DB_URL": "postgres://me:pw@host",
        "PRIVATE_A": "privates",
        "PRIVATE_AB": "something",
        "HF_TOKEN": "not named here",
        "IRIS_TASK_TOKEN": "the-task-token",
    }
    text = b"postgres://me:pw@host privates something not named here the-task-token cluster-token"
    assert rules.redaction(env).clean(text) == b"*** *** something not named here *** ***"


def test_short_values_stay_since_they_are_found_everywhere() -> None:
    redaction = SecretRules().redaction({"A_TOKEN": "12345", "B_TOKEN": "", "C_TOKEN": "äöüäö"})
    assert redaction.pattern is None
    assert streamed(redaction, b"1234", b"5") == b"12345"
    assert SecretRules().redaction({"A_TOKEN": "123456"}).clean(b"0123456") == b"0***"


def test_each_line_of_a_value_with_several_is_secret() -> None:
    key = "-----BEGIN KEY-----\r\n  MIIEvQIBADAN\nshort\nBgkqhkiG9w0B\n"
    redaction = Redaction([key])
    for line in key.encode().splitlines():
        assert line.strip() not in redaction.clean(b"x" + line + b"y") or line == b"short"
    assert redaction.clean(b"MIIEvQIBADAN\nshort\n") == b"***\nshort\n"


def test_of_two_that_begin_alike_nothing_is_left() -> None:
    redaction = Redaction(["secret", "secret-and-more", "more.*"])
    assert redaction.clean(b"secret-and-more secret-and more.* morexx") == b"*** ***-and *** morexx"


def test_bytes_that_are_no_text_can_be_secret() -> None:
    value = b"\xff\xfe\x80secret".decode(errors="surrogateescape")
    assert Redaction([value]).clean(b"a\xff\xfe\x80secretb") == b"a***b"


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_secret_that_is_cut_in_two_is_found(cut: int) -> None:
    text = b"my hunter22 is"
    assert streamed(Redaction(["hunter22"]), text[:cut], text[cut:], b"\nx") == b"my *** is\nx"


def test_finished_lines_are_given_on_at_once() -> None:
    stream = RedactedStream(Redaction(["hunter22"]))
    assert stream.feed(b"one\ntwo\nhunter") == b"one\ntwo\n"
    assert stream.feed(b"22\n") == b"***\n"
    assert stream.end() == b""


def test_a_line_without_end_is_given_on_but_for_the_beginning_of_a_secret() -> None:
    stream = RedactedStream(Redaction(["hunter22"]), max_held=64)
    assert stream.feed(b"x" * 100 + b"hunter2") == b"x" * 100
    assert stream.feed(b"2" + b"y" * 100) == b"***" + b"y" * 93
    assert stream.end() == b"y" * 7


@pytest.mark.parametrize("max_held", [16, 64, 1000])
def test_however_it_is_cut_the_outcome_is_the_same(test_seed: str, max_held: int) -> None:
    rng = random.Random(test_seed)
    secrets = ["aabbaab", "abbabb", "bbbbbbbb"]
    redaction = Redaction(secrets)
    for _ in range(300):
        text = bytes(rng.choices(b"ab\n", [10, 10, 1], k=rng.randrange(200)))
        cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(8)))
        chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        told = streamed(redaction, *chunks, max_held=max_held)
        assert told == redaction.clean(text), f"seed {test_seed}: {chunks}"
        assert not any(secret.encode() in told for secret in secrets)
