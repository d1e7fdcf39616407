"""Directions of metrics: declared, else guessed from well-known words in the name.

A guess is always marked as one. Words that disagree (`time_to_accuracy`) give no guess.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from gitexp.core.model.run import Direction, name_parts


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_MAXIMIZE = _set(
    """acc accuracy ap auc aucpr auprc auroc bleu chrf coverage dice efficiency elbo f1 fbeta
    fps gain goodput hit hits improvement iou ips jaccard kappa likelihood map mcc meteor mfu
    miou mrr ndcg passed pearson precision psnr purity qps r2 recall return returns reward
    rewards rouge rps score scores sensitivity silhouette spearman specificity speed speedup
    ssim success throughput tpr tps win wins"""
)
_MINIMIZE = _set(
    """brier bytes cer cost costs crossentropy deviation disk divergence duration elapsed energy
    entropy err error errors fail failed failures fid fnr footprint fpr gap kl latency logloss loss
    losses mae mape mem memory misses mse nll perplexity ppl regret residual rmse rmsle rss runtime
    seconds size smape time violations vram wer"""
)
_OTHER_THINGS = _set(
    """avoided budget change coef coefficient decrease delta diff difference drop free inv inverse
    limit reduced reduction saved saving savings scale sd sem std stddev stdev target threshold
    tolerance var variance weight weights"""
)
"""Words that say the number is not the quantity itself: `loss_scale`, `time_saved`, `acc_std`."""
_NEGATED = re.compile(r"(?:1\s?)?-\s?\w")
_RATES = _set("fps goodput ips qps rps speed speedup throughput tps")
_TIME_UNITS = _set("h hour hours m min minute ms msec ns nsec s sec second seconds time us usec")
_TIME_LIKE = _RATES | _set(
    "duration elapsed latency mem memory ms rss runtime sec seconds time vram"
)
_TRAINING = _set("train training")
_ABOUT_THE_RUN = _set(
    "arguments config configuration context environment hardware host machine params system"
)
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")


def last_part(name: str) -> str:
    """Return the last part of a dotted name: `loss` of `val.loss`."""
    return name_parts(name)[-1]


def _words(metric: str) -> list[str]:
    """Return the lower-case words of the last part: `test/topAcc` has test, top and acc."""
    words: list[str] = []
    for piece in re.split(r"[^A-Za-z0-9]+", last_part(metric)):
        known = piece.lower() in _MAXIMIZE or piece.lower() in _MINIMIZE
        words += [piece] if known else _WORD.findall(piece)
    return [_without_number(word.lower()) for word in words]


def _without_number(word: str) -> str:
    """Remove a number at the end: `loss5` gives `loss`. Known words keep it: `f1`, `r2`."""
    known = word in _MAXIMIZE or word in _MINIMIZE
    return word if known else word.rstrip("0123456789") or word


@lru_cache(maxsize=1024)
def guess_direction(metric: str) -> Direction | None:
    """Guess the direction of a metric. Return `None` if no word is known or words disagree."""
    words = _words(metric)
    if _OTHER_THINGS.intersection(words) or _NEGATED.match(last_part(metric)):
        return None
    if "per" not in words:
        return _guess(words)
    counted, unit = words[: words.index("per")], words[words.index("per") + 1 :]
    if _TIME_UNITS.intersection(counted):
        return Direction.MINIMIZE
    is_rate = bool(_TIME_UNITS.intersection(unit[:1]))
    return _guess([w for w in counted if not is_rate or w != "bytes"]) or (
        Direction.MAXIMIZE if is_rate and not _MINIMIZE.intersection(counted) - {"bytes"} else None
    )


def _guess(words: Sequence[str]) -> Direction | None:
    up, down = _MAXIMIZE.intersection(words), _MINIMIZE.intersection(words)
    if "brier" in down:
        up -= {"score", "scores"}
    if up & _RATES:
        down -= {"bytes", "seconds", "size"}
    if bool(up) == bool(down):
        return None
    negated = "neg" in words or "negative" in words
    return Direction.MAXIMIZE if bool(up) is not negated else Direction.MINIMIZE


@lru_cache(maxsize=1024)
def is_time_like(metric: str) -> bool:
    """Return whether the metric measures the machine: time, speed or memory.

    Such a metric varies even with fixed seeds.
    """
    words = _words(metric)
    is_rate = "per" in words and _TIME_UNITS.intersection(words)
    return bool(is_rate or _TIME_LIKE.intersection(words))


def direction_of(metric: str, declared: Mapping[str, Direction]) -> tuple[Direction | None, bool]:
    """Return the direction of a metric and whether it is a guess.

    `declared` may name only the last part of the metric.
    """
    for name in (metric, last_part(metric)):
        if name in declared:
            return declared[name], False
    guessed = guess_direction(metric)
    return guessed, guessed is not None


def is_average(metric: str) -> bool:
    """Return whether a metric is the mean or the median of a benchmark."""
    return last_part(metric) in ("mean", "median")


def guess_metric(measured: Iterable[str], declared: Iterable[str]) -> str | None:
    """Return the most important metric: the first declared one, else a guess from the names.

    `declared` may name only the last part of a metric. Guesses prefer metrics to maximize, such as
    `accuracy`, then metrics to minimize, such as `loss`, then metrics of the machine, then metrics
    with unknown words, a mean or median before a maximum; then those of the training data, and last
    what a file says about the configuration and the machine. Returns `None` without metrics.
    """
    names = list(measured)
    for wanted in declared:
        for name in names:
            if wanted in (name, last_part(name)):
                return name

    def rank(name: str) -> tuple[bool, bool, int, bool]:
        guessed = guess_direction(name)
        words = re.split(r"[^a-z]+", name.lower())
        last = not _ABOUT_THE_RUN.isdisjoint(words), not _TRAINING.isdisjoint(words)
        is_typical = is_average(name)
        if guessed is None:
            return *last, 3, not is_typical
        is_high = guessed is Direction.MAXIMIZE
        return *last, 2 if is_time_like(name) else 0 if is_high else 1, not is_typical

    return min(names, key=rank, default=None)
