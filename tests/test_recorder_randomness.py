"""Seeds, draws and unseeded generators, each in the cell where it happened."""

from __future__ import annotations

import pytest

from tests import kernels


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "nb"
    made.mkdir()
    return made


def record(folder, *cells, python=kernels.science_python):
    recorded = kernels.record(python(), folder, cells)
    assert recorded.of("trouble") == []
    return recorded


def told(recorded):
    """Return (n, event, stream) of everything that is told of randomness."""
    kinds = ("seed", "draw", "unseeded")
    return [(e["n"], e["event"], e["stream"]) for e in recorded.events if e["event"] in kinds]


def test_seeds(folder):
    recorded = record(
        folder,
        "import random, numpy as np",
        "random.seed(1); np.random.seed(seed=np.int64(2))",
        "random.seed('text'); random.seed(a=None); np.random.seed([1, 2])",
    )
    seeds = [(e["n"], e["call"], e["seed"]) for e in recorded.of("seed")]
    assert seeds == [
        (1, "random.seed", 1),
        (1, "numpy.random.seed", 2),
        (2, "random.seed", "'text'"),
        (2, "random.seed", None),
        (2, "numpy.random.seed", "[1, 2]"),
    ]


def test_draws_from_streams_that_nobody_seeded(folder):
    recorded = record(
        folder,
        "import random\nrandom.random()",
        "import numpy as np\nnp.random.rand(); np.random.rand()",
        "x = 1",
        "np.random.seed(1); np.random.rand()",
        "np.random.rand(); random.random()",
        "np.random.seed(); np.random.rand()",
        "np.random.rand(); np.random.seed(3)",
        "np.random.rand()",
    )
    assert told(recorded) == [
        (0, "draw", "random"),
        (1, "draw", "numpy"),
        (3, "seed", "numpy"),
        (4, "draw", "random"),
        (5, "seed", "numpy"),
        (5, "draw", "numpy"),
        (6, "draw", "numpy"),
        (6, "seed", "numpy"),
    ]
    assert all(event["seeded"] is False for event in recorded.of("draw"))


def test_a_draw_before_a_seed_in_the_same_cell_is_seen(folder):
    recorded = record(folder, "import random\nx = random.random()\nrandom.seed(1)")
    assert told(recorded) == [(0, "draw", "random"), (0, "seed", "random")]


def test_unseeded_generators(folder):
    recorded = record(
        folder,
        "import numpy as np",
        "np.random.default_rng()",
        "np.random.RandomState()",
        "np.random.SeedSequence()",
        "a = np.random.RandomState(); b = np.random.default_rng()",
        "import secrets; secrets.token_hex(4) and None",
        "import random; random.SystemRandom().random() and None",
    )
    unseeded = [(e["n"], e["stream"], e["call"], e["where"]) for e in recorded.of("unseeded")]
    assert unseeded == [
        (1, "numpy.Generator", "numpy.random.default_rng", "__main__"),
        (2, "numpy.RandomState", "numpy.random.RandomState", "__main__"),
        (3, "numpy.Generator", "numpy.random.SeedSequence", "__main__"),
        (4, "numpy.RandomState", "numpy.random.RandomState", "__main__"),
        (4, "numpy.Generator", "numpy.random.default_rng", "__main__"),
        (5, "entropy", "random._urandom", "__main__"),
        (6, "entropy", "random._urandom", "__main__"),
    ]


@pytest.mark.parametrize("python", [kernels.science_python, kernels.older_python])
def test_seeded_generators_are_not_told(folder, python):
    recorded = record(
        folder,
        "import copy, pickle, numpy as np",
        "np.random.default_rng(1); np.random.SeedSequence(2); np.random.PCG64(3)",
        "r = np.random.RandomState(4); s = np.random.RandomState(seed=[1, 2])",
        "copy.deepcopy(r); pickle.loads(pickle.dumps((r, s, np.random.default_rng(5))))",
        "[np.random.RandomState(i).rand() for i in range(50)]",
        python=python,
    )
    assert recorded.of("unseeded") == recorded.of("draw") == []
    assert {event["stream"] for event in recorded.of("seed")} == {"numpy.Generator"}


def test_a_helper_that_makes_both_kinds(folder):
    recorded = record(
        folder,
        "import numpy as np\ndef make(seed=None): return np.random.RandomState(seed)",
        "make(1); make(2)",
        "make(); make(3)",
    )
    assert told(recorded) == [(2, "unseeded", "numpy.RandomState")]


def unseeded(recorded):
    return [(e["n"], e["stream"], e["call"], e["where"]) for e in recorded.of("unseeded")]


@pytest.mark.parametrize("python", [kernels.own_python, kernels.older_python])
def test_random_objects_without_a_seed(folder, python):
    (folder / "helper.py").write_text("import random\ndef make(): return random.Random()\n")
    recorded = record(
        folder,
        "import copy, pickle, random, tempfile, helper",
        "random.Random().random(); kept = random.Random()",
        "helper.make() and None",
        "random.Random(1); r = random.Random(); r.seed(2); r.random() and None",
        "copy.deepcopy(r); pickle.loads(pickle.dumps(r)) and None",
        "r = random.Random(); r.random(); r.seed(3)",
        "class Mine(random.Random): pass\nMine(4); Mine() and None",
        "r.seed()",
        "tempfile.NamedTemporaryFile().close(); print('x')",
        "random.SystemRandom() and None",
        python=python,
    )
    assert [reply.error for reply in recorded.replies] == [None] * 10
    stream = ("random.Random", "random.Random")
    assert unseeded(recorded) == [
        (1, *stream, "__main__"),
        (2, *stream, "helper"),
        (5, *stream, "__main__"),
        (6, *stream, "__main__"),
        (7, *stream, "__main__"),
    ]
    assert recorded.of("seed") == recorded.of("draw") == []


@pytest.mark.parametrize("python", [kernels.own_python, kernels.older_python])
def test_entropy_that_the_notebook_asks_for_and_not_that_of_the_kernel(folder, python):
    (folder / "helper.py").write_text("import os\ndef key(): return os.urandom(4)\n")
    recorded = record(
        folder,
        "import os, uuid, helper",
        "os.urandom(4) and None",
        "def name():\n    return uuid.uuid4()\nname() and None",
        "uuid.uuid1() and None",
        "print('x', flush=True); from IPython.display import display; display(1)",
        "helper.key() and None",
        "uuid.uuid5(uuid.NAMESPACE_DNS, 'a') and None",
        python=python,
    )
    assert [reply.error for reply in recorded.replies] == [None] * 7
    assert unseeded(recorded) == [
        (1, "os.urandom", "os.urandom", "__main__"),
        (2, "os.urandom", "uuid.uuid4", "__main__"),
        (3, "os.urandom", "uuid.uuid1", "__main__"),
    ]


def test_a_state_that_is_put_back_hides_no_draw(folder):
    recorded = record(
        folder,
        "import random, numpy as np",
        "s = np.random.get_state(); np.random.rand(); np.random.set_state(s)",
        "s = random.getstate(); random.random(); random.setstate(s)",
        "random.setstate(random.Random(1).getstate())",
        "random.random() and None",
        "random.seed(1); s = random.getstate(); random.random(); random.setstate(s)",
        "random.random() and None",
    )
    assert told(recorded) == [
        (1, "draw", "numpy"),
        (2, "draw", "random"),
        (4, "draw", "random"),
        (5, "seed", "random"),
    ]


def test_the_seeds_of_generators(folder):
    recorded = record(
        folder,
        "import time, numpy as np",
        "np.random.default_rng(7); now = time.time_ns(); np.random.default_rng(seed=now)",
        "np.random.default_rng(np.int64(8)); np.random.default_rng([1, 2]); print(now)",
        "np.random.default_rng(np.random.default_rng(9)) and None",
        "np.random.default_rng() and None",
    )
    seeds = [(e["n"], e["stream"], e["seed"]) for e in recorded.of("seed")]
    assert seeds == [
        (1, "numpy.Generator", 7),
        (1, "numpy.Generator", int(recorded.replies[2].text)),
        (2, "numpy.Generator", 8),
        (2, "numpy.Generator", "[1, 2]"),
        (3, "numpy.Generator", 9),
    ]
    assert unseeded(recorded) == [(4, "numpy.Generator", "numpy.random.default_rng", "__main__")]


def test_loading_libraries_is_no_draw(folder):
    recorded = record(folder, "import numpy, pandas, random, secrets, uuid, tempfile")
    assert told(recorded) == []


@pytest.mark.parametrize("python", [kernels.own_python, kernels.older_python])
def test_what_an_installed_module_draws_when_it_is_loaded_is_no_draw_of_the_notebook(
    folder, python
):
    installed = folder / "env" / "site-packages"
    (installed / "styles" / "inner").mkdir(parents=True)
    (installed / "styles" / "__init__.py").write_text("import styles.inner\n")
    (installed / "styles" / "inner" / "__init__.py").write_text("import random\nrandom.random()\n")
    (installed / "broken.py").write_text("import random\nrandom.random()\n1 / 0\n")
    (installed / "lazy.py").write_text("def call():\n    import lazier\n")
    (installed / "lazier.py").write_text("import random\nrandom.random()\n")
    (folder / "helper.py").write_text("import random\nrandom.random()\n")
    recorded = record(
        folder,
        f"import sys, random; sys.path.insert(0, {str(installed)!r})",
        "import styles",
        "import lazy; lazy.call()",
        "random.random(); import importlib; importlib.reload(styles.inner) and None",
        "import helper",
        "try:\n    import broken\nexcept ZeroDivisionError:\n    pass",
        "from importlib.util import find_spec\nprint(type(find_spec('broken').loader).__name__)",
        "print(type(styles.__loader__).__name__, type(styles.__spec__.loader).__name__)",
        python=python,
    )
    assert told(recorded) == [(3, "draw", "random"), (4, "draw", "random"), (5, "draw", "random")]
    assert [reply.text for reply in recorded.replies[-2:]] == [
        "SourceFileLoader\n",
        "SourceFileLoader SourceFileLoader\n",
    ]


def test_a_seed_that_raises_is_no_seed_and_its_traceback_reads_no_data(folder):
    recorded = record(folder, "import numpy as np\nnp.random.seed(-1)")
    assert recorded.replies[0].error == "ValueError"
    assert told(recorded) == []
    assert recorded.of("file") == []


def test_a_name_taken_before_is_still_heard_and_still_works_after(folder):
    settings = kernels.config(folder)
    with kernels.kernel(kernels.own_python(), folder) as running:
        running.run(kernels.start_code(settings), silent=True)
        running.run("from random import seed, random\nseed(1)")
        running.run(kernels.finish_code(), silent=True)
        assert running.run("seed(1); print(random())").text == "0.13436424411240122\n"
    events, _ = kernels.read_journal(settings.journal)
    assert [event["seed"] for event in events if event["event"] == "seed"] == [1]


# torch and TensorFlow are too large to install for a test. These modules stand in for them at
# one seam, the functions that the recorder calls; their behaviour is that of torch 2.13, where
# the same cells were recorded: an unseeded default generator, `seed` drawing a new seed,
# `manual_seed` reachable by two names.
TORCH = """
import os, types
class Bytes:
    def __init__(self, state): self.state = state
    def numpy(self): raise RuntimeError('Numpy is not available')
    def tolist(self): return list(self.state)
class Generator:
    def __init__(self): self.state = os.urandom(8)
    def get_state(self): return Bytes(self.state)
    def manual_seed(self, seed): self.state = int(seed).to_bytes(8, 'big')
default_generator = Generator()
def manual_seed(seed): default_generator.manual_seed(seed); return default_generator
def seed(): default_generator.state = os.urandom(8); return 1
random = types.SimpleNamespace(manual_seed=manual_seed, seed=seed)
def rand(): default_generator.state = bytes(8 * [default_generator.state[0] ^ 255])
__version__ = '0'
"""
TENSORFLOW = "import types\nrandom = types.SimpleNamespace(set_seed=lambda seed: None)\n"


def test_torch_and_tensorflow_through_stand_ins(folder):
    (folder / "torch.py").write_text(TORCH)
    (folder / "tensorflow.py").write_text(TENSORFLOW)
    recorded = record(
        folder,
        "import torch, tensorflow as tf",
        "torch.rand()",
        "torch.manual_seed(7); torch.rand()",
        "torch.seed(); torch.rand()",
        "torch.random.manual_seed(8)",
        "tf.random.set_seed(9)",
        python=kernels.own_python,
    )
    assert told(recorded) == [
        (1, "draw", "torch"),
        (2, "seed", "torch"),
        (3, "seed", "torch"),
        (3, "draw", "torch"),
        (4, "seed", "torch"),
        (5, "seed", "tensorflow"),
    ]
    assert [event["call"] for event in recorded.of("seed")] == [
        "torch.manual_seed",
        "torch.seed",
        "torch.random.manual_seed",
        "tensorflow.random.set_seed",
    ]
    assert recorded.one("hardware")["torch"]["version"] == "0"
