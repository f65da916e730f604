"""A key is written as COLUMN=VALUE, whatever the column is called."""

from support.training import a_spec

from everfit.tasks.retention.key_rows import read_key


def test_names_and_values_may_have_equals_signs() -> None:
    spec = a_spec(columns={"key": ["=1+1", "a=b"]})
    assert read_key(spec, ["=1+1=7", "a=b=c=d"]) == {"=1+1": "7", "a=b": "c=d"}
    assert read_key(a_spec(), ["7"]) == {"id": "7"}
    assert read_key(a_spec(), ["id=a=b"]) == {"id": "a=b"}
