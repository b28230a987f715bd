"""Every record type gives an Arrow schema that keeps its values, also where all of them are null."""

import pyarrow as pa
import pytest
from pydantic import BaseModel

from manifests.arrow_schema import arrow_schema, to_table
from manifests.records import SCORES, Asset, Job, Triplet


@pytest.mark.parametrize("record", [Asset, Job, Triplet])
def test_schema_has_one_typed_field_for_each_of_the_record(record: type[BaseModel]) -> None:
    schema = arrow_schema(record)
    assert schema.names == list(record.model_fields)
    assert not any(pa.types.is_null(field.type) for field in schema)


def test_scores_are_nullable_floats() -> None:
    schema = arrow_schema(Triplet)
    for column in SCORES:
        assert schema.field(column) == pa.field(column, pa.float64(), nullable=True)
    assert schema.field("reasons").type == pa.list_(pa.string())
    assert not schema.field("candidate_id").nullable


def test_no_rows_still_have_a_schema() -> None:
    assert to_table(Triplet, []).schema == arrow_schema(Triplet)


def test_an_unknown_type_says_so() -> None:
    class Odd(BaseModel):
        value: complex

    with pytest.raises(TypeError, match="complex"):
        arrow_schema(Odd)
