"""Each simulated system answers a real client, and refuses what a real one would refuse."""

from __future__ import annotations

import io
import stat

import paramiko
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from demo.systems.environment import Places


def test_sftp_shows_the_tree_and_takes_a_drop_by_temporary_name(systems, open_sftp):
    sftp = open_sftp(systems.env)
    assert set(sftp.listdir("/")) == {"cis", "mdm", "ami", "han", "oms", "weather", "dialer", "print"}
    with sftp.open("/dialer/incoming/list.csv.part", "wb") as stream:
        stream.write(b"a,b\r\n1,2\r\n")
    sftp.posix_rename("/dialer/incoming/list.csv.part", "/dialer/incoming/list.csv")
    received = systems.paths.demo / "sftp/dialer/incoming/list.csv"
    assert received.read_bytes() == b"a,b\r\n1,2\r\n"
    sftp.remove("/dialer/incoming/list.csv")
    assert not received.exists()


def test_sftp_gives_files_whole_and_from_an_offset(systems, open_sftp):
    content = bytes(range(256)) * 4_000
    (systems.paths.demo / "sftp/mdm/outgoing/NEM12#X#Y#Z.zip").write_bytes(content)
    sftp = open_sftp(systems.env)
    whole = io.BytesIO()
    sftp.getfo("/mdm/outgoing/NEM12#X#Y#Z.zip", whole)
    assert whole.getvalue() == content
    with sftp.open("/mdm/outgoing/NEM12#X#Y#Z.zip", "rb") as stream:
        stream.seek(900_001)
        assert stream.read(50) == content[900_001:900_051]


SOURCE = "/dialer/incoming/../../cis/outgoing/"  # a path that starts where writing is allowed
CHANGES = {
    "write": lambda sftp: sftp.open(SOURCE + "kept.dat", "wb"),
    "append": lambda sftp: sftp.open(SOURCE + "kept.dat", "ab"),
    "remove": lambda sftp: sftp.remove(SOURCE + "kept.dat"),
    "mkdir": lambda sftp: sftp.mkdir(SOURCE + "new"),
    "rename away": lambda sftp: sftp.rename(SOURCE + "kept.dat", "/dialer/incoming/kept.dat"),
    "rename over": lambda sftp: sftp.posix_rename("/dialer/incoming/x", SOURCE + "kept.dat"),
    "chmod": lambda sftp: sftp.chmod(SOURCE + "kept.dat", 0o777),
    "truncate": lambda sftp: sftp.truncate(SOURCE + "kept.dat", 0),
    "symlink": lambda sftp: sftp.symlink("/etc/passwd", "/dialer/incoming/link"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_sftp_source_folders_are_read_only(systems, open_sftp, change):
    kept = systems.paths.demo / "sftp/cis/outgoing/kept.dat"
    kept.write_bytes(b"original")
    sftp = open_sftp(systems.env)
    with pytest.raises(OSError, match=r"read-only|Links"):
        CHANGES[change](sftp)
    assert kept.read_bytes() == b"original"


def test_sftp_cannot_leave_its_root(systems, open_sftp):
    sftp = open_sftp(systems.env)
    assert set(sftp.listdir("/../../..")) == set(sftp.listdir("/"))
    with pytest.raises(FileNotFoundError):
        sftp.stat("/../../../etc/passwd")


def test_sftp_refuses_a_wrong_password(systems, open_sftp):
    with pytest.raises(paramiko.AuthenticationException):
        open_sftp(systems.env, password="wrong")


def test_sftp_client_with_another_pinned_key_refuses(systems, open_sftp):
    pinned = paramiko.ECDSAKey.generate()
    env = {**systems.env, "GRIDCRM_SFTP_HOST_KEY": f"{pinned.get_name()} {pinned.get_base64()}"}
    with pytest.raises(paramiko.SSHException):
        open_sftp(env)


def test_postgres_has_both_databases_and_keeps_utc(systems, pg_url):
    for database in ("collections", "crm"):
        engine = create_engine(pg_url(systems.env, database))
        with engine.connect() as connection:
            assert connection.execute(text("show timezone")).scalar_one() == "UTC"
            assert connection.execute(text("show password_encryption")).scalar_one() == "scram-sha-256"
        engine.dispose()


def test_the_crm_has_an_inbox_whose_rows_carry_their_time(systems, pg_url):
    engine = create_engine(pg_url(systems.env, "crm"))
    with engine.begin() as connection:
        connection.execute(
            text("insert into crm_inbox.inbound_card values ('account:1', 'C1', '{}', '2026-11-15')")
        )
        age = text("select now() - updated_at < interval '1 s' from crm_inbox.inbound_card")
        assert connection.execute(age).scalar_one()
        names = text("select table_name from information_schema.tables where table_schema = 'crm_inbox'")
        found = set(connection.execute(names).scalars())
        connection.execute(text("truncate crm_inbox.inbound_card"))
    engine.dispose()
    assert {"customer_score", "inbound_card", "next_best_action"} <= found


def test_postgres_refuses_a_wrong_password(systems, pg_url):
    engine = create_engine(pg_url(systems.env, "crm", password="wrong"))
    with pytest.raises(OperationalError, match="password authentication failed"):
        engine.connect()


def test_secrets_are_for_the_owner_alone_and_demo_env_is_what_start_returned(systems):
    places = Places.of(systems.paths)
    for file in (places.env_file, places.credentials_file, places.host_key_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    pairs = (line.split("=", 1) for line in places.env_file.read_text().splitlines() if line[0] != "#")
    assert dict(pairs) == systems.env
    log = places.log.read_text() + places.postgres_log.read_text()
    assert not any(
        value in log for name, value in systems.env.items() if name.endswith(("PASSWORD", "TOKEN"))
    )
