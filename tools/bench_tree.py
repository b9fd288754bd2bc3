#!/usr/bin/env python3
"""The on-line tree beside scikit-learn's, in one run: a window of 4,096 samples with 8 features.

    ./x setup --all && .tools/learn/bin/python tools/bench_tree.py

Both learn from the same rows within the same bounds (depth, leaves, rows of a leaf) and are judged on the same other
rows. Times are processor time of one thread, least and median of many windows; only ratios mean something on a
machine that others use as well.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from sklearn.datasets import make_classification
from sklearn.tree import DecisionTreeClassifier

ROOT = Path(__file__).resolve().parent.parent
ROWS, FEATURES = 4096, 8
DEPTH, LEAVES, LEAST = 8, 64, 8
WINDOWS = 41


def synthetic(classes: int, noise: float) -> np.ndarray:
    features, labels = make_classification(
        5 * ROWS, FEATURES, n_informative=6, n_redundant=1, n_classes=classes, flip_y=noise, random_state=classes
    )
    return np.column_stack([np.round(features * 1000), labels]).astype(np.int64)


def migrations() -> np.ndarray:
    """8 of the recorded features of can_migrate_task; every second row is for the test."""
    text = subprocess.run(
        ["zstd", "-dc", ROOT / "firmware/traces/migrations.csv.zst"], check=True, capture_output=True, text=True
    ).stdout
    lines = text.splitlines()
    header = lines[0].split(",")
    wanted = "src_non_pref_nr delta_hot cpu_idle src_len src_load dst_load dst_len extra_fails can_migrate".split()
    columns = [header.index(name) for name in wanted]
    rows = [[int(line.split(",")[column]) for column in columns] for line in lines[1:]]
    table = np.array(rows[: 4 * ROWS])
    return np.concatenate([table[::4], table[2::4]])


def scikit(train: np.ndarray, test: np.ndarray) -> dict:
    times = []
    features = train[:, :-1].astype(np.float32)
    for _ in range(WINDOWS):
        tree = DecisionTreeClassifier(
            max_depth=DEPTH, max_leaf_nodes=LEAVES, min_samples_leaf=LEAST, random_state=0
        )
        start = time.thread_time()
        tree.fit(features, train[:, -1])
        times.append((time.thread_time() - start) * 1000)
    accuracy = (tree.predict(test[:, :-1].astype(np.float32)) == test[:, -1]).mean()
    times.sort()
    return {"least_ms": times[0], "median_ms": times[WINDOWS // 2], "accuracy": accuracy}


def ours(train: np.ndarray, test: np.ndarray) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("train.csv", "test.csv")]
        for path, rows in zip(paths, (train, test)):
            np.savetxt(path, rows, fmt="%d", delimiter=",")
        command = "cargo run --quiet --release -p rmt-learn --example window_tree --".split()
        bounds = [str(bound) for bound in (DEPTH, LEAVES, LEAST)]
        run = subprocess.run(command + paths + bounds, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def main() -> int:
    data = {
        "2 classes, synthetic": synthetic(2, 0.05),
        "4 classes, synthetic": synthetic(4, 0.05),
        "2 classes, noisy": synthetic(2, 0.3),
    }
    try:
        data["can_migrate_task"] = migrations()
    except FileNotFoundError:
        print("skipped: the recorded decisions need the command zstd", file=sys.stderr)
    print(f"{'data':22} {'ours ms':>16} {'scikit-learn ms':>18} {'ratio':>7} {'ours %':>8} {'scikit %':>9}")
    good = True
    for name, rows in data.items():
        train, test = rows[:ROWS], rows[ROWS:]
        a, b = ours(train, test), scikit(train, test)
        ratio = b["median_ms"] / a["median_ms"]
        print(
            f"{name:22} {a['least_ms']:7.2f} {a['median_ms']:8.2f} {b['least_ms']:9.2f} {b['median_ms']:8.2f}"
            f" {ratio:7.1f} {100 * a['accuracy']:8.2f} {100 * b['accuracy']:9.2f}"
        )
        good &= ratio >= 3 and a["median_ms"] <= 5 and a["accuracy"] >= b["accuracy"] - 0.01
    print("target (<= 5 ms, >= 3 times faster, at most 1 point less right): " + ("met" if good else "missed"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
