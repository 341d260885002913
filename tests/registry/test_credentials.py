from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm.errors import AuthenticationFailed, EbpmError, InvalidConfig, OutputFailed
from ebpm.registry import credentials
from ebpm.registry.credentials import Credential, CredentialStore, Logins

ALICE = Credential("alice", "secret")


def auth(user: str = "alice", password: str = "secret") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def store_of(tmp_path: Path, *documents: Any) -> CredentialStore:
    """Keep documents in files, looked at in this order; the last is the one that is written."""
    paths = []
    for number, document in enumerate(documents):
        path = tmp_path / f"{number}.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        paths.append(path)
    return CredentialStore(paths[:-1], paths[-1])


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper, ``docker-credential-fake``, that keeps its things in a folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker-credential-fake"
    program.write_text(
        f"""#!/bin/sh
cd {tmp_path}
echo "$1" >> calls
case "$1" in
get) read -r key; name=$(echo "$key" | tr / _); cat "kept-$name" 2>/dev/null ||
     {{ echo "credentials not found in native keychain"; exit 1; }} ;;
store) cat > stored ;;
erase) read -r key; rm "kept-$(echo "$key" | tr / _)" ;;
esac
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return tmp_path


def keep(helper: Path, host: str, user: str, secret: str) -> None:
    document = {"ServerURL": host, "Username": user, "Secret": secret}
    (helper / f"kept-{host.replace('/', '_')}").write_text(json.dumps(document))


# --- what is found -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/", "ghcr.io"),
        ("http://ghcr.io/v1/", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("docker.io", "index.docker.io"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_a_host_is_found_under_each_of_its_names(tmp_path: Path, key: str, host: str) -> None:
    assert store_of(tmp_path, {"auths": {key: auth()}}).find(host) == ALICE


@pytest.mark.parametrize("host", ["ghcr.io", "ghcr.io:443", "evil.ghcr.io", "ghcr.io.evil"])
def test_another_host_is_not_found(tmp_path: Path, host: str) -> None:
    assert store_of(tmp_path, {"auths": {"other.io": auth(), "hcr.io": auth()}}).find(host) is None


@pytest.mark.parametrize(
    ("entry", "credential"),
    [
        (auth(), ALICE),
        ({"username": "alice", "password": "secret"}, ALICE),
        (auth("alice", "with:colons:in:it"), Credential("alice", "with:colons:in:it")),
        (auth("älice", "sécret"), Credential("älice", "sécret")),
        (auth("robot$x", ""), Credential("robot$x", "")),
        ({"auth": auth()["auth"] + "\n"}, ALICE),
        ({"identitytoken": "it"}, Credential(identity="it")),
        (auth("<token>", "it"), Credential(identity="it")),
        ({**auth("00000000", ""), "identitytoken": "it"}, Credential("00000000", identity="it")),
        ({"registrytoken": "rt"}, Credential(bearer="rt")),
        ({}, None),
        ({"auth": ""}, None),
    ],
)
def test_each_form_of_an_entry_is_read(
    tmp_path: Path, entry: dict[str, str], credential: Credential | None
) -> None:
    assert store_of(tmp_path, {"auths": {"ghcr.io": entry}}).find("ghcr.io") == credential


def test_the_oldest_form_of_dockers_file_is_read(tmp_path: Path) -> None:
    (tmp_path / ".dockercfg").write_text(json.dumps({"https://index.docker.io/v1/": auth()}))
    store = CredentialStore([tmp_path / ".dockercfg"], tmp_path / "config.json")
    assert store.find("docker.io") == ALICE
    assert store.find("ghcr.io") is None


BOB, TOKEN = Credential("bob", "hidden"), Credential("octocat", "ghs_token")


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("given.example", BOB),
        ("GIVEN.example", BOB),
        ("kept.example", ALICE),
        ("ambient.example", TOKEN),
        ("other.example", None),
        ("registry-1.docker.io", BOB),
    ],
)
def test_what_is_given_comes_before_what_is_kept_before_what_is_around(
    tmp_path: Path, host: str, found: Credential | None
) -> None:
    kept = store_of(tmp_path, {"auths": {"given.example": auth(), "kept.example": auth()}})
    logins = Logins(
        {"given.example": BOB, "docker.io": BOB},
        kept,
        {"given.example": TOKEN, "kept.example": TOKEN, "ambient.example": TOKEN},
    )
    assert logins.find(host) == found


def test_what_is_given_is_not_kept_anywhere(tmp_path: Path) -> None:
    kept = store_of(tmp_path, {})
    logins = Logins({"given.example": BOB}, kept, {})
    logins.save("kept.example", ALICE)
    assert list(json.loads((tmp_path / "0.json").read_text())["auths"]) == ["kept.example"]
    assert logins.erase("given.example") is False
    assert logins.erase("kept.example") is True


def test_the_entry_for_the_longest_path_wins(tmp_path: Path) -> None:
    entries = {
        "ghcr.io": auth("host"),
        "ghcr.io/acme": auth("team"),
        "ghcr.io/acme/x": auth("one"),
        "ghcr.io/acme/xy": auth("other"),
    }
    found = store_of(tmp_path, {"auths": entries})
    users = {
        name: found.find("ghcr.io", name).username  # type: ignore[union-attr]
        for name in ("acme/x", "acme/x/deep", "acme/y", "else", "")
    }
    assert users == {
        "acme/x": "one",
        "acme/x/deep": "one",
        "acme/y": "team",
        "else": "host",
        "": "host",
    }


def test_the_first_file_that_knows_a_host_wins_and_an_empty_entry_knows_nothing(
    tmp_path: Path,
) -> None:
    files = store_of(
        tmp_path,
        {"auths": {"ghcr.io": {}}},
        {"auths": {"ghcr.io": auth("second")}},
        {"auths": {"ghcr.io": auth("third")}},
    )
    assert files.find("ghcr.io") == Credential("second", "secret")


@pytest.mark.parametrize("document", ["{}", '{"auths":{}}', '{"auths":null}', '{"auths":{"a":1}}'])
def test_a_file_without_logins_is_none(tmp_path: Path, document: str) -> None:
    assert store_of(tmp_path, document).find("ghcr.io") is None


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    found = CredentialStore([tmp_path / "none", tmp_path / "no/folder"], tmp_path / "x")
    assert found.find("ghcr.io") is None


@pytest.mark.parametrize(
    "document",
    ["", "{", "[]", '"x"', '{"auths":[1]}', "\x00", "[" * 100_000]
    + [
        json.dumps({"auths": {"ghcr.io": {"auth": text}}}) for text in ("x", "!!!!", "eA==", "/w==")
    ],
)
def test_a_damaged_file_is_an_error_of_the_file(tmp_path: Path, document: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        store_of(tmp_path, document).find("ghcr.io")
    assert "secret" not in caught.value.message


@settings(max_examples=100)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["auths", "ghcr.io", "auth", "username", "credHelpers", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_any_document_gives_a_credential_or_an_error(data: object) -> None:
    path = Path(os.environ["HOME"]) / "any.json"
    path.write_text(json.dumps(data))
    try:
        found = CredentialStore([], path).find("ghcr.io", "a/b")
    except EbpmError:
        return
    assert found is None or isinstance(found, Credential)


def test_no_secret_is_printed() -> None:
    credential = Credential("alice", "secret1", "secret2", "secret3")
    assert "secret" not in repr(credential)


# --- helpers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        {"credsStore": "fake"},
        {"credHelpers": {"ghcr.io": "fake"}},
        {"credHelpers": {"https://ghcr.io": "fake"}},
        {"credHelpers": {"ghcr.io": "fake"}, "credsStore": "absent"},
        {"credsStore": "fake", "auths": {"ghcr.io": auth("in the file")}},
    ],
)
def test_a_helper_is_asked_before_the_file(
    tmp_path: Path, helper: Path, document: dict[str, Any]
) -> None:
    keep(helper, "ghcr.io", "from", "helper")
    assert store_of(tmp_path, document).find("ghcr.io") == Credential("from", "helper")


def test_a_helper_for_another_host_is_not_asked(tmp_path: Path, helper: Path) -> None:
    found = store_of(tmp_path, {"credHelpers": {"other.io": "fake"}}).find("ghcr.io")
    assert found is None
    assert not (helper / "calls").exists()


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_hubs_helper_may_be_named_in_each_way(
    tmp_path: Path, helper: Path, key: str
) -> None:
    keep(helper, "https://index.docker.io/v1/", "from", "helper")
    document = {"credHelpers": {key: "fake"}}
    assert store_of(tmp_path, document).find("docker.io") == Credential("from", "helper")


def test_a_helper_may_give_an_identity_token(tmp_path: Path, helper: Path) -> None:
    keep(helper, "ghcr.io", "<token>", "it")
    assert store_of(tmp_path, {"credsStore": "fake"}).find("ghcr.io") == Credential(identity="it")


def test_where_the_helper_knows_nothing_the_file_is_asked(tmp_path: Path, helper: Path) -> None:
    document = {"credsStore": "fake", "auths": {"ghcr.io": auth()}}
    assert store_of(tmp_path, document).find("ghcr.io") == ALICE


def test_a_helper_that_is_not_installed_is_passed_over(tmp_path: Path) -> None:
    document = {"credsStore": "of-another-machine", "auths": {"ghcr.io": auth()}}
    assert store_of(tmp_path, document).find("ghcr.io") == ALICE


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo the keychain is locked >&2; exit 1", "the keychain is locked"),
        ("echo no JSON", "answered what no helper should"),
        ("echo '{}'", "answered what no helper should"),
        ("printf '\\377'", "cannot run"),
    ],
)
def test_a_helper_that_fails_is_named_with_its_words(
    tmp_path: Path, helper: Path, script: str, said: str
) -> None:
    (helper / "bin/docker-credential-fake").write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(AuthenticationFailed, match=said) as caught:
        store_of(tmp_path, {"credsStore": "fake"}).find("ghcr.io")
    assert "docker-credential-fake" in caught.value.message


def test_a_helper_that_hangs_is_given_up(
    tmp_path: Path, helper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_HELPER_PATIENCE", 0.2)
    (helper / "bin/docker-credential-fake").write_text("#!/bin/sh\nexec sleep 30\n")
    with pytest.raises(AuthenticationFailed, match="did not answer"):
        store_of(tmp_path, {"credsStore": "fake"}).find("ghcr.io")


def test_a_helpers_name_is_no_path(tmp_path: Path) -> None:
    program = tmp_path / "docker-credential-x"
    program.write_text("#!/bin/sh\necho should not run\n")
    program.chmod(0o755)
    name = f"x/../../../../../../../../..{tmp_path}/docker-credential-x"
    store = store_of(tmp_path, {"credsStore": name})
    for use in (store.find, store.erase, lambda host: store.save(host, ALICE)):
        with pytest.raises(InvalidConfig, match="no name of a credential helper"):
            use("ghcr.io")


# --- what is kept --------------------------------------------------------------------------------


def test_a_login_is_kept_where_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "docker" / "config.json"
    store = CredentialStore([], path)
    assert store.save("ghcr.io", ALICE) == str(path)
    assert store.find("ghcr.io") == ALICE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["config.json"]


def test_what_else_the_file_says_is_kept(tmp_path: Path) -> None:
    document = {
        "auths": {"other.io": auth("bob")},
        "psFormat": "x",
        "proxies": {"default": {"httpProxy": "http://p"}},
    }
    store = store_of(tmp_path, document)
    (tmp_path / "0.json").chmod(0o644)
    store.save("ghcr.io", ALICE)
    after = json.loads((tmp_path / "0.json").read_text())
    assert after == {**document, "auths": {"other.io": auth("bob"), "ghcr.io": auth()}}
    assert stat.S_IMODE((tmp_path / "0.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("document", ["{}", '{"auths":null}', '{"auths":{}}', '{"HttpHeaders":{}}'])
def test_a_file_without_logins_takes_one(tmp_path: Path, document: str) -> None:
    store = store_of(tmp_path, document)
    store.save("ghcr.io", ALICE)
    assert store.find("ghcr.io") == ALICE


@pytest.mark.parametrize("host", ["docker.io", "ghcr.io"])
def test_a_new_login_replaces_the_old_one_under_whatever_name(tmp_path: Path, host: str) -> None:
    old = {"docker.io": auth("old"), "https://index.docker.io/v1/": auth("old")}
    old |= {"https://ghcr.io": auth("old"), "ghcr.io": auth("old"), "ghcr.io/acme": auth("path")}
    store = store_of(tmp_path, {"auths": old})
    store.save(host, Credential("new", "secret"))
    assert store.find(host) == Credential("new", "secret")
    assert store.find("ghcr.io", "acme") == Credential("path", "secret")


def test_dockers_own_key_is_used_for_docker_hub(tmp_path: Path) -> None:
    store_of(tmp_path, {}).save("docker.io", ALICE)
    assert json.loads((tmp_path / "0.json").read_text())["auths"] == {
        "https://index.docker.io/v1/": auth()
    }


def test_an_identity_token_is_kept_as_one(tmp_path: Path) -> None:
    store = store_of(tmp_path, {})
    store.save("ghcr.io", Credential("u", identity="it"))
    assert store.find("ghcr.io") == Credential("u", identity="it")


def test_a_helper_gets_the_login_and_the_file_does_not(tmp_path: Path, helper: Path) -> None:
    store = store_of(tmp_path, {"credsStore": "fake"})
    assert store.save("ghcr.io", ALICE) == "docker-credential-fake"
    assert json.loads((helper / "stored").read_text()) == {
        "ServerURL": "ghcr.io",
        "Username": "alice",
        "Secret": "secret",
    }
    assert "secret" not in (tmp_path / "0.json").read_text()


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "config.json").symlink_to("dotfiles/config.json")
    store = CredentialStore([], tmp_path / "config.json")
    store.save("ghcr.io", ALICE)
    assert (tmp_path / "config.json").is_symlink()
    assert store.find("ghcr.io") == ALICE


def test_a_file_that_cannot_be_written_is_named_and_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = CredentialStore([], tmp_path / "file" / "config.json")
    with pytest.raises(OutputFailed, match=r"cannot write .*config\.json"):
        store.save("ghcr.io", ALICE)


def test_a_damaged_file_is_not_overwritten(tmp_path: Path) -> None:
    store = store_of(tmp_path, "{ damaged")
    with pytest.raises(InvalidConfig):
        store.save("ghcr.io", ALICE)
    assert (tmp_path / "0.json").read_text() == "{ damaged"


@pytest.mark.parametrize("key", ["ghcr.io", "https://ghcr.io/v2/", "ghcr.io/acme/x"])
def test_a_login_is_forgotten_under_each_of_its_names(tmp_path: Path, key: str) -> None:
    store = store_of(tmp_path, {"auths": {key: auth(), "other.io": auth("bob")}})
    assert store.erase("ghcr.io")
    assert store.find("ghcr.io", "acme/x") is None
    assert store.find("other.io") == Credential("bob", "secret")
    assert not store.erase("ghcr.io")


def test_a_helper_forgets_too(tmp_path: Path, helper: Path) -> None:
    keep(helper, "ghcr.io", "alice", "secret")
    store = store_of(tmp_path, {"credsStore": "fake"})
    assert store.erase("ghcr.io")
    assert store.find("ghcr.io") is None
    assert not store.erase("ghcr.io")
