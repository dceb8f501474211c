"""Secrets are neither shown nor stored."""

import pytest

from deep3dmap.core.secrets import HIDDEN, hide, hide_in_text, is_secret

VALUE = "s3cr3t-and-long"


@pytest.mark.parametrize(
    "name",
    [
        *("token", "method.token", "hf_token", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "wandb.api_key", "WANDB_API_KEY"),
        *("apikey", "password", "DB_PASSWORD", "client_secret", "credentials", "key"),
    ],
)
def test_secret_names(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["tokenizer", "token_dim", "keypoints", "key_distance", "keyframes", "monkey", "author"])
def test_names_of_ordinary_options(name: str) -> None:
    assert not is_secret(name)


def test_trees_keep_everything_but_secret_texts() -> None:
    tree = {"method": {"token": VALUE, "tokens": 12, "width": 8}, "names": ["a", {"api_key": VALUE}], "token": None}
    expected = {"method": {"token": HIDDEN, "tokens": 12, "width": 8}, "names": ["a", {"api_key": HIDDEN}], "token": None}
    assert hide(tree) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train method.token=abc seed=1", f"train method.token={HIDDEN} seed=1"),
        (
            "results=s3://AKIA:abc@bucket/x?secret_key=abc&region=eu",
            f"results=s3://{HIDDEN}@bucket/x?secret_key={HIDDEN}&region=eu",
        ),
        ("s3://bucket/a:b", "s3://bucket/a:b"),
        ("method.width=8", "method.width=8"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert hide_in_text(text) == expected


def test_secrets_of_the_environment_and_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", VALUE)
    assert hide_in_text(f"refused: {VALUE}!") == f"refused: {HIDDEN}!"
    assert hide({"weights": f"/x/{VALUE}"}) == {"weights": f"/x/{HIDDEN}"}
    assert hide_in_text("denied to my-own-password", {"a": {"password": "my-own-password"}}) == f"denied to {HIDDEN}"
