"""The report step on made-up results of the real layout."""

import re
import shutil
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from xml.etree import ElementTree

import pandas as pd
import pytest

from penumbra.artifacts.tables import write_csv, write_json
from penumbra.benchmark.step import main as run_benchmark
from penumbra.report import learnt, study, style
from penumbra.report.page import said
from penumbra.report.step import main
from penumbra.report.study import SUBJECTS
from penumbra.report.style import Drawn
from synthetic_results import ABLATIONS, CLIP, DETECTORS, FIGURES, GIVEN, benchmark_stage, benchmarked, report_stage

STEPS = ["prepare", "pretrain", "extract", "synthesize", "train", "calibrate", "filter", "score", "benchmark", "report"]
SECTIONS = ["study", *STEPS[:-1], "clip", "ablations", STEPS[-1]]
PAPER = ("headline", "scores", "claims", "study-detectors", "study-effects", "study-claims")
OTHER = {"score.knn_k": 7, "score.knn_more": [], "filter.badood.mid": [0.25, 0.6], "prepare.shift.kinds": {"rotation": 60, "blur": 0.08}}
NOTHING = {f"synthesize.{kind}": {} for kind in GIVEN["synthesize"]} | {f"pretrain.{kind}": {} for kind in GIVEN["pretrain"]}
NOTHING |= {"extract.contexts": {}, "extract.negatives": {}, "calibrate": {}, "filter": {}, "benchmark.ablations": {}}
NOTHING |= {"train.detectors": {"none": DETECTORS["none"]}, "prepare.world": {}}


class Page(HTMLParser):
    """What a browser would load, and where sections begin."""

    def __init__(self, text: str):
        super().__init__()
        self.sources: list[str] = []
        self.sections: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        values = dict(attrs)
        self.sources += [values[name] for name in ("src", "href") if name in values]
        self.ids += [values["id"]] if "id" in values else []
        if tag == "section":
            self.sections.append(values["id"])


@pytest.fixture(scope="module")
def results(results_data):
    return benchmarked(results_data)


@pytest.fixture(scope="module")
def stage(results_data, results, tmp_path_factory):
    return report_stage(results_data, results, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(stage, letters):
    main(stage)
    return stage.write("report").read_text()


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return tmp_path_factory.mktemp("other")


@pytest.fixture(scope="module")
def other_page(results_data, results, other):
    """The page of other parameters, with another measured cost, and a detector with a hostile name."""
    write_csv(other / "cost.csv", pd.DataFrame({"stage": ["prepare"], "seconds": [12.34], "step_seconds": [10.0], "peak_gib": [0.5]}))
    write_json(other / "machine.json", {"processor": "two cores of something"})
    costs = pd.DataFrame(
        {"networks": "small", "what": ["encoder", "projection"], "parameters": [1234567, 4321], "milliseconds": [1.5, 0.0625]}
    )
    write_csv(other / "clip_cost.csv", costs)
    shutil.copytree(results / "tables", other / "tables")
    table = pd.read_csv(results / "tables/detectors.csv", keep_default_na=False, na_values=[""])
    write_csv(other / "tables/detectors.csv", table.replace({"detector": {"none": "<img src=x>"}}))
    stage = report_stage(results_data, results, other, OTHER)
    reads = {
        f"benchmarks/{name}": other / f"{name}.{suffix}" for name, suffix in {"cost": "csv", "clip_cost": "csv", "machine": "json"}.items()
    }
    main(replace(stage, reads=stage.reads | reads | {"tables": other / "tables"}, scratch_root=other / "scratch"))
    return (other / "report.html").read_text()


def test_captions_quote_the_parameters_that_were_used(other_page):
    assert "k = 7 for knn" in other_page
    assert "badood: 0.25 to 0.6" in other_page
    assert "8 is rotation 60 degrees, blur by 0.08 of the side." in other_page


def test_sources_that_come_with_the_libraries_are_named_where_they_are_used(page):
    assert "MNIST&#39;s handwritten digits" in page and "china and flower" in page
    assert "characters drawn with" in page


def test_the_measured_cost_and_its_machine_are_shown(page, other_page):
    assert "12.3" in other_page and "two cores of something" in other_page and "two cores of something" not in page
    assert "1,234,567" in other_page and "0.0625" in other_page


def test_names_are_escaped(other_page):
    assert "<img src=x>" not in other_page


def test_the_page_is_self_contained(page):
    parsed = Page(page)
    assert all(source.startswith(("data:image/", "#")) for source in parsed.sources)
    assert not re.search(r"@import|url\(|<script[^>]|<link", re.sub(r"src='data:[^']*'", "", page))


def test_every_link_of_the_page_leads_to_one_place_of_it(page):
    parsed = Page(page)
    links = [source[1:] for source in parsed.sources if source.startswith("#")]
    assert {"study-claims", "sets", "figure-roc", "figure-bands"} <= set(links)
    assert [link for link in links if parsed.ids.count(link) != 1] == [] and len(parsed.ids) == len(set(parsed.ids))


def test_sections_are_named_after_the_steps_and_clip(page):
    assert Page(page).sections == SECTIONS


def test_every_detector_claim_and_parameter_is_on_the_page(page, results):
    assert all(f">{name}<" in page for name in DETECTORS)
    for claim in pd.read_csv(results / "tables/claims.csv").claim.unique():
        assert escape(claim).replace("&#x27;", "&#39;") in page
    assert "distance_samples: 100" in page
    assert "mid: [0.3, 0.5]" in page[page.index("<details><summary>The parameters of the experiment.</summary>") :]


def test_figures_are_svg_without_a_date_and_with_text_as_paths(page, stage):
    assert {path.stem for path in stage.write("figures").glob("*.svg")} == set(FIGURES)
    for path in stage.write("figures").glob("*.svg"):
        root = ElementTree.parse(path).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "<dc:date>" not in path.read_text()
        if path.stem != "dag":
            assert not list(root.iter("{http://www.w3.org/2000/svg}text"))


def test_letters_of_figures_can_be_read_at_their_width(page, letters):
    """Exponents, which are smaller than what they stand beside, are not used."""
    assert len(letters) > 500 and min(letters)[0] >= style.SMALLEST
    assert not [text for _, text in letters if "^" in text]


def test_every_figure_but_the_drawing_of_the_dag_is_there_for_papers_too(page, stage):
    assert {path.stem for path in stage.write("figures").glob("*.pdf")} == set(FIGURES) - {"dag"}


def test_the_main_tables_are_there_for_papers(page, stage):
    files = {path.name: path.read_text() for path in stage.write("paper").iterdir()}
    assert set(files) == {f"{name}.{kind}" for name in PAPER for kind in ("md", "tex")}
    assert all(f"\n{name} & " in files["headline.tex"] for name in set(DETECTORS) - set(CLIP))
    assert not [name for name, content in files.items() if name.endswith("tex") and not content.isascii()]


def test_two_runs_draw_equal_figures(page, other_page, stage, other):
    """All but those that show what differs between the two."""
    for name in set(FIGURES) - {"bands", "confidence"}:
        assert (other / f"figures/{name}.svg").read_bytes() == (stage.write("figures") / f"{name}.svg").read_bytes(), name


def test_equal_figures_make_equal_pages(page, stage, tmp_path, monkeypatch):
    drawn = {path.stem: Drawn(path.read_bytes()) for path in stage.write("figures").glob("*.svg")}
    monkeypatch.setattr("penumbra.report.step._figures", lambda *_: drawn)
    monkeypatch.setattr("penumbra.report.own.figures", lambda *_: {})
    again = {"report": tmp_path / "report.html", "figures": tmp_path / "figures", "paper": tmp_path / "paper"}
    main(replace(stage, writes=again, scratch_root=tmp_path / "scratch"))
    assert (tmp_path / "report.html").read_text() == page


def test_the_page_says_what_the_papers_unified_score_looks_at(page):
    assert "it is told which images of it are the OOD set (labels leak)" in page


def test_samples_of_the_pipeline_are_shown_with_and_without_captions(page):
    for name in ("a zero", "a one", "the letter C · the letter D", "no caption"):
        assert f"<strong>{name}</strong>" in page
    assert "unconditional" in page


def test_the_probe_shows_every_detector_and_control(page, results):
    probe = pd.read_csv(results / "tables/probe.csv")
    cell = probe[(probe.detector == "sona-all") & (probe.control == "repainting") & (probe.score == "energy")].iloc[0]
    assert f"{100 * cell.auroc_mean:.1f} ± {100 * cell.auroc_std:.1f}" in page


def test_an_experiment_without_any_method_has_a_page(results_data, tmp_path):
    """No outliers and no models at all: what there is to show is shown."""
    run_benchmark(benchmark_stage(results_data, tmp_path / "reports", NOTHING))
    main(report_stage(results_data, tmp_path / "reports", tmp_path / "reports", NOTHING))
    assert Page((tmp_path / "reports/report.html").read_text()).sections == [step for step in STEPS if step != "pretrain"]


def test_ablations_have_a_section_with_their_tables_and_curves(page):
    section = page[page.index('<section id="ablations">') :]
    for family in ABLATIONS.values():
        assert family["title"] in section and all(f">{label}<" in section for label in family["variants"].values())
    assert ">92.8<" in section  # what GOOD prints of its own detector


def test_frozen_models_stand_beside_the_steps_that_they_took(page):
    assert "<td>vqgan</td><td>1</td><td>1,234</td>" in page.replace("\n", "")
    assert page.index("against steps of the optimiser") > page.index('<section id="train">')


def test_the_first_screen_says_what_was_compared_and_what_was_learnt(page, stage, results):
    """In front of every table: the sentences of the study, with its numbers."""
    first = page[: page.index("<table>")]
    studied = study.read(stage, pd.read_csv(results / "tables/claims.csv"))
    sentences = learnt.of_study(studied)
    assert len(sentences) >= 4 and all(f"<li>{said(sentence)}</li>" in first for sentence in sentences)
    rows = dict(re.findall(r'<th scope="row">([a-z-]+)</th><td>\w+</td>\s*<td>([^<]+)</td>', page[: page.index("<section")]))
    assert {rows[name] for name in ("none", "badood-mid", "clip")} == {"ID alone (energy)", "badood mid (energy)", "nothing"}


def test_every_detector_stands_beside_its_headline_score(page):
    rows = dict(re.findall(r'<tr><th scope="row">([a-z-]+)</th><td>(\w+)</td>', page[: page.index("<section")]))
    assert rows == {name: "neglabel" if name in CLIP else "vim" for name in DETECTORS}
    assert "vim score (clip, clip-synood: neglabel)" in page


def test_claims_about_training_are_counted_apart(page, results):
    claims = pd.read_csv(results / "tables/claims.csv")
    tallies = re.findall(r'class="subject">([^<]+)</li>(.*?)</ul>', page, re.DOTALL)
    counted = [sum(int(number) for number in re.findall(r"<b>(\d+)</b>", items)) for _, items in tallies]
    assert [name for name, _ in tallies] == list(SUBJECTS.values())
    assert counted == [(claims.about == subject).sum() for subject in SUBJECTS] and min(counted) > 0


def test_a_claim_shows_the_spread_of_its_kind(page, results):
    claims = pd.read_csv(results / "tables/claims.csv")
    for spread, unit, digits in (("seeds", 100, 1), ("standard error", 1, 3)):
        row = claims[claims.spread == spread].iloc[0]
        assert f"{unit * row.better:.{digits}f} ± {unit * row.better_std:.{digits}f}" in page
    assert "questions of our own (no paper)" in page


def test_a_claim_shows_how_many_outliers_each_detector_learnt_from(page, results):
    sizes = pd.read_csv(results / "tables/detectors.csv", keep_default_na=False).set_index("detector").outliers.astype(int)
    section = page[page.index('<section id="benchmark">') :]
    (row,) = re.findall(r'<th scope="row">Mid-confidence outliers teach more than all of them</th>(.*?)</tr>', section, re.DOTALL)
    assert f"<td>{sizes['badood-mid']} / {sizes['badood-all']}</td>" in row and sizes["badood-mid"] < sizes["badood-all"]


def test_the_page_says_whose_probability_judges_candidates(page):
    assert "by the detector none (mean over its training seeds)" in page and "(candidates of badood alone)" in page


def test_each_gallery_has_its_caption_and_its_bands_above_it(page, results_data):
    selection = pd.read_parquet(results_data / "selections/sona.parquet")
    (caption,) = re.findall(r'<figcaption class="above"><code>sona</code>: ([^<]+)</figcaption>', page)
    counts = selection.band.value_counts()
    assert caption.startswith(f"60 candidates ({counts.low} low, {counts.mid} mid, {counts.high} high)")
    assert ("⚠" in caption) == (selection.accepted.mean() > 0.3)
    after = page[page.index(caption) :]
    assert re.findall(r"<strong>(\w+) band</strong> (\d+) of 60", after)[:3] == [
        (name, str(counts[name])) for name in ("low", "mid", "high")
    ]


def test_zero_shot_clip_is_shown_by_both_of_its_scores(page, results):
    scores = pd.read_csv(results / "tables/scores.csv").set_index(["detector", "score", "set"])
    for name, label in (("clip", "clip (zero-shot)"), ("clip-synood", "clip-synood")):
        for score, words in (("mcm", "MCM"), ("neglabel", "NegLabel")):
            cell = scores.loc[(name, score, "far")]
            (row,) = re.findall(rf'<tr><th scope="row">{re.escape(label)}</th><td[^>]*>{words}[^\n]*\n?.*?</tr>', page, re.DOTALL)
            assert f"{100 * cell.auroc_mean:.1f} ± {100 * cell.auroc_std:.1f}" in row


def test_labels_and_types_are_on_the_page(page, results):
    assert "8 nouns in “the nice {}”" in page and ">letter C<" in page
    assert "60 of 60 images have some" in page and "The letter C; blobs." in page
    row = pd.read_csv(results / "tables/types.csv").set_index(["method", "band"]).loc[("synood", "all")]
    assert f"{int(row.own)} ({100 * row.own_share:.1f}%)" in page
    assert "57.6 / 9.0 / 33.4" in page


def test_samples_of_the_inpainting_pipeline_are_shown_by_kind(page):
    assert "the pipeline someone/inpainting" in page
    for kind in ("original", "masked", "repainted", "drawn"):
        assert f"<strong>{kind}</strong>" in page


def test_pictures_say_what_they_are(page):
    """SynOOD's outliers are JPEG, all others PNG."""
    assert "data:image/jpeg;base64,/9j/" in page and "data:image/png;base64,iVBOR" in page
    assert "data:image/png;base64,/9j/" not in page
