import huggingface_hub.constants
import pytest
import tiny_cells
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tiny work on several threads of a busy machine mostly spins."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    """The variable counts only where it was set before the import."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def measured(tmp_path, monkeypatch):
    def run(cell):
        return tiny_cells.Measured(cell, tmp_path, monkeypatch)

    return run
