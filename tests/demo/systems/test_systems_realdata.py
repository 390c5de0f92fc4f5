"""Real sample files are served under their own names, whole and read-only."""

from __future__ import annotations

from io import BytesIO

import pytest

from demo.systems import SystemsError
from demo.systems.realdata import RealDataServer


def test_real_files_are_served_unchanged_and_read_only(paths, realdata, open_sftp):
    with RealDataServer(paths, realdata) as server:
        sftp = open_sftp(server.env)
        names = {
            file.name
            for part in ("unzipped", "market_test")
            for file in (realdata / "nem12" / part).iterdir()
        }
        assert set(sftp.listdir("/nem12")) == names
        assert len(names) == 45
        assert len(sftp.listdir("/invalid")) == 10
        content = BytesIO()
        sftp.getfo("/cobol/test3_data/TRAN2.AUG31.DATA.dat", content)
        assert content.getvalue() == (realdata / "cobol/test3_data/TRAN2.AUG31.DATA.dat").read_bytes()
        with pytest.raises(PermissionError):
            sftp.open("/nem12/new.csv", "wb")
    assert server.env == {}
    with pytest.raises(OSError):
        sftp.listdir("/")


def test_a_folder_without_samples_is_one_clear_line(paths, tmp_path):
    with pytest.raises(SystemsError, match="give the folder that holds"):
        RealDataServer(paths, tmp_path).start()
