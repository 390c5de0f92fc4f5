"""What every score promises: its context, its result, and the columns and types of its table.

Here belongs: the shape shared by all scores. A score's own method does not. `finish` is the only way to
build a score table, so that a column or a reason code that is not in the contract cannot get out.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from orchestration.scoring.evaluation import Comparison
from orchestration.scoring.frames import Bools, Floats, ScoringError
from orchestration.scoring.reasons import REASONS

_UTC = pa.timestamp("us", tz="UTC")

#: Columns of every score table, in order, before the score's own.
CONTRACT_SCHEMA = pa.schema(
    [
        ("subject_id", pa.string()),
        ("as_of_at", _UTC),
        ("model_version", pa.string()),
        ("feature_cutoff_at", _UTC),
        ("score", pa.float64()),
        ("score_lo", pa.float64()),
        ("score_hi", pa.float64()),
        ("decile", pa.int32()),
        ("eligible", pa.bool_()),
        ("ineligible_reason", pa.string()),
        ("lawful_basis", pa.string()),
        ("consent_version", pa.string()),
        *[
            column
            for i in (1, 2, 3)
            for column in ((f"reason_{i}", pa.string()), (f"reason_{i}_contribution", pa.float64()))
        ],
    ]
)

MODEL_EVAL_SCHEMA = pa.schema(
    [
        ("score", pa.string()),
        ("as_of_date", pa.date32()),
        ("model_version", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("baseline", pa.float64()),
        ("ci_lo", pa.float64()),
        ("ci_hi", pa.float64()),
        ("slice", pa.string()),
        ("n", pa.int64()),
    ]
)

LawfulBasis = Literal["contract", "legitimate_interest", "consent"]


@dataclass(frozen=True)
class Economics:
    """Money assumptions, the utility's to set. Prices are in USD before tax."""

    supply_cost_usd_per_kwh: float = 0.096
    standing_margin_share: float = 0.45
    cost_to_serve_usd_per_month: float = 4.20
    discount_rate_per_year: float = 0.08
    loss_given_writeoff: float = 0.85
    call_cost_usd: float = 3.50
    letter_cost_usd: float = 1.10
    email_cost_usd: float = 0.02
    #: Share of an expected loss (or of the margin at risk) that one contact avoids. Assumed until outcomes
    #: are in.
    effect_call_help: float = 0.55
    effect_reminder: float = 0.10
    effect_plan_offer: float = 0.15
    effect_retention_call: float = 0.20


@dataclass(frozen=True)
class Capacity:
    """What the operations can do in one day."""

    agents: int = 3
    calls_per_agent_half_hour: int = 4
    letters_per_day: int = 400
    emails_per_day: int = 400
    first_slot: int = 16  # 08:00 local, the start of the permitted window
    end_slot: int = 42  # 21:00 local, exclusive
    max_attempts_7d: int = 7
    agents_by_slot: Mapping[int, int] = field(default_factory=dict)

    def calls_in_slots(self) -> npt.NDArray[np.int64]:
        """Calls that can be made in each half-hour from first_slot to end_slot."""
        slots = range(self.first_slot, self.end_slot)
        return (
            np.array([self.agents_by_slot.get(s, self.agents) for s in slots])
            * self.calls_per_agent_half_hour
        )


@dataclass(frozen=True)
class ScoreContext:
    """What a run is told beside its frames. ``previous`` holds artifacts of the last run (see
    ScoreResult)."""

    as_of_date: date
    seed: int = 20261115
    time_zone: str = "America/Chicago"
    jurisdiction: str = "US-WI"
    economics: Economics = field(default_factory=Economics)
    capacity: Capacity = field(default_factory=Capacity)
    holdout_share: float = 0.07
    exploration_share: float = 0.05
    random_slot_share: float = 0.05
    previous: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def feature_cutoff_at(self) -> datetime:
        """The end of ``as_of_date`` in local time, as UTC: nothing later was seen."""
        local = datetime.combine(self.as_of_date + timedelta(days=1), time(), ZoneInfo(self.time_zone))
        return local.astimezone(ZoneInfo("UTC"))

    @property
    def as_of(self) -> pd.Timestamp:
        """``as_of_date`` as a naive midnight, to compare with date columns."""
        return pd.Timestamp(self.as_of_date)

    @property
    def as_of_day(self) -> float:
        """``as_of_date`` as days since 1970-01-01, to compare with `frames.day_numbers`."""
        return float((self.as_of_date - date(1970, 1, 1)).days)

    def rng(self, name: str) -> np.random.Generator:
        """The random numbers of one purpose on one date: the same inputs give the same scores."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode()), self.as_of_date.toordinal()])


@dataclass(frozen=True)
class ScoreResult:
    """A score's table, its evaluation, its pictures, and whether it may be pushed.

    ``artifacts`` are small frames to keep for the next run, handed back as ``ScoreContext.previous``
    (load-shape centroids, so that labels do not shuffle).
    """

    table: pd.DataFrame
    eval: pd.DataFrame
    pictures: dict[str, bytes]
    passed_gate: bool
    gate_message: str
    artifacts: dict[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """One score of the registry. ``inputs`` are published models; other scores arrive as
    ``scores.<name>``."""

    name: str
    inputs: tuple[str, ...]
    depends_on_scores: tuple[str, ...]
    run: Callable[[Mapping[str, pd.DataFrame], ScoreContext], ScoreResult]
    description: str
    gate: str
    own_columns: tuple[tuple[str, pa.DataType], ...]
    version: str = "1.0.0"

    @property
    def model_version(self) -> str:
        """Name and version of the method; it changes with the code, not with the day."""
        return f"{self.name}-{self.version}"

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the score's table: the contract columns, then its own."""
        return pa.schema([*CONTRACT_SCHEMA, *(pa.field(n, t) for n, t in self.own_columns)])


@dataclass(frozen=True)
class Reasons:
    """Signed contributions (rows × codes), of which the three largest in size become ``reason_1..3``."""

    codes: tuple[str, ...]
    contributions: Floats


def deciles(score: Floats) -> npt.NDArray[np.float64]:
    """10 for the highest tenth to 1 for the lowest, by rank; NaN where the score is missing."""
    known = np.isfinite(score)
    result = np.full(len(score), np.nan)
    n = int(known.sum())
    if n:
        rank = np.empty(n)
        rank[np.argsort(score[known], kind="stable")] = np.arange(n)
        result[known] = np.floor(rank * 10 / n) + 1
    return result


def _reason_columns(reasons: Reasons | None, n: int) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if reasons is not None:
        unknown = [code for code in reasons.codes if code not in REASONS]
        if unknown:
            raise ScoringError(
                f"reason code '{unknown[0]}' is not in the documented list; add it to reasons.py"
            )
    for i in range(3):
        if reasons is None or i >= len(reasons.codes):
            columns[f"reason_{i + 1}"] = np.full(n, None, dtype=object)
            columns[f"reason_{i + 1}_contribution"] = np.full(n, np.nan)
            continue
        order = np.argsort(-np.abs(np.nan_to_num(reasons.contributions)), axis=1, kind="stable")[:, i]
        value = np.nan_to_num(reasons.contributions)[np.arange(n), order]
        code = np.array(reasons.codes, dtype=object)[order]
        code[value == 0.0] = None
        columns[f"reason_{i + 1}"] = code
        columns[f"reason_{i + 1}_contribution"] = np.where(value == 0.0, np.nan, value)
    return columns


def finish(
    score: Score,
    ctx: ScoreContext,
    *,
    subject: npt.ArrayLike,
    value: Floats,
    lo: Floats | None = None,
    hi: Floats | None = None,
    ineligible_reason: npt.ArrayLike | None = None,
    lawful_basis: LawfulBasis,
    consent_version: npt.ArrayLike,
    reasons: Reasons | None = None,
    own: Mapping[str, Any],
) -> pd.DataFrame:
    """A score table under the contract: exact columns, exact types, sorted by subject.

    ``ineligible_reason`` is empty where the subject is eligible; an ineligible subject's ``score`` and
    reasons are nulled here, so that no score can slip out with its reason not to. Raises ScoringError where
    the own columns are not the declared ones.
    """
    subjects = np.asarray(subject, dtype=object)
    n = len(subjects)
    why = (
        np.full(n, "", dtype=object)
        if ineligible_reason is None
        else np.asarray(ineligible_reason, dtype=object)
    )
    eligible: Bools = why == ""
    blank = np.full(n, np.nan)
    shown = np.where(eligible, value, np.nan)
    columns: dict[str, Any] = {
        "subject_id": subjects,
        "as_of_at": np.full(n, ctx.feature_cutoff_at, dtype=object),
        "model_version": np.full(n, score.model_version, dtype=object),
        "feature_cutoff_at": np.full(n, ctx.feature_cutoff_at, dtype=object),
        "score": shown,
        "score_lo": np.where(eligible, blank if lo is None else lo, np.nan),
        "score_hi": np.where(eligible, blank if hi is None else hi, np.nan),
        "decile": deciles(shown),
        "eligible": eligible,
        "ineligible_reason": _unless(eligible, why),
        "lawful_basis": np.full(n, lawful_basis, dtype=object),
        "consent_version": np.asarray(consent_version, dtype=object),
        **_reason_columns(reasons, n),
    }
    for i in (1, 2, 3):
        columns[f"reason_{i}"] = _unless(~eligible, columns[f"reason_{i}"])
        columns[f"reason_{i}_contribution"] = np.where(eligible, columns[f"reason_{i}_contribution"], np.nan)
    declared = {name for name, _ in score.own_columns}
    if set(own) != declared:
        odd = sorted(set(own) ^ declared)
        raise ScoringError(f"score '{score.name}': own column '{odd[0]}' is given or declared, but not both")
    columns.update({name: own[name] for name, _ in score.own_columns})
    table = to_frame(columns, score.schema)
    return table.sort_values("subject_id", kind="stable", ignore_index=True)


def _unless(hidden: Bools, values: npt.NDArray[Any]) -> npt.NDArray[np.object_]:
    result = values.astype(object)
    result[hidden] = None
    return result


def _array(values: Any, field_: pa.Field) -> pa.Array:
    if isinstance(values, pd.Series | pd.Index):
        values = values.to_numpy()
    array = np.asarray(values)
    if pa.types.is_string(field_.type):
        array = array.astype(object)
        return pa.array(_unless(np.asarray(pd.isna(array)) | (array == ""), array), field_.type)
    if pa.types.is_integer(field_.type) or pa.types.is_floating(field_.type):
        number = np.asarray(
            pd.to_numeric(pd.Series(array), errors="raise").to_numpy(np.float64, na_value=np.nan)
        )
        return pa.array(number, pa.float64(), from_pandas=True).cast(field_.type)
    if array.dtype.kind == "M":
        return pa.array(array.astype("datetime64[us]"), from_pandas=True).cast(field_.type)
    return pa.array(array, field_.type, from_pandas=True)


def to_frame(columns: Mapping[str, Any], schema: pa.Schema) -> pd.DataFrame:
    """Columns as a frame with the dtypes of ``schema``: nullable integers stay integers, text is text."""
    return pa.table([_array(columns[f.name], f) for f in schema], schema=schema).to_pandas(
        types_mapper={pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}.get
    )


def to_arrow(score: Score, table: pd.DataFrame) -> pa.Table:
    """A score table with its exact Arrow schema, for writing: an all-null column keeps its type."""
    return pa.Table.from_pandas(table, schema=score.schema, preserve_index=False)


def empty_table(score: Score) -> pa.Table:
    """The zero-row table of a score, so that a reader finds its columns before the first run."""
    return score.schema.empty_table()


class Evaluation:
    """Collects `model_eval` rows of one run."""

    def __init__(self, score: Score, ctx: ScoreContext) -> None:
        self._score = score
        self._ctx = ctx
        self._rows: list[dict[str, Any]] = []

    def add(
        self,
        metric: str,
        value: float,
        *,
        baseline: float = float("nan"),
        ci: tuple[float, float] = (float("nan"), float("nan")),
        slice_: str = "unseen",
        n: int = 0,
    ) -> None:
        """One measure; ``slice_`` says on which rows ('unseen': later rows of held-out groups)."""
        row = (
            self._score.name,
            self._ctx.as_of_date,
            self._score.model_version,
            metric,
            value,
            baseline,
            *ci,
            slice_,
            n,
        )
        self._rows.append(dict(zip(MODEL_EVAL_SCHEMA.names, row, strict=True)))

    def compared(self, c: Comparison, slice_: str = "unseen") -> None:
        """One measure with its baseline and interval."""
        self.add(c.metric, c.value, baseline=c.baseline, ci=(c.ci_lo, c.ci_hi), slice_=slice_, n=c.n)

    def frame(self) -> pd.DataFrame:
        """The rows, in the order they were added, under MODEL_EVAL_SCHEMA."""
        return eval_frame(self._rows)


def eval_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """``model_eval`` rows as a frame under its schema."""
    return pa.Table.from_pylist(rows, schema=MODEL_EVAL_SCHEMA).to_pandas()
