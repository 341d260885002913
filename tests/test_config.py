from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm.config import Config
from ebpm.errors import InvalidConfig

NOBODY = 65534
USER = 4242


def config_of(tmp_path: Path, text: str = "", uid: int = USER, **variables: str) -> Config:
    """Read settings out of a file and variables, as a user with a home of his own."""
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return Config({"HOME": str(tmp_path), "EBPM_CONFIG": str(file), **variables}, uid=uid)


# --- precedence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "variable", "attribute"),
    [("store", "EBPM_STORE", "store"), ("ca_file", "SSL_CERT_FILE", "ca_file")],
)
def test_the_environment_comes_before_the_file_and_the_file_before_the_default(
    tmp_path: Path, setting: str, variable: str, attribute: str
) -> None:
    default = getattr(config_of(tmp_path), attribute)
    assert getattr(config_of(tmp_path, f"{setting}: /in/file"), attribute) == "/in/file"
    both = config_of(tmp_path, f"{setting}: /in/file", **{variable: "/in/env"})
    assert getattr(both, attribute) == "/in/env"
    assert default not in ("/in/file", "/in/env")


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert config_of(tmp_path, "store: /in/file", EBPM_STORE="").store == "/in/file"


def test_lists_come_from_the_file(tmp_path: Path) -> None:
    found = config_of(tmp_path, "indexes: [ghcr.io/acme]\nplain_http: ['reg.lan:5000']\n")
    assert found.indexes == ["ghcr.io/acme"]
    assert found.plain_http == ["reg.lan:5000"]
    nothing = config_of(tmp_path)
    assert (nothing.indexes, nothing.plain_http) == ([], [])


def test_the_lists_of_two_configurations_are_two(tmp_path: Path) -> None:
    config_of(tmp_path).plain_http.append("reg.lan")
    assert config_of(tmp_path).plain_http == []


def test_a_file_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    Config({"HOME": str(tmp_path)}, uid=USER)
    Config({"HOME": str(tmp_path), "EBPM_CONFIG": str(tmp_path / "a/b")}, uid=USER)


@pytest.mark.parametrize(
    ("text", "store"),
    [("~/stores/a", "stores/a"), ("~", ""), ("beside/it", "beside/it"), ("./x", "./x")],
)
def test_a_path_in_the_file_means_the_same_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, store: str
) -> None:
    monkeypatch.chdir("/")
    found = config_of(tmp_path, f"store: '{text}'").store
    assert Path(found) == tmp_path / store


@pytest.mark.needs("root")
def test_a_file_in_a_home_that_is_not_ours_is_none_unless_it_was_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".config/ebpm").mkdir(parents=True)
    file = home / ".config/ebpm/config.yaml"
    file.write_text("store: /in/file")
    home.chmod(0o700)
    os.seteuid(NOBODY)
    try:
        assert Config({"HOME": str(home)}, uid=NOBODY).store != "/in/file"
        with pytest.raises(InvalidConfig, match="Permission denied"):
            Config({"HOME": str(home), "EBPM_CONFIG": str(file)}, uid=NOBODY)
    finally:
        os.seteuid(0)


def test_our_own_variables_are_read(tmp_path: Path) -> None:
    found = config_of(tmp_path, EBPM_CACHE="/c", EBPM_LIBBPF="/l.so", EBPM_CLANG="/clang")
    assert (found.cache, found.libbpf, found.clang) == ("/c", "/l.so", "/clang")


# --- folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"XDG_DATA_HOME": "/d", "XDG_CACHE_HOME": "/c", "XDG_CONFIG_HOME": "/f"},
        {"XDG_DATA_HOME": "", "XDG_CACHE_HOME": ""},
        {"XDG_DATA_HOME": "relative", "XDG_CACHE_HOME": "./x", "XDG_CONFIG_HOME": "~/x"},
        {"HOME": "/somewhere/else"},
        {"HOME": ""},
        {"HOME": "relative"},
    ],
)
def test_folders_are_where_platformdirs_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path), **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("EBPM_STORE", raising=False)
    monkeypatch.delenv("EBPM_CACHE", raising=False)
    monkeypatch.delenv("EBPM_CONFIG", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: type("user", (), {"pw_dir": "/home/of/user"}))
    found = Config(os.environ, uid=USER)
    assert found.store == platformdirs.user_data_dir("ebpm", appauthor=False) + "/store"
    assert found.cache == platformdirs.user_cache_dir("ebpm", appauthor=False)
    expected = platformdirs.user_config_dir("ebpm", appauthor=False)
    assert found.config_file == f"{expected}/config.yaml"


def test_roots_folders_are_the_systems_whatever_home_sudo_left() -> None:
    found = Config({"HOME": "/home/alice", "XDG_DATA_HOME": "/home/alice/d"}, uid=0)
    assert found.store == "/var/lib/ebpm/store"
    assert found.cache == "/var/cache/ebpm"
    assert found.config_file == "/etc/ebpm/config.yaml"


@pytest.fixture
def alice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make uid 1000 a user with a home."""

    def look_up(uid: int) -> object:
        homes = {0: "/root", 1000: "/home/alice"}
        return type("user", (), {"pw_dir": homes[uid]})

    monkeypatch.setattr("pwd.getpwuid", look_up)


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("uid", "variables", "found"),
    [
        (0, {"SUDO_UID": "1000"}, ["/home/alice/.local/share/ebpm/store"]),
        (0, {}, []),
        (0, {"SUDO_UID": "0"}, []),
        (0, {"SUDO_UID": "4711"}, []),
        (0, {"SUDO_UID": "9" * 40}, []),
        (0, {"SUDO_UID": "-1"}, []),
        (0, {"SUDO_UID": "alice"}, []),
        (0, {"SUDO_UID": "../1000"}, []),
        (0, {"SUDO_UID": "1000", "EBPM_STORE": "/chosen"}, []),
        (1000, {"SUDO_UID": "1000"}, []),
    ],
)
def test_root_reads_the_store_of_the_user_behind_sudo_and_nobody_elses(
    uid: int, variables: dict[str, str], found: list[str]
) -> None:
    assert Config({"HOME": "/root", **variables}, uid=uid).lower_stores == found


def test_a_user_without_a_home_is_told_what_to_set() -> None:
    with pytest.raises(InvalidConfig, match="user 4242424 has no home folder") as caught:
        Config({}, uid=4242424)
    assert "EBPM_STORE" in caught.value.hint
    assert Config({"HOME": "/home/x"}, uid=4242424).store == "/home/x/.local/share/ebpm/store"


def test_a_file_without_an_end_is_no_configuration() -> None:
    with pytest.raises(InvalidConfig, match="/dev/zero is larger than any configuration"):
        Config({"HOME": "/nowhere", "EBPM_CONFIG": "/dev/zero"}, uid=USER)


def test_stores_that_are_only_read_are_searched_in_the_order_in_which_they_are_named(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.yaml").write_text("lower_stores: [/usb/store, ~/site]\n")
    variables = {"HOME": str(tmp_path), "EBPM_CONFIG": f"{tmp_path}/config.yaml"}
    found = Config({**variables, "EBPM_LOWER_STORES": "/a::/b"}, uid=1000).lower_stores
    assert found == ["/a", "/b", "/usb/store", f"{tmp_path}/site"]


@pytest.mark.parametrize(
    ("text", "offline"),
    [("1", True), ("yes", True), ("", False), ("0", False), ("no", False), ("False", False)],
)
def test_a_switch_in_the_environment_is_read_as_people_write_it(text: str, offline: bool) -> None:
    assert Config({"HOME": "/root", "EBPM_OFFLINE": text}, uid=0).offline is offline


def test_registries_conf_is_looked_for_as_podman_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ebpm.config._CONTAINERS", str(tmp_path / "etc"))
    own = tmp_path / ".config/containers"
    for folder in (tmp_path / "etc", own):
        (folder / "registries.conf.d").mkdir(parents=True)
    (tmp_path / "etc/registries.conf.d/b.conf").touch()
    (tmp_path / "etc/registries.conf.d/notes.txt").touch()
    (own / "registries.conf.d/a.conf").touch()
    parts = [f"{tmp_path}/etc/registries.conf.d/b.conf", f"{own}/registries.conf.d/a.conf"]
    (tmp_path / "etc/registries.conf").touch()
    assert config_of(tmp_path).registries_files == [f"{tmp_path}/etc/registries.conf", *parts]
    (own / "registries.conf").touch()
    assert config_of(tmp_path).registries_files == [f"{own}/registries.conf", *parts]
    named = config_of(tmp_path, CONTAINERS_REGISTRIES_CONF="/named.conf")
    assert named.registries_files == ["/named.conf"]


# --- logins --------------------------------------------------------------------------------------


def test_logins_are_looked_for_as_podman_and_docker_do(tmp_path: Path) -> None:
    found = config_of(tmp_path, XDG_RUNTIME_DIR="/run/user/1", DOCKER_CONFIG="/docker")
    assert found.credential_files == [
        "/run/user/1/containers/auth.json",
        f"{tmp_path}/.config/containers/auth.json",
        "/docker/config.json",
        f"{tmp_path}/.dockercfg",
    ]
    assert found.login_file == "/docker/config.json"


def test_a_file_that_is_named_is_the_only_one_and_gets_the_logins(tmp_path: Path) -> None:
    found = config_of(tmp_path, REGISTRY_AUTH_FILE="/named.json", DOCKER_CONFIG="/docker")
    assert found.credential_files == ["/named.json"]
    assert found.login_file == "/named.json"


def test_without_variables_docker_is_at_home(tmp_path: Path) -> None:
    found = config_of(tmp_path)
    assert found.login_file == f"{tmp_path}/.docker/config.json"


GIVEN = {"EBPM_REGISTRY": "GHCR.io", "EBPM_USERNAME": "alice", "EBPM_PASSWORD": "secret"}


def test_a_login_in_the_environment_is_for_one_host(tmp_path: Path) -> None:
    assert config_of(tmp_path, **GIVEN).given_login == ("ghcr.io", "alice", "secret")
    assert config_of(tmp_path).given_login is None
    assert config_of(tmp_path, EBPM_REGISTRY="ghcr.io").given_login is None


@pytest.mark.parametrize("absent", GIVEN)
def test_a_login_without_a_host_or_half_of_one_is_an_error(tmp_path: Path, absent: str) -> None:
    rest = {name: value for name, value in GIVEN.items() if name != absent}
    with pytest.raises(InvalidConfig, match=f"{absent} is not set") as caught:
        _ = config_of(tmp_path, **rest).given_login
    assert "secret" not in caught.value.message


ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": "ghs_token", "GITHUB_ACTOR": "octocat"}


@pytest.mark.parametrize(
    ("variables", "login"),
    [
        (ACTIONS, ("ghcr.io", "octocat", "ghs_token")),
        (ACTIONS | {"GITHUB_ACTOR": ""}, ("ghcr.io", "x-access-token", "ghs_token")),
        (ACTIONS | {"GITHUB_ACTIONS": ""}, None),
        (ACTIONS | {"GITHUB_TOKEN": ""}, None),
        (
            ACTIONS | {"GITHUB_SERVER_URL": "https://github.com"},
            ("ghcr.io", "octocat", "ghs_token"),
        ),
        (
            ACTIONS | {"GITHUB_SERVER_URL": "https://git.example.com/"},
            ("containers.git.example.com", "octocat", "ghs_token"),
        ),
    ],
)
def test_a_job_of_github_has_a_login_for_its_registry(
    tmp_path: Path, variables: dict[str, str], login: object
) -> None:
    assert config_of(tmp_path, **variables).actions_login == login


def test_certificates_are_looked_for_as_podman_and_docker_do(tmp_path: Path) -> None:
    assert config_of(tmp_path).certificate_folders == [
        f"{tmp_path}/.config/containers/certs.d",
        "/etc/containers/certs.d",
        "/etc/docker/certs.d",
    ]


# --- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("stor: /x", "unknown setting 'stor'", "did you mean store?"),
        ("plain-http: []", "unknown setting 'plain-http'", "did you mean plain_http?"),
        ("zzz: 1", "unknown setting 'zzz'", "there are indexes, plain_http, store, ca_file"),
        ("5: x", "unknown setting 5", "there are"),
        ("store: [a]", "store is not text", "correct the file"),
        ("store: 5", "store is not text", "correct the file"),
        ("store:", "store is not text", "correct the file"),
        ("indexes: ghcr.io", "indexes is not a list of texts", "correct the file"),
        ("indexes: [1]", "indexes is not a list of texts", "correct the file"),
        ("- a", "not a mapping", "correct the file"),
        ("text", "not a mapping", "correct the file"),
        ("a: [", "is not YAML", "correct the file"),
        ("a: !!python/object/apply:os.system [id]", "is not YAML", "correct the file"),
        ("a: !!int ''", "is not YAML", "correct the file"),
        ("a: !!timestamp x", "is not YAML", "correct the file"),
        ("[" * 5000, "YAML|nested", "correct the file"),
        ("\x00", "is not YAML", "correct the file"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    with pytest.raises(InvalidConfig, match=message) as caught:
        config_of(tmp_path, text)
    assert "config.yaml" in caught.value.message
    assert hint in caught.value.hint


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=f"cannot read {tmp_path}: Is a directory"):
        Config({"HOME": str(tmp_path), "EBPM_CONFIG": str(tmp_path)}, uid=USER)


@pytest.mark.parametrize("text", ["", "# nothing but a comment", "{}", "---\n"])
def test_an_empty_file_says_nothing(tmp_path: Path, text: str) -> None:
    assert config_of(tmp_path, text).indexes == []


@settings(max_examples=150)
@given(st.binary(max_size=60) | st.text("aeio!:-[]{}'\"&*|>%@`,?#~ \n\t0123456789.", max_size=60))
def test_any_file_is_settings_or_an_error(content: bytes | str) -> None:
    file = Path(os.environ["EBPM_CONFIG"])
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        assert isinstance(Config().indexes, list)
    except InvalidConfig:
        return


# --- the rest ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_is_a_matter_of_the_environment(
    tmp_path: Path, variables: dict[str, str], colour: bool
) -> None:
    assert config_of(tmp_path, **variables).colour is colour


def test_the_date_of_a_build_may_be_set(tmp_path: Path) -> None:
    assert config_of(tmp_path).source_date == 0
    assert config_of(tmp_path, SOURCE_DATE_EPOCH="1700000000").source_date == 1_700_000_000


@pytest.mark.parametrize("text", ["-1", "1.5", "yesterday", "9" * 30])
def test_a_date_that_is_none_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidConfig, match="not seconds since 1970"):
        _ = config_of(tmp_path, SOURCE_DATE_EPOCH=text).source_date
