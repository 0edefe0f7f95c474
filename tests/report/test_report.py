"""The report: one page, everything in it, nothing outside it."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from tests.trained import golden_model, tiny_run
from vit_jax.cli import main
from vit_jax.errors import ConfigError
from vit_jax.figures import Album
from vit_jax.infer.evaluate import evaluate
from vit_jax.report import write_report
from vit_jax.report.page import render_table, render_text
from vit_jax.report.summary import render_summary
from vit_jax.training.events import log_event, read_events


class Page(HTMLParser):
    """Collects sections, links and images, and that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.sections, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "section":
            self.sections.append(attributes["id"])
        if tag == "img":
            self.sources.append(attributes["src"])
            assert attributes["alt"]
        assert tag not in ("script", "link", "iframe")
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(tiny_run(), workdir)
    # Names of files are bytes, and need not be text.
    (workdir / "bad_files.txt").write_bytes(b"a&b.png\tnot an <image>\n\xe9\tempty\n")
    # The last evaluation of a run that was stopped is of parameters before its last.
    metrics = workdir / "metrics.jsonl"
    metrics.write_text(re.sub(r'"top5": [\d.]+', '"top5": 0.0123', metrics.read_text()))
    log_event(workdir, 12, "resumed", "<later>")
    assert main(["report", str(workdir)]) == 0
    return (workdir / "report.html").read_text()


def test_the_page_is_whole_and_needs_no_other_file(page):
    parsed = Page()
    parsed.feed(page)
    assert not parsed.open
    assert parsed.sections == [
        "curves",
        "classes",
        "calibration",
        "confusion",
        "mistakes",
        "attention",
        "events",
        "config",
    ]
    assert len(parsed.sources) > 8
    assert all(source.startswith("data:image/") for source in parsed.sources)
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "url(" not in page


def test_the_numbers_are_the_run_s(page):
    found = evaluate(tiny_run())
    for name in ("top1", "top5"):
        assert f"<b>{found[name]:.2%}</b>" in page
    assert "1.23%" not in page
    assert "(95%)" in page
    assert "64" in page
    for event in ("started", "finished", "resumed"):
        assert f">{event}</td>" in page
    assert "stochastic_depth_rate" in page
    assert "median, training" in page


def test_what_comes_from_outside_is_escaped(page):
    assert "a&amp;b.png" in page
    assert "not an &lt;image&gt;" in page
    assert "&lt;later&gt;" in page
    assert render_text('<"') == "&lt;&quot;"
    assert '<td class="number">1</td>' in render_table(("a", ">b"), [("x", "1")])


def test_events_of_a_run():
    names = [event["event"] for event in read_events(tiny_run())]
    assert names == ["started", "finished"]
    lines = (tiny_run() / "events.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 12


def test_data_that_has_moved_leaves_the_rest(tmp_path, monkeypatch):
    def gone(*_):
        raise ConfigError("the data <is> gone")

    run = tiny_run()  # which may have to be trained first
    monkeypatch.setattr("vit_jax.data.sources.make_source", gone)
    page = write_report(run, tmp_path / "page.html").read_text()
    assert page.count("<p>the data &lt;is&gt; gone</p>") == 5
    assert "<b>" in page
    assert page.count("data:image/svg") == 4


def test_several_labels_have_a_mean_average_precision(tmp_path):
    line = {"kind": "eval", "step": 1200, "map": 0.5, "top1": 0.25, "top5": 1.0}
    found = render_summary(SeveralLabels(golden_model("token")), [line], 22_154)
    assert "<b>50.00%</b><span>mAP<br>at step 1,200</span>" in found
    assert "<b>25.00%</b>" in found


class SeveralLabels(Album):
    def count_confusion(self):
        raise ConfigError("the data must have one label an image")


def test_only_a_run_has_a_report(tmp_path):
    with pytest.raises(ConfigError, match="must be the workdir of a run"):
        write_report(golden_model("token").name)
    with pytest.raises(ConfigError):
        write_report(tmp_path)
