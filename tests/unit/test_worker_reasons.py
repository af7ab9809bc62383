import pytest

from sdtui.worker.reasons import REASON_CHARS, chain, one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  a\n\n b\tc\r\n", "a b c"),
        ("", ""),
        ("x" * REASON_CHARS, "x" * REASON_CHARS),
        ("x" * (REASON_CHARS + 1), "x" * (REASON_CHARS - 1) + "…"),
        ("torch é 日本", "torch é 日本"),
        ("file \udcff.bin", "file ?.bin"),  # as os.fsdecode writes undecodable names: no journal could hold it
    ],
)
def test_one_line(text, line):
    assert one_line(text) == line


def test_chain_follows_what_from_none_hides():
    with pytest.raises(ValueError) as caught:  # noqa: PT011, PT012
        try:
            raise KeyError
        except KeyError:
            raise ValueError from None
    assert [type(link) for link in chain(caught.value)] == [ValueError, KeyError]
