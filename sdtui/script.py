"""Prints the bare diffusers script of a cell: what sdtui measures, without sdtui."""

from __future__ import annotations

import ast
import pprint
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdtui import runs, settings
from sdtui.catalog.expand import expand
from sdtui.catalog.load import Catalog, load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import Cell, Component, Input, Stage
from sdtui.model.errors import UserError, nearest

_WORKER = Path(__file__).parent / "worker"


def script_of(name: str, run_name: str | None, scale: str, device: str, runs_dir: Path) -> str:
    """Returns the script of the cell that a person named.

    Args:
        name: A cell's id, or ``pipeline.mode.environment.b1``, of which all but the pipeline may be left out.
        run_name: The run whose cell it is; ``None`` takes the catalog's defaults, and for an id also the runs, newest
            first.
        scale: Of a cell of no run.
        device: Of a cell of no run.
        runs_dir: Where runs live.

    Raises:
        UserError: There is no such cell.
    """
    catalog = load_catalog(settings.config_dir())
    wanted = _Name.parse(name)
    if run_name is not None:
        return _of_run(wanted, runs.find(runs_dir, run_name), catalog)
    if wanted.digest is None:
        return write(_from_catalog(wanted, scale, device, catalog), device)
    made = ""
    try:
        cell = _from_catalog(wanted, scale, device, catalog)
    except UserError as error:  # a pipeline or mode of a run's own plan, perhaps
        made = str(error)
    else:
        if cell.id == name:
            return write(cell, device)
        made = f"cell '{name}': the catalog makes {cell.id} of it"
    for listed in reversed(runs.list_runs(runs_dir)):
        if name in runs.read(listed.path).cells:
            return _of_run(wanted, listed.path, catalog)
    raise UserError(f"{made}, and no run in {runs_dir} has it")


def write(cell: Cell, device: str) -> str:
    """Returns the script of a cell on ``device``."""
    random = any(stage.weights is None for stage in cell.stages)
    needs = _Needs(cell, random)
    lines = [
        f'"""{cell.id}: what sdtui measures there, as a bare diffusers script. The bar prints the it/s."""',
        "",
        *needs.imports,
        "",
        f'DEVICE = "{device}"',
        f"DTYPE = torch.{cell.dtype}",
        f"SEED = {cell.seed}",
        *needs.definitions,
        "",
        *_globals(cell),
    ]
    for stage in cell.stages:
        lines += ["", *_stage(cell, stage)]
    lines += ["", *_calls(cell)]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------------------------- finding the cell


@dataclass(frozen=True)
class _Name:
    """What a person wrote of a cell; ``None`` where it was left out."""

    text: str
    pipeline: str
    mode: str | None
    environment: str | None
    batch_size: int | None
    tiny: bool
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> _Name:
        match = re.fullmatch(r"(.*?)(?:-([0-9a-f]{8}))?", text, re.DOTALL)
        words = match[1].split(".") if match else []
        if not all(words):
            raise UserError(f"cell '{text}': write its id, or pipeline.mode.b1, such as sd-txt2img.compile.b4")
        tiny = len(words) > 1 and words[-1] == "tiny"
        words = words[:-1] if tiny else words
        batch = words.pop()[1:] if len(words) > 1 and re.fullmatch(r"b\d+", words[-1]) else None
        pipeline, mode, *environment = [*words, None][:2] + words[2:]
        return cls(
            text=text,
            pipeline=str(pipeline),
            mode=mode,
            environment=".".join(filter(None, environment)) or None,
            batch_size=None if batch is None else int(batch),
            tiny=tiny,
            digest=match[2] if match else None,
        )

    def fits(self, cell: Cell) -> bool:
        slot = cell.slot
        pairs = (
            (self.pipeline, slot.pipeline),
            (self.mode, slot.mode),
            (self.environment, slot.environment),
            (self.batch_size, slot.batch_size),
            (self.tiny or None, cell.scale == "tiny"),
            (self.digest, cell.id[-8:]),
        )
        return all(wanted is None or wanted == there for wanted, there in pairs)

    def unknown(self, key: str, value: str | None, valid: Iterable[str]) -> UserError:
        return UserError(f"cell '{self.text}': unknown {key} '{value}'; {nearest(str(value), valid)}")


def _from_catalog(wanted: _Name, scale: str, device: str, catalog: Catalog) -> Cell:
    known = {settings.CURRENT, *settings.load().environments}
    names: tuple[tuple[str, str | None, Iterable[str]], ...] = (
        ("pipeline", wanted.pipeline, catalog.pipelines),
        ("mode", wanted.mode, catalog.modes),
        ("environment", wanted.environment, known),
    )
    for key, value, valid in names:
        if value is not None and value not in valid:
            raise wanted.unknown(key, value, valid)
    if wanted.batch_size == 0:
        raise UserError(f"cell '{wanted.text}': batch size 0 is too small; the least is 1")
    overrides: dict[str, Any] = {
        "pipelines": [wanted.pipeline],
        "modes": [wanted.mode or "no-compile"],
        "environments": [wanted.environment or settings.CURRENT],
        "batch_sizes": [wanted.batch_size or 1],
        "scale": "tiny" if wanted.tiny else scale,
        "device": device,
    }
    return expand(resolve_plan(catalog, None, overrides, gpu_available=True), catalog)[0]


def _of_run(wanted: _Name, folder: Path, catalog: Catalog) -> str:
    plan = resolve_plan(catalog, str(folder / runs.PLAN), {}, gpu_available=True)
    cells = expand(plan, catalog)
    found = [cell for cell in cells if wanted.fits(cell)]
    if len(found) == 1:
        return write(found[0], "cuda:0" if plan.device.startswith("cuda:GPU-") else plan.device)
    names = ", ".join(cell.id for cell in found or cells)
    problem = "is ambiguous" if found else "is not in its plan"
    raise UserError(f"run {folder.name}: cell '{wanted.text}' {problem}; choose from: {names}")


# --------------------------------------------------------------------------------------------- writing the script


class _Needs:
    """Imports and definitions of a script: parts of the worker that stand on torch and diffusers alone, verbatim."""

    def __init__(self, cell: Cell, random: bool) -> None:
        sources = {made.source for stage in cell.stages for made in stage.inputs.values()}
        modules = []
        if random:
            modules.append("random_weights")
            if any(c.class_name == "CLIPTokenizer" for stage in cell.stages for c in stage.components):
                modules.append("tokenizer")
        if sources - {"stage"}:
            modules.append("inputs")
        imports = {"import diffusers", "import torch"}
        if any(c.library == "transformers" for stage in cell.stages for c in stage.components):
            imports.add("import transformers")
        if cell.mode.attention_processor == "sdpa":
            imports.add("from diffusers.models import attention_processor")
        self.definitions: list[str] = []
        for module in modules:
            found, code = _parts(_WORKER / f"{module}.py")
            imports |= found
            self.definitions += ["", "", code]
        future = "from __future__ import annotations"
        self.imports = [future, "", *sorted(imports - {future}, key=lambda line: (line.split()[1], line))]


def _parts(path: Path) -> tuple[set[str], str]:
    """Splits a module's source into its import lines and the rest, without its docstring."""
    source = path.read_text(encoding="utf-8")
    imports, rest = set(), []
    for node in ast.parse(source).body:
        segment = ast.get_source_segment(source, node) or ""
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imports.add(segment)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            rest.append(segment)
    return imports, "\n\n\n".join(rest)


def _globals(cell: Cell) -> list[str]:
    mode = cell.mode
    lines = []
    if mode.tf32 is not None:
        lines += [
            f"torch.backends.cuda.matmul.allow_tf32 = {mode.tf32}",
            f"torch.backends.cudnn.allow_tf32 = {mode.tf32}",
        ]
    if mode.cudnn_benchmark is not None:
        lines.append(f"torch.backends.cudnn.benchmark = {mode.cudnn_benchmark}")
    return lines


def _stage(cell: Cell, stage: Stage) -> list[str]:
    pipe = _pipe(stage)
    return [*(_loaded(stage, pipe) if stage.weights else _made(stage, pipe)), *_options(cell, stage, pipe)]


def _made(stage: Stage, pipe: str) -> list[str]:
    lines = [f"{pipe} = diffusers.{stage.pipeline_class}("]
    lines += [f"    {component.name}={_component(component)}," for component in stage.components]
    lines += [f"    {name}={value!r}," for name, value in stage.constructor.items()]
    return [*lines, ")"]


def _component(component: Component) -> str:
    if component.class_name == "CLIPTokenizer":
        return f"byte_tokenizer({component.config['model_max_length']})"
    cls = f"{component.library}.{component.class_name}"
    config = pprint.pformat(dict(component.config), width=110, compact=True, sort_dicts=False)
    indented = config.replace("\n", "\n        ")
    if component.class_name.endswith("Scheduler"):
        return f"{cls}.from_config(\n        {indented}\n    )"
    return (
        f'random_module(\n        {cls},\n        {indented},\n        "{component.name}", SEED, DEVICE, DTYPE,\n    )'
    )


def _loaded(stage: Stage, pipe: str) -> list[str]:
    lines = [f"{pipe} = diffusers.{stage.pipeline_class}.from_pretrained(", f"    {stage.weights!r},"]
    lines += ["    torch_dtype=DTYPE,", "    use_safetensors=True,"]
    if stage.variant:
        lines.append(f"    variant={stage.variant!r},")
    for component in stage.components:
        if component.weights and not (Path(stage.weights or "") / component.name).is_dir():
            cls = f"{component.library}.{component.class_name}"
            lines.append(
                f"    {component.name}={cls}.from_pretrained("
                f"{component.weights!r}, torch_dtype=DTYPE, use_safetensors=True),"
            )
    lines += [f"    {name}={value!r}," for name, value in stage.constructor.items()]
    return [*lines, ").to(DEVICE)"]


def _options(cell: Cell, stage: Stage, pipe: str) -> list[str]:
    mode = cell.mode
    lines = []
    for name in stage.denoisers:
        denoiser = f"{pipe}.{name}"
        if mode.memory_format == "channels_last":
            lines.append(f"{denoiser}.to(memory_format=torch.channels_last)")
        if mode.attention_processor is not None:
            lines.append(denoiser + _processor(stage, mode.attention_processor))
        if mode.attention_backend is not None:
            lines.append(f"{denoiser}.set_attention_backend({mode.attention_backend!r})")
        if mode.fuse_qkv:
            lines.append(f"{denoiser}.fuse_qkv_projections()")
    if mode.vae_slicing:
        lines.append(f"{pipe}.vae.enable_slicing()")
    if mode.vae_tiling:
        lines.append(f"{pipe}.vae.enable_tiling()")
    if mode.compile is not None:
        wish = mode.compile
        arguments = f"backend={wish.backend!r}, mode={wish.mode!r}, fullgraph={wish.fullgraph}, dynamic={wish.dynamic}"
        options = f", options={dict(wish.options)!r}" if wish.options else ""
        lines += [f"{pipe}.{name} = torch.compile({pipe}.{name}, {arguments}{options})" for name in stage.denoisers]
    return lines


def _processor(stage: Stage, kind: str) -> str:
    if kind == "vanilla":
        return ".set_default_attn_processor()"
    if kind == "xformers":
        return ".enable_xformers_memory_efficient_attention()"
    blocks = [block for c in stage.components for block in c.config.get("down_block_types", ())]
    added = any(block.startswith("SimpleCrossAttn") for block in blocks)
    return f".set_attn_processor(attention_processor.Attn{'AddedKV' if added else ''}Processor2_0())"


def _calls(cell: Cell) -> list[str]:
    lines = []
    for stage in cell.stages:
        for name, made in stage.inputs.items():
            if made.source != "stage":
                lines.append(f"{_input(stage, name)} = {_made_input(cell, stage, name, made)}")
    lines.append(f"for _ in range({cell.calls}):")
    for stage in cell.stages:
        lines += [f"    {line}" for line in _call(cell, stage)]
    return lines


def _call(cell: Cell, stage: Stage) -> list[str]:
    prompts = _prompts(cell, stage)
    lines = [f"{_images(stage)} = {_pipe(stage)}("]
    if stage.takes_prompt:
        lines.append(f"    prompt={[cell.prompt] * prompts if prompts > 1 else cell.prompt!r},")
    for name, made in stage.inputs.items():
        value = _images_of(made.stage) if made.source == "stage" else _input(stage, name)
        lines.append(f"    {name}={value},")
    if stage.takes_size:
        lines += [f"    width={stage.width},", f"    height={stage.height},"]
    lines += [f"    {name}={value!r}," for name, value in stage.arguments.items()]
    return [
        *lines,
        f"    num_inference_steps={stage.steps},",
        f"    guidance_scale={stage.guidance},",
        f"    num_images_per_prompt={1 if prompts > 1 else cell.slot.batch_size},",
        "    generator=torch.Generator(DEVICE).manual_seed(SEED),",
        ").images",
    ]


def _prompts(cell: Cell, stage: Stage) -> int:
    return cell.slot.batch_size if any(made.source == "stage" for made in stage.inputs.values()) else 1


def _made_input(cell: Cell, stage: Stage, name: str, made: Input) -> str:
    if made.source == "embeddings":
        prompts = _prompts(cell, stage)
        repeat = f".repeat_interleave({prompts}, 0)" if prompts > 1 else ""
        return f'embeddings("{name}", {tuple(made.shape)}, SEED, DTYPE, DEVICE){repeat}'
    function = {"image": "picture", "mask": "mask", "edges": "edges"}[made.source]
    return f"{function}({made.width}, {made.height})"


def _pipe(stage: Stage) -> str:
    return "pipe" if stage.name == "main" else f"pipe_{stage.name}"


def _images(stage: Stage) -> str:
    return _images_of(stage.name)


def _images_of(stage: str) -> str:
    return "images" if stage == "main" else f"images_{stage}"


def _input(stage: Stage, name: str) -> str:
    return name + ("_input" if stage.name == "main" else f"_{stage.name}")
