"""No two modules import each other, whatever is between them: a reader can begin at the bottom."""

from support.import_cycles import first_cycle, imports_of_everfit


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = imports_of_everfit()

    assert imports["everfit.tasks.data.ingest"] > {"everfit.tasks.data.staged_batch", "everfit.blocks.errors"}
    assert first_cycle(imports) == []


def test_a_circle_is_found() -> None:
    assert set(first_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
