"""Reads a Teams app package with Python's own libraries: the path is the argument, a JSON object is the answer."""

import json
import struct
import sys
import zipfile
import zlib


def pixels(png):
    """Width, height and the rows of an 8-bit RGBA picture, as the PNG specification has it."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data = 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, height, *form = struct.unpack(">IIBBBBB", body)
            assert form == [8, 6, 0, 0, 0], "not 8-bit RGBA"
        if kind == b"IDAT":
            data += body
        at += 12 + length
    data, stride = zlib.decompress(data), width * 4
    assert len(data) == height * (stride + 1)
    # The pictures are so small that they are stored without filters (type 0).
    lines = [data[y * (stride + 1) :][: stride + 1] for y in range(height)]
    assert all(line[0] == 0 for line in lines)
    return width, height, [[list(line[x : x + 4]) for x in range(1, stride, 4)] for line in lines]


def picture(png):
    width, height, rows = pixels(png)
    colours = sorted({tuple(pixel) for row in rows for pixel in row})
    # Where the symbol is: what differs from the corner.
    symbol = [(x, y) for y in range(height) for x in range(width) if rows[y][x] != rows[0][0]]
    xs, ys = [x for x, _ in symbol], [y for _, y in symbol]
    box = [min(xs), min(ys), max(xs), max(ys)]
    return {"size": [width, height], "colours": colours, "corner": rows[0][0], "symbol": box}


with zipfile.ZipFile(sys.argv[1]) as package:
    assert package.testzip() is None
    entries = package.infolist()
    json.dump(
        {
            "names": [entry.filename for entry in entries],
            "dates": sorted({entry.date_time for entry in entries}),
            "manifest": package.read("manifest.json").decode(),
            "color": picture(package.read("color.png")),
            "outline": picture(package.read("outline.png")),
        },
        sys.stdout,
    )
