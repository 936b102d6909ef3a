"""Where a setting comes from, and what is refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from image_search.config import (
    SECTIONS,
    Settings,
    load_settings,
    parse_index_params,
    render_default_ini,
)
from image_search.errors import ConfigError

ROOT = Path(__file__).parents[2]
ALL = [(section, f) for section, cls in SECTIONS.items() for f in fields(cls)]


def ini(tmp_path: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = tmp_path / "config.ini"
    path.write_text(text, encoding=encoding)
    return path


def load(path: Path | None = None, environ: dict[str, str] | None = None, **overrides: str) -> Settings:
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_settings(path, environ=environ or {}, overrides=given)


def test_defaults_are_those_of_the_fields() -> None:
    settings = load(ROOT / "conf" / "config.ini")
    assert settings == Settings(origins=settings.origins)
    assert settings.origins == {}


def test_the_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    path = ini(tmp_path, "[http_server]\nport = 1001\nhost = file\nthreads = 3\n")
    environ = {"IMAGE_SEARCH_HTTP_SERVER__PORT": "1002", "IMAGE_SEARCH_HTTP_SERVER__HOST": "env"}
    settings = load(path, environ, http_server__port="1003")
    server = settings.http_server
    assert (server.port, server.host, server.threads, server.workers) == (1003, "env", 3, 1)
    origins = {key: origin for key, _, origin in settings.rows() if key.startswith("http_server.")}
    assert origins["http_server.port"] == "command line"
    assert origins["http_server.host"] == "environment IMAGE_SEARCH_HTTP_SERVER__HOST"
    assert origins["http_server.threads"] == "config.ini"
    assert origins["http_server.workers"] == "default"


def test_the_file_is_the_one_named_then_the_environment_s_then_the_folder_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, by_environment = tmp_path / "named.ini", tmp_path / "environment.ini"
    named.write_text("[http_server]\nport = 1\n")
    by_environment.write_text("[http_server]\nport = 2\n")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.ini").write_text("[http_server]\nport = 3\n")
    environ = {"IMAGE_SEARCH_CONFIG": str(by_environment)}
    monkeypatch.chdir(tmp_path)
    assert load(named, environ).http_server.port == 1
    assert load(None, environ).http_server.port == 2
    assert load().http_server.port == 3
    monkeypatch.chdir("/")
    assert load().http_server.port == 5000, "the checkout's own"


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    for path, environ in ((tmp_path / "no.ini", {}), (None, {"IMAGE_SEARCH_CONFIG": str(tmp_path / "no.ini")})):
        with pytest.raises(ConfigError, match=r"no\.ini"):
            load(path, environ)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[nonsense]\n", "unknown section 'nonsense'.*known are library"),
        ("[nonsense]\nx = 1\n", "unknown section 'nonsense'"),
        ("[DEFAULT]\nport = 1\n", "unknown section 'DEFAULT'"),
        ("[http_server]\nprot = 1\n", "unknown key 'prot' in .http_server.; known are host, port"),
        ("port = 1\n", "config.ini"),
        ("[http_server\nport = 1\n", "config.ini"),
        ("[http_server]\nport = 1\nport = 2\n", "already exists"),
        ("[http_server]\nport\n", "config.ini"),
        ("[http_server]\nport = 5000 ; the usual\n", "http_server.port = '5000 ; the usual'.*whole number"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(ini(tmp_path, text))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.ini"
    path.write_bytes(b"\xff\xfe\x00[")
    with pytest.raises(ConfigError, match=r"config\.ini: is no text in UTF-8"):
        load(path)
    with pytest.raises(ConfigError, match="is no file"):
        load(tmp_path)


def test_a_byte_order_mark_and_capitals_do_no_harm(tmp_path: Path) -> None:
    assert load(ini(tmp_path, "[http_server]\nPORT = 7\n", encoding="utf-8-sig")).http_server.port == 7


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("IMAGE_SEARCH_NONSENSE__PORT", "IMAGE_SEARCH_NONSENSE__PORT: unknown section 'nonsense'"),
        ("IMAGE_SEARCH_HTTP_SERVER__PROT", "IMAGE_SEARCH_HTTP_SERVER__PROT: unknown key 'prot'"),
    ],
)
def test_an_unknown_variable_is_refused_by_name(name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(environ={name: "1"})


def test_other_variables_are_nobody_s_business() -> None:
    load(environ={"IMAGE_SEARCH_CONFIG": "", "HTTP_SERVER__PORT": "x", "PATH": "/bin", "IMAGE_SEARCHER": "1"})


def test_an_unknown_flag_is_refused() -> None:
    with pytest.raises(ConfigError, match="command line: unknown key 'prot'"):
        load(http_server__prot="1")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("http_server.port", "many", "whole number"),
        ("http_server.port", "", "whole number"),
        ("http_server.port", "1.5", "whole number"),
        ("http_server.port", "-1", "not negative"),
        ("http_server.port", "65536", "65535"),
        ("http_server.threads", "0", "at least 1"),
        ("imaging.thumbnail_px", "0", "at least 1"),
        ("milvus.timeout_s", "soon", "a number"),
        ("milvus.timeout_s", "nan", "a number"),
        ("milvus.timeout_s", "inf", "a number"),
        ("milvus.timeout_s", "-0.1", "a number"),
        ("storage.secure", "perhaps", "true or false"),
        ("storage.backend", "s3", "one of local, minio"),
        ("ingest.originals", "move", "one of copy, hardlink, reference"),
        ("milvus.index", "BEST", "one of auto, AUTOINDEX"),
        ("milvus.index_params", "M", "name=number"),
        ("milvus.index_params", "M=²", "name=number"),
        ("milvus.index_params", "M=-1", "name=number"),
        ("milvus.index_params", "M=16 efConstruction=2", "name=number"),
        ("library.collection", "my library", "letters, digits"),
        ("library.collection", "1st", "letters, digits"),
        ("library.collection", "", "letters, digits"),
        ("http_server.cors_origins", "https://a, *", "name the origins"),
        ("http_server.workers", "2", "Lite file serves one process"),
        ("milvus.index", "HNSW", "FLAT only"),
        ("storage.backend", "minio", "storage.endpoint"),
        ("url_fetch.mode", "on", "one of off, allowlist, public"),
        ("url_fetch.mode", "allowlist", "needs url_fetch.allow"),
        ("url_fetch.allow", "nas.lan, 192.168.1.7/24", "'192.168.1.7/24' is no host name, IP address or network"),
        ("url_fetch.ports", "80, http", "whole number"),
        ("url_fetch.ports", "80, 0", "from 1 to 65535"),
        ("url_fetch.ports", "65536", "from 1 to 65535"),
        ("url_fetch.ports", "", "from 1 to 65535"),
        ("url_fetch.read_s", "0", "more than 0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(key: str, value: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        load_settings(environ={}, overrides={key: value})
    assert key in str(caught.value)


def test_an_s3_server_takes_copies_only() -> None:
    given = {"storage.backend": "minio", "storage.endpoint": "localhost:9000", "ingest.originals": "reference"}
    with pytest.raises(ConfigError, match="only copy"):
        load_settings(environ={}, overrides=given)


def test_values_of_every_kind() -> None:
    settings = load(
        http_server__max_image_bytes="20_000_000",
        milvus__timeout_s=" 2.5 ",
        storage__secure="No",
        http_server__cors_origins=" https://a , ,null,",
        milvus__uri="http://milvus:19530",
        milvus__index="HNSW",
        milvus__index_params="M=16, efConstruction=200",
        http_server__workers="4",
        url_fetch__ports=" 80,,8_080 ",
        security__user_key="with = and % and spaces",
    )
    assert settings.http_server.max_image_bytes == 20_000_000
    assert settings.milvus.timeout_s == 2.5
    assert settings.url_fetch.ports == (80, 8080)
    assert settings.storage.secure is False
    assert settings.http_server.cors_origins == ("https://a", "null")
    assert settings.milvus_uri == "http://milvus:19530"
    assert parse_index_params(settings.milvus.index_params) == {"M": 16, "efConstruction": 200}
    assert settings.security.user_key == "with = and % and spaces"
    assert parse_index_params("") == {}


def test_percent_signs_in_the_file_are_percent_signs(tmp_path: Path) -> None:
    assert load(ini(tmp_path, "[security]\nuser_key = 50%(off)s\n")).security.user_key == "50%(off)s"


SECRETS = (
    "milvus.token",
    "storage.access_key",
    "storage.secret_key",
    "security.user_key",
    "security.admin_key",
    "security.metrics_key",
    "security.signing_key",
)


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    settings = load_settings(environ={}, overrides=dict.fromkeys(SECRETS, "hush-hush"))
    assert settings.security.admin_key == "hush-hush"
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)
    rows = {key: value for key, value, _ in settings.rows()}
    assert "hush" not in str(rows)
    assert {rows[key] for key in SECRETS} == {"********"}
    assert {value for key, value, _ in load().rows() if key in SECRETS} == {""}, "an empty one is seen to be empty"


def test_every_setting_that_sounds_like_a_secret_is_one() -> None:
    secret = {f"{section}.{f.name}" for section, f in ALL if f.metadata["secret"]}
    assert secret == set(SECRETS)
    for section, f in ALL:
        if f.name.endswith(("_key", "token", "password")):
            assert f.metadata["secret"], f"{section}.{f.name}"
            assert not f.repr


def test_rows_name_every_setting_once() -> None:
    keys = [key for key, _, _ in load().rows()]
    assert keys == [f"{section}.{f.name}" for section, f in ALL]


def test_the_file_in_conf_is_what_the_code_says() -> None:
    assert (ROOT / "conf" / "config.ini").read_text(encoding="utf-8") == render_default_ini()


def test_the_file_in_conf_with_every_key_switched_on_gives_the_defaults(tmp_path: Path) -> None:
    lines = []
    for line in render_default_ini().splitlines():
        lines.append(line[1:] if line.startswith("#") and not line.startswith("# ") else line)
    settings = load(ini(tmp_path, "\n".join(lines)))
    assert len(settings.origins) == len(ALL)
    assert settings == Settings(origins=settings.origins)


@pytest.mark.parametrize(("section", "setting"), ALL, ids=lambda value: getattr(value, "name", value))
def test_every_setting_has_help_and_a_unit_in_its_name(section: str, setting: Any) -> None:
    text = setting.metadata["help"]
    assert text[0].isupper() or text[0] in "`0123456789" or text.split()[0].islower()
    assert text.rstrip().endswith((".", ")"))
    assert len(text) > 15
    if "in seconds" in text:
        assert setting.name.endswith("_s")


def test_folders_are_absolute_and_follow_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(library__data_dir="here")
    assert settings.data_dir == tmp_path / "here"
    assert settings.milvus_uri == str(tmp_path / "here" / "library.db")
    assert settings.model_cache_dir == tmp_path / "here" / "models"
    moved = load(library__data_dir="~/x", milvus__uri="other.db", embedding__cache_dir="cache")
    assert moved.data_dir == Path.home() / "x"
    assert moved.milvus_uri == str(tmp_path / "other.db")
    assert moved.model_cache_dir == tmp_path / "cache"


def test_without_a_data_folder_it_is_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    settings = load()
    assert settings.data_dir == tmp_path / "xdg" / "image-search"
    assert {key: value for key, value, _ in settings.rows()}["library.data_dir"] == str(settings.data_dir)
