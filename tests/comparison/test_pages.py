"""A comparison in every format: each number is there, nothing is cut, stamps cannot be overlooked, and a page is whole."""

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from rich.console import Console
from sklearn.metrics import recall_score

from ser.comparison import page
from ser.comparison import plots as comparison_plots
from ser.comparison.cells import TIMES
from ser.comparison.rows import Comparison, Equality, Group, Opinion, Pair, Row, Section
from ser.comparison.tables import frame, frame_of_pairs, latex, markdown, terminal
from ser.evaluation import predictions

STAMPS = ("synthetic speech", "not speaker-independent")
SPECIAL = r"a_b & 50% {x} #1 ~^$\ <i>|`*"


def row(system: str, uar: float, **more: object) -> Row:
    """A system's scores; what is not given is made up."""
    made = {
        "low": uar - 0.05,
        "high": uar + 0.04,
        "caution": None,
        "mean": uar + 0.001,
        "sd": 0.0213,
        "seed_sd": 0.0078,
        "others": {"accuracy": uar + 0.02, "macro_f1": uar - 0.01, "cross_entropy": 1.4, "ece": 0.087, "aurc": 0.3},
        "parameters": 1_234_567,
        "train_seconds": 250.0,
        "seeds": (0, 1),
        "folds": (0, 1, 2),
        "utterances": 192,
        "speakers": 12,
        "stamps": (),
        "runs": (f"runs/{system}",),
    }
    return Row(system=system, score=uar, **(made | more))  # type: ignore[arg-type]


def group(*rows: Row, **more: object) -> Group:
    about = {
        "corpora": ("ravdess",),
        "protocol": "luna5",
        "labels": "native; target: intended",
        "classes": ("angry", "sad"),
        "split_hashes": ("aaaa", "bbbb"),
        "fingerprint": "f00d",
    }
    return Group(rows=rows, **(about | more))  # type: ignore[arg-type]


def compared(*names: str, stamps: tuple[str, ...] = (), p_holm: float = 0.03, of_methods: bool = True) -> Comparison:
    """Systems in the order of their names, the first one best, and one of another split apart."""
    rows = [row(name, 0.6 - 0.03 * place, stamps=stamps) for place, name in enumerate(names)]
    pairs = [Pair(names[0], name, 0.03, 0.011, 0.052, 0.01, p_holm, None, of_methods) for name in names[1:]]
    apart = group(row("svm", 0.9, stamps=stamps), protocol="random", apart="other split: random against luna5")
    section = Section(group(*rows), names[0], names[-1], "the fewest parameters", tuple(pairs))
    return Comparison((section,), (apart,), ("runs/half: not finished",))


def on_corpora(comparison: Comparison, *corpora: str) -> Comparison:
    """The same section on several corpora; the last system on the first corpus only."""
    (section,) = comparison.sections
    sections = [
        replace(
            section, group=replace(section.group, corpora=(name,), rows=section.group.rows[: None if not i else -1])
        )
        for i, name in enumerate(corpora)
    ]
    return replace(comparison, sections=tuple(sections))


def written(comparison: Comparison, folder: Path) -> "Page":
    page.write_page(comparison, [pictures(folder)] * len(comparison.sections), folder / "page.html")
    return Page((folder / "page.html").read_text())


def printed(comparison: Comparison, width: int = 80) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as text:
        console.print(terminal(comparison))
    return text.get()


class Page(HTMLParser):
    """What a page holds: its words, the tags that were not closed, and the addresses that it asks for."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.classes: list[str] = []
        self.alternatives: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href"):
                self.addresses.append(value or "")
            if name == "class":
                self.classes.append(value or "")
            if name == "alt":
                self.alternatives.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data


@pytest.fixture
def tables(table: pd.DataFrame) -> dict[str, list[pd.DataFrame]]:
    """Three systems on the same utterances, the first with two seeds; the later, the more random."""
    columns = [f"p_{name}" for name in predictions.classes(table)]
    rng, given = np.random.default_rng(5), table[columns].to_numpy()

    def system(noise: float) -> pd.DataFrame:
        p = (1 - noise) * given + noise * rng.dirichlet(np.ones(len(columns)), size=len(table))
        return table.assign(**dict(zip(columns, p.T, strict=True)))

    return {"cnn": [table, system(0.1)], "bilstm": [system(0.6)], "transformer": [system(0.95)]}


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminal_shows_every_system_and_number_and_cuts_nothing(width: int) -> None:
    comparison = compared("cnn, label_smoothing=0.1, max_epochs=300", "transformer, bands=[b]", "bilstm", stamps=STAMPS)
    text = printed(comparison, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for system in comparison.sections[0].group.rows:
        assert f"{100 * system.score:.1f} [{100 * system.low:.1f}, {100 * system.high:.1f}]" in text
        assert re.search(rf"{100 * system.mean:.1f} ± {100 * system.sd:.1f} +{100 * system.seed_sd:.1f} ", text)
    joined = re.sub(r"\s+", "", text)
    assert joined.count("1.23M") == 4
    assert joined.count("bands=[b]") == 3  # not taken for a colour
    assert "4min10s" in joined
    assert "0.030" in text
    assert "Set apart: ravdess, random, other split: random against luna5" in " ".join(text.split())
    assert "Skipped: runs/half: not finished" in text


def test_markdown_has_the_numbers_in_tables_of_one_shape() -> None:
    text = markdown(compared(SPECIAL, "bilstm"))
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(blocks) == 3  # scores, tests, those apart
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    name, uar, *_ = (cell.strip() for cell in re.split(r"(?<!\\)\|", blocks[0].splitlines()[2])[1:-1])
    assert re.sub(r"\\(.)", r"\1", name) == SPECIAL
    assert uar == "60.0 [55.0, 64.0]"


def test_latex_escapes_special_characters() -> None:
    text = latex(compared(SPECIAL, "bilstm"))
    assert (
        r"a\_b \& 50\% \{x\} \#1 \textasciitilde{}\textasciicircum{}\$\textbackslash{} \textless{}i\textgreater{}"
        in text
    )
    assert text.isascii()
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 3
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    for body in re.findall(r"\\begin\{tabular\}\{(l[r]+)\}(.*?)\\end\{tabular\}", text, flags=re.DOTALL):
        lines = [line for line in body[1].splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(body[0])}


def test_the_csv_holds_unrounded_numbers_of_every_system() -> None:
    comparison = compared("cnn", "bilstm", stamps=STAMPS)
    lines = list(csv.DictReader(io.StringIO(frame(comparison).to_csv(index=False))))
    assert [line["system"] for line in lines] == ["cnn", "bilstm", "svm"]
    assert [line["apart"] for line in lines] == ["", "", "other split: random against luna5"]
    second = comparison.sections[0].group.rows[1].flat()
    assert lines[1].keys() >= second.keys()
    for name in (
        "uar",
        "low",
        "high",
        "uar_mean",
        "uar_sd",
        "uar_seed_sd",
        "accuracy",
        "macro_f1",
        "ece",
        "aurc",
        "train_seconds",
    ):
        assert float(lines[1][name]) == second[name]
    assert (lines[0]["seeds"], lines[0]["folds"]) == ("0 1", "0 1 2")
    assert lines[0]["stamps"] == "synthetic speech; not speaker-independent"
    assert lines[2]["split_hashes"] == "aaaa bbbb"


def test_unknown_speakers_are_counted_as_what_stands_in_for_them() -> None:
    section = compared("cnn", "bilstm", stamps=("speakers unknown (split by folder)",), p_holm=0.5).sections[0]
    assert section.group.facts["scored"] == "192 utterances of 12 folders"
    assert section.headline.endswith("too little to tell the two apart on 12 folders.")


def test_a_stamp_stands_in_every_format_beside_the_number(tmp_path: Path) -> None:
    comparison = compared("cnn", "bilstm", stamps=STAMPS)
    html = written(comparison, tmp_path)
    assert html.classes.count("stamp") == 2 * (1 + 2 + 1 + 1)  # the banner, two systems, one test, one apart
    assert html.classes.count("banner") == 1
    text = printed(comparison)
    assert text.index("SYNTHETIC SPEECH") < text.index("UAR")
    for stamp in STAMPS:
        assert markdown(comparison).count(stamp.upper()) == 1 + 3
        assert latex(comparison).count(rf"\textbf{{{stamp.upper()}.}}") == 3
        assert stamp in frame(comparison).to_csv()
    clean = compared("cnn", "bilstm")
    assert "stamp" not in written(clean, tmp_path).classes
    assert "SYNTHETIC" not in printed(clean) + markdown(clean) + latex(clean)


def test_headline_claims_no_more_than_the_test() -> None:
    clear, unclear = compared("cnn", "bilstm"), compared("cnn", "bilstm", p_holm=0.2)
    lead = "cnn has a UAR of 60.0 % [55.0, 64.0], the highest. Its lead over bilstm, the next, is 3.0 points [1.1, 5.2]"
    assert clear.sections[0].headline == f"{lead}, p = 0.030 after Holm."
    assert (
        unclear.sections[0].headline
        == f"{lead}, p = 0.200 after Holm: too little to tell the two apart on 12 speakers."
    )
    assert compared("cnn", "bilstm", p_holm=0.0001).sections[0].headline == f"{lead}, p < 0.001 after Holm."
    of_weights = compared("cnn", "bilstm", of_methods=False)
    assert of_weights.sections[0].headline == f"{lead}, p = 0.030 after Holm, of these weights, not of the methods."
    for text in (printed(of_weights), markdown(of_weights)):
        assert "of these weights, not of the methods" in " ".join(text.split())
        assert "weights" in text


def test_equality_within_a_margin_is_in_every_format(tmp_path: Path) -> None:
    comparison = compared("cnn", "bilstm", "svm")
    (section,) = comparison.sections
    found = (Equality(0.025, 0.01, 0.02), Equality(0.025, 0.3, 0.3))
    pairs = tuple(replace(pair, equality=equality) for pair, equality in zip(section.pairs, found, strict=True))
    asked = replace(comparison, sections=(replace(section, pairs=pairs),))
    html = written(asked, tmp_path)
    assert html.open == []
    for text in (printed(asked), markdown(asked), latex(asked), html.words):
        assert re.search(r"equal within\s+(±|\$\\pm\$)2.5 points", text)
        assert [text.count(cell) for cell in ("yes 0.020", "not shown 0.300")] == [1, 1]
    assert max(map(len, printed(asked).splitlines())) <= 80
    assert "The two are equal within ±2.5 points, p = 0.020 after Holm." in asked.sections[0].headline
    weights = replace(section, pairs=(replace(pairs[0], of_methods=False), pairs[1]))
    assert "p = 0.020 after Holm, of these weights, not of the methods." in weights.headline
    assert list(frame_of_pairs(asked)["equality_p"]) == [0.01, 0.3]
    for text in (printed(comparison), markdown(comparison), latex(comparison), written(comparison, tmp_path).words):
        assert "equal within" not in text


def test_second_opinion_is_in_every_format_and_says_what_decides(tmp_path: Path) -> None:
    (section,) = compared("cnn", "bilstm", "svm").sections
    equality, why = Equality(0.025, 0.01, 0.02), "it takes two seeds or more of both systems"
    opinions = (Opinion(0.011, 0.022, None), Opinion(None, None, why))
    pairs = [replace(p, equality=equality, opinion=o) for p, o in zip(section.pairs, opinions, strict=True)]
    both = Comparison((replace(section, pairs=tuple(pairs)),))
    for text in (printed(both), markdown(both), latex(both), written(both, tmp_path).words):
        words = " ".join(text.split())
        assert text.count("0.022") == 1
        assert "It does not decide; p (Holm) does." in words
        assert f"No second opinion that allows for sentences: {why}." in words
    assert max(map(len, printed(both).splitlines())) <= 80
    assert "…" not in printed(both)
    assert "0.022" not in both.sections[0].headline
    assert frame_of_pairs(both)["opinion_p"].iloc[0] == 0.011
    none = replace(section, pairs=(pairs[1],))
    for text in (printed(Comparison((none,))), markdown(Comparison((none,)))):
        assert "with sentences" not in text
        assert f"No second opinion that allows for sentences: {why}." in " ".join(text.split())


def test_cautions_are_in_the_terminal_the_markdown_and_the_page(tmp_path: Path) -> None:
    few = "4 speakers are too few: the interval is indicative"
    comparison = compared("cnn", "bilstm")
    (section,) = comparison.sections
    cautious = group(*(replace(r, caution=few) for r in section.group.rows))
    comparison = replace(comparison, sections=(replace(section, group=cautious),))
    html = written(comparison, tmp_path)
    for text in (printed(comparison), markdown(comparison), html.words):
        assert len(re.findall(rf"Caution:\s+{few}", text)) == 1


def test_caution_is_shown_with_its_group() -> None:
    few = "4 speakers are too few: the interval is indicative"
    comparison = compared("cnn", "bilstm")
    apart = replace(comparison.apart[0], rows=tuple(replace(r, caution=few) for r in comparison.apart[0].rows))
    text = markdown(replace(comparison, apart=(apart,)))
    assert text.index("## Set apart") < text.index(few)
    assert comparison.sections[0].cautions == ()


def test_missing_interval_or_count_is_shown_as_missing() -> None:
    lone = row("cnn", 0.5, low=None, high=None, sd=None, seed_sd=None, parameters=None, train_seconds=None)
    both = Comparison((Section(group(lone, row("svm", 0.4, parameters=None)), "cnn", "cnn", "as asked", ()),))
    text = printed(both)
    (line,) = [line for line in text.splitlines() if line.strip().startswith("cnn ") and "±" in line]
    assert line.split() == ["cnn", "50.0", "50.1", "±", "n/a", "n/a", "52.0", "49.0", "n/a", "2", TIMES, "3"]
    assert "None" not in text + markdown(both)
    assert "time" in text  # a column that one row has
    assert "params" not in text  # and one that none has


def pictures(folder: Path) -> dict[str, Path]:
    """A dot for each picture."""
    dot = folder / "dot.svg"
    dot.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    return dict.fromkeys(
        ("speakers", "recall", "confusion", "reliability", "risk_coverage", "critical_difference"), dot
    )


def test_page_is_complete_and_self_contained(tmp_path: Path) -> None:
    comparison = compared(SPECIAL, "<script>alert(1)</script>", "bilstm")
    html = written(comparison, tmp_path)
    text = (tmp_path / "page.html").read_text()
    assert html.open == []
    assert "script" not in html.tags
    assert SPECIAL in html.words
    assert len(html.addresses) == 6
    assert all(address.startswith("data:image/svg+xml;base64,") for address in html.addresses)
    assert all(html.alternatives)
    assert not re.search(r"url\(|@import|https?://", text)
    facts = ("ravdess", "luna5", "native; target: intended", "f00d", "aaaa, bbbb", "here 50.0 %")
    assert all(fact in html.words for fact in facts)
    assert "random: other split: random against luna5" in html.words
    assert "runs/half: not finished" in html.words
    for name in [r.system for r in comparison.sections[0].group.rows]:
        assert html.words.count(name) > 2


def test_a_speakers_uar_is_what_scikit_learn_gives(tables: dict[str, list[pd.DataFrame]]) -> None:
    found = comparison_plots.speaker_scores(tables)
    assert found.shape == (12, 3)
    for speaker in ("ravdess/00", "ravdess/07"):
        each = []
        for seed in tables["cnn"]:
            rows = seed[seed["speaker"] == speaker]
            names = np.array(predictions.classes(rows))[predictions.predicted_indices(rows)]
            each.append(recall_score(rows["target"], names, average="macro"))
        assert found.loc[speaker, "cnn"] == pytest.approx(np.mean(each))


@pytest.mark.parametrize("stamps", [(), STAMPS])
def test_every_picture_is_drawn_and_stamped(
    tables: dict[str, list[pd.DataFrame]], tmp_path: Path, stamps: tuple[str, ...]
) -> None:
    comparison, state = compared(*tables, stamps=stamps), np.random.get_state()[1].tolist()  # noqa: NPY002
    before = dict(mpl.rcParams)
    with mpl.rc_context({"svg.fonttype": "none"}):
        files = comparison_plots.draw_section(comparison.sections[0], tables, tmp_path / "pictures")
    assert dict(mpl.rcParams) == before
    assert pyplot.get_fignums() == []
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002
    assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == sorted(f"{name}.svg" for name in files)
    assert files.keys() == pictures(tmp_path).keys()
    for name, file in files.items():
        text = file.read_text()
        assert ("SYNTHETIC SPEECH" in text) == bool(stamps)
        assert all(system in text for system in tables), name
    assert all(emotion in files["recall"].read_text() for emotion in predictions.classes(tables["cnn"][0]))
    assert "60.0" in files["speakers"].read_text()
    assert "critical difference" in files["critical_difference"].read_text()


def test_two_systems_have_no_critical_difference(tables: dict[str, list[pd.DataFrame]], tmp_path: Path) -> None:
    two = {name: tables[name] for name in ("cnn", "bilstm")}
    files = comparison_plots.draw_section(compared(*two).sections[0], two, tmp_path)
    assert "critical_difference" not in files
    page.write_page(compared(*two), [files], tmp_path / "page.html")
    assert len(Page((tmp_path / "page.html").read_text()).addresses) == len(files) == 5


def test_pictures_have_room_for_the_best_and_the_baseline() -> None:
    names = [f"system {i}" for i in range(12)]
    shown = [r.system for r in comparison_plots.shown(compared(*names).sections[0])]
    assert shown == [*names[:7], "system 11"]
    assert [r.system for r in comparison_plots.shown(compared(*names[:8]).sections[0])] == names[:8]


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_of_systems_and_corpora_is_in_every_format_and_cuts_nothing(tmp_path: Path, width: int) -> None:
    corpora = ("ravdess", "savee", "tess", "crema", "ravdess+savee+tess")
    comparison = on_corpora(compared("cnn, label_smoothing=0.1", "bilstm", stamps=STAMPS), *corpora)
    text = printed(comparison, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert re.sub(r"\s+", "", text).count("[55.0,64.0]") == 3 * 5, (
        "in the table; and in each section, in figures and words"
    )
    html = written(comparison, tmp_path)
    assert html.open == []
    assert [name for name in html.addresses if name.startswith("#")] == [f"#{name}" for name in corpora]
    assert html.words.count("60.0 [55.0, 64.0]") == 2 * 5
    first = next(block for block in re.findall(r"(?:^\|.*\n)+", markdown(comparison), flags=re.MULTILINE))
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in first.splitlines()]
    assert rows[2][1:] == ["60.0 [55.0, 64.0]"] * 5
    assert rows[3][1:] == ["57.0 [52.0, 61.0]", "", "", "", ""]
    assert all(stamp.upper() in cell for cell in rows[0][1:] for stamp in STAMPS)
    assert latex(comparison).index("60.0 [55.0, 64.0]") < latex(comparison).index("mean $\\pm$ sd")
    assert list(frame(comparison)["corpora"]) == ["ravdess", *corpora, "ravdess"]


def test_one_corpus_has_no_table_of_corpora(tmp_path: Path) -> None:
    comparison = compared("cnn", "bilstm")
    assert "Systems and corpora" not in printed(comparison)
    assert not [address for address in written(comparison, tmp_path).addresses if address.startswith("#")]
