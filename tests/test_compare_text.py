"""Normalisers by example, numbers, and what must never be hidden."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprolock.compare.model import CompareOptions, Degree
from reprolock.compare.text import NORMALISER_NAMES, NORMALISERS, compare_text
from reprolock.errors import UsageError

EXACT = CompareOptions()


def compare(expected, observed, **options):
    """As after a cell that read a clock: the normalisers at their widest."""
    options.setdefault("clock", True)
    return compare_text(expected, observed, CompareOptions(**options))


TQDM = (
    "\r  0%|          | 0/10 [00:00<?, ?it/s]\r100%|##########| 10/10 [00:03<00:00,  3.21it/s]\n",
    "\r 50%|#####     | 5/10 [00:06<00:06, 1.21s/it]\r100%|##########| 10/10 [1:00:12<00:00, 1.21s/it]\n",
)
TIMEIT = (
    "1.23 ms ± 45.6 µs per loop (mean ± std. dev. of 7 runs, 1,000 loops each)",
    (
        "The slowest run took 4.97 times longer than the fastest. It may be cached.\n"
        "123 µs ± 4.6 µs per loop (mean ± std. dev. of 7 runs, 10,000 loops each)"
    ),
)
FORK = "DeprecationWarning: This process (pid=%s) is multi-threaded"


@pytest.mark.parametrize(
    ("name", "expected", "observed"),
    [
        ("ansi", "a\x1b[31mred\x1b[0m", "ared"),
        ("ansi", "\x1b]8;;file:///a\x1b\\link", "link"),
        ("progress-bars", *TQDM),
        ("progress-bars", "10%\r20%\r100%", "50%\r100%"),
        ("progress-bars", "10%\x08\x08\x08100%", "100%"),
        ("progress-bars", "a\r\nb", "a\nb"),
        ("progress-bars", "1/5 [1.20s]\r5/5 [8.62s]", "1/5 [1.31s]\r5/5 [8.71s]"),
        (
            "progress-bars",
            "\r100.00% [5/5 00:08<00:00 loss 0.1]",
            "\r100.00% [5/5 00:09<00:00 loss 0.1]",
        ),
        (
            "progress-bars",
            "━━━ 1.2/3.4 MB 12.3 MB/s eta 0:00:00",
            "━━━ 1.2/3.4 MB 9.1 MB/s eta 0:00:00",
        ),
        ("temporary-paths", "/tmp/ipykernel_12/345.py:3: W", "/tmp/ipykernel_9/678.py:3: W"),
        ("temporary-paths", "saved /tmp/tmpab12cd_4/m.pt", "saved /tmp/tmpzz99cd_4/m.pt"),
        ("temporary-paths", "<ipython-input-3-0a1b2c3d4e5f>", "<ipython-input-9-1a1b2c3d4e5f>"),
        (
            "memory-addresses",
            "<__main__.A object at 0x7f3c2a1b4d60>",
            "<__main__.A object at 0x55d0c0ffee00>",
        ),
        (
            "memory-addresses",
            "<function <lambda> at 0x7f3c2a1b4d60>",
            "<function <lambda> at 0x7f3c2a1b4d70>",
        ),
        (
            "memory-addresses",
            "<Future at 0x7f3c2a1b4d60 state=done>",
            "<Future at 0x7f3c2a1b4d70 state=done>",
        ),
        ("object-ids", "<Var id=140234567890123>", "<Var id=140234567890999>"),
        (
            "magic-timings",
            "CPU times: user 1.2 ms, sys: 0 ns, total: 1.2 ms\nWall time: 1.3 ms",
            "CPU times: user 2 s, sys: 10 µs, total: 2 s\nWall time: 1min 3s",
        ),
        ("magic-timings", *TIMEIT),
        (
            "magic-timings",
            "1000 loops, best of 5: 234 µs per loop",
            "100 loops, best of 5: 2.4 ms per loop",
        ),
        (
            "tool-durations",
            "[CV] END .......C=1; total time=   0.1s",
            "[CV] END .....C=1; total time=   1.1min",
        ),
        (
            "tool-durations",
            "10/10 ━━━━ 3s 12ms/step - accuracy: 0.9",
            "10/10 ━━━━ 13s 2ms/step - accuracy: 0.9",
        ),
        (
            "tool-durations",
            "10/10 - 3s - loss: 0.5 - 3s/epoch - 300ms/step",
            "10/10 - 1s - loss: 0.5 - 1s/epoch - 90ms/step",
        ),
        (
            "tool-durations",
            "[Parallel(n_jobs=1)]: Done  10 out of  10 | elapsed:    0.0s finished",
            "[Parallel(n_jobs=1)]: Done  10 out of  10 | elapsed:    1.2min finished",
        ),
        (
            "tool-durations",
            "0:\tlearn: 0.6\ttotal: 47ms\tremaining: 4.7s",
            "0:\tlearn: 0.6\ttotal: 4ms\tremaining: 1m 2s",
        ),
        (
            "tool-durations",
            "[Parallel(n_jobs=1)]: Done 1 tasks | elapsed:  0.1s remaining:    0.0s",
            "[Parallel(n_jobs=1)]: Done 1 tasks | elapsed:  1.2s remaining:    0.1s",
        ),
        (
            "tool-durations",
            "Sampling 4 chains for 1_000 tune and 1_000 draw iterations took 12 seconds.",
            "Sampling 4 chains for 1_000 tune and 1_000 draw iterations took 9 seconds.",
        ),
        (
            "tool-durations",
            "[t-SNE] Indexed 1797 samples in 0.001s...",
            "[t-SNE] Indexed 1797 samples in 0.002s...",
        ),
        (
            "tool-durations",
            "100/100 [======] - 0s 12us/sample - loss: 0.5",
            "100/100 [======] - 1s 9us/sample - loss: 0.5",
        ),
        ("labelled-durations", "fit done (took 3.2 s)", "fit done (took 3.3 s)"),
        ("labelled-durations", "Runtime: 3.2 s", "Runtime: 3.3 s"),
        ("labelled-durations", "Total time: 3.2 min", "Total time: 3.3 min"),
        ("labelled-durations", "Elapsed: 3.21 s", "Elapsed: 4 s"),
        ("labelled-durations", "took 3.2 seconds", "took 1 min 2 s"),
        ("labelled-durations", "Training time: 12.3s", "Training time: 11.9s"),
        ("labelled-durations", "Time taken = 0:00:03.25", "Time taken = 0:00:04.5"),
        ("labelled-durations", "--- 3.2 seconds ---", "--- 4.2 seconds ---"),
        ("labelled-durations", "Finished in 3.2 sec", "Finished in 4.2 sec"),
        ("labelled-durations", "epoch 0 0.161s - loss: 0.5", "epoch 0 0.2s - loss: 0.5"),
        ("labelled-durations", "val 0.871s - loss: 0.5", "val 0.9s - loss: 0.5"),
        ("labelled-durations", "Epoch 3/9 | 59s | acc 0.5", "Epoch 3/9 | 1m 3s | acc 0.5"),
        ("labelled-durations", "Epoch 3, loss 0.5, 0.16s", "Epoch 3, loss 0.5, 0.17s"),
        ("labelled-durations", "Epoch 3 - loss: 0.5 (2s)", "Epoch 3 - loss: 0.5 (3s)"),
        ("labelled-durations", "step 3 12 ms/step loss: 0.5", "step 3 9 ms/step loss: 0.5"),
        (
            "log-timestamps",
            "2024-01-02 03:04:05,678 - INFO - go",
            "2025-01-02 03:04:06,678 - INFO - go",
        ),
        ("log-timestamps", "2024-01-02 03:04:05,678 go on", "2024-01-03 03:04:06,679 go on"),
        ("log-timestamps", "03:04:05 - cmdstanpy - INFO - go", "03:04:06 - cmdstanpy - INFO - go"),
        ("log-timestamps", "2024-01-02 03:04:05 - INFO - go", "2024-01-02 03:04:06 - INFO - go"),
        (
            "log-timestamps",
            "2024-01-02 03:04:05.678 | INFO     | a:b:1 - go",
            "2024-01-02 03:04:06.678 | INFO     | a:b:1 - go",
        ),
        ("log-timestamps", "[03:04:05] INFO     go", "[03:04:06] INFO     go"),
        ("log-timestamps", "I0102 03:04:05.678901 12 a.cc:3]", "I0102 03:04:06.678901 13 a.cc:3]"),
        (
            "log-timestamps",
            "[I 2024-01-02 03:04:05,678] Trial 0",
            "[I 2024-01-02 03:04:06,678] Trial 0",
        ),
        (
            "log-timestamps",
            "2024-01-02 03:04:05.6: I tensorflow/x.cc:2]",
            "2024-01-02 03:04:06.6: I tensorflow/x.cc:2]",
        ),
        ("log-timestamps", "[03:04:05] WARNING: /a.cc:3", "[03:04:06] WARNING: /a.cc:3"),
        ("process-ids", FORK % 12, FORK % 99),
        ("trailing-whitespace", "a  \nb\n\n", "a\nb"),
    ],
)
def test_normaliser_acts_and_can_be_turned_off(name, expected, observed):
    clock = name == "labelled-durations"
    outcome = compare(expected, observed, clock=clock)
    assert outcome.degree is Degree.NORMALISED
    assert name in outcome.normalisers
    off = compare(expected, observed, clock=clock, disabled=frozenset({name}))
    assert off.degree is Degree.DIFFERENT


def test_every_normaliser_has_a_name_that_options_know():
    assert {n.name for n in NORMALISERS} <= set(NORMALISER_NAMES)


@pytest.mark.parametrize(
    ("expected", "observed"),
    [
        ("0xff", "0xfe"),
        ("0x7f3c2a1b4d60", "0x7f3c2a1b4d61"),
        ("value at 0xabcdef", "value at 0xabcdee"),
        ("<Colour 0xff00ff>", "<Colour 0xff00fe>"),
        ("elapsed = 3.2", "elapsed = 3.3"),
        ("flight time: 3.2 s", "flight time: 3.3 s"),
        ("time step 3", "time step 4"),
        ("x = 3.2 s", "x = 3.3 s"),
        ("id=140234567890123", "id=140234567890124"),
        ("2024-01-01 00:00:00  1.5", "2024-01-02 00:00:00  1.5"),
        ("/tmp/results_12.csv", "/tmp/results_13.csv"),
        ("/data/tmpab12cd34", "/data/tmpab12cd35"),
        ("pid 123", "pid 124"),
        ("0.97 10%\x08\x08\x0820%", "0.96 10%\x08\x08\x0820%"),
        ("a b", "a  b"),
        ("a", "a\nb"),
        ("nan", "0.5"),
    ],
)
def test_what_a_user_printed_is_not_hidden(expected, observed):
    assert compare(expected, observed).degree is Degree.DIFFERENT


@pytest.mark.parametrize("clock", [True, False])
@pytest.mark.parametrize(
    ("expected", "observed"),
    [
        ("Recovery took 14 days", "Recovery took 41 days"),
        ("Trip took 14 h", "Trip took 41 h"),
        ("Average trip duration: 14.3 min", "Average trip duration: 41.3 min"),
        ("Optimal route total time: 14 min", "Optimal route total time: 41 min"),
        ("Time: 45 s", "Time: 54 s"),
        ("survival duration: 12 days", "survival duration: 21 days"),
        ("Race: finished in 2:14:00", "Race: finished in 2:41:00"),
        ("call duration: 0:14:00", "call duration: 0:41:00"),
        ("duration 14 days 03:00:00", "duration 14 days 04:00:00"),
        ("duration 14 days 03:00:00", "duration 41 days 03:00:00"),
        ("training time: 14 days 03:00:00", "training time: 14 days 04:00:00"),
        ("2024-01-01 10:00:00 ERROR rate peak", "2024-01-01 11:00:00 ERROR rate peak"),
        ("2024-01-01 10:00:00.123 ERROR rate", "2024-01-02 10:00:00.123 ERROR rate"),
        ("2024-01-01 10:00:00,123,4", "2024-01-01 10:00:00,124,4"),
        ("[10:00:00] MAX: 5", "[11:00:00] MAX: 5"),
        ("[10:00:00] ERROR rate 5", "[11:00:00] ERROR rate 5"),
        ("<sha 0x7fdeadbeef00>", "<sha 0x7fdeadbeef11>"),
        ("<sha at 0xdeadbe>", "<sha at 0xdeadbf>"),
        ("a < b at 0xdeadbeef > c", "a < b at 0xdeadbeee > c"),
        ("if a < b: id=123456789 c > d", "if a < b: id=123456788 c > d"),
        ("if a<b: id=123456789 c>d", "if a<b: id=123456788 c>d"),
        ("dose 12s/batch", "dose 13s/batch"),
        ("rate 5 ms/step", "rate 6 ms/step"),
        ("1/2 dose 12s/batch", "1/2 dose 13s/batch"),
        ("4/5 [8.62s]", "4/5 [8.63s]"),
        ("period: 0.161s", "period: 0.162s"),
        ("0.161s - loss: 0.5", "0.162s - loss: 0.5"),
        ("epoch 0 0.161s", "epoch 0 0.162s"),
        ("epoch 0 0.161 - loss: 0.5", "epoch 0 0.162 - loss: 0.5"),
        ("epoch 0 - lag: 0.161s - loss: 0.5", "epoch 0 - lag: 0.162s - loss: 0.5"),
        ("epoch 0 - lag 0.161s - loss: 0.5", "epoch 0 - lag 0.162s - loss: 0.5"),
        ("epoch 0 - loss: 0.161s", "epoch 0 - loss: 0.162s"),
        ("epoch 0 0.161s - loss: 0.5", "epoch 0 0.161s - loss: 0.6"),
        ("epoch 0 0.161s - loss: 0.5", "epoch 1 0.161s - loss: 0.5"),
        ("epoch 0 3 h - loss: 0.5", "epoch 0 4 h - loss: 0.5"),
        ("train 10s - loss: 0.5", "train 20s - loss: 0.5"),
        ("val: 0.871s - loss: 0.5", "val: 0.872s - loss: 0.5"),
        ("value 0.871s - loss: 0.5", "value 0.872s - loss: 0.5"),
        ("train\n0.161s\nloss: 0.5", "train\n0.162s\nloss: 0.5"),
        ("\rlap [8.62s]", "\rlap [8.63s]"),
    ],
)
def test_results_that_look_like_clocks_are_compared(expected, observed, clock):
    assert compare(expected, observed, clock=clock).degree is Degree.DIFFERENT


def test_durations_are_measured_only_where_a_clock_was_read():
    for text in ("Elapsed: {} s", "Route took {} s", "Run time: {} s", "--- {} seconds ---"):
        one, other = text.format("3.2"), text.format("3.3")
        assert compare(one, other, clock=True).degree is Degree.NORMALISED
        assert compare(one, other, clock=False).degree is Degree.DIFFERENT


def test_folders_of_both_runs_are_one():
    paths = (("/home/u/proj", "<folder>"), ("/scratch/q/", "<folder>"), ("/", "<no>"))
    outcome = compare("/home/u/proj/a.csv", "/scratch/q/a.csv", extra_paths=paths)
    assert (outcome.degree, outcome.normalisers) == (Degree.NORMALISED, {"folders"})
    assert compare("/home/u/proj2", "/scratch/q2", extra_paths=paths).degree is Degree.DIFFERENT


@pytest.mark.parametrize(
    ("expected", "observed", "rtol", "atol", "degree"),
    [
        ("acc 0.9722", "acc 0.9721", 1e-3, 0, Degree.WITHIN),
        ("acc 0.9722", "acc 0.9611", 1e-3, 0, Degree.DIFFERENT),
        ("0.97", "0.965", 0, 0.005, Degree.WITHIN),
        ("0.97", "0.9649999", 0, 0.005, Degree.DIFFERENT),
        ("[ 1.0 2.0]", "[1.00001 2.0]", 1e-3, 0, Degree.WITHIN),
        ("0.50", "0.5", 0, 0, Degree.DIFFERENT),
        ("0.50", "0.5", 0, 1e-9, Degree.WITHIN),
        ("1e-5", "1.00001e-05", 1e-3, 0, Degree.WITHIN),
        ("v 1.8.0", "v 1.8.1", 1, 1, Degree.DIFFERENT),
        ("numpy==1.26", "numpy==1.27", 1, 1, Degree.DIFFERENT),
        ("version 1.26", "version 1.27", 1, 1, Degree.DIFFERENT),
        ("2024-01-02", "2024-01-03", 1, 1, Degree.DIFFERENT),
        ("12:30", "12:31", 1, 1, Degree.DIFFERENT),
        ("/run/12/x", "/run/13/x", 1, 1, Degree.DIFFERENT),
        ("file3.csv", "file4.csv", 1, 1, Degree.DIFFERENT),
        ("0x10", "0x11", 1, 1, Degree.DIFFERENT),
        ("1,234,567", "2,234,567", 0, 1, Degree.DIFFERENT),
        ("[0.5,0.25]", "[0.5,0.26]", 0.1, 0, Degree.WITHIN),
        ("nan", "nan ", 0, 0, Degree.NORMALISED),
        ("inf", "1e5", 1, 1, Degree.DIFFERENT),
        ("1e9999999999999999999", "1e9999999999999999998", 1, 1, Degree.DIFFERENT),
        ("a 1", "b 1", 1, 1, Degree.DIFFERENT),
        ("1 2", "1", 1, 1, Degree.DIFFERENT),
    ],
)
def test_numbers(expected, observed, rtol, atol, degree):
    assert compare(expected, observed, rtol=rtol, atol=atol).degree is degree


def test_message_names_the_first_numbers_and_how_many():
    outcome = compare("a\nacc 0.9722\nf1 0.5", "a\nacc 0.9611\nf1 0.6")
    assert outcome.code == "outputs.number-differs"
    assert outcome.message == "printed 0.9611, the locked run printed 0.9722 (2 numbers differ)"
    assert (outcome.expected, outcome.observed) == ("0.9722", "0.9611")


def test_excerpts_are_short_and_escaped():
    outcome = compare("x" * 5000 + "\ta", "x" * 5000 + "\x07\u202eb")
    assert outcome.code == "outputs.text-differs"
    assert "\\x07\\u202eb" in outcome.observed
    assert max(len(outcome.expected), len(outcome.observed)) <= 200


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_tolerances_must_make_sense(value):
    with pytest.raises(UsageError, match="rtol: wanted a number of 0 or more"):
        CompareOptions(rtol=value)


number = st.from_regex(r"-?[0-9]{1,6}(\.[0-9]{1,6})?(e[-+][0-9]{2})?", fullmatch=True)
word = st.sampled_from(
    [
        "",
        "loss",
        "accuracy:",
        "x =",
        "[",
        "(",
        "at",
        "step",
        "id",
        "<",
        "n,",
        "100%|",
        "\x1b[1m",
        "\n",
        "/",
        "v",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(word, number), min_size=1, max_size=6), st.data())
def test_a_changed_digit_is_never_equal(parts, data):
    pieces = [piece for w, n in parts for piece in (f"{w} ", n, " ")]
    which = data.draw(st.sampled_from(range(1, len(pieces), 3)))
    digits = [i for i, c in enumerate(pieces[which]) if c.isdigit()]
    at = len("".join(pieces[:which])) + data.draw(st.sampled_from(digits))
    text = "".join(pieces)
    other = text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]
    assert compare_text(text, other, EXACT).degree is Degree.DIFFERENT


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_compared_and_equal_only_to_itself_normalised(one, other):
    assert compare_text(one, one, EXACT).degree is Degree.IDENTICAL
    outcome, back = compare_text(one, other, EXACT), compare_text(other, one, EXACT)
    assert outcome.degree is back.degree
    assert (outcome.degree is Degree.DIFFERENT) == bool(outcome.code)


@pytest.mark.parametrize(
    "make",
    [
        lambda end: "".join(f"line {i} loss {i / 7:.4f}\n" for i in range(300_000)) + end,
        lambda end: "1" * 5_000_000 + end,
        lambda end: " " * 5_000_000 + end,
        lambda end: "".join(f"\r{i}%" for i in range(300_000)) + end,
        lambda end: "<" * 5_000_000 + end,
        lambda end: ("1 " * 2_500_000) + end,
    ],
    ids=["lines", "digits", "spaces", "returns", "brackets", "numbers"],
)
def test_long_outputs_take_linear_time(make):
    one, other = make("5\n"), make("6\n")
    begun = time.process_time()
    assert compare_text(one, other, EXACT).degree is Degree.DIFFERENT
    assert time.process_time() - begun < 15


def test_where_packages_lie_is_no_difference_but_their_lines_are():
    old = "/a/env/lib/python3.11/site-packages/sklearn/x.py:304: FutureWarning: m\n"
    new = "/home/u/c/venv/lib/python3.11/site-packages/sklearn/x.py:304: FutureWarning: m\n"
    outcome = compare_text(old, new, CompareOptions())
    assert outcome.degree is Degree.NORMALISED
    assert outcome.normalisers == {"install-paths"}
    assert compare_text(old, new.replace("304", "305"), CompareOptions()).degree is Degree.DIFFERENT
    off = CompareOptions(disabled=frozenset({"install-paths"}))
    assert compare_text(old, new, off).degree is Degree.DIFFERENT
