"""The tables that people write (pipelines, modes, presets, plans), and one clear line for whatever is wrong in them.

Values are checked as JSON in pydantic's strict mode: no text passes for a number, no ``true`` for 1.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from sdtui.model.cell import AttentionProcessor, Dtype, InputSource, MemoryFormat, Scale
from sdtui.model.errors import UserError, near, nearest
from sdtui.model.precision import FEWEST_MEASURED
from sdtui.model.results import Phase
from sdtui.model.shares import parse_share

Positive = Annotated[int, Field(ge=1)]
Pixels = Annotated[int, Field(ge=8, multiple_of=8)]
Text = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(ge=1)]

MOST_PROCESSES = 1000
"""Of a cell: more is a slip of the finger, and would hold the device for weeks."""


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:(\d+|(GPU|MIG)-[0-9A-Za-z-]+))?", text):
        raise ValueError("is no device; write 'cpu', 'cuda:N' or 'cuda:GPU-…' (a UUID)")
    return "cuda:0" if text == "cuda" else text


def _share(value: Any) -> float:
    share = parse_share(value) if isinstance(value, str) else value
    if not isinstance(share, float) or not 0 < share < 1:
        raise ValueError("is no share between 0% and 100%; write it as 1% or 0.01")
    return share


class Table(BaseModel):
    """A TOML table: every key is known and of its type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class WeightsTable(Table):
    """Real weights on the hub: the id alive today, the page's id where it is gone, the variant of the files."""

    id: Text
    formerly: str | None = None
    variant: str | None = None


class ComponentTable(Table):
    """One part of a pipeline; ``config`` is the content of the file that was named."""

    library: Literal["diffusers", "transformers"]
    class_name: Text
    config: dict[str, Any]
    weights: WeightsTable | None = None


class InputTable(Table):
    """A call argument that is made; see `sdtui.model.cell.Input`."""

    source: InputSource
    width: Pixels | None = None
    height: Pixels | None = None
    shape: tuple[Positive, ...] = ()
    stage: str = ""


class TinyInputTable(Table):
    """What of an input shrinks at tiny scale."""

    width: Pixels | None = None
    height: Pixels | None = None
    shape: tuple[Positive, ...] = ()


class TinyTable(Table):
    """How a stage shrinks: its own values, and per component the config keys that change."""

    steps: Positive
    width: Pixels
    height: Pixels
    components: dict[str, dict[str, Any]] = Field(default_factory=dict)
    inputs: dict[str, TinyInputTable] = Field(default_factory=dict)


class StageTable(Table):
    """One diffusers pipeline object; see `sdtui.model.cell.Stage`.

    ``absent`` lists constructor arguments that are ``None``, which TOML cannot write.
    """

    pipeline_class: Text
    components: dict[str, ComponentTable]
    denoisers: Annotated[tuple[str, ...], Field(min_length=1)]
    steps: Positive
    guidance: float
    width: Pixels
    height: Pixels
    takes_size: bool = False
    takes_prompt: bool = True
    absent: tuple[str, ...] = ()
    constructor: dict[str, Any] = Field(default_factory=dict)
    arguments: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, InputTable] = Field(default_factory=dict)
    weights: WeightsTable | None = None
    tiny: TinyTable | None = None


class PipelineTable(Table):
    """A pipeline: stages by name, in the order they run.

    ``batched_stages`` are the stages that batch sizes over 1 run; empty means all.
    """

    label: Text
    description: str = ""
    prompt: str
    notes: tuple[str, ...] = ()
    batched_stages: tuple[str, ...] = ()
    stages: Annotated[dict[str, StageTable], Field(min_length=1)]


class CompileTable(Table):
    """Arguments of ``torch.compile``."""

    backend: Text = "inductor"
    mode: Text | None = None
    fullgraph: bool = False
    dynamic: bool | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class ModeTable(Table):
    """A mode's options; see `sdtui.model.cell.Mode`. ``label`` defaults to the name, dashes as spaces."""

    label: Text | None = None
    description: str = ""
    compile: CompileTable | None = None
    memory_format: MemoryFormat = "contiguous"
    fuse_qkv: bool = False
    attention_processor: AttentionProcessor | None = None
    attention_backend: Text | None = None
    dtype: Dtype | None = None
    tf32: bool | None = None
    cudnn_benchmark: bool | None = None
    vae_slicing: bool = False
    vae_tiling: bool = False


class PlanKeys(Table):
    """The keys of a plan; ``None`` where it leaves one out."""

    pipelines: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    modes: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    environments: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    batch_sizes: Annotated[tuple[Positive, ...], Field(min_length=1)] | None = None
    slots: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    calls: Positive | None = None
    scale: Scale | None = None
    weights: Text | None = None
    device: Annotated[str, AfterValidator(_device)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    steps: Positive | None = None
    size: Pixels | None = None
    guidance: Annotated[float, Field(ge=0)] | None = None
    dtype: Dtype | None = None
    prompt: str | None = None
    cold: bool | None = None
    trace: bool | None = None
    processes: Annotated[int, Field(ge=1, le=MOST_PROCESSES)] | None = None
    precision: Annotated[float, BeforeValidator(_share)] | None = None
    max_calls: Annotated[int, Field(ge=FEWEST_MEASURED + 1)] | None = None
    max_seconds: Seconds | None = None
    timeouts: dict[Phase, Seconds] | None = None


class PlanTable(PlanKeys):
    """A plan file: the keys, and modes and pipelines of the person's own."""

    mode: dict[str, dict[str, Any]] = Field(default_factory=dict)
    pipeline: dict[str, dict[str, Any]] = Field(default_factory=dict)


class PresetTable(PlanKeys):
    """A preset: keys, and further keys that depend on whether there is a usable GPU."""

    description: str = ""
    gpu: PlanKeys | None = None
    cpu: PlanKeys | None = None


# ------------------------------------------------------------------------------------------------------- checking

T = TypeVar("T", bound=Table)

_OTHER_WORDS = {"fp16": "float16", "half": "float16", "bf16": "bfloat16", "fp32": "float32", "float": "float32"}
"""What people call a dtype, and what torch calls it."""

_IS_NOT = {
    "int_type": "is no whole number",
    "int_from_float": "is no whole number",
    "float_type": "is no number",
    "finite_number": "is no finite number",
    "string_type": "is no text",
    "bool_type": "is neither true nor false",
    "tuple_type": "is no list",
    "dict_type": "is no table",
    "model_type": "is no table",
}


def check(schema: type[T], table: Mapping[str, Any], where: str, flags: Mapping[str, str] | None = None) -> T:
    """Checks what a person wrote.

    Args:
        schema: What it must be.
        table: What was written.
        where: Begins the message: the file, and the table in it.
        flags: Command-line flag of each key, where the values came from there; replaces ``where`` and key.

    Raises:
        UserError: A key is unknown or missing, or a value is wrong.
    """
    try:
        return schema.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        errors = error.errors()  # a key that is missing may be there, misspelt
        first = next((each for each in errors if each["type"] != "missing"), errors[0])
        location = first["loc"]
        if not location:
            raise UserError(f"{where}: {first['msg']}") from error
        key = flags[str(location[0])] if flags else f"{where}: {_dotted(location)}"
        raise UserError(f"{key}: {_mistake(schema, dict(first))}") from error


def _dotted(location: tuple[int | str, ...]) -> str:
    parts = [part for part in location if part != "[key]"]  # pydantic's mark of a key that is wrong
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def _mistake(schema: type[Table], error: dict[str, Any]) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    shown = json.dumps(value, ensure_ascii=False) if not isinstance(value, dict) else "a table"
    if kind == "extra_forbidden":
        return f"unknown key; {_nearest_key(schema, error['loc'], value)}"
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", context["expected"])
        meant = _OTHER_WORDS.get(str(value).lower(), "")
        return f"{shown} is not allowed; {nearest(meant if meant in allowed else str(value), allowed)}"
    if kind in ("too_short", "string_too_short"):
        return "must not be empty"
    if kind == "greater_than_equal":
        return f"{shown} is too small; the least is {context['ge']:g}"
    if kind == "less_than_equal":
        return f"{shown} is too much; the most is {context['le']:g}"
    if kind == "multiple_of":
        return f"{shown} is no multiple of {context['multiple_of']}; did you mean {max(8, round(value / 8) * 8)}?"
    if kind == "tuple_type":
        if not isinstance(value, dict):
            return f"{shown} is no list; write [{shown}]"
        if error["loc"] in (("modes",), ("pipelines",)):  # it lists what to measure
            key = str(error["loc"][0])
            return f"a table is no list; a {key[:-1]} of your own is [{key[:-1]}.{next(iter(value), 'NAME')}]"
    if kind == "value_error":
        return f"{shown} {context['error']}"
    return f"{shown} {_IS_NOT[kind]}" if kind in _IS_NOT else f"{shown}: {error['msg']}"


def _nearest_key(schema: type[Table], location: tuple[int | str, ...], value: Any) -> str:
    """Names the nearest key that takes a table where one was written, and none where none was; else any."""
    fields = _fields(schema, location[:-1])
    is_table = isinstance(value, dict)
    fitting = [name for name, field in fields.items() if _takes_table(field.annotation) == is_table]
    name = str(location[-1])
    return nearest(name, fitting if near(name, fitting) else fields)


def _fields(schema: type[Table], location: tuple[int | str, ...]) -> Mapping[str, FieldInfo]:
    """Returns the keys allowed in the table at ``location`` within ``schema``."""
    at: Any = schema
    for part in location:
        if isinstance(at, type) and issubclass(at, Table):
            at = _table_in(at.model_fields[str(part)].annotation)
        else:
            at = _table_in(typing.get_args(at)[-1])
    return at.model_fields if isinstance(at, type) and issubclass(at, Table) else {}


def _takes_table(hint: Any) -> bool:
    inner = _table_in(hint)
    return typing.get_origin(inner) is dict or (isinstance(inner, type) and issubclass(inner, Table))


def _table_in(hint: Any) -> Any:
    """Unwraps ``Annotated`` and the ``None`` of a union."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
