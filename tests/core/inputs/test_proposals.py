"""Patterns proposed for output of real programs; a proposal never shows a wrong value."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitexp.core.inputs.patterns import parse_patterns, read_lines
from gitexp.core.inputs.proposal import MAX_PROPOSALS
from gitexp.core.inputs.proposed_patterns import propose

NANO = """step 0: train loss 4.1743, val loss 4.1771
iter 0: loss 4.2, time 123.45ms, mfu -100.00%
step 10: train loss 3.2143, val loss 3.3771
iter 10: loss 3.3, time 23.45ms, mfu -100.00%"""
LIGHTGBM = """[LightGBM] [Info] Number of positive: 204, number of negative: 194
[1]\ttraining's auc: 0.95\tvalid_1's auc: 0.93
[2]\ttraining's auc: 0.96\tvalid_1's auc: 0.94
The rmse of prediction is: 0.4450"""
XGBOOST = "[0]\ttrain-rmse:0.51234\ttest-rmse:0.6\n[1]\ttrain-rmse:0.4\ttest-rmse:0.5"
KERAS = """Epoch 1/2
1875/1875 [====] - 3s 2ms/step - loss: 0.2912 - accuracy: 0.9155 - val_loss: 0.14
Epoch 2/2
1875/1875 [====] - 3s 2ms/step - loss: 0.1412 - accuracy: 0.9555 - val_loss: 0.11"""
TRAINER = """{'loss': 2.3026, 'grad_norm': 1.2, 'learning_rate': 5e-05, 'epoch': 0.5}
{'loss': 1.3026, 'grad_norm': 1.1, 'learning_rate': 4e-05, 'epoch': 1.0}
{'eval_loss': 1.1, 'eval_accuracy': 0.5, 'epoch': 1.0}"""
BAR = """Epoch 0: 50%|█| 10/20 [00:01<00:01, 15.3it/s, loss=0.31, v_num=0]
Epoch 1: 100%|██| 20/20 [00:02<00:00, 15.3it/s, loss=0.21, v_num=0]"""
TABLE = """              precision    recall  f1-score   support

           0       1.00      1.00      1.00        33
    accuracy                           0.97       360
   macro avg       0.97      0.97      0.97       360"""

GO_BENCH = """goos: linux
BenchmarkFib10-8    5000000    325.1 ns/op    16 B/op    2 allocs/op
BenchmarkFib20-8      30000    40537 ns/op    0 B/op    0 allocs/op
ok  example/fib 3.021s"""
HYPERFINE = """Benchmark 1: sleep 0.1
  Time (mean ± σ):     102.3 ms ±   0.4 ms    [User: 0.9 ms, System: 1.0 ms]
  Range (min … max):   101.5 ms … 103.2 ms    28 runs"""  # noqa: RUF001 - as it prints it
LLAMA = """timings:        load time =    1234.56 ms
timings: prompt eval time =   456.78 ms / 12 tokens ( 38.07 ms per token, 26.27 tokens per second)
timings:   eval time =  7890.12 ms / 99 runs   (   79.70 ms per token,    12.55 tokens per second)
"""
SYSBENCH = """    transactions:            1234   (123.40 per sec.)
    queries:                 24680  (2468.00 per sec.)"""
FASTAI = """epoch     train_loss  valid_loss  accuracy  time
0         0.534812    0.612345    0.851000  00:05
1         0.434812    0.512345    0.871000  00:05"""
SKORCH = """  epoch    train_loss    valid_acc    dur
-------  ------------  -----------  ------
      1        0.6905       0.6150  0.0271
      2        0.6648       0.6450  0.0201"""
MARKDOWN = "| epoch | loss | acc |\n|---|---|---|\n| 1 | 0.5 | 90.5% |\n| 2 | 0.25 | 97.3% |"
PRINTED_CSV = "epoch,loss,acc\n1,0.5,0.9\nsaved\n2,-0.25,0.95"

PHASES = """Epoch 0/24
train Loss: 0.6051 Acc: 0.6885
val Loss: 0.2436 Acc: 0.9216
Epoch 1/24
train Loss: 0.4591 Acc: 0.8033
val Loss: 0.2536 Acc: 0.8954"""
BRACKETS = "[train] auc -> 0.99\n[eval] auc -> 0.91\n[train] auc -> 0.995\nbest auc -> 0.91"
SHARE = """Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.213470
Test set: Average loss: 0.0527, Accuracy: 9831/10000 (98%)"""

CASES: list[tuple[str, dict[str, list[float]]]] = [
    (PHASES, {"train_acc": [0.6885, 0.8033], "val_acc": [0.9216, 0.8954]}),
    (BRACKETS, {"train_auc": [0.99, 0.995], "eval_auc": [0.91]}),
    (SHARE, {"accuracy": [98], "average_loss": [0.0527], "loss": [2.21347]}),
    (NANO, {"train_loss": [4.1743, 3.2143], "val_loss": [4.1771, 3.3771], "loss": [4.2, 3.3]}),
    ("accuracy: 97.3%", {"accuracy": [97.3]}),
    ("The RMSE of the model on the test set is: 0.4450", {"rmse": [0.4450]}),
    ("Test RMSE = 1e-3", {"test_rmse": [0.001]}),
    (LIGHTGBM, {"training_auc": [0.95, 0.96], "valid_1_auc": [0.93, 0.94], "rmse": [0.445]}),
    (XGBOOST, {"train_rmse": [0.51234, 0.4], "test_rmse": [0.6, 0.5]}),
    (KERAS, {"loss": [0.2912, 0.1412], "accuracy": [0.9155, 0.9555], "val_loss": [0.14, 0.11]}),
    (TRAINER, {"loss": [2.3026, 1.3026], "eval_loss": [1.1], "eval_accuracy": [0.5]}),
    (BAR, {"loss": [0.31, 0.21]}),
    (TABLE, {"accuracy": [0.97]}),
    ("INFO loss 0.5\nINFO loss -0.25", {"loss": [0.5, -0.25]}),
    ("temp 1.5\ntemp 2.5\ntemp 3.5", {"temp": [1.5, 2.5, 3.5]}),
    (FASTAI, {"train_loss": [0.534812, 0.434812], "accuracy": [0.851, 0.871]}),
    (SKORCH, {"train_loss": [0.6905, 0.6648], "valid_acc": [0.615, 0.645]}),
    ("1000 loops, best of 5: 836 nsec per loop", {"nsec_per_loop": [836]}),
    ("2 MB (2.1 GB, 2.0 GiB) copied, 0.29 s, 7.0 GB/s", {"gb_per_s": [7.0]}),
    ("0.00-10.00 sec 42.1 GBytes 36.2 Gbits/sec", {"gbits_per_sec": [36.2]}),
    ("bench: 1,234 ns/iter\nbench: 934 ns/iter", {"ns_per_iter": [1234, 934]}),
    (HYPERFINE, {"time_mean_ms": [102.3]}),
    (LLAMA, {"prompt_tokens_per_second": [26.27], "eval_tokens_per_second": [12.55]}),
    (SYSBENCH, {"transactions_per_sec": [123.4], "queries_per_sec": [2468.0]}),
    ("Nodes searched  : 4567890\nNodes/second    : 3701693", {"nodes_per_second": [3701693]}),
    ("Requests/sec: 748868.53\nTransfer/sec:    606.33MB", {"requests_per_sec": [748868.53]}),
    ("== 3 failed, 120 passed in 12.34s ==", {"failed": [3], "passed": [120]}),
    ("1 loop, best of 5: 1.2 sec per loop", {"sec_per_loop": [1.2]}),
    ("Elapsed: 3.25 s", {"elapsed_s": [3.25]}),
    ("run time: 3 ms at 12:30:05\nETA 3 s", {"run_time_ms": [3]}),
    ("a 1,234 ns/op\nb 34 ns/op", {"a_ns_per_op": [1234], "b_ns_per_op": [34]}),
    ("throughput 12,345.5 req/s", {"throughput": [12345.5]}),
    ("loss=1,acc=0.5", {"loss": [1], "acc": [0.5]}),
    (GO_BENCH, {"benchmarkfib10_8_ns_per_op": [325.1], "benchmarkfib20_8_ns_per_op": [40537.0]}),
    (MARKDOWN, {"loss": [0.5, 0.25], "acc": [90.5, 97.3]}),
    (PRINTED_CSV, {"loss": [0.5, -0.25], "acc": [0.9, 0.95]}),
    ("loss: nan\nloss: 1.5", {}),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_metrics_of_common_outputs_are_proposed(
    text: str, expected: dict[str, list[float]]
) -> None:
    found = {p.name: list(p.values) for p in propose(text.splitlines()) if p.name != "step"}
    for name, values in expected.items():
        assert found.get(name) == values, found


@pytest.mark.parametrize(
    "text",
    [
        "10/20 [00:01<00:01, 15.3it/s]\nnow 3 and/or 4",
        "loss: 0,85\nlist: 1,234,5",
        "at 12:30:05, ETA 3 s, step 5",
        "UserWarning: 5 failed, 3 MB/s",
        "UserWarning: 3 MB/s\n5 MB/s",  # the pattern would read both
        "word " * 200 + "time",
        "x" * 1000,
    ],
)
def test_nothing_is_proposed_without_a_number_that_can_be_read_whole(text: str) -> None:
    assert propose(text.splitlines() * 200) == []


STEPS = [(NANO, (0, 10)), (XGBOOST, (0, 1)), (KERAS, (1, 2)), (BAR, (0, 1)), (LIGHTGBM, (1, 2))]


@pytest.mark.parametrize(("text", "steps"), STEPS)
def test_the_step_is_proposed(text: str, steps: tuple[int, ...]) -> None:
    first = propose(text.splitlines())[0]
    assert first.name == "step"
    assert first.values == steps


@pytest.mark.parametrize(
    "text",
    [
        "Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.",
        "x/_logistic.py:599: ConvergenceWarning: lbfgs failed to converge after 200 iterations",
        "",
        "hello world",
        "epoch 1\nepoch 2\nepoch 3",
        "Using device 0\nseed 42\nport 8080\nversion 1.2",
        "step 1: done in 3s\nstep 2: done in 4s\nstep 3: done in 5s",
    ],
)
def test_nothing_is_proposed_without_a_metric(text: str) -> None:
    assert propose(text.splitlines()) == []


LINES = st.lists(
    st.one_of(
        st.text(max_size=60),
        st.builds(
            "{} {}{}{}{}".format,
            st.sampled_from(["", "step 3:", "INFO", "val", "train"]),
            st.sampled_from(["loss", "val loss", "acc", "f1-score", "(x) err", "a[0] loss"]),
            st.sampled_from([": ", "=", " ", "\t", " -> ", " | "]),
            st.floats(allow_nan=False).map(repr) | st.integers().map(str),
            st.sampled_from(["", "%", ",", " loss 3", "."]),
        ),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(LINES)
def test_proposal_reads_the_values_that_it_shows(lines: list[str]) -> None:
    found = propose(lines)
    assert len(found) <= MAX_PROPOSALS + 1
    for proposal in found:
        if proposal.name != "step":
            readings = read_lines(parse_patterns([proposal.pattern]), lines)
            read = [r.values[proposal.name] for r in readings if proposal.name in r.values]
            assert repr(read) == repr(list(proposal.values))
            assert read


@pytest.mark.parametrize("text", [FASTAI, SKORCH, MARKDOWN, PRINTED_CSV])
def test_a_column_comes_with_the_step_of_its_row(text: str) -> None:
    first = propose(text.splitlines())[0]
    readings = read_lines(parse_patterns([first.pattern]), text.splitlines())
    steps = [reading.step for reading in readings]
    assert steps in ([0, 1], [1, 2])


def test_the_unit_of_a_column_is_noted() -> None:
    assert {p.name: p.unit for p in propose(MARKDOWN.splitlines())} == {"loss": None, "acc": "%"}


def test_error_alone_is_a_metric_and_the_level_of_a_log_is_not() -> None:
    assert [proposal.pattern for proposal in propose(["error: 0.000009"])]
    assert not propose(["ERROR: 404", "Error: 3"])


@pytest.mark.parametrize(
    ("line", "later"),
    [
        ("loss: 0.9168 - val_loss: 0.0541", "val_loss: 0.5"),
        ("loss: 0.9168, val loss: 0.0541", "val loss: 0.5"),
        ("loss: 0.9168, val loss: 0.0541", "best val_loss: 0.5"),
    ],
)
def test_a_proposed_pattern_does_not_read_a_longer_name_in_later_output(
    line: str, later: str
) -> None:
    found = {proposal.name: proposal for proposal in propose([line, line])}
    assert found["loss"].values == (0.9168, 0.9168)
    assert not read_lines(parse_patterns([found["loss"].pattern]), [later])


def test_what_lightgbm_tells_of_its_start_is_no_metric() -> None:
    lines = [
        "[LightGBM] [Info] Start training from score 0.518344",
        "[LightGBM] [Warning] No further splits with positive gain, best gain: -inf",
        "[1]\tvalid_0's auc: 0.984591",
        "[2]\tvalid_0's auc: 0.988784",
    ]
    assert [proposal.name for proposal in propose(lines)] == ["step", "valid_0_auc"]
