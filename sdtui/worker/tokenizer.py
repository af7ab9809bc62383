"""A tokenizer that needs no file: its vocabulary is the bytes. Scripts carry it verbatim."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import transformers


def byte_tokenizer(model_max_length: int) -> Any:
    """Returns a CLIP tokenizer of 514 tokens: start, end, and the 256 bytes, each also at a word's end."""
    tokens = ["<|startoftext|>", "<|endoftext|>", *byte_symbols(), *(symbol + "</w>" for symbol in byte_symbols())]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
        (Path(folder) / "merges.txt").write_text("#version: 0.2\n")
        (Path(folder) / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')
        return transformers.CLIPTokenizer.from_pretrained(folder, model_max_length=model_max_length)


def byte_symbols() -> list[str]:
    """Returns the characters that byte-level BPE writes the 256 bytes as (GPT-2, Radford et al., 2019)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(code) for code in [*printable, *range(256, 512 - len(printable))]]
