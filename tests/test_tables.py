# SPDX-License-Identifier: Apache-2.0
"""Tables of numbers name the line that is at fault."""

from pathlib import Path

import numpy as np
import pytest

from rheograd.engine.tables import read_table


def test_a_table_gives_the_columns_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("force, note, time\n1e3,start,0\nnan,,0.5\n")
    found = read_table(path, ("time", "force"), gaps=True)
    assert found == pytest.approx(np.array([[0.0, 1e3], [0.5, np.nan]]), nan_ok=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"time,force\n0,1\n0.5,12 N\n", "line 3: got '12 N' in column force, expected a number"),
        (b"time,force\n0,nan\n", "line 2: got 'nan' in column force"),
        (b"time,force\n0\n", "line 2: got 'nothing' in column force"),
        (b"time,load\n0,1\n", "no column 'force': expected time,force in its first line, got"),
        (b"", "no column 'time'"),
        (b"time,force\n", "no line of numbers"),
        (b"\x00\x80\xff\x12film", "is not a table"),
    ],
)
def test_what_is_no_table_says_where(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"a\.csv") as caught:
        read_table(path, ("time", "force"))
    assert said in str(caught.value)
