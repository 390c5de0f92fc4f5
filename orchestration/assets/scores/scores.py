"""From a pure score to its asset: frames in from the published models, tables and pictures out.

Belongs here: reading inputs, writing outputs, the gate as a check. Does not belong here: any mathematics
(orchestration/scoring).
"""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.paths import Paths
from orchestration.as_of import as_of_date
from orchestration.assets.metadata import markdown_table, picture
from orchestration.gateway import Gateway
from orchestration.scoring import (
    MODEL_EVAL_SCHEMA,
    SCORES,
    Score,
    ScoreContext,
    ScoreResult,
    empty_table,
    from_arrow,
    to_arrow,
)

GATE = "passes_its_gate"


def asset_key(score: str) -> dg.AssetKey:
    """``scores/<score>``."""
    return dg.AssetKey(["scores", score])


def build_score_assets() -> list[dg.AssetsDefinition]:
    """One asset for each registered score, in the registry's order, and their evaluations' index."""
    return [_build(score) for score in SCORES.values()]


def _build(score: Score) -> dg.AssetsDefinition:
    @dg.asset(
        key=asset_key(score.name),
        deps=[
            *(dg.AssetKey(["unified", model]) for model in score.inputs),
            *(asset_key(other) for other in score.depends_on_scores),
        ],
        description=score.description,
        group_name="scores",
        owners=["team:decision-science"],
        kinds={"python", "scikitlearn", "parquet"},
        check_specs=[
            dg.AssetCheckSpec(
                GATE,
                asset=asset_key(score.name),
                blocking=True,
                description=f"Proven on data it has not seen: {score.gate}. Otherwise nothing that depends "
                "on it is pushed.",
            )
        ],
    )
    def compute(context: dg.AssetExecutionContext, gateway: Gateway) -> dg.MaterializeResult:
        as_of = as_of_date(dict(context.run.tags), gateway)
        told = ScoreContext(
            as_of_date=as_of, time_zone=gateway.settings.time_zone, previous=_previous(gateway.paths, score)
        )
        result = score.run(read_inputs(score, gateway.paths, as_of), told)
        write_result(gateway.paths, score, as_of, result)
        return dg.MaterializeResult(
            metadata=dict(_metadata(result)),
            check_results=[
                dg.AssetCheckResult(
                    check_name=GATE,
                    passed=result.passed_gate,
                    description=result.gate_message,
                    metadata={"evaluation": dg.MetadataValue.md(_evaluation(result.eval))},
                )
            ],
        )

    return compute


def read_inputs(score: Score, paths: Paths, as_of: date) -> dict[str, pd.DataFrame]:
    """The frames a score asks for: models by name, other scores of the same date as ``scores.<name>``."""
    frames = {m: _frame(paths.published / "unified" / f"{m}.parquet") for m in score.inputs}
    for other in score.depends_on_scores:
        frames[f"scores.{other}"] = _frame(_partition(paths.scores / other, as_of) / "part.parquet")
    return frames


def ensure_tables(paths: Paths) -> None:
    """A file without rows for every score: a model over a score never computed finds no row, not no file."""
    for score in SCORES.values():
        target = paths.scores / score.name / "as_of_date=1970-01-01" / "_empty.parquet"
        if not target.is_file():
            _write(target, empty_table(score))


def write_result(paths: Paths, score: Score, as_of: date, result: ScoreResult) -> None:
    """The evaluation always; the table where the push models read it only if it passed its gate.

    A table that did not pass lies in ``scores/rejected`` for whoever wants to know why. So no later run can
    push it either: what is pushed stays at the last date that passed.
    """
    evaluation = pa.Table.from_pandas(result.eval, schema=MODEL_EVAL_SCHEMA, preserve_index=False)
    _write(_partition(paths.scores / "model_eval", as_of) / f"{score.name}.parquet", evaluation)
    home = paths.scores if result.passed_gate else paths.scores / "rejected"
    _write(_partition(home / score.name, as_of) / "part.parquet", to_arrow(score, result.table))
    for artifact, frame in result.artifacts.items():
        kept = pa.Table.from_pandas(frame, preserve_index=False)
        _write(_artifacts(paths, score) / f"{artifact}.parquet", kept)


def _artifacts(paths: Paths, score: Score) -> Path:
    return paths.scores / "artifacts" / score.name


def _previous(paths: Paths, score: Score) -> dict[str, pd.DataFrame]:
    """What the last run kept for this one, such as the centroids that segment labels are matched to."""
    return {file.stem: pd.read_parquet(file) for file in _artifacts(paths, score).glob("*.parquet")}


def _partition(folder: Path, as_of: date) -> Path:
    return folder / f"as_of_date={as_of.isoformat()}"


def _frame(file: Path) -> pd.DataFrame:
    return from_arrow(pq.ParquetFile(file).read())


def _write(target: Path, table: pa.Table) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    pq.write_table(table, temporary, compression="zstd")
    os.replace(temporary, target)


def _metadata(result: ScoreResult) -> Iterator[tuple[str, dg.MetadataValue]]:
    table = result.table
    yield "dagster/row_count", dg.MetadataValue.int(len(table))
    yield "eligible", dg.MetadataValue.int(int(table["eligible"].sum()))
    withheld = table.loc[~table["eligible"].astype(bool), "ineligible_reason"].value_counts()
    yield (
        "ineligible",
        dg.MetadataValue.md(
            markdown_table(["reason", "subjects"], [[str(k), int(v)] for k, v in withheld.items()])
        ),
    )
    yield "evaluation", dg.MetadataValue.md(_evaluation(result.eval))
    for title, png in result.pictures.items():
        yield title, picture(png, title)


def _evaluation(frame: pd.DataFrame) -> str:
    columns = ["metric", "slice", "value", "baseline", "ci_lo", "ci_hi", "n"]
    return markdown_table(
        columns, frame[columns].astype(object).where(frame[columns].notna(), None).values.tolist()
    )
