import pytest

from sdtui.worker.tokenizer import byte_symbols, byte_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer(77)


@pytest.mark.parametrize(
    "text", ["a cat", "ghibli style, a fantasy landscape with castles", "ünïcode 日本 🙂 ñ", "1 2 3 %"]
)
def test_text_makes_the_round_trip(tokenizer, text):
    back = tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True)
    assert back.replace(" ", "") == text.replace(" ", "")


def test_every_byte_has_its_token(tokenizer):
    assert len(set(byte_symbols())) == 256
    assert len(tokenizer) == 514
    text = "".join(chr(code) for code in range(0x100, 0x800, 3))
    assert tokenizer.unk_token_id not in tokenizer(text).input_ids[1:-1]


def test_long_text_is_cut_and_short_text_padded_to_the_models_length(tokenizer):
    for text in ("", "a cat", "x" * 200, "🙂" * 100):
        ids = tokenizer(text, padding="max_length", truncation=True, max_length=tokenizer.model_max_length).input_ids
        assert len(ids) == 77
        assert ids[0] == 0
        assert ids[-1] == 1
        assert max(ids) < 514
    assert len(tokenizer("x" * 200).input_ids) == 202


def test_different_text_has_different_tokens(tokenizer):
    assert tokenizer("a cat").input_ids != tokenizer("a bat").input_ids
    assert tokenizer("").input_ids == [0, 1]
