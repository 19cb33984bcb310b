"""The table of architectures in docs/models.md, against the cases that tests measure."""

from parity.table import BEGIN, END, PAGE, Row, Rows, documented, every_case, rows_in, updated

BERT = Row("text-classification", "BERT", 2e-7, 1e-6, "labels and scores", {"a token dropped": 0.2})
PAGE_OF_NONE = f"before\n\n{BEGIN}\n{END}\n\nafter\n"


def test_the_page_has_a_row_for_every_case_and_no_other():
    assert list(documented(PAGE.read_text(encoding="utf-8"))) == every_case()


def test_rows_are_written_between_the_markers_in_the_order_of_the_cases():
    vit = Row("image-classification", "ViT", 1e-7, "no exporter", "labels", {"BGR": "2 labels"})
    page = updated(PAGE_OF_NONE, [vit, BERT], [BERT.case, vit.case])
    assert page.startswith("before\n\n")
    assert page.endswith(f"{END}\n\nafter\n")
    assert list(documented(page)) == [BERT.case, vit.case]
    assert documented(page)[BERT.case] == BERT.line()
    assert "2e-7 | 1e-6 | labels and scores | a token dropped: 2e-1" in page


def test_a_row_measured_again_replaces_the_old_one_and_forgotten_cases_go():
    old = updated(PAGE_OF_NONE, [BERT], [BERT.case])
    again = Row(*BERT.case, 3e-7, 1e-6, "labels and scores", {"a token dropped": 0.2})
    assert documented(updated(old, [again], [BERT.case])) == {BERT.case: again.line()}
    assert documented(updated(old, [], [BERT.case])) == documented(old)
    assert documented(updated(old, [], [])) == {}


def test_a_case_that_was_never_measured_says_so():
    line = documented(updated(PAGE_OF_NONE, [], [BERT.case]))[BERT.case]
    assert line.count("not measured yet") == 3
    measured = updated(updated(PAGE_OF_NONE, [], [BERT.case]), [BERT], [BERT.case])
    assert documented(measured) == {BERT.case: BERT.line()}


def test_what_a_test_notes_is_read_back_and_the_last_word_counts(tmp_path, monkeypatch):
    monkeypatch.setattr("parity.table.every_case", lambda: [BERT.case])
    rows = Rows(tmp_path / "new" / "rows.jsonl")
    for difference in (1e-3, BERT.torch):
        rows(
            BERT.architecture,
            BERT.task,
            torch=difference,
            onnx=BERT.onnx,
            end_to_end=BERT.end_to_end,
            breaks=BERT.breaks,
        )
    assert rows_in(tmp_path / "new" / "rows.jsonl") == [BERT]
