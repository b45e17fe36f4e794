"""The report's page: what it says, in which order, and that no record can break or abuse it."""

from __future__ import annotations

import copy
import json
import re
import threading
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from headrace.errors import DataError
from headrace.report import render, sections, summary

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run_record.json"
VOID = {"meta", "link", "br", "hr", "img", "input"}
MINIMAL: dict[str, Any] = {
    "format": 1,
    "run": "r1",
    "job": {"name": "prepare"},
    "status": "done",
    "started": "2026-11-23T20:15:00+00:00",
    "seconds": {"total": 2.5},
    "dataset": {"path": "data/orders/*.parquet", "files": 3, "rows": 1200},
}

OPTIONAL = ["steps", "profile", "plan", "ledger", "curves", "metrics", "importance", "lineage", "split", "model", "files", "versions"]


class Page(HTMLParser):
    """A page taken apart: its elements, ids and text; fails on a tag that closes what was not open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.elements if found == tag]


@pytest.fixture
def record() -> dict[str, Any]:
    """Return the record of a real run of the flights data."""
    loaded: dict[str, Any] = json.loads(FIXTURE.read_text(encoding="utf-8"))
    return loaded


def sections_of(page: Page) -> list[str | None]:
    return [attributes.get("id") for attributes in page.named("section")]


def test_the_headline_says_what_came_out_in_plain_words(record: dict[str, Any]) -> None:
    page = Page(render(record))
    assert "Of 53,991 flights the model had not seen, it ranks a “late” one above an “on time” one 66 times in 100" in page.words
    assert "25 % of them are “late” flights." in page.words
    # 5,581 found of 13,492 late, and of 13,982 flagged
    assert "finds 41 in 100 of the “late” flights; of all that are flagged, 40 in 100 are right." in page.words


def test_outcomes_without_labels_are_called_after_the_target(record: dict[str, Any]) -> None:
    record["model"]["target"] = "is_late"
    record["curves"]["confusion"]["labels"] = [0, 1]
    del record["metrics"]["base"]["rate_test"]
    page = Page(render(record))
    assert "it ranks a “late” one above a “not late” one 66 times in 100" in page.words
    assert "25 % of them are “late” flights." in page.words


def test_a_step_says_once_what_befell_several_columns(record: dict[str, Any]) -> None:
    counts = [{"event": "unmatched", "column": column, "count": 7} for column in ("temp", "visib")]
    record["steps"][4]["counts"] = [*counts, {"event": "unmatched", "column": "precip", "count": 8}]
    page = Page(render(record))
    assert "7 rows without a match in each of temp , visib 8 rows without a match in precip" in page.words


def test_all_sections_stand_in_order_and_in_the_contents(record: dict[str, Any]) -> None:
    page = Page(render(record))
    assert sections_of(page) == ["asked", "outcome", "pipeline", "data", "quality", "matters", "ledger", "time", "provenance"]
    assert [a["href"] for a in page.named("a")] == [f"#{name}" for name in sections_of(page)]


def test_the_page_loads_nothing_and_runs_nothing(record: dict[str, Any]) -> None:
    html = render(record)
    page = Page(html)
    assert not page.named("script")
    assert not re.search(r"@import|url\((?!#)", html)
    addresses = [value for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "href", "xlink:href")]
    assert all(str(address).startswith(("#", "data:")) for address in addresses)
    assert any("default-src 'none'" in str(meta.get("content")) for meta in page.named("meta"))


def test_every_chart_is_described_and_ids_are_unique(record: dict[str, Any]) -> None:
    page = Page(render(record))
    charts = page.named("svg")
    names = {str(chart["id"]) for chart in charts}
    expected = {"roc", "calibration", "predictions", "confusion", "by-source", "by-feature", "timings"}
    assert names >= {f"chart-{name}" for name in expected}
    assert all(chart["aria-label"] and chart["viewbox"] for chart in charts)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = [str(attributes["href"]) for _, attributes in page.elements if "href" in attributes]
    assert {reference[1:] for reference in references if reference.startswith("#")} <= set(ids)


def test_charts_take_the_colours_of_the_page(record: dict[str, Any]) -> None:
    html = render(record)
    drawn = html[html.index("</style>") :]
    assert "#0a0b" not in drawn
    assert not re.search(r"(fill|stroke): ?#", drawn)
    style = html[: html.index("</style>")]
    assert set(re.findall(r"var\((--[a-z-]+)\)", drawn)) <= set(re.findall(r"(--[a-z-]+):", style))


def test_the_same_record_gives_the_same_bytes(record: dict[str, Any]) -> None:
    assert render(record) == render(copy.deepcopy(record))


def test_rendering_takes_less_than_a_second(record: dict[str, Any]) -> None:
    render(record)
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        render(record)
        spent.append(time.perf_counter() - start)
    assert min(spent) < 1


def test_names_from_the_data_are_text(record: dict[str, Any]) -> None:
    nasty = "<script>alert(1)</script>"
    record["job"]["name"] = nasty
    record["profile"][0]["column"] = nasty
    record["profile"][9]["top"][0][0] = '"><img src=x onerror=alert(1)>'
    record["steps"][0]["text"] = nasty
    record["importance"]["by_source"][0]["name"] = nasty
    record["curves"]["confusion"]["labels"] = [nasty, "$a_b$ \\frac{"]
    record["lineage"][nasty] = {"from": [nasty], "learnt_from": [nasty], "steps": [1]}
    html = render(record)
    page = Page(html)
    assert "<script" not in html
    assert not page.named("img")
    assert nasty in page.words
    assert "$a_b$ \\frac{" in page.words


def test_characters_that_no_page_can_hold_are_shown_as_replaced(record: dict[str, Any]) -> None:
    record["profile"][0]["column"] = "a\x00b\ud800c"
    record["importance"]["by_feature"][0]["name"] = "a\x0bb"
    record["importance"]["by_feature"][1]["name"] = "safe\u202etxt"  # would be read as safetxt backwards, and all after it too
    html = render(record)
    assert "a\ufffdb\ufffdc" in html
    assert "safe\ufffdtxt" in html
    assert html.encode("utf-8")


def test_two_hundred_columns_render_in_time_and_fold_away(record: dict[str, Any]) -> None:
    record["profile"] = [dict(record["profile"][3], column=f"column_{place}_{'x' * place}") for place in range(200)]
    record["importance"]["by_source"] = [{"name": column["column"], "share": 0.005} for column in record["profile"]]
    page = Page(render(record))
    assert "175 more columns" in page.words
    assert "The first 15 of 200." in page.words
    assert len([chart for chart in page.named("svg") if str(chart["id"]).startswith("spark-")]) == 200


def test_a_thousand_columns_are_not_a_thousand_pictures(record: dict[str, Any]) -> None:
    record["profile"] = [dict(record["profile"][3], column=f"column_{place}") for place in range(1000)]
    record["lineage"] = {f"column_{place}": {"from": [f"column_{place}"], "steps": [0]} for place in range(1000)}
    text = render(record)
    page = Page(text)
    assert text.count('id="spark-') == 200
    assert "The figures of 800 more columns are in run.json" in page.words
    assert "800 more are in run.json , under lineage" in page.words
    assert "column_199" in text
    assert "column_200" not in text


def test_a_record_of_the_needed_parts_alone_renders() -> None:
    page = Page(render(MINIMAL))
    assert sections_of(page) == ["asked", "outcome", "provenance"]
    assert "1,200 orders were read." in page.words


@pytest.mark.parametrize("absent", OPTIONAL)
def test_any_optional_part_may_be_missing(record: dict[str, Any], absent: str) -> None:
    del record[absent]
    assert "outcome" in sections_of(Page(render(record)))


def test_all_optional_parts_may_be_null() -> None:
    assert sections_of(Page(render({**MINIMAL, **dict.fromkeys(OPTIONAL)}))) == ["asked", "outcome", "provenance"]


def test_a_record_without_a_model_says_so(record: dict[str, Any]) -> None:
    for part in ("model", "metrics", "curves", "importance", "lineage", "split"):
        del record[part]
    page = Page(render(record))
    assert "Prepare the data: no model was asked for" in page.words
    assert "Of 336,776 flights read, 327,346 came out ready for use." in page.words
    assert not {"quality", "matters"} & set(sections_of(page))


def test_a_model_of_no_features_and_empty_curves_renders(record: dict[str, Any]) -> None:
    record["model"]["features"] = []
    record["importance"] = {"method": "none", "by_feature": [], "by_source": []}
    record["curves"] = {"roc": {"fpr": [], "tpr": []}, "calibration": {"predicted": [None], "observed": [None], "count": [0]}}
    record["lineage"] = {}
    page = Page(render(record))
    assert "xgboost, 0 features, 100 rounds" in page.words
    assert not {"quality", "matters"} & set(sections_of(page))


def test_regression_is_told_as_an_error_and_drawn(record: dict[str, Any]) -> None:
    record["model"].update(task="regression", target="fare")
    record["dataset"]["path"] = "data/taxi_trips/*.parquet"
    record["metrics"] = {"test": {"rmse": 4.12, "mae": 2.31, "r2": 0.83}, "base": {"rmse": 9.99, "mae": 6.2}}
    record["curves"] = {"regression": {"actual": [1.0, 2.0, None, 4.0], "predicted": [1.5, 2.0, 3.0, 3.0]}}
    page = Page(render(record))
    assert "On 53,991 taxi trips the model had not seen, its predictions are off by 2.31 on average" in page.words
    assert "(always answering the mean: 6.2)" in page.words
    assert "It explains 83 % of the differences between them." in page.words
    assert {"chart-regression", "chart-residuals"} <= {chart["id"] for chart in page.named("svg")}


def test_classes_are_counted_one_by_one(record: dict[str, Any]) -> None:
    record["model"].update(task="multiclass", target="payment")
    record["metrics"] = {"test": {"log_loss": 0.7}}
    record["curves"] = {"confusion": {"labels": ["cash", "card", "none"], "matrix": [[60, 20, 0], [10, 90, 0], [5, 15, 0]]}}
    page = Page(render(record))
    assert "it names the right class 75 times in 100 (always naming the commonest: 50)." in page.words
    assert "cash 80 75 % 80 %" in page.words
    assert "none 20 0 % —" in page.words


def test_metrics_of_a_run_without_test_rows_are_called_training(record: dict[str, Any]) -> None:
    record["metrics"]["test"] = {}
    record["split"]["test_rows"] = 0
    words = Page(render(record)).words
    assert "Of the very flights it learnt from, none being held back, it ranks" in words
    assert "Tested on no flights: none were held back" in words
    assert "on the rows it learnt from." not in words  # once more beside each
    assert "than on new ones" not in words


def test_one_count_is_called_one_and_a_percentage_is_never_broken(record: dict[str, Any]) -> None:
    record["ledger"]["counts"] = record["ledger"]["counts"][:1]
    html = render(record)
    assert "The one count, by step and column" in html
    assert re.search(r"\d\u00a0%", html)


@pytest.mark.parametrize(
    ("name", "value", "base", "gain"),
    [
        ("auc", 0.75, {}, 0.5),
        ("log_loss", 0.3, {"log_loss": 0.6}, 0.5),
        ("auc", 0.4, {}, 0),
        ("log_loss", 0.3, {}, None),
        ("lift", 3.0, {"lift": 1}, None),
    ],
)
def test_gain_is_the_way_from_guessing_to_perfect(name: str, value: float, base: dict[str, float], gain: float | None) -> None:
    (metric,) = summary.metrics({**MINIMAL, "metrics": {"test": {name: value}, "base": base}})
    assert metric.gain == gain if gain is None else metric.gain == pytest.approx(gain)


def test_the_equation_is_added_up_and_a_gap_is_called_out(record: dict[str, Any]) -> None:
    assert "every row is accounted for" in Page(render(record)).words
    record["ledger"]["rows"]["out"] -= 5
    assert "5 rows are missing" in Page(render(record)).words


def test_rows_that_a_step_makes_enter_the_equation() -> None:
    steps = [{"rows_in": 10, "rows_out": 25}, {"rows_in": 25, "rows_out": 20}]
    found = sections.equation({"steps": steps, "ledger": {"rows": {"in": 10, "filtered": 5, "quarantined": 0, "out": 20}}})
    assert found is not None
    assert found.before == [("read", 10), ("made by steps", 15)]
    assert found.gap == 0


def test_unseen_categories_stand_beside_their_column(record: dict[str, Any]) -> None:
    by_name = {column.name: column.unseen for column in sections.columns(record)}
    assert by_name["tailnum"] == 624
    assert by_name["carrier"] == 0
    assert "624 rows have values not among those learnt" in Page(render(record)).words


def test_a_run_that_did_not_finish_says_so_first(record: dict[str, Any]) -> None:
    record["status"] = "stopped"
    assert "This run is not complete (stopped; it can be resumed)." in Page(render(record)).words


@pytest.mark.parametrize(
    ("change", "message"), [({"format": 2}, "format 2; this version reads format 1"), ({"dataset": None}, "lacks dataset")]
)
def test_a_record_of_another_kind_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        render({**MINIMAL, **change})


def test_the_callers_matplotlib_style_neither_enters_nor_changes(record: dict[str, Any]) -> None:
    expected = render(record)
    with mpl.rc_context({"lines.linewidth": 9, "font.size": 30, "svg.fonttype": "path", "axes.facecolor": "black"}):
        assert render(record) == expected
        assert mpl.rcParams["svg.fonttype"] == "path"


def test_threads_render_the_same_page(record: dict[str, Any]) -> None:
    pages: list[str] = []
    threads = [threading.Thread(target=lambda: pages.append(render(record))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pages == [render(record)] * 3


def test_figures_of_a_sample_are_said_to_be_of_a_sample(record: dict[str, Any]) -> None:
    assert "sample:" not in Page(render(record)).words
    record["profile"] = [{**column, "rows": 1000} for column in record["profile"]]
    assert f"of a sample: 1,000 of {record['dataset']['rows']:,} rows" in Page(render(record)).words


def test_one_file_is_counted_as_one(record: dict[str, Any]) -> None:
    record["dataset"] |= {"files": 1, "rows": 1}
    assert "1 row</strong> from 1 file</p>" in render(record)
