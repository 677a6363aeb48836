"""Make skccvae/datasets/data/daily_temperatures.csv.gz from two files of vega-datasets.

    python tools/make_daily_temperatures.py seattle-temps.csv sf-temps.csv

The files are in the Python package vega_datasets 0.9.0, in its folder _data. Each lists the
hourly normals of one station, dated 2010. Both lack 3 o'clock of 14 March, where clocks changed
in 2010, though the hours do not follow the clocks: neither city's curve jumps there. The missing
value becomes the mean of the same hour on the days before and after.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
from datetime import datetime
from pathlib import Path

import numpy as np

OUT = (
    Path(__file__)
    .resolve()
    .parents[1]
    .joinpath("skccvae", "datasets", "data", "daily_temperatures.csv.gz")
)
SHA256 = {
    "seattle": "c220666521ff4bec4ffb6f0d9acfdc5c1056564b1aad6f78d3b06aa0a0c8b085",
    "san_francisco": "3f91699707cfed43ef551394bebef4c2ebe5505157b9be7bff9558eea2fbaaec",
}


def read_days(path: Path) -> np.ndarray:
    """Temperatures of shape (365, 24), NaN where the file has none."""
    days = np.full((365, 24), np.nan)
    with path.open(encoding="ascii", newline="") as stream:
        for row in csv.DictReader(stream):
            time = datetime.strptime(row["date"][:16], "%Y/%m/%d %H:%M")
            day = time.timetuple().tm_yday - 1
            if time.year != 2010 or time.minute != 0 or not np.isnan(days[day, time.hour]):
                raise ValueError(f"{path} has {row['date']}, expected each hour of 2010 once")
            days[day, time.hour] = float(row["temp"])
    return days


def mend(days: np.ndarray) -> list[tuple[int, int]]:
    """Fill missing hours from the days before and after, in place, and return them."""
    missing = [(int(day), int(hour)) for day, hour in np.argwhere(np.isnan(days))]
    for day, hour in missing:
        days[day, hour] = (days[day - 1, hour] + days[(day + 1) % len(days), hour]) / 2
    if np.isnan(days).any():
        raise ValueError(f"an hour is missing on two days in a row, among {missing}")
    return missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for city in SHA256:
        parser.add_argument(city, type=Path)
    header, columns = [], []
    for city, path in vars(parser.parse_args()).items():
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != SHA256[city]:
            raise SystemExit(f"{path} has SHA-256 {found}, expected {SHA256[city]}")
        days = read_days(path)
        for day, hour in mend(days):
            print(f"{city}: day {day}, {hour} o'clock was missing, now {days[day, hour]:.2f}")
        header += [f"{city}_{hour:02d}" for hour in range(24)]
        columns.append(days)
    lines = [",".join(header)]
    lines += [",".join(f"{t:.4g}" for t in day) for day in np.hstack(columns)]
    OUT.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode("ascii"), mtime=0))
    print(f"{len(lines) - 1} days, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
