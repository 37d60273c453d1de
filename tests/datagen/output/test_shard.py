"""Shards through webdataset's writer: the former bytes, but for two fields of each header."""

import io
import tarfile
from pathlib import Path

import xxhash

from datagen.output import shard

RECORDS = {
    "000003_0000": {"flow.npy": b"\1" * 700, "labels.npz": b"\2" * 512, "meta.json": b"{}"},
    "000003_0001": {"rgb.jpg": b"\3" * 9000, "flow.npy": b"", "meta.json": b"{}"},
}


def test_bytes_are_those_of_tarfile_with_checksum_and_data_set_in_the_header(
    tmp_path: Path,
) -> None:
    path = tmp_path / "shard-000003.tar"
    records = [{"__key__": key, **members} for key, members in RECORDS.items()]
    assert shard.write(path, records, "0123456789abcdef")["clips"] == 2
    expected = io.BytesIO()
    with tarfile.open(fileobj=expected, mode="w") as tar:  # how shards were written before
        for key, members in RECORDS.items():
            for name, content in sorted(members.items()):
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size, info.mode = len(content), 0o444
                last = ":last" if (key, name) == ("000003_0001", "rgb.jpg") else ""
                info.uname = "xxh3:" + xxhash.xxh3_64(content).hexdigest() + last
                info.gname = "0123456789abcdef"
                tar.addfile(info, io.BytesIO(content))
    assert path.read_bytes() == expected.getvalue()
    assert shard.read(path) == RECORDS
