"""What is logged: one line per report, also across restarts, and TensorBoard."""

import json
import struct

import pytest

from vit_jax.objectives.classify import describe_metrics
from vit_jax.training.metrics import MetricsLog, read_metrics

VALUES = {"loss": 1.5, "learning_rate": 0.01}


def test_a_resumed_log_drops_what_will_happen_again(tmp_path):
    log = MetricsLog(tmp_path, step=0, total=10, batch_size=4)
    for step in (2, 4, 6):
        log.train(step, VALUES)
    log.close()
    log = MetricsLog(tmp_path, step=4, total=10, batch_size=4)
    log.train(6, {**VALUES, "loss": 0.5})
    log.close()
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [(x["step"], x["loss"]) for x in lines] == [(2, 1.5), (4, 1.5), (6, 0.5)]


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"step": 1, "kind": "train"}) + '\n{"step": 2, "ki')
    assert read_metrics(path) == [{"step": 1, "kind": "train"}]
    MetricsLog(tmp_path, step=1, total=10, batch_size=4).close()
    assert path.read_text().count("\n") == 1


def test_speed_leaves_out_pauses(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("vit_jax.training.metrics.time.perf_counter", lambda: now[0])
    log = MetricsLog(tmp_path, step=0, total=100, batch_size=8)
    now[0] += 12.0
    log.pause(10.0)
    log.train(5, VALUES)
    log.close()
    (line,) = read_metrics(tmp_path / "metrics.jsonl")
    assert line["images_per_second"] == pytest.approx(5 * 8 / 2.0)


def test_tensorboard_has_each_value(tmp_path):
    log = MetricsLog(tmp_path, step=0, total=10, batch_size=4)
    log.train(2, VALUES)
    log.evaluation(2, {"top1": 0.5, "top5": 1.0, "loss": 0.7, "count": 4})
    log.close()
    (path,) = (tmp_path / "tensorboard").iterdir()
    data, position, records = path.read_bytes(), 0, []
    while position < len(data):  # length, its CRC, the event, its CRC
        (length,) = struct.unpack_from("<Q", data, position)
        records.append(data[position + 12 : position + 12 + length])
        position += length + 16
    text = b"".join(records)
    for tag in (b"train/loss", b"train/learning_rate", b"eval/top1", b"eval/count"):
        assert tag in text


def test_plain_lines_where_there_is_no_terminal(tmp_path, capsys):
    log = MetricsLog(tmp_path, step=0, total=10, batch_size=4)
    log.train(5, VALUES)
    log.close()
    out = capsys.readouterr().out
    assert out.startswith("step 5/10  loss 1.5000  lr 1.0e-02  ")
    assert "\r" not in out


def test_describe():
    values = {"top1": 0.98765, "top5": 1.0, "loss": 0.12345, "count": 359}
    text = "top-1 98.77%  top-5 100.00%  loss 0.1235  (359 images)"
    assert describe_metrics(values) == text


def test_mfu_stands_in_every_line_where_the_peak_is_known(
    tmp_path, monkeypatch, capsys
):
    now = [100.0]
    monkeypatch.setattr("vit_jax.training.metrics.time.perf_counter", lambda: now[0])
    for peak_rate in (64.0, None):
        (tmp_path / str(peak_rate)).mkdir()
        log = MetricsLog(
            tmp_path / str(peak_rate), 0, 100, 8, lambda _, rate=peak_rate: rate
        )
        now[0] += 2.0
        log.train(4, VALUES)  # 16 images/s
        log.close()
        (line,) = read_metrics(tmp_path / str(peak_rate) / "metrics.jsonl")
        assert line.get("mfu") == (pytest.approx(16 / 64) if peak_rate else None)
    with_mfu, without = capsys.readouterr().out.splitlines()
    assert "16 images/s  MFU 25.0%" in with_mfu
    assert "MFU" not in without


def test_speed_starts_after_the_first_update(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("vit_jax.training.metrics.time.perf_counter", lambda: now[0])
    log = MetricsLog(tmp_path, step=0, total=100, batch_size=8)
    now[0] += 60.0  # compilation
    log.begin(1)
    log.train(1, VALUES)
    now[0] += 2.0
    log.train(5, VALUES)
    log.close()
    first, second = read_metrics(tmp_path / "metrics.jsonl")
    assert "images_per_second" not in first
    assert second["images_per_second"] == pytest.approx(4 * 8 / 2.0)


def test_goodput_counts_what_was_kept_since_the_first_start(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("vit_jax.training.metrics.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("vit_jax.training.metrics.time.time", lambda: now[0])

    def run(step, reports):
        log = MetricsLog(tmp_path, step=step, total=100, batch_size=8)
        now[0] += 5.0  # compilation
        log.begin(step)
        for report in reports:
            now[0] += 10.0
            log.train(report, VALUES)
        log.close()

    run(0, [2, 4])  # 20 s of updates in 25 s; then killed with step 2 saved
    now[0] += 15.0  # down
    run(2, [4, 6])  # 10 s kept of the first part, 20 s of this one
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert lines[0]["goodput"] == pytest.approx(10 / 15)
    assert lines[-1]["goodput"] == pytest.approx(30 / 65)
    assert lines[-1]["elapsed"] == pytest.approx(65)


def test_input_wait_is_the_share_of_the_time_without_a_batch(
    tmp_path, monkeypatch, capsys
):
    now = [100.0]
    monkeypatch.setattr("vit_jax.training.metrics.time.perf_counter", lambda: now[0])
    log = MetricsLog(tmp_path, step=0, total=100, batch_size=8)
    log.waited(9.0)
    log.begin(1)  # the first batch is waited for while all compiles
    for step, waited in ((5, 0.5), (9, 0.0)):
        log.waited(waited)
        log.waited(waited)
        now[0] += 4.0
        log.train(step, VALUES)
    log.close()
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["input_wait"] for line in lines] == [pytest.approx(0.25), 0.0]
    assert "8 images/s  input wait 25.0%  eta" in capsys.readouterr().out
